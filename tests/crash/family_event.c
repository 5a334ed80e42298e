/* SPDX-License-Identifier: MIT
 *
 * Events in the crash matrix. Knows: contexts, operations, what an event promises. Does not know:
 * how anyone dies.
 *
 * Nobody owns an event: a death changes nothing of it. It has become set as often as sets were
 * begun at most, and as were ended at least. Who slept is woken as soon as it has become set once,
 * whether it was cleared since or not, and sleeps on when it has not.
 */
#include "crash.h"
#include "event_internal.h"
#include "judge.h"
#include "require.h"
#include "scene.h"
#include "teardown.h"

#include <errno.h>

enum { CLEAR = 1, SET = 2, WAITED_FOR = 4, STANDING = 8 };

#define BRIEFLY_NS INT64_C(1000000)

/* --- contexts --- */

static void event_begin(struct scene *scene)
{
	if (scene->other)
		scene->timeout = BRIEFLY_NS; /* the other one may clear it for good */
	for (enum role role = 0; role < ROLES; role++)
		require(mp_event_open(&scene->parties[role].handle, "event", NULL,
				      &scene->parties[role].event) == 0);
}

static void is_set_before(struct scene *scene)
{
	require(mp_event_set(scene->parties[CHECKER].event) == 0);
}

static const struct context contexts[] = {
	{ .name = "not set" },
	{ .name = "set", .begin = is_set_before },
	{ .name = "waited for", .has_sleeper = true },
	{ .name = "another in the middle", .earlier = EARLIER_STANDS, .at = 1, .is_tight = true },
};

static bool was_set(const struct scene *scene)
{
	return scene->context->begin == is_set_before;
}

/* --- operations --- */

static int event_set(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_event_set(party->event);
}

static int event_clear(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_event_clear(party->event);
}

static int event_set_and_clear(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_event_set(party->event) < 0 ? -EIO : mp_event_clear(party->event);
}

static int event_wait(struct scene *scene, struct party *party)
{
	return mp_event_wait(party->event, scene->timeout);
}

static int event_wait_briefly(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_event_wait(party->event, BRIEFLY_NS);
}

static void survivor_sets(struct scene *scene, struct party *party)
{
	(void)scene;
	require(mp_event_set(party->event) == 0);
}

static void wait_for_it(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->result = mp_event_wait(party->event, MP_FOREVER);
}

#define ROW(text, where, does)                                                                     \
	.name = text, .family = &event_family, .contexts = where, .run = does, .sleep = wait_for_it

static const struct operation operations[] = {
	{ ROW("event set", CLEAR | SET | WAITED_FOR | STANDING, event_set) },
	{ ROW("event clear", CLEAR | SET | WAITED_FOR | STANDING, event_clear) },
	{ ROW("event set and clear", CLEAR | WAITED_FOR | STANDING, event_set_and_clear) },
	{ ROW("event wait", CLEAR | SET, event_wait), .unblock = survivor_sets },
	{ ROW("brief event wait", CLEAR, event_wait_briefly) },
};

/* --- what it promises --- */

static uint64_t word_of(struct scene *scene)
{
	return load_acquire(&scene->parties[CHECKER].event->shared->word);
}

static bool sets(const struct operation *operation)
{
	return operation && (operation->run == event_set || operation->run == event_set_and_clear);
}

static bool clears(const struct operation *operation)
{
	return operation &&
	       (operation->run == event_clear || operation->run == event_set_and_clear);
}

static bool has_ended(const struct scene *scene, enum role role)
{
	return atomic_load(&scene->parties[role].ledger->is_done);
}

/* The victim was asleep until SURVIVOR set it. */
static bool may_be_unblocked(const struct scene *scene)
{
	return !scene->other && scene->operation->unblock != NULL;
}

/* How often it has become set; one that finds it set changes nothing. */
static bool is_counted(struct scene *scene, uint64_t count)
{
	const struct operation *operation = scene->operation;
	bool is_alone = !scene->other && scene->context->earlier == NO_EARLIER;
	uint64_t before = was_set(scene);
	uint64_t most = before + sets(operation) + sets(scene->other) + may_be_unblocked(scene) +
			(!is_alone && !scene->other && sets(operation));
	uint64_t least = before + (is_alone && sets(operation) && !before &&
				   has_ended(scene, VICTIM));

	if (count < least || count > most)
		return complain(scene, "it became set %llu times, %llu to %llu are due",
				(unsigned long long)count, (unsigned long long)least,
				(unsigned long long)most);
	return true;
}

/* What it says when everybody who was to change it has. */
static bool says_the_last(struct scene *scene, bool is_set)
{
	const struct operation *operation = scene->operation;

	if (scene->other || scene->context->earlier != NO_EARLIER || may_be_unblocked(scene))
		return true;
	if (scene->step == 0 && is_set != was_set(scene) && !has_ended(scene, VICTIM))
		return complain(scene, "nobody has changed it, and it is otherwise");
	if (has_ended(scene, VICTIM) && clears(operation) && is_set)
		return complain(scene, "it was cleared and is set");
	if (has_ended(scene, VICTIM) && sets(operation) && !clears(operation) && !is_set)
		return complain(scene, "it was set and is clear");
	return true;
}

static bool sleeper_is_right(struct scene *scene, uint64_t count)
{
	const struct ledger *sleeper = scene->parties[SLEEPER].ledger;

	if (!scene->context->has_sleeper)
		return true;
	if (count == 0) {
		if (atomic_load(&sleeper->is_done))
			return complain(scene, "the sleeper went on, and nobody has set it");
		require(mp_event_set(scene->parties[CHECKER].event) == 0);
	}
	if (!judge_sleeper_woke(scene))
		return complain(scene, "who waits for the event is not woken");
	return scene->is_copy || sleeper->result == 0 ||
	       complain(scene, "the sleeper is told %d", sleeper->result);
}

static bool works(struct scene *scene)
{
	mp_event *event = scene->parties[CHECKER].event;

	for (unsigned lap = 0; lap < 3; lap++) {
		if (mp_event_set(event) != 0 || mp_event_is_set(event) != 1 ||
		    mp_event_wait(event, MP_FOREVER) != 0)
			return complain(scene, "lap %u: it cannot be set", lap);
		if (mp_event_clear(event) != 0 || mp_event_is_set(event) != 0 ||
		    mp_event_wait(event, MP_NOW) != -EAGAIN)
			return complain(scene, "lap %u: it cannot be cleared", lap);
	}
	return true;
}

static bool event_check(struct scene *scene)
{
	uint64_t word = word_of(scene);
	bool is_good = is_counted(scene, word / EVENT_EPOCH) &&
		       says_the_last(scene, word & EVENT_SET);

	is_good &= sleeper_is_right(scene, word / EVENT_EPOCH);
	is_good &= works(scene);
	return teardown(scene) && is_good;
}

static bool event_may_say(struct scene *scene, enum role role, int result)
{
	const struct operation *operation = scene_operation_of(scene, role);
	bool may_time_out = operation->run == event_wait_briefly ||
			    (operation->run == event_wait && scene->other);

	if (role == SURVIVOR && !scene->other)
		return true; /* it has unblocked the victim */
	return result == 0 || (may_time_out && result == -ETIMEDOUT) ||
	       complain(scene, "%s says %d", operation->name, result);
}

const struct family event_family = {
	.name = "event",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = event_begin,
	.check = event_check,
	.may_say = event_may_say,
	.pair_contexts = CLEAR | SET,
};
