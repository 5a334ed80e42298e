/* SPDX-License-Identifier: MIT
 *
 * Child processes: start, join, end. Knows: fork, pidfds, exit codes.
 * Does not know: how they are named, what a death means for shared objects (recover.c, mpd).
 *
 * A child is reaped here by its pid alone, never by a wait for any child: children that the
 * application owns are not touched.
 */
#include "client.h"
#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "object.h"
#include "opts.h"
#include "process_name.h"
#include "process_report.h"
#include "seg.h"
#include "self.h"

#include <libshm/process.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_AGAIN_NS INT64_C(2000000)

struct mp_process {
	pid_t pid;
	int pidfd; /* as long as it is on that file: the program may close it */
	struct own_fd_file file;
	uint64_t starter; /* self_fork_epoch() of the process whose child it is */
	bool has_ended;
	bool is_swept; /* its slots are free again */
	bool is_unknown; /* somebody else reaped it: its code is lost */
	int exitcode;
	pthread_mutex_t mutex;
	char name[NAME_BYTES];
	struct mp_process *next; /* of those nobody joins by name */
};

static pthread_mutex_t orphans_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mp_process *orphans; /* started without a handle */

/* A fork of the starter has the handle too; it can reap nothing, and may not trust the mutex. */
static bool is_ours(const struct mp_process *process)
{
	return process->starter == self_fork_epoch();
}

static int pidfd_now(const struct mp_process *process)
{
	return own_fd_is(process->pidfd, process->file) ? process->pidfd : -1;
}

/* What the kernel tells anybody: a reaped child and one that waits for it have both ended. */
static bool has_foreign_ended(const struct mp_process *process)
{
	struct pollfd end = { .fd = pidfd_now(process), .events = POLLIN };

	if (end.fd < 0)
		return kill(process->pid, 0) < 0 && errno == ESRCH;
	return poll(&end, 1, 0) == 1;
}

static int refuse_foreign(const struct mp_process *process)
{
	return explain(-ECHILD,
		       "process '%s' (%d) is not a child of this process: who started it joins "
		       "it; mp_process_is_alive and mp_process_fd tell here whether it runs",
		       process->name, (int)process->pid);
}

/* Note the end once. The pid stays ours until it is reaped, so it cannot mean another process. */
static void reap(struct mp_process *process)
{
	int status = 0;
	pid_t got;

	if (process->has_ended)
		return;
	got = waitpid(process->pid, &status, WNOHANG);
	if (got == 0 || (got < 0 && errno != ECHILD))
		return;
	process->has_ended = true;
	process->is_unknown = got < 0;
	process->exitcode = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void free_process(struct mp_process *process)
{
	own_fd_close(process->pidfd, process->file);
	pthread_mutex_destroy(&process->mutex);
	free(process);
}

static void reap_orphans(void)
{
	struct mp_process **link = &orphans;

	pthread_mutex_lock(&orphans_mutex);
	while (*link) {
		struct mp_process *process = *link;

		reap(process);
		if (!process->has_ended) {
			link = &process->next;
			continue;
		}
		*link = process->next;
		free_process(process);
	}
	pthread_mutex_unlock(&orphans_mutex);
}

static void adopt_orphan(struct mp_process *process)
{
	pthread_mutex_lock(&orphans_mutex);
	process->next = orphans;
	orphans = process;
	pthread_mutex_unlock(&orphans_mutex);
}

static void close_stdin(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		close(null);
	}
}

/* In the child. Reports 0 or -errno to the parent, runs the function, never returns. */
static _Noreturn void child(mp_segment *segment, const char *name, uint32_t parent, int report,
			    int (*fn)(void *arg), void *arg)
{
	struct process_report told = { .error = 0 };
	int code;

	close_stdin();
	process_name_inherit(name);
	pthread_mutex_init(&orphans_mutex, NULL);
	orphans = NULL; /* the parent's children are not ours */
	told.error = client_join_as_child(segment, name, parent);
	if (told.error < 0)
		snprintf(told.sentence, sizeof told.sentence, "%s", mp_explain());
	if (write(report, &told, sizeof told) < 0 || told.error < 0)
		_exit(1);
	close(report);
	code = fn(arg);
	fflush(NULL);
	client_leave_all();
	_exit(code);
}

static int pidfd_of(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int fork_child(mp_segment *segment, struct mp_process *process, int (*fn)(void *arg),
		      void *arg, struct process_report *ret_told)
{
	uint32_t parent = segment->seg->client;
	struct object_pins pins;
	int report[2], error;

	if (pipe2(report, O_CLOEXEC) < 0)
		return errno == ENFILE ? -EMFILE : -errno;
	fflush(NULL); /* else what is buffered would be written twice */
	object_pin(segment->seg, &pins);
	process->pid = fork();
	if (process->pid == 0) {
		close(report[0]);
		child(segment, process->name, parent, report[1], fn, arg);
	}
	error = process->pid < 0 ? -errno : 0;
	close(report[1]);
	if (error == 0) {
		process->pidfd = pidfd_of(process->pid);
		process->file = own_fd_file(process->pidfd);
		error = process_await_report(report[0], process->pid, process->pidfd, ret_told);
	}
	object_unpin(segment->seg, &pins);
	close(report[0]);
	return error;
}

static int check_start(struct opts_of what, const mp_segment *segment,
		       const struct mp_process_opts *opts, bool has_fn)
{
	int error = opts_check_handles(what, segment, "fn", has_fn ? segment : NULL);

	if (error == 0 && opts)
		error = opts_check_flags(what, opts->flags, 0, "none");
	if (error == 0 && opts)
		error = opts_check_reserved(what, opts->reserved0, opts->reserved,
					    ARRAY_LEN(opts->reserved));
	if (error == 0 && opts)
		error = opts_check_text(what, "name", opts->name);
	return error;
}

/* It ended before it took part. Its words end with the error's, as ours will. */
static void explain_start(struct mp_process *process, int error, struct process_report *told)
{
	const char *name = mp_strerror(error);
	size_t length = strlen(told->sentence), suffix = strlen(name) + 2;

	if (length >= suffix && strcmp(told->sentence + length - suffix + 2, name) == 0)
		told->sentence[length - suffix] = '\0';
	explain(error, "child '%s' could not be started%s%s", process->name,
		*told->sentence ? ": " : "", told->sentence);
}

/* What an attempt that failed has left: the child, reaped, and its pidfd. */
static void end_attempt(struct mp_process *process)
{
	if (process->pid > 0)
		waitpid(process->pid, NULL, 0);
	process->pid = 0;
	process->pidfd = own_fd_close(process->pidfd, process->file);
}

/* A child without a slot cannot sweep the dead who have them all: the parent does, and forks once
 * more. */
static int fork_attached(mp_segment *segment, struct mp_process *process, int (*fn)(void *arg),
			 void *arg)
{
	struct process_report told = { .error = 0 };
	int error = fork_child(segment, process, fn, arg, &told);

	if (error == -ENOSPC && client_sweep_dead(segment) > 0) {
		end_attempt(process);
		told.sentence[0] = '\0';
		error = fork_child(segment, process, fn, arg, &told);
	}
	if (error < 0) {
		explain_start(process, error, &told);
		end_attempt(process);
	}
	return error;
}

int mp_process_start(mp_segment *segment, const struct mp_process_opts *opts,
		     int (*fn)(void *arg), void *arg, mp_process **ret_process)
{
	KEEP_ERRNO;
	struct mp_process *process;
	int error = check_start((struct opts_of){ "process", opts ? opts->name : NULL }, segment,
				opts, fn != NULL);

	if (error < 0)
		return error;
	reap_orphans();
	process = calloc(1, sizeof *process);
	if (!process)
		return explain(-ENOMEM, "no memory for a child's handle");
	process->pidfd = -1;
	process->starter = self_fork_epoch();
	pthread_mutex_init(&process->mutex, NULL);
	process_name_make(process->name, opts ? opts->name : NULL);
	error = fork_attached(segment, process, fn, arg);
	if (error < 0) {
		free_process(process);
		return error;
	}
	if (ret_process)
		*ret_process = process;
	else
		adopt_orphan(process);
	return 0;
}

static bool has_ended(struct mp_process *process)
{
	bool ended;

	if (!is_ours(process))
		return has_foreign_ended(process);
	pthread_mutex_lock(&process->mutex);
	reap(process);
	ended = process->has_ended;
	pthread_mutex_unlock(&process->mutex);
	return ended;
}

/* Until its pidfd is readable or the deadline; where the kernel gives no pidfd, for a moment.
 * 0: look again, -ETIMEDOUT. */
static int wait_for_end(struct mp_process *process, int64_t deadline_ns)
{
	struct pollfd end = { .fd = pidfd_now(process), .events = POLLIN };
	struct timespec left, *timeout = NULL;
	int result = 0;

	if (deadline_ns != DEADLINE_NEVER) {
		int64_t ns = deadline_ns - clock_now_ns();

		if (ns <= 0)
			return -ETIMEDOUT;
		left = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
		timeout = &left;
	}
	if (end.fd < 0)
		clock_sleep_ns(LOOK_AGAIN_NS);
	else
		result = ppoll(&end, 1, timeout, NULL);
	return result < 0 && errno != EINTR ? -errno : 0;
}

/* Who has joined a child counts on its slot: it does not wait until somebody else notices. */
static void sweep_once(struct mp_process *process)
{
	bool is_first;

	pthread_mutex_lock(&process->mutex);
	is_first = !process->is_swept;
	process->is_swept = true;
	pthread_mutex_unlock(&process->mutex);
	if (is_first)
		client_child_ended((uint32_t)process->pid);
}

int mp_process_join(mp_process *process, int64_t timeout)
{
	KEEP_ERRNO;
	int64_t deadline_ns = clock_deadline_ns(timeout);
	int result = 0;

	if (!process)
		return opts_refuse_null(__func__, "process");
	if (!is_ours(process))
		return refuse_foreign(process);
	while (!has_ended(process)) {
		if (timeout <= 0)
			return explain_later(-EAGAIN, "process", process->name,
					     "it is still running");
		if (result < 0)
			return explain(result, "process '%s' (%d) is still running", process->name,
				       (int)process->pid);
		result = wait_for_end(process, deadline_ns);
	}
	sweep_once(process);
	return process->is_unknown ? explain(-ECHILD, "process '%s' was reaped by somebody else",
					     process->name)
				   : 0;
}

int mp_process_exitcode(mp_process *process, int *ret_exitcode)
{
	KEEP_ERRNO;
	if (!process)
		return opts_refuse_null(__func__, "process");
	if (!ret_exitcode)
		return explain_later(-EINVAL, "process", process->name,
				     "ret_exitcode must not be NULL");
	if (!is_ours(process))
		return refuse_foreign(process);
	if (!has_ended(process))
		return explain_later(-EBUSY, "process", process->name,
				     "it is still running; join it first");
	if (process->is_unknown)
		return explain_later(-ECHILD, "process", process->name,
				     "it was reaped by somebody else, its code is lost");
	*ret_exitcode = process->exitcode;
	return 0;
}

int mp_process_is_alive(mp_process *process)
{
	KEEP_ERRNO;
	return process ? !has_ended(process) : opts_refuse_null(__func__, "process");
}

/* Not our child: its pid may be another's by now, its pidfd may not. */
static int signal_foreign(const struct mp_process *process, int number)
{
	int pidfd = pidfd_now(process);

	if (pidfd < 0)
		return refuse_foreign(process);
	if (syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) == 0 || errno == ESRCH)
		return 0;
	return explain(-errno, "process '%s' could not be signalled", process->name);
}

/* Under the mutex that reaping takes, so the pid cannot have become another's. */
static int send_signal(const char *call, struct mp_process *process, int number)
{
	KEEP_ERRNO;
	int result = 0;

	if (!process)
		return opts_refuse_null(call, "process");
	if (!is_ours(process))
		return signal_foreign(process, number);
	pthread_mutex_lock(&process->mutex);
	reap(process);
	if (!process->has_ended && kill(process->pid, number) < 0)
		result = -errno;
	pthread_mutex_unlock(&process->mutex);
	return result < 0 ? explain(result, "process '%s' could not be signalled", process->name)
			  : 0;
}

int mp_process_terminate(mp_process *process)
{
	return send_signal(__func__, process, SIGTERM);
}

int mp_process_kill(mp_process *process)
{
	return send_signal(__func__, process, SIGKILL);
}

int mp_process_pid(const mp_process *process)
{
	return process ? (int)process->pid : opts_refuse_null(__func__, "process");
}

int mp_process_fd(const mp_process *process)
{
	if (!process)
		return opts_refuse_null(__func__, "process");
	return pidfd_now(process) >= 0
		       ? process->pidfd
		       : explain_later(-ENOSYS, "process", process->name,
				       "it has no pidfd, or it was closed; join it instead");
}

const char *mp_process_name(const mp_process *process)
{
	return process ? process->name : "";
}

mp_process *mp_process_close(mp_process *process)
{
	KEEP_ERRNO;
	if (!process)
		return NULL;
	if (!has_ended(process)) {
		explain(-EBUSY, "process '%s' is still running; join it first", process->name);
		return process;
	}
	free_process(process);
	return NULL;
}
