/* SPDX-License-Identifier: MIT
 *
 * Proves: an mpd that is silent is named by a number that means it here: that it calls itself so
 * in a PID namespace below, where the number is another process's here, does not count, and where
 * it has none here that is said.
 */
#include "program.h"
#include "raw_client.h"

#include <libshm.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 20000

struct stage {
	_Atomic int refused; /* errno of unshare */
	_Atomic int mpd;     /* as it is known here */
	_Atomic int is_attached, is_silent;
};

static int serve(void *arg)
{
	execl(getenv("MP_MPD"), "mpd", "--foreground", NULL);
	return 98;
}

static bool is_silent(void *arg)
{
	return atomic_load(&((struct stage *)arg)->is_silent) != 0;
}

static void ask_in_vain(const char *words)
{
	mp_segment *segment;

	assert_int_equal(mp_segment_open("second", NULL, &segment), -ETIMEDOUT);
	if (!strstr(mp_explain(), words))
		fail_msg("no '%s' in: %s", words, mp_explain());
}

static int ask_from_a_sibling(void *arg)
{
	struct stage *stage = arg;
	mp_segment *segment;

	assert_int_equal(mp_segment_open("first", NULL, &segment), 0);
	atomic_store(&stage->is_attached, 1);
	assert_true(harness_until(is_silent, stage, PATIENCE_MS));
	ask_in_vain("mpd (in another PID namespace) at");
	return 0;
}

/* A namespace of its own for a child, which is process 1 there. */
static pid_t start_below(struct stage *stage, int (*fn)(void *arg))
{
	if (unshare(CLONE_NEWPID) == 0)
		return harness_fork(fn, stage);
	atomic_store(&stage->refused, errno);
	return 0;
}

static int keep_mpd(void *arg)
{
	struct stage *stage = arg;
	pid_t mpd = start_below(stage, serve);

	atomic_store(&stage->mpd, mpd);
	if (mpd)
		waitpid(mpd, NULL, 0);
	return 0;
}

static int keep_sibling(void *arg)
{
	pid_t sibling = start_below(arg, ask_from_a_sibling);

	return sibling ? harness_wait(sibling) : 0;
}

static bool has_mpd(void *arg)
{
	struct stage *stage = arg;

	return atomic_load(&stage->refused) ||
	       (atomic_load(&stage->mpd) && access(harness_endpoint()->socket, F_OK) == 0);
}

static bool has_sibling(void *arg)
{
	return atomic_load(&((struct stage *)arg)->is_attached) != 0;
}

static void silent_mpd_is_named_by_a_number_that_means_it_here(void **state)
{
	struct stage *stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t mpd_keeper = harness_fork(keep_mpd, stage), sibling;
	mp_segment *segment;
	char words[40];

	assert_true(stage != MAP_FAILED);
	assert_true(harness_until(has_mpd, stage, PATIENCE_MS));
	if (atomic_load(&stage->refused))
		harness_skip("this user may not make PID namespaces here");
	assert_int_equal(mp_segment_open("first", NULL, &segment), 0);
	sibling = harness_fork(keep_sibling, stage);
	assert_true(harness_until(has_sibling, stage, PATIENCE_MS));
	program_stop(atomic_load(&stage->mpd));
	atomic_store(&stage->is_silent, 1);
	snprintf(words, sizeof words, "mpd (pid %d) at", atomic_load(&stage->mpd));
	ask_in_vain(words);
	harness_join(sibling);
	assert_int_equal(kill(atomic_load(&stage->mpd), SIGCONT), 0);
	mp_segment_close(segment);
	/* As process 1 it stays until it is told. */
	assert_int_equal(kill(atomic_load(&stage->mpd), SIGTERM), 0);
	harness_join(mpd_keeper);
	munmap(stage, sizeof *stage);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(silent_mpd_is_named_by_a_number_that_means_it_here),
};

HARNESS_MAIN(tests)
