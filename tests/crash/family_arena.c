/* SPDX-License-Identifier: MIT
 *
 * The arena in the crash matrix. Knows: what is promised about blocks. Does not know: objects, how
 * anyone dies.
 *
 * After every death nothing is lost, nothing is freed that somebody else owns, and blocks of every
 * size can be had. (tests/unit/test_arena_crash.c steps more of the arena's corners.)
 */
#include "family_arena.h"

#include "arena.h"
#include "judge.h"
#include "recover.h"
#include "require.h"
#include "self.h"
#include "slot.h"

#include <errno.h>

#define FILL 40

enum { FRESH = 1, USED = 2, STANDS = 7 << 2, DIED = 7 << 5, FULL = 1 << 8, AGAIN = 1 << 9 };

/* Until nothing of any size can be had. */
#define FULL_MAX 4000
static uint64_t filled[FULL_MAX];

static struct self *self_of(struct party *party)
{
	struct self *me;

	require(self_get(party->seg, &me) == 0);
	return me;
}

static uint64_t take(struct party *party, uint64_t bytes)
{
	struct self *me = self_of(party);
	uint64_t reference;
	void *data;

	require(arena_alloc(party->seg, &me->cache, me->client, bytes, &reference, &data) == 0);
	return reference;
}

static void arena_begin(struct scene *scene)
{
	(void)scene;
}

/* Runs with free blocks between blocks in use; in use are those of the living, LINKED. */
static void is_used(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];
	struct self *me = self_of(checker);

	for (unsigned i = 0; i < FILL; i++) {
		uint64_t reference = take(checker, i % 10 ? SMALL : 5000);

		if (i % 2)
			require(arena_link(checker->seg, me->client, reference) == 0);
		else
			require(arena_free(checker->seg, NULL, me->client, reference) == 0);
	}
	scene->base_linked = FILL / 2;
}

static void fill_with(struct party *party, uint64_t bytes, uint64_t *count)
{
	struct self *me = self_of(party);
	void *data;

	while (arena_alloc(party->seg, NULL, me->client, bytes, &filled[*count], &data) == 0) {
		require(arena_link(party->seg, me->client, filled[*count]) == 0);
		*count += 1;
		require(*count < FULL_MAX);
	}
}

static void is_full(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];

	fill_with(checker, LARGE, &scene->base_linked);
	fill_with(checker, 60000, &scene->base_linked);
	fill_with(checker, SMALL, &scene->base_linked);
}

static void make_room(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];

	for (; scene->base_linked > 0; scene->base_linked--) {
		uint64_t reference = filled[scene->base_linked - 1];

		require(arena_unlink(checker->seg, checker->client, reference) == 0);
		require(arena_free(checker->seg, NULL, checker->client, reference) == 0);
	}
}

/* Another was here before, in the same runs and with a stock: nothing of that is VICTIM's. */
static void is_used_again(struct scene *scene)
{
	struct party *victim = &scene->parties[VICTIM];
	struct seg *seg = victim->seg;

	is_used(scene);
	require(arena_free(seg, &self_of(victim)->cache, victim->client, take(victim, SMALL)) == 0);
	self_forget_all(seg);
	recover_own_exit(seg);
	require(slot_claim_client(seg, 0, "party", SLOT_NONE, &seg->client,
				  &seg->client_generation) == 0);
	require(seg->client == victim->client);
	victim->generation = seg->client_generation;
	self_of(victim);
}

#define THIRDS(text, what)                                                                         \
	{ .name = text " at its beginning", .begin = is_used, .earlier = what, .at = 0 },          \
	{ .name = text " in its middle", .begin = is_used, .earlier = what, .at = 1 },             \
	{ .name = text " near its end", .begin = is_used, .earlier = what, .at = 2 }

static const struct context contexts[] = {
	{ .name = "fresh" },
	{ .name = "used", .begin = is_used },
	THIRDS("another", EARLIER_STANDS),
	THIRDS("unswept death", EARLIER_DIED),
	{ .name = "full", .begin = is_full },
	{ .name = "slot used before", .begin = is_used_again },
};

/* --- operations --- */

static int alloc(struct scene *scene, struct party *party)
{
	struct self *me = self_of(party);
	void *data;

	return arena_alloc(party->seg, &me->cache, me->client, scene->operation->variant,
			   &party->reference, &data);
}

static int alloc_uncached(struct scene *scene, struct party *party)
{
	void *data;

	return arena_alloc(party->seg, NULL, party->client, scene->operation->variant,
			   &party->reference, &data);
}

static void alloc_before(struct scene *scene, struct party *party)
{
	party->reference = take(party, scene->operation->variant);
}

static void link_before(struct scene *scene, struct party *party)
{
	alloc_before(scene, party);
	require(arena_link(party->seg, party->client, party->reference) == 0);
}

static int free_it(struct scene *scene, struct party *party)
{
	(void)scene;
	return arena_free(party->seg, &self_of(party)->cache, party->client, party->reference);
}

static int link_it(struct scene *scene, struct party *party)
{
	(void)scene;
	return arena_link(party->seg, party->client, party->reference);
}

static int unlink_it(struct scene *scene, struct party *party)
{
	(void)scene;
	return arena_unlink(party->seg, party->client, party->reference);
}

static int flush(struct scene *scene, struct party *party)
{
	(void)scene;
	arena_flush(party->seg, &self_of(party)->cache, party->client);
	return 0;
}

static void settle_alloc(struct scene *scene, struct party *party)
{
	if (party->ledger->result == 0)
		require(free_it(scene, party) == 0);
}

#define ROW(text, where, does, bytes)                                                              \
	.name = text, .family = &arena_family, .contexts = where, .run = does, .variant = bytes
#define ANY (FRESH | USED | STANDS | DIED)
#define ALLOC (ANY | FULL | AGAIN)

static const struct operation operations[] = {
	{ ROW("alloc", ALLOC, alloc, SMALL), .settle = settle_alloc },
	{ ROW("alloc without a cache", ANY | FULL, alloc_uncached, SMALL), .settle = settle_alloc },
	{ ROW("alloc of granules", ALLOC, alloc, LARGE), .settle = settle_alloc },
	{ ROW("free", ANY | AGAIN, free_it, SMALL), .arrange = alloc_before },
	{ ROW("free of granules", ANY, free_it, LARGE), .arrange = alloc_before },
	{ ROW("link", FRESH | USED, link_it, SMALL), .arrange = alloc_before },
	{ ROW("unlink", FRESH | USED, unlink_it, SMALL), .arrange = link_before },
	{ ROW("flush", FRESH | USED | AGAIN, flush, SMALL), .arrange = alloc_before },
};

/* --- what must hold --- */

/* It has a block when it has ended. */
static bool keeps_one(const struct operation *operation)
{
	return operation->run == flush || operation->run == unlink_it;
}

/* A dead one's block that is LINKED stays: it belongs to what refers to it. */
static unsigned least_linked(const struct scene *scene, bool is_done)
{
	if (scene->operation->run == link_it)
		return is_done;
	return scene->operation->run == unlink_it && scene->step == 0 && !is_done;
}

static unsigned most_linked(const struct scene *scene, bool is_done)
{
	if (scene->operation->run == link_it)
		return scene->step > 0 || is_done;
	return scene->operation->run == unlink_it && !is_done;
}

static bool is_accounted_for(struct scene *scene)
{
	bool is_done = atomic_load(&scene->parties[VICTIM].ledger->is_done);
	uint64_t base = scene->base_linked + (scene->other && scene->other->run == link_it);
	unsigned held = (scene->is_alive && keeps_one(scene->operation)) +
			(scene->other && keeps_one(scene->other));
	struct arena_usage usage;

	arena_measure(scene->parties[CHECKER].seg, &usage);
	if (usage.blocks_held != held)
		return complain(scene, "%d blocks are held, not %u", (int)usage.blocks_held, held);
	if (usage.blocks_linked < base + least_linked(scene, is_done) ||
	    usage.blocks_linked > base + most_linked(scene, is_done))
		return complain(scene, "%d blocks are in use, not %d", (int)usage.blocks_linked,
				(int)base);
	return true;
}

static bool can_be_had(struct scene *scene, uint64_t bytes)
{
	struct party *checker = &scene->parties[CHECKER];
	uint64_t reference;
	void *data;

	if (arena_alloc(checker->seg, NULL, checker->client, bytes, &reference, &data) != 0)
		return complain(scene, "%d bytes cannot be had", (int)bytes);
	memset(data, 1, bytes);
	if (arena_free(checker->seg, NULL, checker->client, reference) != 0)
		return complain(scene, "%d bytes cannot be given back", (int)bytes);
	return true;
}

/* Of each kind: the smallest, one in the middle, the largest in a run, and whole granules. */
static bool arena_family_check(struct scene *scene)
{
	static const uint64_t sizes[] = { SMALL, 1000, 5000, ARENA_SMALL_MAX, LARGE };
	bool is_good = is_accounted_for(scene);

	if (scene->context->begin == is_full)
		make_room(scene);
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
		is_good &= can_be_had(scene, sizes[i]);
	return is_good;
}

static bool arena_may_say(struct scene *scene, enum role role, int result)
{
	int due = scene->context->begin == is_full ? -ENOSPC : 0;

	(void)role;
	return result == due || complain(scene, "it says %d, not %d", result, due);
}

const struct family arena_family = {
	.name = "arena",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = arena_begin,
	.check = arena_family_check,
	.may_say = arena_may_say,
	.pair_contexts = USED,
};
