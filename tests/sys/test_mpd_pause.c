/* SPDX-License-Identifier: MIT
 *
 * Proves: who moves messages does not notice that mpd is killed. A client that never stops may make
 * no system call at all, the kernel would kill it, and gets ahead while mpd is away; its largest
 * pauses are shown beside those of the windows in which mpd was left alone, which take turns.
 */
#include "raw_client.h"

#include <libshm.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KILLS 50
#define WINDOWS (2 * KILLS) /* even: mpd is left alone, odd: it is killed */
#define WINDOW_MS 10
#define ROUNDS_FIRST 10000
#define ROUNDS_WANTED 100
#define PATIENCE_MS 20000
#define GAPS_KEPT 50

/* Shared by the two; the client writes each window's figures while it is the current one. */
struct course {
	atomic_uint window; /* WINDOWS: it is over */
	atomic_bool is_begun;
	_Atomic uint64_t rounds[WINDOWS + 1];
	int64_t longest_ns[WINDOWS + 1];
	int64_t away_ns[KILLS];
};

static void do_round(mp_queue *queue)
{
	static uint64_t number;
	uint64_t got;

	if (mp_queue_put(queue, &number, sizeof number, MP_NOW) < 0 ||
	    mp_queue_get(queue, &got, sizeof got, MP_NOW) < 0 || got != number)
		syscall(SYS_exit, 3);
	number++;
}

static void run_rounds(mp_queue *queue, struct course *course)
{
	int64_t latest_ns = harness_now_ns(), now_ns;
	unsigned window;

	while ((window = course->window) < WINDOWS) {
		do_round(queue);
		now_ns = harness_now_ns();
		if (now_ns - latest_ns > course->longest_ns[window])
			course->longest_ns[window] = now_ns - latest_ns;
		latest_ns = now_ns;
		course->rounds[window]++;
	}
}

/* But for its end. Not SECCOMP_MODE_STRICT: that forbids to look at the clock, too. */
static void forbid_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog filter = { .len = sizeof code / sizeof *code, .filter = code };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

/* Its slot stays as a dead one's: it may not even say that it leaves. */
static int never_stop(void *arg)
{
	struct course *course = arg;
	mp_segment *segment;
	mp_queue *queue;

	assert_int_equal(mp_segment_open("flow", NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "flow", NULL, &queue), 0);
	/* Memory that is used for the first time is asked for, once. */
	for (unsigned i = 0; i < ROUNDS_FIRST; i++)
		do_round(queue);
	course->is_begun = true;
	forbid_calls();
	run_rounds(queue, course);
	syscall(SYS_exit, 0);
	return 1;
}

static bool has_begun(void *arg)
{
	struct course *course = arg;

	return course->is_begun;
}

/* In its own window, and not with what was under way before. */
static bool gets_ahead(void *arg)
{
	struct course *course = arg;

	return course->rounds[course->window] >= ROUNDS_WANTED;
}

static void kill_and_await(struct raw *raw, struct course *course, unsigned kill_number)
{
	int64_t begin_ns = harness_now_ns();

	assert_int_equal(kill((pid_t)raw->welcome.pid, SIGKILL), 0);
	raw_close(raw);
	raw_connect(raw);
	course->away_ns[kill_number] = harness_now_ns() - begin_ns;
}

static int compare(const void *a, const void *b)
{
	const int64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* The largest pause of each window of one kind, sorted. */
static void collect(const struct course *course, unsigned first, int64_t ret_ns[GAPS_KEPT])
{
	for (unsigned i = 0; i < GAPS_KEPT; i++)
		ret_ns[i] = course->longest_ns[first + 2 * i];
	qsort(ret_ns, GAPS_KEPT, sizeof *ret_ns, compare);
}

static void show(const char *what, const int64_t ns[GAPS_KEPT])
{
	print_message("%s: median %.3f ms, largest %.3f ms\n", what,
		      (double)ns[GAPS_KEPT / 2] / 1e6, (double)ns[GAPS_KEPT - 1] / 1e6);
}

/* Had it waited for mpd, each pause would be as long as mpd is away. */
static bool is_pauseless(void *arg)
{
	int64_t alone_ns[GAPS_KEPT], killed_ns[GAPS_KEPT];
	struct course *course = arg;

	collect(course, 0, alone_ns);
	collect(course, 1, killed_ns);
	qsort(course->away_ns, KILLS, sizeof *course->away_ns, compare);
	show("largest pause of a window, mpd left alone", alone_ns);
	show("largest pause of a window, mpd killed", killed_ns);
	show("mpd away", course->away_ns);
	return killed_ns[GAPS_KEPT / 2] < course->away_ns[GAPS_KEPT / 2] ||
	       killed_ns[GAPS_KEPT / 2] < 2 * alone_ns[GAPS_KEPT / 2];
}

static bool run_course(void *arg)
{
	struct course *course = mmap(NULL, sizeof *course, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct raw *raw = arg;
	bool is_good;
	pid_t client;

	assert_true(course != MAP_FAILED);
	client = harness_fork(never_stop, course);
	assert_true(harness_until(has_begun, course, PATIENCE_MS));
	for (unsigned window = 0; window < WINDOWS; window++) {
		course->window = window;
		if (window % 2)
			kill_and_await(raw, course, window / 2);
		harness_sleep_ms(WINDOW_MS);
		assert_true(harness_until(gets_ahead, course, PATIENCE_MS));
	}
	course->window = WINDOWS;
	assert_int_equal(harness_wait(client), 0);
	is_good = is_pauseless(course);
	munmap(course, sizeof *course);
	return is_good;
}

static void client_that_never_stops_does_not_notice_that_mpd_is_killed(void **state)
{
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	assert_true(harness_retry(run_course, &raw, 3));
	raw_close(&raw);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(client_that_never_stops_does_not_notice_that_mpd_is_killed),
};

HARNESS_MAIN(tests)
