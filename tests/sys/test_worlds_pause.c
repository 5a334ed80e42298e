/* SPDX-License-Identifier: MIT
 *
 * Proves: who is stopped or frozen for long is not taken for dead, keeps what it holds and goes on
 * with it, while others go on without it, mpd included; who dies writing a core file leaves the
 * segment out of it and is inherited from at once.
 */
#include "harness.h"
#include "harness_mpd.h"
#include "program.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE MP_SEC(20)
#define LONG_MS 2500 /* longer than mpd looks again, and than any patience of libshm with a peer */
#define MIB (1u << 20)

struct holder {
	int ready[2], go_on[2];
	const char *core_folder; /* dies there by SIGABRT instead of going on */
	pid_t pid;
	mp_segment *segment;
	mp_lock *lock;
	mp_queue *queue;
};

static void open_all(struct holder *holder)
{
	struct mp_queue_opts opts = { .capacity = 256 };

	assert_int_equal(mp_segment_open("pause", NULL, &holder->segment), 0);
	assert_int_equal(mp_lock_open(holder->segment, "lock", NULL, &holder->lock), 0);
	assert_int_equal(mp_queue_open(holder->segment, "items", &opts, &holder->queue), 0);
}

static void close_all(struct holder *holder)
{
	mp_queue_close(holder->queue);
	mp_lock_close(holder->lock);
	mp_segment_close(holder->segment);
}

/* 128 MiB of the segment are in use, and mapped here. */
static void die_with_a_core(struct holder *holder)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	static char message[MIB];
	char byte;

	for (unsigned i = 0; i < 128; i++)
		assert_int_equal(mp_queue_put(holder->queue, message, sizeof message, MP_NOW), 0);
	assert_int_equal(chdir(holder->core_folder), 0);
	(void)setrlimit(RLIMIT_CORE, &unlimited);
	prctl(PR_SET_DUMPABLE, 1);
	signal(SIGABRT, SIG_DFL);
	assert_int_equal(write(holder->ready[1], "x", 1), 1);
	/* Until somebody else is in the segment, which would end with us. */
	assert_int_equal(read(holder->go_on[0], &byte, 1), 1);
	kill(getpid(), SIGABRT);
}

static int hold(void *arg)
{
	struct holder *holder = arg;
	char byte;

	open_all(holder);
	assert_int_equal(mp_lock_acquire(holder->lock, PATIENCE), 0);
	if (holder->core_folder)
		die_with_a_core(holder);
	assert_int_equal(write(holder->ready[1], "x", 1), 1);
	assert_int_equal(read(holder->go_on[0], &byte, 1), 1);
	assert_int_equal(mp_lock_release(holder->lock), 0);
	close_all(holder);
	return 0;
}

static void begin(struct holder *holder)
{
	char byte;

	assert_int_equal(pipe(holder->ready), 0);
	assert_int_equal(pipe(holder->go_on), 0);
	holder->pid = harness_fork(hold, holder);
	assert_int_equal(read(holder->ready[0], &byte, 1), 1);
	open_all(holder);
}

static void end(struct holder *holder)
{
	close_all(holder);
	for (unsigned i = 0; i < 2; i++) {
		close(holder->ready[i]);
		close(holder->go_on[i]);
	}
}

/* While it is away for long: what it holds stays its own, all else goes on. */
static void expect_patience(struct holder *holder)
{
	int64_t begin_ns = harness_now_ns();
	int item = 1;

	assert_int_equal(mp_lock_acquire(holder->lock, MP_MSEC(LONG_MS)), -ETIMEDOUT);
	assert_true(harness_now_ns() - begin_ns >= LONG_MS * INT64_C(1000000));
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(mp_queue_put(holder->queue, &item, sizeof item, MP_NOW), 0);
		assert_int_equal(mp_queue_get(holder->queue, &item, sizeof item, MP_NOW),
				 sizeof item);
	}
	assert_int_equal(harness_count_deaths(), 0);
}

/* It releases as if nothing had been: no OWNER_DIED. */
static void expect_return(struct holder *holder)
{
	assert_int_equal(write(holder->go_on[1], "x", 1), 1);
	assert_int_equal(mp_lock_acquire(holder->lock, PATIENCE), 0);
	assert_int_equal(mp_lock_release(holder->lock), 0);
	harness_join(holder->pid);
	assert_int_equal(harness_count_deaths(), 0);
}

static void holder_that_is_stopped_for_long_is_not_taken_for_dead(void **state)
{
	struct holder holder = { .core_folder = NULL };

	begin(&holder);
	program_stop(holder.pid);
	expect_patience(&holder);
	assert_int_equal(kill(holder.pid, SIGCONT), 0);
	expect_return(&holder);
	end(&holder);
}

static bool write_file(const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "r+e"); /* a cgroup has it already */
	if (!file)
		return false;
	fputs(text, file);
	return fclose(file) == 0;
}

/* "1"/"0" of cgroup v2, "FROZEN"/"THAWED" of v1. */
static bool freeze(const char *folder, bool is_frozen)
{
	return write_file(folder, "cgroup.freeze", is_frozen ? "1" : "0") ||
	       write_file(folder, "freezer.state", is_frozen ? "FROZEN" : "THAWED");
}

static bool make_freezer(char folder[static 128])
{
	static const char *const parents[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified",
					       "/sys/fs/cgroup/freezer" };

	for (unsigned i = 0; i < sizeof parents / sizeof *parents; i++) {
		snprintf(folder, 128, "%s/libshm-test-%d", parents[i], (int)getpid());
		if (mkdir(folder, 0700) < 0)
			continue;
		if (freeze(folder, false))
			return true;
		rmdir(folder);
	}
	return false;
}

static bool is_removed(void *folder)
{
	return rmdir(folder) == 0;
}

static void holder_that_is_frozen_for_long_is_not_taken_for_dead(void **state)
{
	struct holder holder = { .core_folder = NULL };
	char folder[128], pid[16];

	if (!make_freezer(folder))
		harness_skip("no cgroup that can be frozen can be made here");
	begin(&holder);
	snprintf(pid, sizeof pid, "%d\n", (int)holder.pid);
	assert_true(write_file(folder, "cgroup.procs", pid));
	assert_true(freeze(folder, true));
	expect_patience(&holder);
	assert_true(freeze(folder, false));
	expect_return(&holder);
	end(&holder);
	assert_true(harness_until(is_removed, folder, 10000));
}

static void death_is_seen_by_peers_while_mpd_is_stopped(void **state)
{
	struct holder holder = { .core_folder = NULL };
	pid_t mpd;

	begin(&holder);
	mpd = harness_find_mpd();
	program_stop(mpd);
	harness_kill(holder.pid);
	assert_int_equal(mp_lock_acquire(holder.lock, PATIENCE), MP_OWNER_DIED);
	assert_int_equal(mp_lock_release(holder.lock), 0);
	assert_int_equal(kill(mpd, SIGCONT), 0);
	end(&holder);
}

static bool writes_cores_to_files(void)
{
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
	char pattern[128] = "|";

	if (file) {
		(void)!fgets(pattern, sizeof pattern, file);
		fclose(file);
	}
	return strcmp(pattern, "core\n") == 0;
}

/* The core of that folder, with or without a pid in its name. */
static off_t core_bytes(const char *folder, pid_t pid)
{
	struct stat info;
	char path[128];

	snprintf(path, sizeof path, "%s/core", folder);
	if (stat(path, &info) < 0) {
		snprintf(path, sizeof path, "%s/core.%d", folder, (int)pid);
		assert_int_equal(stat(path, &info), 0);
	}
	assert_int_equal(unlink(path), 0);
	return info.st_size;
}

static void core_of_a_client_leaves_the_segment_out(void **state)
{
	char folder[] = "/tmp/libshm-core-XXXXXX";
	struct holder holder = { .core_folder = folder };
	int64_t begin_ns;
	off_t bytes;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	harness_skip("a sanitizer's shadow is no core to measure");
#endif
	if (!writes_cores_to_files())
		harness_skip("kernel.core_pattern does not write to a file 'core'");
	assert_non_null(mkdtemp(folder));
	begin(&holder);
	assert_int_equal(write(holder.go_on[1], "x", 1), 1);
	begin_ns = harness_now_ns();
	assert_int_equal(mp_lock_acquire(holder.lock, PATIENCE), MP_OWNER_DIED);
	print_message("inherited after %.1f ms\n", (double)(harness_now_ns() - begin_ns) / 1e6);
	assert_int_equal(mp_lock_release(holder.lock), 0);
	assert_int_equal(harness_wait(holder.pid), -SIGABRT);
	bytes = core_bytes(folder, holder.pid);
	print_message("a core of %lld KiB, 128 MiB are in the segment\n", (long long)bytes >> 10);
	assert_true(bytes < 32 * (off_t)MIB);
	assert_int_equal(rmdir(folder), 0);
	end(&holder);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(holder_that_is_stopped_for_long_is_not_taken_for_dead),
	HARNESS_TEST_WITH_MPD(holder_that_is_frozen_for_long_is_not_taken_for_dead),
	HARNESS_TEST_WITH_MPD(death_is_seen_by_peers_while_mpd_is_stopped),
	HARNESS_TEST_WITH_MPD(core_of_a_client_leaves_the_segment_out),
};

HARNESS_MAIN(tests)
