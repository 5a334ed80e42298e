/* SPDX-License-Identifier: MIT
 *
 * Locks in the crash matrix. Knows: contexts, operations. Does not know: what a lock promises
 * (lock_check.c), how anyone dies.
 */
#include "family_lock.h"

#include "require.h"
#include "scene.h"
#include "self.h"
#include "slot.h"

enum { FREE = 1, HELD = 2, WAITED_FOR = 4, DIED = 8, POISONED = 16, DEAD_HOLDER = 32,
       STANDING = 64, HELD_AND_WAITED_FOR = 128 };

#define PAIR_NS (5 * INT64_C(1000000000)) /* no pair waits that long: it is a failure */
#define BRIEFLY_NS INT64_C(1000000)

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
	if (scene->other)
		scene->timeout = PAIR_NS;
	for (enum role role = 0; role < ROLES; role++)
		open_lock(scene, role);
}

/* --- contexts --- */

static void survivor_holds(struct scene *scene)
{
	require(mp_lock_acquire(scene->parties[SURVIVOR].lock, MP_NOW) == 0);
	scene->parties[SURVIVOR].ledger->holds = 1;
}

/* Three deep, where it can be: nothing of that may be left to the next. */
static void take_deeply(struct scene *scene, struct party *party)
{
	bool is_recursive = KIND_OF(scene->operation->variant) == MP_LOCK_RECURSIVE;

	for (unsigned depth = 0; depth < (is_recursive ? 3 : 1); depth++)
		require(mp_lock_acquire(party->lock, MP_NOW) == 0);
}

/* As its death would: it is reported. */
static void close_held(struct scene *scene)
{
	struct party *party = &scene->parties[EARLIER];

	take_deeply(scene, party);
	party->lock = mp_lock_close(party->lock);
}

static void dead_holder(struct scene *scene)
{
	struct party *party = &scene->parties[EARLIER];

	take_deeply(scene, party);
	require(slot_mark_dead(party->seg, party->client, party->generation));
	scene->is_dead[EARLIER] = true;
}

bool lock_begins_with_a_death(const struct scene *scene)
{
	return scene->context->begin == close_held || scene->context->begin == dead_holder;
}

static const struct context contexts[] = {
	{ .name = "free" },
	{ .name = "held", .begin = survivor_holds },
	{ .name = "waited for", .has_sleeper = true },
	{ .name = "after a death", .begin = close_held },
	{ .name = "poisoned", .begin = close_held },
	{ .name = "of a dead holder", .begin = dead_holder },
	{ .name = "another in the middle", .earlier = EARLIER_STANDS, .at = 1, .is_tight = true },
	{ .name = "held and waited for", .begin = survivor_holds, .has_sleeper = true },
};

/* --- operations --- */

int lock_acquire(struct scene *scene, struct party *party)
{
	return mp_lock_acquire(party->lock, scene->timeout);
}

int lock_acquire_briefly(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_lock_acquire(party->lock, BRIEFLY_NS);
}

int lock_release(struct scene *scene, struct party *party)
{
	int result = mp_lock_release(party->lock);

	(void)scene;
	if (result == 0)
		party->ledger->holds--;
	return result;
}

int lock_release_twice(struct scene *scene, struct party *party)
{
	int result = lock_release(scene, party);

	return result < 0 ? result : mp_lock_release(party->lock);
}

int lock_release_by_another(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_lock_release(party->lock);
}

int lock_release_by_stranger(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_lock_release(party->lock);
}

int lock_repair(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_lock_repair(party->lock);
}

int lock_close_held(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->holds = 0;
	party->lock = mp_lock_close(party->lock);
	return 0;
}

/* --- before and after --- */

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

static void hold_repaired(struct scene *scene, struct party *party)
{
	close_held(scene);
	require(mp_lock_repair(party->lock) == MP_OWNER_DIED);
	party->ledger->holds++;
}

static void give_all_back(struct scene *scene, struct party *party)
{
	while (party->ledger->holds)
		require(lock_release(scene, party) == 0);
}

static void let_go(struct scene *scene, struct party *party)
{
	if (party->ledger->result >= 0)
		require(mp_lock_release(party->lock) == 0);
	give_all_back(scene, party);
}

static uint32_t thread_of(struct party *party)
{
	struct self *me;

	require(self_get(party->seg, &me) == 0);
	return me->thread;
}

/* VICTIM's turn comes before SLEEPER's, who has waited longer: any order is allowed. */
static void survivor_releases(struct scene *scene, struct party *party)
{
	struct seg *seg = party->seg;

	if (scene->context->has_sleeper)
		store_relaxed(&seg->tickets[thread_of(&scene->parties[SLEEPER])],
			      load_relaxed(&seg->header->next_ticket));
	give_all_back(scene, party);
}

static void wait_for_it(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->result = mp_lock_acquire(party->lock, MP_FOREVER);
	if (party->ledger->result >= 0)
		require(mp_lock_release(party->lock) == 0);
}

#define ROW(text, is, where, does)                                                                 \
	.name = text, .family = &lock_family, .contexts = where, .variant = is, .run = does,       \
	.sleep = wait_for_it
#define ACQUIRE(text, is, where)                                                                   \
	{ ROW(text, is, where, lock_acquire), .settle = let_go, .unblock = survivor_releases }
#define REPAIR(text, is, where) { ROW(text, is, where, lock_repair), .settle = let_go }
/* What only one can do who has it. */
#define OF_HOLDER(text, is, where, does, how)                                                      \
	{ ROW(text, is, where, does), .arrange = how, .settle = give_all_back,                     \
	  .is_exclusive = true }

#define CHECKED MP_LOCK_CHECKED
#define PLAIN MP_LOCK_PLAIN
#define RECURSIVE MP_LOCK_RECURSIVE

static const struct operation operations[] = {
	ACQUIRE("lock acquire", CHECKED,
		FREE | HELD | DIED | DEAD_HOLDER | STANDING | HELD_AND_WAITED_FOR),
	ACQUIRE("plain lock acquire", PLAIN, FREE | HELD | DIED | DEAD_HOLDER | STANDING),
	ACQUIRE("recursive lock acquire", RECURSIVE, FREE | HELD | DIED | DEAD_HOLDER | STANDING),
	ACQUIRE("poisonable lock acquire", CHECKED | POISONS,
		FREE | HELD | POISONED | DEAD_HOLDER | STANDING),
	ACQUIRE("recursive poisonable lock acquire", RECURSIVE | POISONS, DEAD_HOLDER),
	{ ROW("brief lock acquire", CHECKED, HELD, lock_acquire_briefly), .settle = let_go },
	{ ROW("recursive lock acquire again", RECURSIVE, FREE, lock_acquire), .arrange = hold,
	  .settle = let_go, .is_exclusive = true },
	{ ROW("recursive lock acquire a third time", RECURSIVE, FREE, lock_acquire),
	  .arrange = lock_hold_twice, .settle = let_go, .is_exclusive = true },
	OF_HOLDER("lock release", CHECKED, FREE | WAITED_FOR, lock_release, hold),
	OF_HOLDER("plain lock release", PLAIN, FREE | WAITED_FOR, lock_release, hold),
	OF_HOLDER("recursive lock release", RECURSIVE, FREE | WAITED_FOR, lock_release, hold),
	OF_HOLDER("recursive lock release of two", RECURSIVE, FREE, lock_release,
		  lock_hold_twice),
	OF_HOLDER("poisonable lock release", CHECKED | POISONS, FREE | WAITED_FOR, lock_release,
		  hold),
	OF_HOLDER("repaired lock release", CHECKED | POISONS, WAITED_FOR, lock_release,
		  hold_repaired),
	OF_HOLDER("lock release twice", CHECKED, FREE, lock_release_twice, hold),
	OF_HOLDER("lock close", CHECKED, FREE | WAITED_FOR, lock_close_held, hold),
	OF_HOLDER("plain lock close", PLAIN, FREE, lock_close_held, hold),
	OF_HOLDER("recursive lock close", RECURSIVE, FREE, lock_close_held, lock_hold_twice),
	OF_HOLDER("poisonable lock close", CHECKED | POISONS, FREE | WAITED_FOR, lock_close_held,
		  hold),
	{ ROW("plain lock release by another", PLAIN, HELD | HELD_AND_WAITED_FOR,
	      lock_release_by_another) },
	{ ROW("lock release by a stranger", CHECKED, HELD, lock_release_by_stranger) },
	{ ROW("recursive lock release by a stranger", RECURSIVE, HELD,
	      lock_release_by_stranger) },
	REPAIR("lock repair", CHECKED | POISONS, POISONED),
	REPAIR("recursive lock repair", RECURSIVE | POISONS, POISONED),
};

const struct family lock_family = {
	.name = "lock",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = lock_begin,
	.look = lock_look,
	.check = lock_check,
	.may_say = lock_may_say,
	.pair_contexts = FREE | DIED | POISONED | DEAD_HOLDER,
};
