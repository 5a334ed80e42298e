/* SPDX-License-Identifier: MIT
 *
 * What this kernel and container allow, decided once for each process. Knows: io_uring's probe and
 * a self-test wake, MP_WAIT_ENGINE. Does not know: who sleeps.
 *
 * An opcode that is reported may still not work (seccomp, sysctl), so a park is opened and rung.
 * Where a seccomp filter is active it may answer a call with SIGSYS: a child makes each of the
 * calls first. Nobody notices that child: it has no signal to send at its end, is no child that a
 * wait for any child finds, runs no handler of the application and leaves no core file.
 */
#include "probe.h"

#include "cc.h"
#include "clock.h"
#include "uring_compat.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF_TEST_NS INT64_C(1000000000)
#define PROBE_OPS 64

static const char *const reason_texts[] = {
#define REASON(number, name, text) [number] = text,
#include "tbl/reasons.h"
#undef REASON
};

static const char *const refusals[] = {
#define REASON(number, name, text)                                                                 \
	[number] = "MP_WAIT_ENGINE asks for uring, but " text "; unset it",
#include "tbl/reasons.h"
#undef REASON
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct park_ops *chosen;
static int chosen_error; /* why nothing was chosen */
static enum probe_reason reason;

/* 0, or -errno and why. */
static int refuse(int error, enum probe_reason why)
{
	if (error < 0)
		reason = why;
	return error;
}

static int has_futex_wait(void)
{
	struct io_uring_probe *probe = io_uring_get_probe();
	int has;

	if (!probe)
		return -ENOSYS;
	has = io_uring_opcode_supported(probe, URING_OP_FUTEX_WAIT) ? 0 : -ENOSYS;
	io_uring_free_probe(probe);
	return has;
}

/* A first sleep ends by its deadline and leaves the doorbell armed; a ring must then find it. */
static int self_test(struct park *park)
{
	atom32 word = 0;

	if (park_uring.sleep(park, &word, 0, clock_now_ns(), NULL, 0) != -ETIMEDOUT)
		return -ENOSYS;
	add_seqcst(&word, 2);
	if (park_wake(&word) != 1)
		return -ENOSYS;
	return park_uring.sleep(park, &word, 0, clock_now_ns() + SELF_TEST_NS, NULL, 0) == PARK_RUNG
		       ? 0
		       : -ENOSYS;
}

static enum probe_reason reason_of_open(int error)
{
	switch (error) {
	case 0:
		return PROBE_NONE;
	case -EPERM:
	case -EACCES:
		return PROBE_FORBIDDEN;
	case -ENOSYS:
		return PROBE_MISSING;
	case -EINVAL:
		return PROBE_NO_WORDS; /* before Linux 6.1 it does not even know our flags */
	default:
		return PROBE_NO_RING;
	}
}

static int try_uring(void)
{
	struct park *park;
	int error = park_uring.open(&park);

	if (error < 0)
		return refuse(error, reason_of_open(error));
	error = refuse(has_futex_wait(), PROBE_NO_WORDS);
	if (error == 0)
		error = refuse(self_test(park), PROBE_UNTRUE);
	park_uring.close(park);
	return error;
}

/* May a call end this process? Each thread has its own filters. Where that cannot be read: yes. */
static bool is_filtered(void)
{
	char line[256];
	int mode = 0;
	FILE *status = fopen("/proc/thread-self/status", "re");

	if (!status)
		return true;
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	fclose(status);
	return mode != 0;
}

/* In the child: the calls that an engine makes. Only whether it survives them matters. */
static void make_each_call(void)
{
	uint64_t probe[(sizeof(struct io_uring_probe) +
			PROBE_OPS * sizeof(struct io_uring_probe_op)) / sizeof(uint64_t)];
	struct io_uring_rsrc_update self = { .offset = UINT32_MAX };
	struct io_uring_params params;
	long fd;

	prctl(PR_SET_DUMPABLE, 0); /* no core file of a child that nobody knows */
	memset(&params, 0, sizeof params);
	memset(probe, 0, sizeof probe);
	fd = syscall(SYS_io_uring_setup, 1, &params);
	if (fd < 0)
		return;
	syscall(SYS_io_uring_register, fd, IORING_REGISTER_PROBE, probe, PROBE_OPS);
	self.data = (uint64_t)fd;
	syscall(SYS_io_uring_register, fd, IORING_REGISTER_RING_FDS, &self, 1);
	syscall(SYS_io_uring_enter, fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
}

/* A child without SIGCHLD, which only waits with __WCLONE see. Every signal is blocked in it, so no
 * handler of ours runs there; a SIGSYS that is blocked kills. Only system calls: other threads may
 * have held any lock of the C library. */
static long start_child(void)
{
	sigset_t all, kept;
	long pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &kept);
	pid = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (pid == 0) {
		make_each_call();
		syscall(SYS_exit_group, 0);
	}
	pthread_sigmask(SIG_SETMASK, &kept, NULL);
	return pid;
}

static int ask_in_child(void)
{
	int status = 0;
	long pid = start_child();

	if (pid < 0)
		return refuse(-errno, PROBE_NO_RING);
	while (waitpid((pid_t)pid, &status, __WCLONE) < 0)
		if (errno != EINTR)
			return refuse(-EPERM, PROBE_UNTRUE); /* somebody else reaped it */
	return refuse(WIFEXITED(status) ? 0 : -EPERM, PROBE_KILLS);
}

static bool is_wished(const char *wish, const struct park_ops *engine)
{
	return wish && strcmp(wish, engine->name) == 0;
}

static void decide(void)
{
	const char *wish = getenv("MP_WAIT_ENGINE");
	int error;

	if (wish && !*wish)
		wish = NULL;
	if (is_wished(wish, &park_futex)) {
		reason = PROBE_ASKED;
		chosen = &park_futex;
		return;
	}
	if (wish && !is_wished(wish, &park_uring)) {
		chosen_error = refuse(-EINVAL, PROBE_NO_NAME);
		return;
	}
	error = is_filtered() ? ask_in_child() : 0;
	if (error == 0)
		error = try_uring();
	if (error < 0 && wish)
		chosen_error = error;
	else
		chosen = error < 0 ? &park_futex : &park_uring;
}

int probe_engine(const struct park_ops **ret_engine)
{
	pthread_once(&once, decide);
	if (!chosen)
		return chosen_error;
	*ret_engine = chosen;
	return 0;
}

enum probe_reason probe_reason(void)
{
	pthread_once(&once, decide);
	return reason;
}

const char *probe_reason_text(uint32_t number)
{
	return number < ARRAY_LEN(reason_texts) ? reason_texts[number] : "?";
}

const char *probe_refusal(void)
{
	return refusals[probe_reason()];
}
