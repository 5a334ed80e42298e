/* SPDX-License-Identifier: MIT
 *
 * What a lock promises when its holder dies. Knows: who may have had it. Does not know: how anyone
 * dies, how a scene was arranged (family_lock.c).
 *
 * After every death the lock can be had. Who had it when he died is reported (or poisons it) once;
 * a death that held nothing is reported to nobody. Who slept has it, or the next.
 */
#include "family_lock.h"

#include "judge.h"
#include "require.h"

#include <errno.h>

static bool is_release(const struct scene *scene)
{
	return scene->operation->run == lock_release;
}

static bool held_surely(const struct scene *scene, const struct ledger *victim)
{
	bool is_last = scene->operation->arrange != lock_hold_twice;

	if (scene->operation->arrange && !(is_release(scene) && is_last))
		return true;
	return !is_release(scene) && atomic_load(&victim->is_done) && victim->result >= 0;
}

/* What the next one is told, given what the victim had noted. */
static bool is_right(struct scene *scene, int told)
{
	const struct ledger *victim = scene->parties[VICTIM].ledger;
	bool reports = told == MP_OWNER_DIED || told == -ENOTRECOVERABLE;

	if (told != 0 && !reports)
		return complain(scene, "acquire says %d", told);
	if (scene->other)
		return true; /* the other may have been told */
	if (held_surely(scene, victim))
		return reports || complain(scene, "a holder's death is not reported");
	if (is_release(scene) && atomic_load(&victim->is_done))
		return told == 0 || complain(scene, "a released lock reports a death");
	return true;
}

static bool sleeper_has_it(struct scene *scene)
{
	if (!judge_sleeper_woke(scene))
		return complain(scene, "who waits for the lock is not woken");
	return scene->is_copy || is_right(scene, scene->parties[SLEEPER].ledger->result);
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

bool lock_check(struct scene *scene)
{
	struct mp_lock *lock = scene->parties[CHECKER].lock;
	struct party *survivor = &scene->parties[SURVIVOR];
	bool is_good = true;
	int told;

	while (survivor->ledger->holds)
		require(lock_release(scene, survivor) == 0);
	if (scene->context->has_sleeper)
		is_good = sleeper_has_it(scene);
	told = mp_lock_acquire(lock, MP_NOW);
	if (!scene->context->has_sleeper || scene->is_copy)
		is_good &= is_right(scene, told);
	else if (told != 0)
		return complain(scene, "a death was reported twice, or to the wrong one");
	if (told == -ENOTRECOVERABLE && mp_lock_repair(lock) != MP_OWNER_DIED)
		return complain(scene, "a poisoned lock cannot be repaired");
	if (told < 0 && told != -ENOTRECOVERABLE)
		return complain(scene, "it cannot be had: %d", told);
	if (mp_lock_release(lock) != 0)
		return complain(scene, "it cannot be released");
	return passes_laps(scene, lock) && is_good;
}
