/* SPDX-License-Identifier: MIT
 *
 * Conditions in the crash matrix. Knows: contexts, operations, what a condition promises. Does not
 * know: how anyone dies.
 *
 * Each operation takes the lock, does something and gives the lock back, so a death comes without
 * the lock, with it, and in between. Afterwards the lock can be had, and is told of a death if
 * VICTIM died with it. Then, or if somebody dead had been notified, whoever waits is woken; else he
 * sleeps until he is notified, and no corpse is notified in his place.
 */
#include "cond_internal.h"
#include "condword.h"
#include "crash.h"
#include "judge.h"
#include "lockword.h"
#include "recover.h"
#include "require.h"
#include "scene.h"
#include "self.h"
#include "slot.h"
#include "teardown.h"

#include <errno.h>

enum { ALONE = 1, WAITED_FOR = 2, CORPSE = 4, TOLD_CORPSE = 8, TWO = 16, STANDING = 32 };

#define BRIEFLY_NS INT64_C(1000000)
#define PATIENCE_NS INT64_C(10000000000) /* nobody keeps the lock that long: it is a failure */

static unsigned levels_of(const struct scene *scene)
{
	return scene->operation->variant == MP_LOCK_RECURSIVE ? 2 : 1;
}

static void cond_begin(struct scene *scene)
{
	struct mp_lock_opts opts = { .kind = scene->operation->variant };

	for (enum role role = 0; role < ROLES; role++) {
		struct party *party = &scene->parties[role];

		require(mp_lock_open(&party->handle, "lock", &opts, &party->lock) == 0);
		require(mp_cond_open(&party->handle, "cond", party->lock, NULL, &party->cond) == 0);
	}
}

/* --- contexts --- */

static atom64 *entry_of(struct scene *scene, enum role role)
{
	struct party *party = &scene->parties[role];
	struct self *me;

	require(self_get(party->seg, &me) == 0);
	return &party->seg->threads[me->thread].cond_entry;
}

static enum cond_state state_of(struct scene *scene, enum role role)
{
	return cond_entry_state(load_seqcst(entry_of(scene, role)));
}

/* EARLIER waits, as the memory of the segment has it, and has done so longer than anybody. */
static void earlier_waits(struct scene *scene)
{
	struct party *party = &scene->parties[EARLIER];
	struct shm_cond *shared = party->cond->shared;
	struct self *me;

	require(self_get(party->seg, &me) == 0);
	or_seqcst(&shared->members.leaf[me->thread / 64], UINT64_C(1) << (me->thread % 64));
	store_relaxed(&me->shared->cond_lock, mp_lock_id(party->lock));
	store_release(&me->shared->cond_entry, cond_entry_waiting(mp_cond_id(party->cond), 0));
	store_relaxed(&shared->waits, 1);
}

/* Dead, and nobody has noticed. */
static void earlier_died(struct scene *scene)
{
	earlier_waits(scene);
	scene->is_dead[EARLIER] = true;
}

static void earlier_died_notified(struct scene *scene)
{
	earlier_died(scene);
	store_release(entry_of(scene, EARLIER),
		      cond_entry_notified(load_relaxed(entry_of(scene, EARLIER))));
}

static const struct context contexts[] = {
	{ .name = "nobody waits" },
	{ .name = "waited for", .has_sleeper = true },
	{ .name = "a corpse has waited longer", .begin = earlier_died, .has_sleeper = true },
	{ .name = "a corpse was notified", .begin = earlier_died_notified, .has_sleeper = true },
	{ .name = "two wait", .begin = earlier_waits, .has_sleeper = true },
	{ .name = "another in the middle", .earlier = EARLIER_STANDS, .at = 1 },
};

static bool begins_with(const struct scene *scene, void (*begin)(struct scene *scene))
{
	return scene->context->begin == begin;
}

/* --- operations --- */

/* A death that it is told of is noted in `adding`. */
static int enter(struct scene *scene, struct party *party)
{
	int result = 0;

	for (unsigned i = 0; i < levels_of(scene) && result >= 0; i++) {
		result = mp_lock_acquire(party->lock, PATIENCE_NS);
		party->ledger->adding += result == MP_OWNER_DIED;
	}
	return result < 0 ? result : 0;
}

static int leave(struct scene *scene, struct party *party, int result)
{
	party->ledger->adding += result == MP_OWNER_DIED;
	for (unsigned i = 0; i < levels_of(scene); i++)
		if (mp_lock_release(party->lock) != 0)
			return -EIO;
	/* Nothing is left of its levels. */
	if (levels_of(scene) > 1 && mp_lock_release(party->lock) == 0)
		return -EIO;
	return result;
}

static int cond_notify(struct scene *scene, struct party *party)
{
	int result = enter(scene, party);

	return result < 0 ? result : leave(scene, party, mp_cond_notify(party->cond, 1) << 4);
}

static int cond_notify_all(struct scene *scene, struct party *party)
{
	int result = enter(scene, party);

	return result < 0 ? result : leave(scene, party, mp_cond_notify_all(party->cond) << 4);
}

static int cond_wait(struct scene *scene, struct party *party)
{
	int result = enter(scene, party);

	return result < 0 ? result
			  : leave(scene, party, mp_cond_wait(party->cond, scene->timeout));
}

static int cond_wait_briefly(struct scene *scene, struct party *party)
{
	int result = enter(scene, party);

	return result < 0 ? result : leave(scene, party, mp_cond_wait(party->cond, BRIEFLY_NS));
}

/* VICTIM recovers EARLIER, who is dead. */
static int recover_earlier(struct scene *scene, struct party *party)
{
	struct party *dead = &scene->parties[EARLIER];

	recover_client(party->seg, dead->client, dead->generation);
	return 0;
}

/* SLEEPER waits by now, so EARLIER can have taken the lock before it died. */
static int recover_holder(struct scene *scene, struct party *party)
{
	struct self *me;
	uint64_t word = 0;

	require(self_get(scene->parties[EARLIER].seg, &me) == 0);
	require(cas_seqcst(&party->lock->shared->word, &word, me->who));
	return recover_earlier(scene, party);
}

static void survivor_notifies(struct scene *scene, struct party *party)
{
	require(enter(scene, party) == 0);
	require(mp_cond_notify_all(party->cond) > 0);
	require(leave(scene, party, 0) == 0);
}

static void wait_for_it(struct scene *scene, struct party *party)
{
	scene->timeout = MP_FOREVER;
	party->ledger->result = cond_wait(scene, party);
}

#define ROW(text, kind, where, does)                                                               \
	.name = text, .family = &cond_family, .contexts = where, .variant = kind, .run = does,     \
	.sleep = wait_for_it
#define ANY (ALONE | WAITED_FOR | CORPSE | TOLD_CORPSE | TWO | STANDING)

static const struct operation operations[] = {
	{ ROW("condition notify", MP_LOCK_CHECKED, ANY, cond_notify) },
	{ ROW("recursive condition notify", MP_LOCK_RECURSIVE, WAITED_FOR, cond_notify) },
	{ ROW("condition notify all", MP_LOCK_CHECKED, ALONE | WAITED_FOR | CORPSE | TWO,
	      cond_notify_all) },
	{ ROW("condition wait", MP_LOCK_CHECKED, ALONE | WAITED_FOR | CORPSE, cond_wait),
	  .unblock = survivor_notifies },
	{ ROW("recursive condition wait", MP_LOCK_RECURSIVE, ALONE | WAITED_FOR, cond_wait),
	  .unblock = survivor_notifies },
	{ ROW("plain condition wait", MP_LOCK_PLAIN, ALONE, cond_wait),
	  .unblock = survivor_notifies },
	{ ROW("brief condition wait", MP_LOCK_CHECKED, ANY, cond_wait_briefly) },
	{ ROW("condition waiter recovery", MP_LOCK_CHECKED, CORPSE | TOLD_CORPSE, recover_earlier),
	  .recovers = true, .is_exclusive = true },
	{ ROW("condition holder recovery", MP_LOCK_CHECKED, CORPSE, recover_holder),
	  .recovers = true, .is_exclusive = true },
};

/* --- what it promises --- */

/* As the dead left it, whoever of them; in a pair somebody else has recovered by now. */
static bool had_lock, was_told;

static bool owns(struct scene *scene, enum role role)
{
	struct mp_lock *lock = scene->parties[CHECKER].lock;
	uint64_t owner = lock_word_owner(load_acquire(&lock->shared->word));

	return owner && slot_client_of_who(lock->seg, owner) == scene->parties[role].client;
}

/* Freed on his behalf, and nobody has had it since. */
static bool is_lock_of_a_dead_one(struct scene *scene)
{
	return load_acquire(&scene->parties[CHECKER].lock->shared->word) & LOCK_DIED;
}

static bool is_told(struct scene *scene, enum role role)
{
	return scene->is_dead[role] && state_of(scene, role) == COND_NOTIFIED;
}

static void cond_look(struct scene *scene)
{
	had_lock = scene->is_dead[VICTIM] && owns(scene, VICTIM);
	if (scene->is_dead[EARLIER])
		had_lock |= owns(scene, EARLIER) || is_lock_of_a_dead_one(scene);
	was_told = is_told(scene, VICTIM) || is_told(scene, EARLIER) ||
		   begins_with(scene, earlier_died_notified);
}

static bool are_entries_of_the_dead_free(struct scene *scene)
{
	for (enum role role = 0; role < ROLES; role++)
		if (scene->is_dead[role] && state_of(scene, role) != COND_FREE)
			return complain(scene, "the entry of a dead one is in state %d",
					state_of(scene, role));
	return true;
}

static bool notify_once(struct scene *scene, int *ret_notified)
{
	struct party *checker = &scene->parties[CHECKER];

	if (enter(scene, checker) < 0)
		return complain(scene, "the lock cannot be had");
	*ret_notified = mp_cond_notify(checker->cond, 1);
	return leave(scene, checker, 0) == 0 || complain(scene, "the lock cannot be released");
}

/* It sleeps on rightly: then whoever notifies finds him and nobody else. EARLIER, who only waits in
 * the memory of the segment, never takes what it was told. */
static bool can_be_notified(struct scene *scene)
{
	bool is_earlier_waiting = state_of(scene, EARLIER) == COND_WAITING;
	int notified = 0;

	if (had_lock || was_told)
		return complain(scene, "who waits is left asleep after a death");
	for (int i = 0; i < 1 + is_earlier_waiting; i++)
		if (!notify_once(scene, &notified) || notified != 1)
			return complain(scene, "a notification finds %d who wait", notified);
	return true;
}

static bool sleeper_is_right(struct scene *scene)
{
	struct ledger *sleeper = scene->parties[SLEEPER].ledger;

	if (!scene->context->has_sleeper)
		return true;
	if (state_of(scene, SLEEPER) == COND_WAITING && !can_be_notified(scene))
		return false;
	if (!judge_sleeper_woke(scene))
		return complain(scene, "who waits is not woken");
	return scene->is_copy || sleeper->result == 0 || sleeper->result == MP_OWNER_DIED ||
	       complain(scene, "the sleeper is told %d", sleeper->result);
}

/* Who died with the lock is told of once, to whoever has it next. */
static bool is_told_once(struct scene *scene)
{
	uint64_t told = scene->parties[SURVIVOR].ledger->adding +
			scene->parties[SLEEPER].ledger->adding +
			scene->parties[CHECKER].ledger->adding;

	if (scene->other || (scene->operation->run == recover_holder && told >= had_lock))
		return told <= 1 || complain(scene, "%d deaths are told", (int)told);
	return told == had_lock ||
	       complain(scene, "%d deaths are told, %d are due", (int)told, had_lock);
}

static bool works(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];

	store_release(entry_of(scene, EARLIER), 0); /* the living one that only seemed to wait */
	for (unsigned lap = 0; lap < 3; lap++) {
		int notified = 1;

		if (!notify_once(scene, &notified) || notified != 0)
			return complain(scene, "lap %u: %d still wait", lap, notified);
		if (enter(scene, checker) != 0 ||
		    leave(scene, checker, mp_cond_wait(checker->cond, MP_NOW)) != -EAGAIN)
			return complain(scene, "lap %u: it cannot be waited for", lap);
	}
	return true;
}

static bool cond_check(struct scene *scene)
{
	bool is_good = are_entries_of_the_dead_free(scene);

	is_good &= sleeper_is_right(scene);
	is_good &= works(scene);
	is_good &= is_told_once(scene);
	return teardown(scene) && is_good;
}

/* Whom it would notify, were it asked. */
static int waiting_before(const struct scene *scene)
{
	if (begins_with(scene, earlier_died) || begins_with(scene, earlier_waits))
		return 2;
	return scene->context->has_sleeper;
}

static bool may_notify_say(const struct scene *scene, const struct operation *operation,
			   int result)
{
	int most = operation->run == cond_notify ? 1 : 2, waiting = waiting_before(scene);

	if (result < 0 || result & 15)
		return false;
	if (scene->other || scene->context->earlier != NO_EARLIER)
		return result >> 4 <= 3;
	return result >> 4 == (waiting < most ? waiting : most);
}

static bool cond_may_say(struct scene *scene, enum role role, int result)
{
	const struct operation *operation = scene_operation_of(scene, role);
	bool is_good = result == 0 || result == MP_OWNER_DIED;

	if (role == SURVIVOR && !scene->other)
		return true; /* it has unblocked the victim */
	if (operation->run == cond_notify || operation->run == cond_notify_all)
		is_good = may_notify_say(scene, operation, result);
	else if (operation->run == cond_wait_briefly || scene->other)
		is_good |= result == -ETIMEDOUT;
	return is_good || complain(scene, "%s says %d", operation->name, result);
}

const struct family cond_family = {
	.name = "condition",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = cond_begin,
	.look = cond_look,
	.check = cond_check,
	.may_say = cond_may_say,
	.pair_contexts = ALONE | WAITED_FOR,
};
