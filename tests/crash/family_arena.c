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
#include "require.h"
#include "self.h"

#define FILL 40

enum { FRESH = 1, USED = 2, STANDS = 7 << 2, DIED = 7 << 5 };

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

#define THIRDS(text, what)                                                                         \
	{ .name = text " at its beginning", .begin = is_used, .earlier = what, .at = 0 },          \
	{ .name = text " in its middle", .begin = is_used, .earlier = what, .at = 1 },             \
	{ .name = text " near its end", .begin = is_used, .earlier = what, .at = 2 }

static const struct context contexts[] = {
	{ .name = "fresh" },
	{ .name = "used", .begin = is_used },
	THIRDS("another", EARLIER_STANDS),
	THIRDS("unswept death", EARLIER_DIED),
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
	require(free_it(scene, party) == 0);
}

#define ROW(text, where, does, bytes)                                                              \
	.name = text, .family = &arena_family, .contexts = where, .run = does, .variant = bytes
#define ANY (FRESH | USED | STANDS | DIED)

static const struct operation operations[] = {
	{ ROW("alloc", ANY, alloc, SMALL), .settle = settle_alloc },
	{ ROW("alloc without a cache", ANY, alloc_uncached, SMALL), .settle = settle_alloc },
	{ ROW("alloc of granules", ANY, alloc, LARGE), .settle = settle_alloc },
	{ ROW("free", ANY, free_it, SMALL), .arrange = alloc_before },
	{ ROW("free of granules", ANY, free_it, LARGE), .arrange = alloc_before },
	{ ROW("link", FRESH | USED, link_it, SMALL), .arrange = alloc_before },
	{ ROW("unlink", FRESH | USED, unlink_it, SMALL), .arrange = link_before },
	{ ROW("flush", FRESH | USED, flush, SMALL), .arrange = alloc_before },
};

/* --- what must hold --- */

/* A dead one's block may be LINKED: it belongs to what refers to it. A living one has it. */
static bool is_accounted_for(struct scene *scene)
{
	struct arena_usage usage;
	bool is_linking = scene->operation->run == link_it;
	bool may_link = is_linking || (scene->operation->run == unlink_it && !scene->is_alive);
	bool may_hold = scene->other ||
			(scene->is_alive && scene->operation->arrange && !is_linking);
	uint64_t most = scene->base_linked + may_link;

	arena_measure(scene->parties[CHECKER].seg, &usage);
	if (usage.blocks_held > may_hold) /* what a survivor arranged, or the victim has */
		return complain(scene, "%d blocks are held by nobody", (int)usage.blocks_held);
	if (usage.blocks_linked < scene->base_linked || usage.blocks_linked > most + !!scene->other)
		return complain(scene, "%d blocks are in use, not %d", (int)usage.blocks_linked,
				(int)scene->base_linked);
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

static bool arena_family_check(struct scene *scene)
{
	return is_accounted_for(scene) && can_be_had(scene, SMALL) && can_be_had(scene, 5000) &&
	       can_be_had(scene, LARGE);
}

const struct family arena_family = {
	.name = "arena",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = arena_begin,
	.check = arena_family_check,
	.pair_contexts = USED,
};
