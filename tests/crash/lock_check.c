/* SPDX-License-Identifier: MIT
 *
 * What a lock promises when its holder dies. Knows: who may have had it. Does not know: how anyone
 * dies, how a scene was arranged (family_lock.c).
 *
 * After every death the lock can be had. Who had it when he died is reported (or poisons it) once;
 * a death that held nothing is reported to nobody. A report is never lost: who dies before he took
 * the lock leaves it, and who was told of it and dies with the lock is a dead holder himself. So
 * the next who lives is told of one death, his. Who slept has the lock, or the next.
 */
#include "family_lock.h"

#include "judge.h"
#include "lock_internal.h"
#include "lockword.h"
#include "require.h"
#include "scene.h"
#include "slot.h"
#include "teardown.h"

#include <errno.h>

/* Of something that only the victim could tell. */
enum answer { NO, MAYBE, YES };

/* What is known when the questions begin. */
struct known {
	enum answer had_it; /* did VICTIM have the lock when it died? */
	enum answer is_due; /* is a death to be told to those who live? */
};

/* Did the word name VICTIM when it died? In a pair, and when somebody else recovers him, that is
 * over before anybody looks. */
static enum answer was_victims = MAYBE;

static bool is_of(struct scene *scene, enum role role)
{
	struct mp_lock *lock = scene->parties[CHECKER].lock;
	uint64_t owner = lock_word_owner(load_acquire(&lock->shared->word));

	return slot_client_of_who(lock->seg, owner) == scene->parties[role].client;
}

void lock_look(struct scene *scene)
{
	if (!scene->other)
		was_victims = is_of(scene, VICTIM) ? YES : NO;
}

static bool is_poisonable(const struct scene *scene)
{
	return scene->operation->variant & POISONS;
}

static bool is_report(int told)
{
	return told == MP_OWNER_DIED || told == -ENOTRECOVERABLE;
}

static bool takes(const struct operation *operation)
{
	return operation->run == lock_acquire || operation->run == lock_repair;
}

/* It has the lock before and not afterwards. */
static bool gives_up(const struct operation *operation)
{
	return operation->run == lock_close_held || operation->run == lock_release_twice ||
	       (operation->run == lock_release && operation->arrange != lock_hold_twice);
}

static enum answer could_have_it(const struct scene *scene)
{
	const struct operation *operation = scene->operation;
	const struct ledger *victim = scene->parties[VICTIM].ledger;
	bool is_done = atomic_load(&victim->is_done);

	if (!scene->is_dead[VICTIM])
		return NO;
	if (gives_up(operation))
		return scene->step == 0 ? YES : is_done ? NO : MAYBE;
	if (operation->is_exclusive)
		return YES;
	if (!takes(operation) || scene->step == 0 || scene->parties[SURVIVOR].ledger->holds)
		return NO;
	return is_done ? (victim->result >= 0 ? YES : NO) : MAYBE;
}

static enum answer had_it(const struct scene *scene)
{
	enum answer answer = could_have_it(scene);

	return answer == MAYBE ? was_victims : answer;
}

static enum answer is_due(const struct scene *scene, enum answer had)
{
	const struct ledger *victim = scene->parties[VICTIM].ledger;
	bool is_alive = !scene->is_dead[VICTIM];

	if (scene->operation->run == lock_close_held ||
	    (scene->other && scene->other->run == lock_close_held))
		return YES;
	if (lock_begins_with_a_death(scene))
		return is_alive && takes(scene->operation) && victim->result >= 0 ? NO : YES;
	return had == NO && scene->context->earlier != NO_EARLIER ? MAYBE : had;
}

static bool is_told_rightly(struct scene *scene, enum answer due, int told)
{
	if (told != 0 && told != (is_poisonable(scene) ? -ENOTRECOVERABLE : MP_OWNER_DIED))
		return complain(scene, "acquire says %d", told);
	if (due == YES && told == 0)
		return complain(scene, "a holder's death is not reported");
	if (due == NO && told != 0)
		return complain(scene, "a death is reported, and nobody died with the lock");
	return true;
}

/* SURVIVOR had the lock too, when VICTIM had died or (and gave it back) before it began. */
static bool is_told_once(struct scene *scene, const struct known *known, int told)
{
	int before = scene->parties[SURVIVOR].ledger->result;
	bool had_died = lock_begins_with_a_death(scene);
	int least = known->is_due == YES, most = had_died + (known->had_it != NO);
	int count = is_report(before) + is_report(told);

	if (count < least)
		return complain(scene, "a holder's death is not reported");
	if (count > (most > least ? most : least))
		return complain(scene, "%d deaths are reported, at most %d are due", count, most);
	return known->had_it != NO || !had_died || is_report(before) ||
	       complain(scene, "a death is reported to the wrong one");
}

static bool is_first_told_rightly(struct scene *scene, const struct known *known, int told)
{
	if (scene->other && takes(scene->other) && scene->parties[SURVIVOR].ledger->result >= 0)
		return is_told_once(scene, known, told);
	return is_told_rightly(scene, known->is_due, told);
}

/* Who takes the lock may find that the sleeper, who looks again now and then, came before. */
static bool sleeper_came_first(const struct scene *scene)
{
	return takes(scene->operation) && scene->parties[SLEEPER].ledger->result == 0;
}

static bool sleeper_has_it(struct scene *scene, const struct known *known)
{
	if (!judge_sleeper_woke(scene))
		return complain(scene, "who waits for the lock is not woken");
	return scene->is_copy || sleeper_came_first(scene) ||
	       is_told_rightly(scene, known->is_due, scene->parties[SLEEPER].ledger->result);
}

/* The sleeper has had it: the next hears of nothing any more. */
static bool is_next_told_rightly(struct scene *scene, const struct known *known, int told)
{
	int before = scene->parties[SLEEPER].ledger->result;

	if (sleeper_came_first(scene))
		return is_told_rightly(scene, known->is_due, told);
	return is_told_rightly(scene, before == -ENOTRECOVERABLE ? YES : NO, told);
}

static bool passes_laps(struct scene *scene, struct mp_lock *lock)
{
	bool is_recursive = KIND_OF(scene->operation->variant) == MP_LOCK_RECURSIVE;
	unsigned depth = is_recursive ? 2 : 1;

	for (unsigned lap = 0; lap < 3; lap++) {
		for (unsigned i = 0; i < depth; i++)
			if (mp_lock_acquire(lock, MP_NOW) != 0)
				return complain(scene, "lap %u: it cannot be had", lap);
		if (!is_recursive && KIND_OF(scene->operation->variant) == MP_LOCK_CHECKED &&
		    mp_lock_acquire(lock, MP_NOW) != -EDEADLK)
			return complain(scene, "lap %u: had twice", lap);
		for (unsigned i = 0; i < depth; i++)
			if (mp_lock_release(lock) != 0)
				return complain(scene, "lap %u: it cannot be released", lap);
		if (mp_lock_is_locked(lock))
			return complain(scene, "lap %u: it is still locked", lap);
	}
	return true;
}

/* Of what it had before its operation. */
static void lets_go(struct scene *scene, struct party *party)
{
	while (party->ledger->holds)
		require(lock_release(scene, party) == 0);
}

static void survivor_lets_go(struct scene *scene)
{
	struct party *survivor = &scene->parties[SURVIVOR];

	if (scene->operation->run == lock_release_by_another && !is_of(scene, SURVIVOR))
		survivor->ledger->holds = 0;
	lets_go(scene, survivor);
}

/* What the next one is told, who asks without waiting. */
static bool can_be_had(struct scene *scene, struct mp_lock *lock, int told)
{
	if (told == -ENOTRECOVERABLE && mp_lock_repair(lock) != MP_OWNER_DIED)
		return complain(scene, "a poisoned lock cannot be repaired");
	if (told < 0 && told != -ENOTRECOVERABLE)
		return complain(scene, "it cannot be had: %d", told);
	if (mp_lock_release(lock) != 0)
		return complain(scene, "it cannot be released");
	if (mp_lock_is_locked(lock))
		return complain(scene, "it is released and still locked");
	return passes_laps(scene, lock);
}

bool lock_check(struct scene *scene)
{
	struct mp_lock *lock = scene->parties[CHECKER].lock;
	struct known known = { .had_it = had_it(scene) };
	bool is_good = true;
	int told;

	known.is_due = is_due(scene, known.had_it);
	survivor_lets_go(scene);
	if (scene->is_alive)
		lets_go(scene, &scene->parties[VICTIM]);
	if (scene->context->has_sleeper)
		is_good = sleeper_has_it(scene, &known);
	told = mp_lock_acquire(lock, MP_NOW);
	if (scene->context->has_sleeper && !scene->is_copy)
		is_good &= is_next_told_rightly(scene, &known, told);
	else
		is_good &= is_first_told_rightly(scene, &known, told);
	is_good &= can_be_had(scene, lock, told);
	return teardown(scene) && is_good;
}

/* --- what it returns --- */

static int report(const struct scene *scene)
{
	return is_poisonable(scene) ? -ENOTRECOVERABLE : MP_OWNER_DIED;
}

/* In a pair the other one may have had it before; that sum is asked in lock_check. */
static bool may_acquire_say(const struct scene *scene, int result)
{
	if (scene->other)
		return result == 0 || result == report(scene);
	if (scene->context->earlier != NO_EARLIER)
		return result == 0 || result == -EAGAIN;
	return result == (lock_begins_with_a_death(scene) ? report(scene) : 0);
}

static bool may_operation_say(const struct scene *scene, const struct operation *operation,
			      int result)
{
	if (operation->run == lock_acquire)
		return may_acquire_say(scene, result);
	if (operation->run == lock_acquire_briefly)
		return result == -ETIMEDOUT;
	if (operation->run == lock_release_twice) /* somebody else's already, in a pair */
		return result == -EOVERFLOW || (scene->other && result == -EPERM);
	if (operation->run == lock_release_by_stranger)
		return result == -EPERM;
	if (operation->run == lock_repair)
		return result == MP_OWNER_DIED || (scene->other && result == -EINVAL);
	return result == 0;
}

bool lock_may_say(struct scene *scene, enum role role, int result)
{
	const struct operation *operation = scene_operation_of(scene, role);

	if (role == SURVIVOR && !scene->other)
		return true; /* it has unblocked the victim */
	return may_operation_say(scene, operation, result) ||
	       complain(scene, "%s says %d", operation->name, result);
}
