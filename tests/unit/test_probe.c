/* SPDX-License-Identifier: MIT
 *
 * Proves: where io_uring is refused, in each way containers refuse it, everything works with futex
 * and says so; where it is asked for and refused, that is an error.
 */
#include "harness.h"

#include "probe.h"

#include <libshm.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From here on the three system calls of io_uring answer with `action`. */
static bool refuse_uring(uint32_t action)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof filter / sizeof filter[0], .filter = filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static const uint32_t refusals[] = {
	SECCOMP_RET_ERRNO | EPERM,
	SECCOMP_RET_ERRNO | ENOSYS,
	SECCOMP_RET_KILL_PROCESS,
};

static int falls_back(void *arg)
{
	const struct park_ops *engine = NULL;

	unsetenv("MP_WAIT_ENGINE");
	if (!refuse_uring(*(const uint32_t *)arg))
		return 1;
	if (probe_engine(&engine) < 0 || engine != &park_futex)
		return 2;
	return probe_uring_error() < 0 ? 0 : 3;
}

static void refused_uring_falls_back_to_futex_silently(void **state)
{
	for (unsigned i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
		harness_join(harness_fork(falls_back, (void *)(uintptr_t)&refusals[i]));
}

static int insists(void *arg)
{
	const struct park_ops *engine = NULL;

	setenv("MP_WAIT_ENGINE", "uring", 1);
	if (!refuse_uring(*(const uint32_t *)arg))
		return 1;
	return probe_engine(&engine) < 0 && !engine ? 0 : 2;
}

static void refused_uring_that_was_asked_for_is_an_error(void **state)
{
	for (unsigned i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
		harness_join(harness_fork(insists, (void *)(uintptr_t)&refusals[i]));
}

static int asks_for(void *name)
{
	const struct park_ops *engine = NULL;
	int result;

	setenv("MP_WAIT_ENGINE", name, 1);
	result = probe_engine(&engine);
	return result < 0 ? -result : strcmp(engine->name, name) != 0;
}

static void engine_that_is_asked_for_is_used(void **state)
{
	harness_join(harness_fork(asks_for, (void *)(uintptr_t) "futex"));
	assert_int_equal(harness_wait(harness_fork(asks_for, (void *)(uintptr_t) "steam")), EINVAL);
}

/* Sleeps 10 ms and longer in both directions. */
static int answer(void *arg)
{
	mp_queue **queues = arg;
	int number;

	while (mp_queue_get(queues[0], &number, sizeof number, MP_FOREVER) > 0) {
		usleep(10000);
		if (mp_queue_put(queues[1], &number, sizeof number, MP_FOREVER) < 0)
			return 1;
	}
	return 0;
}

static int works_without_uring(void *arg)
{
	struct mp_segment_info info;
	mp_segment *segment;
	mp_queue *queues[2];
	mp_process *process;
	int number = 0;

	unsetenv("MP_WAIT_ENGINE");
	/* Also inherited by the mpd that the open starts. */
	if (!refuse_uring(*(const uint32_t *)arg) || mp_segment_open("s", NULL, &segment) < 0)
		return 1;
	if (mp_queue_open(segment, "to", NULL, &queues[0]) < 0 ||
	    mp_queue_open(segment, "from", NULL, &queues[1]) < 0 ||
	    mp_process_start(segment, NULL, answer, queues, &process) < 0)
		return 2;
	for (int i = 0; i < 10; i++)
		if (mp_queue_put(queues[0], &i, sizeof i, MP_NOW) < 0 ||
		    mp_queue_get(queues[1], &number, sizeof number, MP_SEC(10)) < 0 || number != i)
			return 3;
	if (mp_segment_info(segment, &info) < 0 || strcmp(info.engine, "futex") != 0)
		return 4;
	/* Killed while it holds nothing; the next get must not hang. */
	if (mp_process_kill(process) < 0 || mp_process_join(process, MP_SEC(10)) < 0)
		return 5;
	mp_process_close(process);
	mp_queue_close(queues[0]);
	mp_queue_close(queues[1]);
	mp_segment_close(segment);
	return 0;
}

static void whole_system_works_where_uring_is_refused(void **state)
{
	for (unsigned i = 0; i < sizeof refusals / sizeof refusals[0] - 1; i++)
		harness_join(harness_fork(works_without_uring, (void *)(uintptr_t)&refusals[i]));
}

static const struct harness_test tests[] = {
	HARNESS_TEST(refused_uring_falls_back_to_futex_silently),
	HARNESS_TEST(refused_uring_that_was_asked_for_is_an_error),
	HARNESS_TEST(engine_that_is_asked_for_is_used),
	HARNESS_TEST_WITH_MPD(whole_system_works_where_uring_is_refused),
};

HARNESS_MAIN(tests)
