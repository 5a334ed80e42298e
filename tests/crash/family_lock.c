/* SPDX-License-Identifier: MIT
 *
 * Locks in the crash matrix. Knows: contexts, operations. Does not know: what a lock promises
 * (lock_check.c), how anyone dies.
 */
#include "family_lock.h"

#include "require.h"
#include "slot.h"

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

int lock_release(struct scene *scene, struct party *party)
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

void lock_hold_twice(struct scene *scene, struct party *party)
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
	require(lock_release(scene, party) == 0);
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
	  .arrange = how, .run = lock_release, .sleep = wait_for_it, .is_exclusive = true }

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
	RELEASE("recursive lock release of two", MP_LOCK_RECURSIVE, FREE, lock_hold_twice),
	RELEASE("poisonable lock release", MP_LOCK_CHECKED | POISONS, FREE, hold),
	{ .name = "lock repair", .family = &lock_family, .contexts = POISONED,
	  .variant = MP_LOCK_CHECKED | POISONS, .run = repair, .settle = let_go },
};

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
