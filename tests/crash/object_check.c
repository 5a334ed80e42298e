/* SPDX-License-Identifier: MIT
 *
 * What a name promises, and an id. Knows: what each operation makes of them. Does not know: how
 * anyone dies, how a scene was arranged (family_object.c).
 *
 * After every death an object exists whole or not at all; what was acknowledged is so; an object
 * that nobody can reach any more has given its memory back. Who waits in an object without a name
 * has it as long as he likes.
 */
#include "family_object.h"

#include "judge.h"
#include "object.h"
#include "require.h"
#include "scene.h"
#include "slotword.h"
#include "teardown.h"

#include <errno.h>

enum answer { NO, MAYBE, YES };

/* --- is there something of that name? --- */

static bool makes(const struct operation *operation)
{
	return operation->run == object_make || operation->run == object_make_exclusive;
}

static bool unlinks(const struct operation *operation)
{
	return operation->run == object_unlink_it;
}

static enum answer was_done(const struct scene *scene, enum role role)
{
	const struct ledger *ledger = scene->parties[role].ledger;

	if (role == SURVIVOR || atomic_load(&ledger->is_done))
		return ledger->result >= 0 ? YES : NO;
	return scene->step == 0 ? NO : MAYBE;
}

/* The most that any of the two has done of that. */
static enum answer is_done(const struct scene *scene, bool (*is_it)(const struct operation *))
{
	enum answer by_victim = is_it(scene->operation) ? was_done(scene, VICTIM) : NO;
	enum answer by_other = scene->other && is_it(scene->other) ? was_done(scene, SURVIVOR) : NO;

	return by_victim > by_other ? by_victim : by_other;
}

static enum answer is_there(const struct scene *scene)
{
	enum answer made = is_done(scene, makes), unlinked = is_done(scene, unlinks);

	if (scene->context->earlier == EARLIER_DIED && made == NO)
		made = MAYBE;
	if (unlinked == NO)
		return object_has_name(scene) ? YES : made;
	if (made != NO)
		return MAYBE; /* whichever came last */
	return unlinked == YES ? NO : MAYBE;
}

/* --- does it work? --- */

static bool has_its_messages(struct scene *scene, mp_queue *queue)
{
	unsigned expected = scene->operation->variant == FILLED ? CAPACITY : 0, found = 0;
	char message[MESSAGE_BYTES];

	while (mp_queue_get(queue, message, sizeof message, MP_NOW) >= 0)
		found++;
	return found == expected || scene->context->has_sleeper ||
	       complain(scene, "it has %u messages, not %u", found, expected);
}

/* Three laps of a queue. */
static bool does_work(struct scene *scene, struct party *party)
{
	for (unsigned i = 0; i < 3 * CAPACITY; i++)
		if (!object_verbs_of(scene)->works(party))
			return complain(scene, "it does not work");
	return true;
}

/* What CHECKER has opened; it closes it. */
static bool is_whole(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];
	bool is_good = !checker->queue || has_its_messages(scene, checker->queue);

	is_good &= does_work(scene, checker);
	object_close_handle(checker);
	return is_good;
}

/* --- questions --- */

static bool is_name_right(struct scene *scene)
{
	enum answer due = is_there(scene);
	int result = object_open_it(scene, &scene->parties[CHECKER], MP_EXISTING);

	if (result == -ENOENT)
		return due != YES || complain(scene, "it was made and is gone");
	if (result != 0)
		return complain(scene, "opening it afterwards says %d", result);
	return is_whole(scene) &&
	       (due != NO || complain(scene, "it was unlinked, or never made, and is there"));
}

/* An id leads to its object as long as that has its name or, anonymous, is held. */
static bool is_id_right(struct scene *scene)
{
	bool is_lost = object_is_id_stale(scene) ||
		       (object_is_anonymous(scene) && !object_is_open(&scene->parties[EARLIER]));
	int result;

	if (!scene->id || !(is_lost || object_is_anonymous(scene)))
		return true;
	result = object_open_by_id(scene, &scene->parties[CHECKER]);
	if (is_lost)
		return result == -ESTALE || complain(scene, "a stale id says %d", result);
	return result == 0 ? is_whole(scene)
			   : complain(scene, "the id of an object that is held says %d", result);
}

/* It sleeps on until somebody has something for it. */
static bool is_sleeper_unharmed(struct scene *scene)
{
	struct ledger *sleeper = scene->parties[SLEEPER].ledger;

	if (!scene->is_copy && atomic_load(&sleeper->is_done))
		return complain(scene, "who waits in it was sent away: %d", sleeper->result);
	object_verbs_of(scene)->wake(&scene->parties[SURVIVOR]);
	if (!judge_sleeper_woke(scene))
		return complain(scene, "who waits in it is not woken");
	return scene->is_copy || sleeper->result == 0 ||
	       complain(scene, "who waits in it is told %d", sleeper->result);
}

/* Of two that insist on making it one may have. */
static bool is_exclusive(struct scene *scene)
{
	const struct ledger *victim = scene->parties[VICTIM].ledger;

	if (!scene->other || scene->operation->run != object_make_exclusive ||
	    scene->other->run != object_make_exclusive)
		return true;
	return !(atomic_load(&victim->is_done) && victim->result == 0 &&
		 scene->parties[SURVIVOR].ledger->result == 0) ||
	       complain(scene, "two have made it, each alone");
}

bool object_check(struct scene *scene)
{
	bool is_good = true;

	if (scene->context->has_sleeper)
		is_good = is_sleeper_unharmed(scene);
	is_good &= is_id_right(scene);
	is_good &= is_name_right(scene);
	is_good &= is_exclusive(scene);
	return teardown(scene) && is_good;
}

/* --- what it returns --- */

static bool may_end_the_id(const struct operation *other)
{
	return other && (other->run == object_unlink_it || other->run == object_close_it ||
			 other->run == object_close_pinned);
}

static bool may_id_say(const struct scene *scene, int result)
{
	if (object_is_id_stale(scene))
		return result == -ESTALE;
	return result == 0 || (result == -ESTALE && (may_end_the_id(scene->other) ||
						     may_end_the_id(scene->operation)));
}

static bool may_operation_say(const struct scene *scene, const struct operation *operation,
			      int result)
{
	if (operation->run == object_open_by_id)
		return may_id_say(scene, result);
	if (operation->run == object_make_exclusive)
		return result == 0 || (scene->other && result == -EEXIST);
	if (operation->run == object_unlink_it)
		return result == 0 || (scene->other && scene->other->run == scene->operation->run &&
				       result == -ENOENT);
	return result == 0;
}

bool object_may_say(struct scene *scene, enum role role, int result)
{
	const struct operation *operation = scene_operation_of(scene, role);

	return may_operation_say(scene, operation, result) ||
	       complain(scene, "%s says %d", operation->name, result);
}
