/* SPDX-License-Identifier: MIT
 *
 * Tests that must not pass, and three that must: test_harness.py holds the runner's verdicts
 * against their names.
 */
#include "harness.h"
#include "promised.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void passes(void **state)
{
	assert_true(harness_scale() >= 1);
}

static void fails_at_an_assert(void **state)
{
	assert_int_equal(1, 2);
}

static void skips(void **state)
{
	harness_skip("for this reason");
}

static void fails_by_a_crash(void **state)
{
	raise(SIGSEGV);
}

static void fails_by_exit_with_0(void **state)
{
	_exit(0);
}

static void fails_leaving_a_descriptor(void **state)
{
	assert_true(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
}

static void fails_leaving_a_segment_mapped(void **state)
{
	int fd = memfd_create("libshm:test:left", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_true(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	close(fd);
}

static int sleep_long(void *unused)
{
	return (int)sleep(100);
}

static void fails_leaving_a_child(void **state)
{
	harness_fork(sleep_long, NULL);
}

static int fork_and_leave(void *unused)
{
	harness_fork(sleep_long, NULL);
	return 0;
}

static void fails_leaving_an_orphan(void **state)
{
	harness_join(harness_fork(fork_and_leave, NULL));
}

static void *sleep_in_thread(void *unused)
{
	sleep(100);
	return NULL;
}

static void fails_leaving_a_thread(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, sleep_in_thread, NULL), 0);
	pthread_detach(thread);
}

static int add_one(void *number)
{
	assert_int_equal(*(int *)number, 3);
	return 5;
}

static void passes_with_a_child_that_answers(void **state)
{
	int right = 3, wrong = 4;

	assert_int_equal(harness_wait(harness_fork(add_one, &right)), 5);
	assert_int_equal(harness_wait(harness_fork(add_one, &wrong)), 1);
}

static void fails_with_its_child(void **state)
{
	int wrong = 4;

	harness_join(harness_fork(add_one, &wrong));
}

static void fails_by_a_hang(void **state)
{
	pause();
}

static const int listed[] = { EAGAIN, EPIPE, 0 };

static void passes_with_an_error_that_its_header_lists(void **state)
{
	assert_int_equal(promised_check("mp_x", -EPIPE, listed), -EPIPE);
	assert_int_equal(promised_check("mp_x", 7, listed), 7);
}

static void fails_by_an_error_that_its_header_does_not_list(void **state)
{
	promised_check("mp_x", -EBADMSG, listed);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(passes),
	HARNESS_TEST(fails_at_an_assert),
	HARNESS_TEST(skips),
	HARNESS_TEST(fails_by_a_crash),
	HARNESS_TEST(fails_by_exit_with_0),
	HARNESS_TEST(fails_leaving_a_descriptor),
	HARNESS_TEST(fails_leaving_a_segment_mapped),
	HARNESS_TEST(fails_leaving_a_child),
	HARNESS_TEST(fails_leaving_an_orphan),
	HARNESS_TEST(fails_leaving_a_thread),
	HARNESS_TEST(passes_with_a_child_that_answers),
	HARNESS_TEST(fails_with_its_child),
	HARNESS_TEST(fails_by_a_hang),
	HARNESS_TEST(passes_with_an_error_that_its_header_lists),
	HARNESS_TEST(fails_by_an_error_that_its_header_does_not_list),
};

HARNESS_MAIN(tests)
