/* SPDX-License-Identifier: MIT
 *
 * Semaphores in the crash matrix. Knows: contexts, operations, what a semaphore promises. Does not
 * know: how anyone dies.
 *
 * Permits that nobody owns are conserved but for the one operation that was under way: it has
 * happened or it has not, and a death adds and removes nothing. Owned permits are conserved: what
 * is not free is held by one who lives. Nobody sleeps beside a free permit.
 */
#include "crash.h"
#include "judge.h"
#include "require.h"
#include "scene.h"
#include "sem_internal.h"
#include "slot.h"
#include "teardown.h"

#include <errno.h>

enum { ZERO = 1, SOME = 2, FULL = 4, WAITED_FOR = 8, STANDING = 16, DEAD_HOLDER = 32 };
enum { ANONYMOUS, OWNED };

#define PERMITS 3
#define BRIEFLY_NS INT64_C(1000000)

static void hold_one(struct scene *scene, struct party *party)
{
	(void)scene;
	require(mp_sem_acquire(party->sem, MP_NOW) == 0);
}

static void hold_all(struct scene *scene, struct party *party)
{
	for (unsigned i = 0; i < PERMITS; i++)
		hold_one(scene, party);
}

/* --- contexts --- */

static void sem_begin(struct scene *scene)
{
	struct mp_sem_opts opts = { .initial = PERMITS, .maximum = PERMITS,
				    .owned = scene->operation->variant == OWNED };

	if (scene->other)
		scene->timeout = BRIEFLY_NS; /* the other one may take the last for good */
	for (enum role role = 0; role < ROLES; role++)
		require(mp_sem_open(&scene->parties[role].handle, "sem", &opts,
				    &scene->parties[role].sem) == 0);
}

static void take(struct scene *scene, enum role role, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		require(mp_sem_acquire(scene->parties[role].sem, MP_NOW) == 0);
	scene->parties[role].ledger->holds += count;
}

/* But for what the victim will hold itself. */
static void take_all(struct scene *scene)
{
	unsigned victims = scene->operation->arrange == hold_all ? PERMITS :
			   scene->operation->arrange == hold_one ? 1 : 0;

	take(scene, SURVIVOR, PERMITS - victims);
}

static void take_one(struct scene *scene)
{
	take(scene, SURVIVOR, 1);
}

static void dead_holder(struct scene *scene)
{
	struct party *party = &scene->parties[EARLIER];

	take(scene, EARLIER, 2);
	require(slot_mark_dead(party->seg, party->client, party->generation));
	scene->is_dead[EARLIER] = true;
}

static const struct context contexts[] = {
	{ .name = "none left", .begin = take_all },
	{ .name = "some left", .begin = take_one },
	{ .name = "all left" },
	{ .name = "waited for", .begin = take_all, .has_sleeper = true },
	{ .name = "another in the middle", .begin = take_one, .earlier = EARLIER_STANDS, .at = 1,
	  .is_tight = true },
	{ .name = "of a dead holder", .begin = dead_holder },
};

/* --- operations --- */

static int sem_acquire(struct scene *scene, struct party *party)
{
	return mp_sem_acquire(party->sem, scene->timeout);
}

static int sem_acquire_briefly(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_sem_acquire(party->sem, BRIEFLY_NS);
}

static int sem_release(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_sem_release(party->sem, 1);
}

static int sem_release_all(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_sem_release(party->sem, PERMITS);
}

static int sem_close(struct scene *scene, struct party *party)
{
	(void)scene;
	party->sem = mp_sem_close(party->sem);
	return 0;
}

static void survivor_releases(struct scene *scene, struct party *party)
{
	(void)scene;
	require(mp_sem_release(party->sem, 1) == 0);
	party->ledger->holds--;
}

static void wait_for_it(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->result = mp_sem_acquire(party->sem, MP_FOREVER);
	if (party->ledger->result == 0)
		require(mp_sem_release(party->sem, 1) == 0);
}

#define ROW(text, is, where, does)                                                                 \
	.name = text, .family = &sem_family, .contexts = where, .variant = is, .run = does,        \
	.sleep = wait_for_it
#define OF_HOLDER(text, where, does, how)                                                          \
	{ ROW(text, OWNED, where, does), .arrange = how, .is_exclusive = true }

static const struct operation operations[] = {
	{ ROW("sem acquire", ANONYMOUS, ZERO | SOME | FULL | STANDING, sem_acquire),
	  .unblock = survivor_releases },
	{ ROW("brief sem acquire", ANONYMOUS, ZERO, sem_acquire_briefly) },
	{ ROW("sem release", ANONYMOUS, ZERO | SOME | FULL | WAITED_FOR | STANDING, sem_release) },
	{ ROW("sem release of three", ANONYMOUS, ZERO | SOME | WAITED_FOR, sem_release_all) },
	{ ROW("owned sem acquire", OWNED, ZERO | SOME | FULL | STANDING | DEAD_HOLDER,
	      sem_acquire), .unblock = survivor_releases },
	{ ROW("brief owned sem acquire", OWNED, ZERO, sem_acquire_briefly) },
	OF_HOLDER("owned sem release", SOME | WAITED_FOR, sem_release, hold_one),
	OF_HOLDER("owned sem release of three", FULL | WAITED_FOR, sem_release_all, hold_all),
	OF_HOLDER("owned sem release of too many", SOME, sem_release_all, hold_one),
	OF_HOLDER("owned sem close", SOME | WAITED_FOR, sem_close, hold_one),
};

/* --- what it promises --- */

static bool is_owned(const struct scene *scene)
{
	return scene->operation->variant == OWNED;
}

static bool has_ended(const struct scene *scene, enum role role)
{
	return atomic_load(&scene->parties[role].ledger->is_done);
}

/* What this operation adds if all goes well. */
static int change_of(const struct operation *operation)
{
	if (operation->run == sem_release)
		return 1;
	if (operation->run == sem_release_all)
		return PERMITS;
	return operation->run == sem_acquire || operation->run == sem_acquire_briefly ? -1 : 0;
}

/* By how much the party's operation has changed the number at least and at most. */
static void count_party(const struct scene *scene, enum role role, int *least, int *most)
{
	int change = change_of(scene_operation_of(scene, role));

	if (has_ended(scene, role)) {
		change = scene->parties[role].ledger->result == 0 ? change : 0;
		*least += change;
		*most += change;
	} else if (change < 0) {
		*least += change;
	} else {
		*most += change;
	}
}

/* Permits that nobody owns: what there is, and what SURVIVOR still has to give. */
static bool is_conserved(struct scene *scene, int value)
{
	int held = (int)scene->parties[SURVIVOR].ledger->holds;
	int least = PERMITS - held, most = PERMITS - held;

	if (scene->step > 0 || scene->is_alive || has_ended(scene, VICTIM))
		count_party(scene, VICTIM, &least, &most);
	if (scene->other)
		count_party(scene, SURVIVOR, &least, &most);
	if (scene->context->earlier != NO_EARLIER)
		count_party(scene, EARLIER, &least, &most);
	if (value < (least > 0 ? least : 0) || value > (most < PERMITS ? most : PERMITS))
		return complain(scene, "%d permits, %d to %d are due", value, least, most);
	return true;
}

/* Permits of `role`, by its cells. */
static int held_by(struct scene *scene, enum role role)
{
	struct mp_sem *sem = scene->parties[CHECKER].sem;
	int count = 0;

	for (uint32_t i = 0; i < sem->cells.count; i++) {
		uint64_t holder = sem_cell_holder(load_acquire(&sem->cells.cell[i]));

		count += holder && slot_client_of_who(sem->handle.seg, holder) ==
					   scene->parties[role].client;
	}
	return count;
}

/* Owned ones: the dead have none, and who lives has his. */
static bool is_owned_by_the_living(struct scene *scene, int value)
{
	int held = 0;

	for (enum role role = 0; role < ROLES; role++) {
		int count = held_by(scene, role);

		if (scene->is_dead[role] && count > 0)
			return complain(scene, "a dead process holds %d permits", count);
		held += count;
	}
	return value + held == PERMITS ||
	       complain(scene, "%d permits are free and %d held", value, held);
}

static bool sleeper_is_right(struct scene *scene, int value)
{
	struct ledger *sleeper = scene->parties[SLEEPER].ledger;

	if (!scene->context->has_sleeper || (value == 0 && !atomic_load(&sleeper->is_done)))
		return true;
	return judge_sleeper_woke(scene) ||
	       complain(scene, "who waits is not woken, and %d permits are free", value);
}

static int value_of(struct scene *scene)
{
	return mp_sem_value(scene->parties[CHECKER].sem);
}

/* Who slept may have it for a moment. */
static bool sleeper_has_let_go(struct scene *scene)
{
	int value = value_of(scene);

	if (!sleeper_is_right(scene, value))
		return false;
	if (!scene->context->has_sleeper || scene->is_copy ||
	    atomic_load(&scene->parties[SLEEPER].ledger->is_done))
		return true;
	require(mp_sem_release(scene->parties[SURVIVOR].sem, 1) == 0);
	scene->parties[SURVIVOR].ledger->holds--;
	return judge_sleeper_woke(scene) || complain(scene, "who waits is not woken");
}

/* All there are can be had, and no more. */
static bool works(struct scene *scene)
{
	mp_sem *sem = scene->parties[CHECKER].sem;
	int value = mp_sem_value(sem);

	for (unsigned lap = 0; lap < 3; lap++) {
		for (int i = 0; i < value; i++)
			if (mp_sem_acquire(sem, MP_NOW) != 0)
				return complain(scene, "lap %u: permit %d cannot be had", lap, i);
		if (mp_sem_acquire(sem, MP_NOW) != -EAGAIN)
			return complain(scene, "lap %u: one more than there are", lap);
		if (value > 0 && mp_sem_release(sem, value) != 0)
			return complain(scene, "lap %u: they cannot be given back", lap);
		if (mp_sem_value(sem) != value)
			return complain(scene, "lap %u: %d are there, not %d", lap,
					mp_sem_value(sem), value);
	}
	return true;
}

static bool sem_check(struct scene *scene)
{
	bool is_good = sleeper_has_let_go(scene);
	int value = value_of(scene);

	is_good &= is_owned(scene) ? is_owned_by_the_living(scene, value)
				   : is_conserved(scene, value);
	is_good &= works(scene);
	return teardown(scene) && is_good;
}

static bool may_acquire_say(const struct scene *scene, const struct operation *operation,
			    int result)
{
	bool is_brief = operation->run == sem_acquire_briefly || scene->other;

	return result == 0 || (is_brief && result == -ETIMEDOUT) ||
	       (scene->context->is_tight && result == -EAGAIN);
}

static bool sem_may_say(struct scene *scene, enum role role, int result)
{
	const struct operation *operation = scene_operation_of(scene, role);
	int change = change_of(operation);
	bool is_right = result == 0 || (change > 0 && !is_owned(scene) && result == -EOVERFLOW);

	if (role == SURVIVOR && !scene->other)
		return true; /* it has unblocked the victim */
	if (change < 0)
		is_right = may_acquire_say(scene, operation, result);
	else if (operation->run == sem_release_all && operation->arrange == hold_one)
		is_right = result == -EPERM;
	return is_right || complain(scene, "%s says %d", operation->name, result);
}

const struct family sem_family = {
	.name = "sem",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = sem_begin,
	.check = sem_check,
	.may_say = sem_may_say,
	.pair_contexts = ZERO | SOME | FULL | DEAD_HOLDER,
};
