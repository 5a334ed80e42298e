/* SPDX-License-Identifier: MIT
 *
 * See fault_run.h.
 */
#include "fault_run.h"

#include "documented.h"
#include "explain.h"
#include "harness_leaks.h"
#include "libshm/arena.h"
#include "libshm/slot.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OLDER "an older sentence"
#define ERRNO_OF_CALLER 4711
#define HANG_S 30
#define SETTLE_MS 10000
#define PLANTED_SETTLE_MS 100
#define WRONG_SHOWN_MAX 12

/* In a shared page: what the case's process tells. */
struct told {
	struct fault_held held; /* at its end, since its beginning */
};

/* What is to be the same after each case. */
struct figures {
	uint32_t segments; /* of mpd */
	uint32_t clients, threads, objects;
	uint64_t used_bytes;
};

struct run {
	const struct fault_scenario *scenario;
	struct fault_plan plan; /* nth 0: nothing fails */
	struct told *told;
	struct raw raw;
	struct raw_segment kept;
	struct figures wanted;
	struct fault_held held;
	unsigned cases, wrong, wrong_max;
	unsigned settle_ms;
	unsigned fds; /* of mpd */
};

static bool is_success(const struct fault_scenario *scenario, int result)
{
	return result >= 0 || (scenario->success && result == scenario->success);
}

static void check_failure(const struct fault_scenario *scenario, int result)
{
	const char *text = mp_explain();

	if (!documented(scenario->calls, result))
		fail_msg("%d (%s) is not documented: %s", result, strerrorname_np(-result), text);
	if (strstr(text, OLDER))
		fail_msg("%d leaves no sentence", result);
	if (!strstr(text, mp_strerror(result)))
		fail_msg("no '%s' in: %s", mp_strerror(result), text);
}

static void act_armed(const struct run *run, struct fault_case *its)
{
	int result, error;

	explain(-EINVAL, OLDER);
	errno = ERRNO_OF_CALLER;
	fault_arm(&run->plan, 0);
	result = run->scenario->act(its);
	error = errno;
	fault_disarm();
	if (error != ERRNO_OF_CALLER)
		fail_msg("errno was touched: %d", error);
	if (!is_success(run->scenario, result))
		check_failure(run->scenario, result);
	else if (run->scenario->undo)
		run->scenario->undo(its);
}

/* The same again, and nothing fails. */
static void act_again(const struct run *run, struct fault_case *its)
{
	int result = run->scenario->act(its);

	if (!is_success(run->scenario, result))
		fail_msg("afterwards it is %d: %s", result, mp_explain());
	if (run->scenario->undo)
		run->scenario->undo(its);
}

static void ignore(void *value)
{
	(void)value;
}

/* The program's own keys, the first of which has the number 0. */
static void take_key(pthread_key_t *key)
{
	assert_int_equal(pthread_key_create(key, ignore), 0);
	assert_int_equal(pthread_setspecific(*key, key), 0);
}

static int run_case(void *arg)
{
	struct run *run = arg;
	struct harness_holdings before;
	struct fault_held held = fault_held();
	struct fault_case its = { .segment = NULL };
	pthread_key_t key;

	alarm(HANG_S);
	take_key(&key);
	harness_holdings_take(&before);
	if (run->scenario->prepare)
		run->scenario->prepare(&its);
	act_armed(run, &its);
	act_again(run, &its);
	if (run->scenario->finish)
		run->scenario->finish(&its);
	run->told->held = fault_held();
	run->told->held.blocks -= held.blocks;
	run->told->held.bytes -= held.bytes;
	assert_ptr_equal(pthread_getspecific(key), &key);
	return harness_holdings_same(&before) ? 0 : 1;
}

/* --- what is left in the segment and in mpd --- */

static void take_figures(struct run *run, struct figures *ret_figures)
{
	struct seg *seg = run->kept.seg;
	struct arena_usage usage;

	*ret_figures = (struct figures){ .segments = raw_count(&run->raw) };
	for (uint32_t i = SLOT_FIRST; i < seg_clients_high(seg); i++)
		ret_figures->clients += client_word_state(slot_client_word(seg, i)) != SLOT_FREE;
	for (uint32_t i = SLOT_FIRST; i < seg_threads_high(seg); i++)
		ret_figures->threads +=
			thread_word_state(load_relaxed(&seg->threads[i].word)) != SLOT_FREE;
	for (uint32_t i = 0; i < seg_objects_high(seg); i++)
		ret_figures->objects +=
			entry_word_state(load_relaxed(&seg->directory[i].word)) != ENTRY_FREE;
	arena_measure(seg, &usage);
	ret_figures->used_bytes = usage.used_bytes;
}

static bool are_as_wanted(void *arg)
{
	struct run *run = arg;
	struct figures now;

	take_figures(run, &now);
	return memcmp(&now, &run->wanted, sizeof now) == 0;
}

static bool check_figures(struct run *run)
{
	struct figures now, wanted = run->wanted;

	if (harness_until(are_as_wanted, run, run->settle_ms))
		return true;
	take_figures(run, &now);
	print_message("left: %d segments, %d clients, %d threads, %d objects, %lld bytes\n",
		      (int)(now.segments - wanted.segments), (int)(now.clients - wanted.clients),
		      (int)(now.threads - wanted.threads), (int)(now.objects - wanted.objects),
		      (long long)(now.used_bytes - wanted.used_bytes));
	return false;
}

static bool has_as_many_fds(void *arg)
{
	const struct run *run = arg;

	return raw_lasting_fd_count((pid_t)run->raw.welcome.pid) == run->fds;
}

static bool check_held(const struct run *run)
{
	const struct fault_held *now = &run->told->held;

	if (now->blocks <= run->held.blocks && now->bytes <= run->held.bytes)
		return true;
	print_message("left: %ld blocks of the heap, %ld bytes mapped\n",
		      now->blocks - run->held.blocks, now->bytes - run->held.bytes);
	return false;
}

/* --- the loops --- */

static int run_apart(struct run *run)
{
	return harness_wait(harness_fork(run_case, run));
}

static void run_planned(struct run *run)
{
	int code = run_apart(run);
	bool is_good = code == 0 && check_held(run);

	is_good = is_good && check_figures(run);
	run->cases++;
	if (is_good)
		return;
	print_message("^ %s: the %u. %s answers %s%s\n", run->scenario->what, run->plan.nth,
		      fault_name(run->plan.call), fault_error_name(run->plan.error),
		      code == -SIGALRM ? ", and it hangs" : code < 0 ? ", and it crashes" : "");
	run->wrong++;
}

static void run_place(struct run *run, enum fault_call call, unsigned nth)
{
	int error;

	for (unsigned i = 0; (error = fault_error(call, i)) != 0; i++) {
		run->plan = (struct fault_plan){ call, nth, error };
		if (run->wrong < run->wrong_max)
			run_planned(run);
	}
}

/* Everything is as it will be again after each case: memory that was once cut stays so. */
static void run_unharmed(struct run *run, unsigned counts[FAULT_KINDS])
{
	run->plan.nth = 0;
	assert_int_equal(run_apart(run), 0);
	for (unsigned i = 0; i < FAULT_KINDS; i++)
		counts[i] = fault_count((enum fault_call)i);
	run->held = run->told->held;
}

static void begin(struct run *run)
{
	fault_begin(NULL);
	run->told = mmap(NULL, sizeof *run->told, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(run->told != MAP_FAILED);
	raw_start(NULL, NULL);
	raw_connect(&run->raw);
	raw_attach(&run->raw, FAULT_KEPT, 0, &run->kept);
	take_figures(run, &run->wanted);
	run->fds = raw_lasting_fd_count((pid_t)run->raw.welcome.pid);
}

static bool is_wanted(const struct run *run, unsigned call)
{
	return !run->scenario->only || (call < 64 && (run->scenario->only >> call & 1));
}

static void run_all(struct run *run)
{
	unsigned counts[FAULT_KINDS];

	begin(run);
	run_unharmed(run, counts);
	assert_true(check_figures(run));
	assert_true(harness_until(has_as_many_fds, run, SETTLE_MS));
	for (unsigned call = 0; call < FAULT_KINDS; call++)
		for (unsigned nth = 1; nth <= counts[call] && is_wanted(run, call); nth++)
			run_place(run, (enum fault_call)call, nth);
	print_message("%s: %u cases, %u wrong\n", run->scenario->what, run->cases, run->wrong);
	assert_true(run->cases > 0);
	assert_true(harness_until(has_as_many_fds, run, SETTLE_MS));
	raw_close(&run->raw);
	raw_forget(&run->kept);
	munmap(run->told, sizeof *run->told);
}

void fault_run(const struct fault_scenario *scenario)
{
	struct run run = { .scenario = scenario, .wrong_max = WRONG_SHOWN_MAX,
			   .settle_ms = SETTLE_MS };

	run_all(&run);
	assert_int_equal(run.wrong, 0);
}

bool fault_is_found(const struct fault_scenario *scenario)
{
	struct run run = { .scenario = scenario, .wrong_max = 1, .settle_ms = PLANTED_SETTLE_MS };

	run_all(&run);
	return run.wrong > 0;
}
