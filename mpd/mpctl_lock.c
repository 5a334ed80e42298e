/* SPDX-License-Identifier: MIT
 *
 * mpctl lock: a command runs while mpctl holds a lock. Knows: fork, exec, signals, exit codes. Does
 * not know: how locks work.
 *
 *   mpctl    holds the lock, waits for the command, passes on the signals it was sent
 *   command  an ordinary child in the same process group; has no descriptor of mpctl's
 *
 * The lock is mpctl's, for the command knows nothing of libshm. So mpctl that is killed takes the
 * command along (PR_SET_PDEATHSIG, SIGKILL): it would go on without the lock otherwise, beside the
 * next holder. What the command itself has started is not reached by that, nor is a command that is
 * setuid: the kernel clears the signal for those.
 */
#include "mpctl.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_BY_SIGNAL 128

/* Sent to mpctl alone by whoever knows its pid; meant for the command. */
static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

static void fill_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(set, forwarded[i]);
}

static _Noreturn void become(char **words, pid_t parent, const sigset_t *mask)
{
	int error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Dead before that: the lock is somebody else's by now. */
	if (getppid() != parent)
		_exit(EXIT_LOCK_ERROR);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(words[0], words);
	error = errno;
	mpctl_say("'%s' cannot be run: %s", words[0], strerror(error));
	_exit(error == ENOENT ? EXIT_LOCK_NOT_FOUND : EXIT_LOCK_NOT_RUN);
}

static int code_of(int status)
{
	return WIFSIGNALED(status) ? EXIT_BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What the terminal sends goes to the whole process group: the command has it already. */
static bool is_for_us_alone(const siginfo_t *info)
{
	return info->si_code <= 0;
}

static int wait_for(pid_t child, const sigset_t *signals)
{
	siginfo_t info;
	int status;

	for (;;) {
		int number = sigwaitinfo(signals, &info);

		if (number == SIGCHLD && waitpid(child, &status, WNOHANG) == child)
			return code_of(status);
		if (number > 0 && number != SIGCHLD && is_for_us_alone(&info))
			kill(child, number);
	}
}

static int run_command(char **words)
{
	pid_t parent = getpid(), child;
	sigset_t signals, before;
	int code = EXIT_LOCK_ERROR;

	/* Inherited as ignored it would be no signal, and the child reaped by the kernel. */
	signal(SIGCHLD, SIG_DFL);
	fill_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, &before);
	fflush(NULL);
	child = fork();
	if (child == 0)
		become(words, parent, &before);
	if (child > 0)
		code = wait_for(child, &signals);
	else
		mpctl_say("'%s' cannot be started: %s", words[0], strerror(errno));
	return code;
}

static int fail(int error)
{
	mpctl_fail(error);
	return error == -EAGAIN || error == -ETIMEDOUT ? EXIT_LOCK_TIMEOUT : EXIT_LOCK_ERROR;
}

/* Without a wait nobody has looked who holds it. */
static int fail_to_acquire(mp_lock *lock, const char *name, int error)
{
	struct mp_who who;

	if (error != -EAGAIN || mp_lock_owner(lock, &who) < 0)
		return fail(error);
	mpctl_say("the lock '%s' is held by %s[%u]", name, who.name, who.pid);
	return EXIT_LOCK_TIMEOUT;
}

static int run_locked(const struct mpctl *ctl, mp_lock *lock, const char *name)
{
	int result = mp_lock_acquire(lock, ctl->timeout), code;

	if (result < 0)
		return fail_to_acquire(lock, name, result);
	if (result == MP_OWNER_DIED)
		mpctl_say("lock '%s': its last holder died holding it, what it guards may be half "
			  "changed", name);
	code = run_command(ctl->words + 1);
	result = mp_lock_release(lock);
	/* Somebody else has taken it away meanwhile; the command has run. */
	if (result < 0)
		mpctl_fail(result);
	return code;
}

/* What others see as the holder: "mpctl:make". */
static void name_client(const char *command, char name[static 64])
{
	const char *slash = strrchr(command, '/');

	snprintf(name, 64, "mpctl:%.48s", slash && slash[1] ? slash + 1 : command);
}

static int open_and_run(const struct mpctl *ctl, const struct mpctl_name *name)
{
	const struct mp_lock_opts opts = { .flags = ctl->is_existing ? MP_EXISTING : 0 };
	mp_segment *segment = NULL;
	mp_lock *lock = NULL;
	char client[64];
	int result, code;

	name_client(ctl->words[1], client);
	result = mpctl_open(ctl, name->segment, !ctl->is_existing, client, &segment);
	if (result >= 0)
		result = mp_lock_open(segment, name->object, &opts, &lock);
	code = result < 0 ? fail(result) : run_locked(ctl, lock, name->object);
	mp_lock_close(lock);
	mp_segment_close(segment);
	return code;
}

int command_lock(const struct mpctl *ctl)
{
	struct mpctl_name name;
	int code;

	if (ctl->word_count < 2) {
		mpctl_say("lock needs a lock and a command, SEGMENT/LOCK -- CMD [ARG]...");
		return EXIT_USAGE;
	}
	code = mpctl_split(ctl->words[0], "LOCK", &name);
	return code == EXIT_OK ? open_and_run(ctl, &name) : code;
}
