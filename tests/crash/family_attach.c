/* SPDX-License-Identifier: MIT
 *
 * Coming and going in the crash matrix. Knows: slots. Does not know: mpd's protocol, how anyone
 * dies.
 *
 * After every death the slots of the dead are free for others, and what he held is given back.
 */
#include "arena.h"
#include "crash.h"
#include "judge.h"
#include "newcomer.h"
#include "object.h"
#include "recover.h"
#include "require.h"
#include "self.h"
#include "slot.h"

#include <errno.h>

enum { IDLE = 1, HOLDING = 2 };

static void attach_begin(struct scene *scene)
{
	struct mp_queue_opts opts = { .capacity = CAPACITY };
	struct party *checker = &scene->parties[CHECKER];

	require(mp_queue_open(&checker->handle, "queue", &opts, &checker->queue) == 0);
	require(mp_lock_open(&checker->handle, "lock", NULL, &checker->lock) == 0);
}

/* A leaver with everything a process can hold. */
static void holds_much(struct party *victim)
{
	require(mp_queue_open(&victim->handle, "queue", NULL, &victim->queue) == 0);
	require(mp_lock_open(&victim->handle, "lock", NULL, &victim->lock) == 0);
	require(mp_queue_put(victim->queue, "x", 1, MP_NOW) == 0);
	require(mp_queue_claim(victim->queue, MP_NOW, &victim->slot) == 0);
	require(mp_lock_acquire(victim->lock, MP_NOW) == 0);
}

static const struct context contexts[] = {
	{ .name = "idle" },
	{ .name = "holding a lock and a lease" },
};

static int attach(struct scene *scene, struct party *party)
{
	struct seg *seg = party->seg;
	struct self *me;
	int error = slot_claim_client(seg, 0, "victim", SLOT_NONE, &seg->client,
				      &seg->client_generation);

	(void)scene;
	return error < 0 ? error : self_get(seg, &me);
}

static int detach(struct scene *scene, struct party *party)
{
	(void)scene;
	self_forget_all(party->seg);
	recover_own_exit(party->seg);
	return 0;
}

/* A child's first call: a slot of its own, and what its parent's handles refer to. */
static int join(struct scene *scene, struct party *party)
{
	struct seg *seg = party->seg;
	int error = attach(scene, party);

	if (error == 0)
		error = object_hold_inherited(seg);
	for (uint32_t i = 0; error == 0 && i < seg->at.max_objects; i++)
		if (seg->open_counts[i] &&
		    !(load_relaxed(&seg_touched(seg, seg->client)[i / 64]) >> (i % 64) & 1))
			return -ESTALE;
	return error;
}

static void inherit(struct scene *scene, struct party *party)
{
	const struct seg *parent = scene->parties[CHECKER].seg;
	size_t bytes = parent->at.max_objects * sizeof *parent->open_counts;

	memcpy(party->seg->open_counts, parent->open_counts, bytes);
	memcpy(party->seg->open_generations, parent->open_generations, bytes);
}

/* The process lives on, without a thread. */
static int end_thread(struct scene *scene, struct party *party)
{
	(void)scene;
	self_forget_all(party->seg);
	return 0;
}

static void settle_detach(struct scene *scene, struct party *party)
{
	detach(scene, party);
}

/* Attached already: its slot is of this process, of which all clones are copies. */
static void be_attached(struct scene *scene, struct party *party)
{
	if (!party->client)
		require(attach(scene, party) == 0);
	party->client = party->seg->client;
	party->generation = party->seg->client_generation;
	if (scene->operation->variant)
		holds_much(party);
}

static const struct operation operations[] = {
	{ .name = "attach", .family = &attach_family, .contexts = IDLE, .run = attach },
	{ .name = "detach", .family = &attach_family, .contexts = IDLE, .arrange = be_attached,
	  .run = detach, .leaves = true },
	{ .name = "detach", .family = &attach_family, .contexts = HOLDING, .variant = 1,
	  .arrange = be_attached, .run = detach, .leaves = true },
	{ .name = "join after a fork", .family = &attach_family, .contexts = IDLE,
	  .arrange = inherit, .run = join, .settle = settle_detach, .leaves = true },
	{ .name = "thread end", .family = &attach_family, .contexts = HOLDING, .variant = 1,
	  .arrange = be_attached, .run = end_thread, .settle = settle_detach, .leaves = true },
};

/* --- what must hold --- */

static bool all_slots_can_be_had(struct scene *scene)
{
	struct seg *seg = scene->parties[CHECKER].seg;
	uint32_t client, generation, had = 0, in_use = 0;

	for (enum role role = 0; role < ROLES; role++)
		in_use += scene->parties[role].client && !scene->is_dead[role];
	while (slot_claim_client(seg, 0, "probe", SLOT_NONE, &client, &generation) == 0)
		had++;
	if (had != seg->at.max_clients - SLOT_FIRST - in_use)
		return complain(scene, "only %u more clients can attach", had);
	return true;
}

static bool everything_was_given_back(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];
	struct arena_usage usage;
	int told = mp_lock_acquire(checker->lock, MP_NOW);
	char byte;

	if (told < 0 || (told == MP_OWNER_DIED && !scene->operation->variant))
		return complain(scene, "the lock says %d", told);
	if (scene->operation->variant && !newcomers_took(scene) &&
	    (mp_queue_get(checker->queue, &byte, 1, MP_NOW) != 1 || byte != 'x'))
		return complain(scene, "the leased message is lost");
	arena_measure(checker->seg, &usage);
	return usage.blocks_held == 0 || complain(scene, "a block is held by nobody");
}

static bool attach_check(struct scene *scene)
{
	return everything_was_given_back(scene) && all_slots_can_be_had(scene);
}

static bool attach_may_say(struct scene *scene, enum role role, int result)
{
	return role != VICTIM || result == 0 || complain(scene, "it says %d", result);
}

const struct family attach_family = {
	.name = "attach",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = attach_begin,
	.check = attach_check,
	.may_say = attach_may_say,
	.victim_attaches = true,
};
