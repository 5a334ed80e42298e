/* SPDX-License-Identifier: MIT
 *
 * Barriers in the crash matrix. Knows: contexts, operations, what a barrier promises. Does not
 * know: how anyone dies.
 *
 * Two meet. Once the dead are swept, who is counted as having come lives and waits: a death inside
 * breaks the turn it was in, or the turn was decided before. Who slept through its end is woken,
 * and told the same as whoever else was in it.
 */
#include "barrier_internal.h"
#include "crash.h"
#include "judge.h"
#include "require.h"
#include "scene.h"
#include "teardown.h"

#include <errno.h>

enum { EMPTY = 1, ONE_SHORT = 2, BROKEN = 4, STANDING = 8 };
enum { PLAIN, ACTS, FAILS };

#define BRIEFLY_NS INT64_C(1000000)

/* --- contexts --- */

static int succeed(void *arg)
{
	(void)arg;
	return 0;
}

static int fail(void *arg)
{
	(void)arg;
	return -ENOMEM;
}

static void barrier_begin(struct scene *scene)
{
	struct mp_barrier_opts opts = { .parties = 2 };

	if (scene->operation->variant != PLAIN)
		opts.action = scene->operation->variant == ACTS ? succeed : fail;
	if (scene->other)
		scene->timeout = BRIEFLY_NS; /* the other one may break it for good */
	for (enum role role = 0; role < ROLES; role++)
		require(mp_barrier_open(&scene->parties[role].handle, "barrier", &opts,
					&scene->parties[role].barrier) == 0);
}

static void is_broken_before(struct scene *scene)
{
	require(mp_barrier_abort(scene->parties[CHECKER].barrier) == 0);
}

static const struct context contexts[] = {
	{ .name = "nobody there" },
	{ .name = "one short", .has_sleeper = true },
	{ .name = "broken", .begin = is_broken_before },
	{ .name = "another in the middle", .earlier = EARLIER_STANDS, .at = 1, .is_tight = true },
};

/* --- operations --- */

static int barrier_wait(struct scene *scene, struct party *party)
{
	return mp_barrier_wait(party->barrier, scene->timeout, NULL);
}

static int barrier_wait_briefly(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_barrier_wait(party->barrier, BRIEFLY_NS, NULL);
}

static int barrier_reset(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_barrier_reset(party->barrier);
}

static int barrier_abort(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_barrier_abort(party->barrier);
}

/* The victim is there; if it has just died, this comes too early and gives up. */
static void survivor_comes(struct scene *scene, struct party *party)
{
	int result = mp_barrier_wait(party->barrier, BRIEFLY_NS, NULL);

	(void)scene;
	require(result == 0 || result == -ETIMEDOUT || result == -ENOTCONN);
}

static void wait_for_it(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->result = mp_barrier_wait(party->barrier, MP_FOREVER, NULL);
}

#define ROW(text, is, where, does)                                                                 \
	.name = text, .family = &barrier_family, .contexts = where, .variant = is, .run = does,    \
	.sleep = wait_for_it

static const struct operation operations[] = {
	{ ROW("barrier wait", PLAIN, EMPTY | ONE_SHORT | BROKEN, barrier_wait),
	  .unblock = survivor_comes },
	{ ROW("barrier wait that acts", ACTS, ONE_SHORT, barrier_wait) },
	{ ROW("barrier wait that fails", FAILS, ONE_SHORT, barrier_wait) },
	{ ROW("brief barrier wait", PLAIN, EMPTY | ONE_SHORT | BROKEN, barrier_wait_briefly) },
	{ ROW("barrier reset", PLAIN, EMPTY | ONE_SHORT | BROKEN | STANDING, barrier_reset) },
	{ ROW("barrier abort", PLAIN, EMPTY | ONE_SHORT | BROKEN | STANDING, barrier_abort) },
};

/* --- what it promises --- */

static uint64_t word_of(struct scene *scene)
{
	return load_acquire(&scene->parties[CHECKER].barrier->shared->word);
}

static bool waits(const struct operation *operation)
{
	return operation->run == barrier_wait || operation->run == barrier_wait_briefly;
}

static bool has_ended(const struct scene *scene, enum role role)
{
	return atomic_load(&scene->parties[role].ledger->is_done);
}

/* Who died in it is counted no more; who lives and waits is. */
static bool is_counted(struct scene *scene, uint64_t word)
{
	unsigned most = scene->context->has_sleeper;

	if (barrier_word_state(word) == BARRIER_ACTION)
		return complain(scene, "a dead one acts for ever");
	if (barrier_word_is_broken(word) || barrier_word_arrived(word) <= most)
		return true;
	return complain(scene, "%u are counted, at most %u live", barrier_word_arrived(word), most);
}

/* The first turn, in which SLEEPER is: has it been passed? */
static bool is_first_passed(uint64_t word)
{
	uint32_t age = barrier_word_age(word, 0);

	return age > 0 && age <= BARRIER_HISTORY_BITS && !barrier_word_was_broken(word, age);
}

static bool sleeper_is_right(struct scene *scene, uint64_t word)
{
	const struct ledger *sleeper = scene->parties[SLEEPER].ledger;

	if (!scene->context->has_sleeper)
		return true;
	if (!barrier_word_is_over(word, 0)) {
		if (atomic_load(&sleeper->is_done))
			return complain(scene, "the sleeper went on, and nothing is decided");
		require(mp_barrier_abort(scene->parties[CHECKER].barrier) == 0);
	}
	if (!judge_sleeper_woke(scene))
		return complain(scene, "who waits for the end of a turn is not woken");
	return scene->is_copy || sleeper->result == (is_first_passed(word) ? 0 : -ENOTCONN) ||
	       complain(scene, "the sleeper is told %d", sleeper->result);
}

/* Alone, the operation that has ended is to be seen. */
static bool says_the_last(struct scene *scene, uint64_t word)
{
	const struct operation *operation = scene->operation;
	int result = scene->parties[VICTIM].ledger->result;

	if (scene->other || scene->context->earlier != NO_EARLIER || !has_ended(scene, VICTIM))
		return true;
	if (waits(operation) && (result == 0) != is_first_passed(word))
		return complain(scene, "the wait said %d, and the word otherwise", result);
	if (operation->run == barrier_abort && !barrier_word_is_broken(word))
		return complain(scene, "it was aborted and is whole");
	if (operation->run == barrier_reset &&
	    (barrier_word_is_broken(word) || barrier_word_arrived(word) > 0))
		return complain(scene, "it was reset and is not empty");
	return true;
}

static bool works(struct scene *scene)
{
	mp_barrier *barrier = scene->parties[CHECKER].barrier;

	for (unsigned lap = 0; lap < 3; lap++) {
		if (mp_barrier_reset(barrier) != 0 || mp_barrier_is_broken(barrier) != 0 ||
		    mp_barrier_waiting(barrier) != 0)
			return complain(scene, "lap %u: it cannot be reset", lap);
		if (mp_barrier_wait(barrier, MP_NOW, NULL) != -ETIMEDOUT ||
		    mp_barrier_wait(barrier, MP_FOREVER, NULL) != -ENOTCONN)
			return complain(scene, "lap %u: one alone does not break it", lap);
	}
	return true;
}

static bool barrier_check(struct scene *scene)
{
	uint64_t word = word_of(scene);
	bool is_good = is_counted(scene, word) && says_the_last(scene, word);

	is_good &= sleeper_is_right(scene, word);
	is_good &= works(scene);
	return teardown(scene) && is_good;
}

static bool barrier_may_say(struct scene *scene, enum role role, int result)
{
	const struct operation *operation = scene_operation_of(scene, role);
	bool is_right = result == 0;

	if (role == SURVIVOR && !scene->other)
		return true; /* it has unblocked the victim */
	if (waits(operation))
		is_right |= result == -ETIMEDOUT || result == -ENOTCONN;
	if (operation->variant == FAILS)
		is_right = result == -ENOMEM || (scene->other && result == -ENOTCONN);
	return is_right || complain(scene, "%s says %d", operation->name, result);
}

const struct family barrier_family = {
	.name = "barrier",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = barrier_begin,
	.check = barrier_check,
	.may_say = barrier_may_say,
	.pair_contexts = EMPTY | BROKEN,
};
