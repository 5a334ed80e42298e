/* SPDX-License-Identifier: MIT
 *
 * Proves: a process that may have few descriptors or few addresses gets a clean error with a
 * sentence from each call that needs one, loses nothing, leaks nothing, and goes on as soon as it
 * may have more; so it is with an mpd that may have few.
 */
#include "raw_client.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 24 /* no call needs more */
#define MIB (UINT64_C(1) << 20)
#define PATIENCE MP_SEC(20)

static void set_limit(int which, rlim_t soft)
{
	struct rlimit limit;

	assert_int_equal(getrlimit((__rlimit_resource_t)which, &limit), 0);
	limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
	assert_int_equal(setrlimit((__rlimit_resource_t)which, &limit), 0);
}

static rlim_t get_limit(int which)
{
	struct rlimit limit;

	assert_int_equal(getrlimit((__rlimit_resource_t)which, &limit), 0);
	return limit.rlim_cur;
}

static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

static unsigned count_fds(void)
{
	return raw_fd_count(getpid());
}

static void expect_text(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("'%s' is not in: %s", wanted, text);
}

/* mpd and its supervisor are there before a limit counts for them too. */
static void begin_with_mpd(struct raw *raw)
{
	raw_start(NULL, NULL);
	raw_connect(raw);
}

/* --- one call, with no descriptor left, with one, with two, ... --- */

struct call {
	const char *what;
	int (*run)(void *arg); /* 0 or -errno; undoes what it did */
	void *arg;
};

static void try_with_few_descriptors(const struct call *call)
{
	rlim_t before = get_limit(RLIMIT_NOFILE);
	int result = -EMFILE, free_from = lowest_free();
	unsigned fds = count_fds(), refused = 0;
	char sentence[600];

	for (int few = 0; result < 0; few++) {
		assert_true(few <= DESCRIPTORS_MAX);
		set_limit(RLIMIT_NOFILE, (rlim_t)(free_from + few));
		result = call->run(call->arg);
		snprintf(sentence, sizeof sentence, "%s", mp_explain());
		set_limit(RLIMIT_NOFILE, before);
		assert_int_equal(count_fds(), fds);
		if (result == 0)
			break;
		if (result != -EMFILE)
			fail_msg("%s with %d descriptors: %d, %s", call->what, few, result,
				 sentence);
		expect_text(sentence, "descriptor");
		refused++;
	}
	print_message("%s: refused with less than %u descriptors\n", call->what, refused);
	assert_int_equal(call->run(call->arg), 0);
	assert_int_equal(count_fds(), fds);
}

static int open_and_close(void *unused)
{
	mp_segment *segment;
	int result = mp_segment_open("few", &(struct mp_segment_opts){ .flags = MP_NO_SPAWN },
				     &segment);

	if (result == 0)
		mp_segment_close(segment);
	return result;
}

static void open_needs_descriptors_and_says_so(void **state)
{
	struct call call = { "open", open_and_close, NULL };
	struct raw_segment kept;
	struct raw raw;
	unsigned fds;

	begin_with_mpd(&raw);
	raw_attach(&raw, "few", 0, &kept);
	fds = raw_fd_count((pid_t)raw.welcome.pid);
	try_with_few_descriptors(&call);
	/* What mpd handed out in vain is not kept by it for ever. */
	assert_int_equal(raw_count(&raw), 1);
	assert_true(raw_fd_count((pid_t)raw.welcome.pid) <= fds);
	raw_close(&raw);
	raw_forget(&kept);
}

static int new_one_and_close(void *unused)
{
	mp_segment *segment;
	int result = mp_segment_open("new", NULL, &segment);

	if (result == 0)
		mp_segment_close(segment);
	return result;
}

/* The one who had to format it could not: the next is asked to. */
static void new_segment_needs_descriptors_and_says_so(void **state)
{
	struct call call = { "open of a new segment", new_one_and_close, NULL };
	struct raw raw;

	begin_with_mpd(&raw);
	try_with_few_descriptors(&call);
	raw_close(&raw);
}

static int return_0(void *unused)
{
	return 0;
}

static int start_and_join(void *arg)
{
	mp_process *process;
	int result = mp_process_start(arg, NULL, return_0, NULL, &process);

	if (result < 0)
		return result;
	assert_int_equal(mp_process_join(process, PATIENCE), 0);
	assert_null(mp_process_close(process));
	return 0;
}

static void child_needs_descriptors_and_says_so(void **state)
{
	struct call call = { "start of a child", start_and_join, NULL };
	mp_segment *segment;

	assert_int_equal(mp_segment_open("parent", NULL, &segment), 0);
	call.arg = segment;
	try_with_few_descriptors(&call);
	mp_segment_close(segment);
}

static int look(void *unused)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	int result = mp_observe_open(NULL, &observer);

	if (result < 0)
		return result;
	result = mp_observe_refresh(observer) == 1 ? 0 : -EMFILE;
	if (result == 0)
		result = mp_observe_snapshot(observer, 0, &snapshot);
	mp_observe_close(observer);
	return result;
}

static void observer_needs_descriptors_and_says_so(void **state)
{
	struct call call = { "look", look, NULL };
	mp_segment *segment;

	assert_int_equal(mp_segment_open("seen", NULL, &segment), 0);
	try_with_few_descriptors(&call);
	mp_segment_close(segment);
}

/* --- what needs none --- */

static int use_without_descriptors(void *unused)
{
	mp_segment *segment;
	mp_queue *queue;
	mp_lock *lock;
	rlim_t before = get_limit(RLIMIT_NOFILE);
	int item = 1;

	assert_int_equal(mp_segment_open("none", NULL, &segment), 0);
	set_limit(RLIMIT_NOFILE, 0);
	assert_int_equal(mp_queue_open(segment, "items", NULL, &queue), 0);
	assert_int_equal(mp_lock_open(segment, "lock", NULL, &lock), 0);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(mp_queue_put(queue, &item, sizeof item, MP_NOW), 0);
		assert_int_equal(mp_queue_get(queue, &item, sizeof item, MP_NOW), sizeof item);
	}
	/* A sleep without a ring. */
	assert_int_equal(mp_queue_get(queue, &item, sizeof item, MP_MSEC(20)), -ETIMEDOUT);
	assert_true(MP_OK(mp_lock_acquire(lock, PATIENCE)));
	assert_int_equal(mp_lock_release(lock), 0);
	set_limit(RLIMIT_NOFILE, before);
	mp_lock_close(lock);
	mp_queue_close(queue);
	mp_segment_close(segment);
	return 0;
}

static void attached_process_needs_no_descriptor(void **state)
{
	harness_join(harness_fork(use_without_descriptors, NULL));
}

struct waiter {
	int asleep[2];
	int go_on[2];
};

/* Sleeps for a lock whose holder dies, and may have no pidfd of him. */
static int wait_without_descriptors(void *arg)
{
	struct waiter *waiter = arg;
	mp_segment *segment;
	mp_lock *lock;
	char byte;

	assert_int_equal(read(waiter->go_on[0], &byte, 1), 1);
	assert_int_equal(mp_segment_open("heir", NULL, &segment), 0);
	assert_int_equal(mp_lock_open(segment, "lock", NULL, &lock), 0);
	set_limit(RLIMIT_NOFILE, 0);
	assert_int_equal(write(waiter->asleep[1], "x", 1), 1);
	assert_int_equal(mp_lock_acquire(lock, PATIENCE), MP_OWNER_DIED);
	set_limit(RLIMIT_NOFILE, 256);
	assert_int_equal(mp_lock_release(lock), 0);
	mp_lock_close(lock);
	mp_segment_close(segment);
	return 0;
}

static int hold_and_die(void *arg)
{
	struct waiter *waiter = arg;
	mp_segment *segment;
	mp_lock *lock;
	char byte;

	assert_int_equal(mp_segment_open("heir", NULL, &segment), 0);
	assert_int_equal(mp_lock_open(segment, "lock", NULL, &lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	assert_int_equal(write(waiter->go_on[1], "x", 1), 1);
	assert_int_equal(read(waiter->asleep[0], &byte, 1), 1);
	harness_sleep_ms(50);
	_exit(0);
}

static void waiter_without_descriptors_inherits_from_the_dead(void **state)
{
	struct waiter waiter;
	pid_t heir, holder;

	assert_int_equal(pipe2(waiter.asleep, O_CLOEXEC), 0);
	assert_int_equal(pipe2(waiter.go_on, O_CLOEXEC), 0);
	heir = harness_fork(wait_without_descriptors, &waiter);
	holder = harness_fork(hold_and_die, &waiter);
	harness_join(holder);
	harness_join(heir);
	for (unsigned i = 0; i < 2; i++) {
		close(waiter.asleep[i]);
		close(waiter.go_on[i]);
	}
}

/* --- mpd --- */

static void limit_mpd(pid_t mpd, rlim_t descriptors)
{
	struct rlimit limit = { .rlim_cur = descriptors, .rlim_max = get_limit(RLIMIT_NOFILE) };

	assert_int_equal(prlimit(mpd, RLIMIT_NOFILE, &limit, NULL), 0);
}

static int highest_fd(pid_t pid)
{
	char path[64];
	int fd;

	for (fd = 1023; fd > 0; fd--) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
		if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			break;
	}
	return fd;
}

static void mpd_without_descriptors_says_that_it_is_mpd(void **state)
{
	static const struct mp_segment_opts opts = { .flags = MP_NO_SPAWN };
	mp_segment *first, *second = NULL;
	struct raw raw;
	unsigned fds;
	pid_t mpd;

	begin_with_mpd(&raw);
	mpd = (pid_t)raw.welcome.pid;
	assert_int_equal(mp_segment_open("first", &opts, &first), 0);
	assert_int_equal(raw_count(&raw), 1);
	fds = raw_fd_count(mpd);
	limit_mpd(mpd, (rlim_t)highest_fd(mpd) + 1);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(mp_segment_open("second", &opts, &second), -EMFILE);
		expect_text(mp_explain(), "mpd");
		expect_text(mp_explain(), "descriptor");
	}
	assert_int_equal(raw_fd_count(mpd), fds);
	assert_int_equal(raw_count(&raw), 1);
	limit_mpd(mpd, get_limit(RLIMIT_NOFILE));
	assert_int_equal(mp_segment_open("second", &opts, &second), 0);
	mp_segment_close(second);
	mp_segment_close(first);
	raw_close(&raw);
}

/* --- addresses --- */

static uint64_t address_bytes(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu", &pages), 1);
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void segment_that_has_no_addresses_is_a_clean_error(void **state)
{
	struct mp_segment_opts large = { .size_bytes = 512 * MIB },
			       small = { .size_bytes = 8 * MIB };
	rlim_t before = get_limit(RLIMIT_AS);
	mp_segment *segment = NULL, *kept;
	unsigned fds;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	harness_skip("a sanitizer needs the addresses");
#endif
	assert_int_equal(mp_segment_open("kept", &small, &kept), 0);
	fds = count_fds();
	set_limit(RLIMIT_AS, address_bytes() + 128 * MIB);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(mp_segment_open("large", &large, &segment), -ENOMEM);
		expect_text(mp_explain(), "'large'");
		expect_text(mp_explain(), "address");
	}
	assert_true(count_fds() <= fds); /* the connection may be made anew later */
	assert_int_equal(mp_segment_open("small", &small, &segment), 0);
	mp_segment_close(segment);
	set_limit(RLIMIT_AS, before);
	assert_int_equal(mp_segment_open("large", &large, &segment), 0);
	mp_segment_close(segment);
	mp_segment_close(kept);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(open_needs_descriptors_and_says_so),
	HARNESS_TEST_WITH_MPD(new_segment_needs_descriptors_and_says_so),
	HARNESS_TEST_WITH_MPD(child_needs_descriptors_and_says_so),
	HARNESS_TEST_WITH_MPD(observer_needs_descriptors_and_says_so),
	HARNESS_TEST_WITH_MPD(attached_process_needs_no_descriptor),
	HARNESS_TEST_WITH_MPD(waiter_without_descriptors_inherits_from_the_dead),
	HARNESS_TEST_WITH_MPD(mpd_without_descriptors_says_that_it_is_mpd),
	HARNESS_TEST_WITH_MPD(segment_that_has_no_addresses_is_a_clean_error),
};

HARNESS_MAIN(tests)
