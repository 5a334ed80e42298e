/* SPDX-License-Identifier: MIT
 *
 * What this kernel and container allow, decided once for each process. Knows: io_uring's probe and
 * a self-test wake, MP_WAIT_ENGINE. Does not know: who sleeps.
 *
 * An opcode that is reported may still not work (seccomp, sysctl), so a park is opened and rung.
 * Where a seccomp filter is active it may answer with SIGSYS: a child asks first.
 */
#include "probe.h"

#include "clock.h"
#include "uring_compat.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF_TEST_NS INT64_C(1000000000)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct park_ops *chosen;
static int chosen_error; /* why nothing was chosen */
static int uring_error;

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

static int try_uring(void)
{
	struct park *park;
	int error = park_uring.open(&park);

	if (error < 0)
		return error;
	error = has_futex_wait();
	if (error == 0)
		error = self_test(park);
	park_uring.close(park);
	return error;
}

static int seccomp_mode(void)
{
	char line[256];
	int mode = 0;
	FILE *status = fopen("/proc/self/status", "re");

	while (status && fgets(line, sizeof line, status))
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	if (status)
		fclose(status);
	return mode;
}

/* io_uring_setup in a child without SIGCHLD: a filter that kills takes the child only. */
static int ask_in_child(void)
{
	struct io_uring_params params;
	int status;
	long pid = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		memset(&params, 0, sizeof params);
		syscall(SYS_exit_group,
			syscall(SYS_io_uring_setup, 1, &params) < 0 ? errno & 127 : 0);
	}
	while (waitpid((pid_t)pid, &status, __WCLONE) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPERM;
}

static bool is_wished(const char *wish, const struct park_ops *engine)
{
	return wish && strcmp(wish, engine->name) == 0;
}

static void decide(void)
{
	const char *wish = getenv("MP_WAIT_ENGINE");

	if (wish && !*wish)
		wish = NULL;
	if (is_wished(wish, &park_futex)) {
		uring_error = -ECANCELED;
		chosen = &park_futex;
		return;
	}
	if (wish && !is_wished(wish, &park_uring)) {
		chosen_error = -EINVAL;
		return;
	}
	uring_error = seccomp_mode() == 2 ? ask_in_child() : 0;
	if (uring_error == 0)
		uring_error = try_uring();
	if (uring_error < 0 && wish)
		chosen_error = uring_error;
	else
		chosen = uring_error < 0 ? &park_futex : &park_uring;
}

int probe_engine(const struct park_ops **ret_engine)
{
	pthread_once(&once, decide);
	if (!chosen)
		return chosen_error;
	*ret_engine = chosen;
	return 0;
}

int probe_uring_error(void)
{
	pthread_once(&once, decide);
	return uring_error;
}
