/* SPDX-License-Identifier: MIT
 *
 * Locks in the crash matrix. Knows: what a lock promises when its holder dies. Does not know: how
 * anyone dies.
 *
 * After every death the lock can be had. Who had it when he died is reported (or poisons it) once;
 * a death that held nothing is reported to nobody. Who slept has it, or the next.
 */
#include "crash.h"
#include "judge.h"
#include "lock_internal.h"
#include "lockword.h"
#include "require.h"
#include "slot.h"

#include <errno.h>

#define KIND_OF(variant) ((variant) & 3u)
#define POISONS 4u

enum { FREE = 1, HELD = 2, WAITED_FOR = 4, DIED = 8, POISONED = 16, DEAD_HOLDER = 32,
       STANDING = 64 };

static void open_lock(struct scene *scene, enum role role)
{
	struct party *party = &scene->parties[role];
	uint32_t variant = scene->operation->variant;
	struct mp_lock_opts opts = {
		.kind = KIND_OF(variant),
		.on_owner_death = variant & POISONS ? MP_OWNER_POISON : MP_OWNER_REPORT,
	};

	require(mp_lock_open(&party->handle, "lock", &opts, &party->lock) == 0);
}

static void lock_begin(struct scene *scene)
{
	for (enum role role = 0; role < ROLES; role++)
		open_lock(scene, role);
}

/* --- contexts --- */

static void survivor_holds(struct scene *scene)
{
	require(mp_lock_acquire(scene->parties[SURVIVOR].lock, MP_NOW) == 0);
	scene->parties[SURVIVOR].ledger->holds = 1;
}

static void holder_died(struct scene *scene)
{
	struct party *party = &scene->parties[EARLIER];

	require(mp_lock_acquire(party->lock, MP_NOW) == 0);
	party->lock = mp_lock_close(party->lock); /* as its death would: it is reported */
}

static void dead_holder(struct scene *scene)
{
	struct party *party = &scene->parties[EARLIER];

	require(mp_lock_acquire(party->lock, MP_NOW) == 0);
	require(slot_mark_dead(party->seg, party->client, party->generation));
	scene->is_dead[EARLIER] = true;
}

static const struct context contexts[] = {
	{ .name = "free" },
	{ .name = "held", .begin = survivor_holds },
	{ .name = "waited for", .has_sleeper = true },
	{ .name = "after a death", .begin = holder_died },
	{ .name = "poisoned", .begin = holder_died },
	{ .name = "of a dead holder", .begin = dead_holder },
	{ .name = "another in the middle", .earlier = EARLIER_STANDS, .at = 1, .is_tight = true },
};

/* --- operations --- */

static int acquire(struct scene *scene, struct party *party)
{
	return mp_lock_acquire(party->lock, scene->timeout);
}

static int release(struct scene *scene, struct party *party)
{
	int result = mp_lock_release(party->lock);

	(void)scene;
	if (result == 0)
		party->ledger->holds--;
	return result;
}

static int repair(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_lock_repair(party->lock);
}

static void hold(struct scene *scene, struct party *party)
{
	(void)scene;
	require(mp_lock_acquire(party->lock, MP_NOW) == 0);
	party->ledger->holds++;
}

static void hold_twice(struct scene *scene, struct party *party)
{
	hold(scene, party);
	hold(scene, party);
}

static void let_go(struct scene *scene, struct party *party)
{
	(void)scene;
	if (party->ledger->result >= 0)
		require(mp_lock_release(party->lock) == 0);
}

static void survivor_releases(struct scene *scene, struct party *party)
{
	require(release(scene, party) == 0);
}

static void wait_for_it(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->result = mp_lock_acquire(party->lock, MP_FOREVER);
	if (party->ledger->result >= 0)
		require(mp_lock_release(party->lock) == 0);
}

#define ACQUIRE(text, kind, where)                                                                 \
	{ .name = text, .family = &lock_family, .contexts = where, .variant = kind,               \
	  .run = acquire, .settle = let_go, .unblock = survivor_releases }
#define RELEASE(text, kind, where, how)                                                            \
	{ .name = text, .family = &lock_family, .contexts = where, .variant = kind,               \
	  .arrange = how, .run = release, .sleep = wait_for_it, .is_exclusive = true }

static const struct operation operations[] = {
	ACQUIRE("lock acquire", MP_LOCK_CHECKED, FREE | HELD | DIED | DEAD_HOLDER | STANDING),
	ACQUIRE("plain lock acquire", MP_LOCK_PLAIN, FREE | HELD | DIED | DEAD_HOLDER | STANDING),
	ACQUIRE("recursive lock acquire", MP_LOCK_RECURSIVE,
		FREE | HELD | DIED | DEAD_HOLDER | STANDING),
	ACQUIRE("poisonable lock acquire", MP_LOCK_CHECKED | POISONS,
		FREE | POISONED | DEAD_HOLDER | STANDING),
	{ .name = "recursive lock acquire again", .family = &lock_family, .contexts = FREE,
	  .variant = MP_LOCK_RECURSIVE, .arrange = hold, .run = acquire, .settle = let_go,
	  .is_exclusive = true },
	RELEASE("lock release", MP_LOCK_CHECKED, FREE | WAITED_FOR, hold),
	RELEASE("plain lock release", MP_LOCK_PLAIN, FREE | WAITED_FOR, hold),
	RELEASE("recursive lock release", MP_LOCK_RECURSIVE, FREE | WAITED_FOR, hold),
	RELEASE("recursive lock release of two", MP_LOCK_RECURSIVE, FREE, hold_twice),
	RELEASE("poisonable lock release", MP_LOCK_CHECKED | POISONS, FREE, hold),
	{ .name = "lock repair", .family = &lock_family, .contexts = POISONED,
	  .variant = MP_LOCK_CHECKED | POISONS, .run = repair, .settle = let_go },
};

/* --- what must hold --- */

static bool is_release(const struct scene *scene)
{
	return scene->operation->run == release;
}

static bool held_surely(const struct scene *scene, const struct ledger *victim)
{
	bool is_last = scene->operation->arrange != hold_twice;

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

static bool lock_check(struct scene *scene)
{
	struct mp_lock *lock = scene->parties[CHECKER].lock;
	struct party *survivor = &scene->parties[SURVIVOR];
	bool is_good = true;
	int told;

	while (survivor->ledger->holds)
		require(release(scene, survivor) == 0);
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

const struct family lock_family = {
	.name = "lock",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = lock_begin,
	.check = lock_check,
	.pair_contexts = FREE | DIED,
};
