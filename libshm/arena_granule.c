/* SPDX-License-Identifier: MIT
 *
 * Granules: pieces of 64 KiB, and runs made of them. Knows: heads, the search for free granules,
 * the classes' geometry, making a run. Does not know: blocks inside runs (arena.c), payloads.
 *
 * Granules are taken by one client at a time (arena_guard) and given back by anybody (one CAS on
 * the head, arena.c). Whether a granule is free is decided by the words alone: it is covered if it
 * is a head, or if it says CONT and the head it names reaches it. Therefore a search may begin
 * anywhere, and the hints `granule_rover` and `granule_freed` may hold anything.
 *
 *   killed after                      left                         repaired by
 *   the guard                         the guard                    sweep: released on his behalf
 *   granules_high was raised          free granules below it       nothing to repair
 *   some CONT words were written      CONT without a head: free    nothing to repair
 *   the head was stored (commit)      granules HELD by the dead    sweep: CAS to FREE
 *   making a run, before RUN          the same                     sweep: the whole as FREE
 *   RUN was stored (commit)           a run that no hint names     found by the walk in arena.c
 */
#include "arena_internal.h"

#include "slot.h"

#include <errno.h>

/* A word and a payload for each block, behind the header; 56 bytes may be lost to alignment. */
#define RUN_FIT(bytes, run_granules)                                                               \
	(((run_granules) * GRANULE_BYTES - sizeof(struct shm_run) - 56) / ((bytes) + 8))
#define RUN_COUNT(bytes, run_granules)                                                             \
	(RUN_FIT(bytes, run_granules) < RUN_BLOCKS_MAX ? RUN_FIT(bytes, run_granules) :           \
							 RUN_BLOCKS_MAX)
#define RUN_FIRST(bytes, run_granules)                                                             \
	((sizeof(struct shm_run) + 8 * RUN_COUNT(bytes, run_granules) + 63) / 64 * 64)
/* 128 KiB a class stay in a cache: large blocks must not hide in many caches. */
#define STOCK_BYTES_MAX 131072
#define STOCK_MAX(bytes)                                                                           \
	(STOCK_BYTES_MAX / (bytes) < ARENA_CACHE_BLOCKS ? STOCK_BYTES_MAX / (bytes) :              \
							  ARENA_CACHE_BLOCKS)

#define CLASS(bytes, run_granules)                                                                 \
	{                                                                                          \
		.block_bytes = (bytes), .granules = (run_granules),                                \
		.block_count = RUN_COUNT(bytes, run_granules),                                     \
		.first_offset = RUN_FIRST(bytes, run_granules),                                    \
		.reciprocal = (uint32_t)(((UINT64_C(1) << 32) + (bytes) - 1) / (bytes)),           \
		.stock_max = STOCK_MAX(bytes),                                                     \
	}

/* Steps of at most a quarter waste at most a fifth. One granule holds 62 or more blocks of up to
 * 1 KiB, four hold 15 or more of the others. */
const struct size_class arena_classes[ARENA_CLASSES] = {
	CLASS(64, 1),	CLASS(128, 1),	CLASS(192, 1),	CLASS(256, 1),	 CLASS(320, 1),
	CLASS(384, 1),	CLASS(512, 1),	CLASS(640, 1),	CLASS(768, 1),	 CLASS(1024, 1),
	CLASS(1280, 4), CLASS(1536, 4), CLASS(2048, 4), CLASS(3072, 4),	 CLASS(4096, 4),
	CLASS(6144, 4), CLASS(8192, 4), CLASS(12288, 4), CLASS(16384, 4),
};

bool arena_granule_exists(const struct seg *seg, uint32_t granule)
{
	uint32_t high = seg_granules_high(seg);
	struct seg *cache = (struct seg *)(uintptr_t)seg;

	/* Relaxed: threads may store an older mark over a newer one, which costs another look. */
	store_relaxed(&cache->granules_seen, high);
	return granule < high;
}

/* In the name of this use of the client's slot. */
static uint32_t generation_of(const struct seg *seg, uint32_t client)
{
	if (client == seg->client)
		return seg->client_generation;
	return client_word_generation(slot_client_word(seg, client));
}

/* The first granule at or after `granule` that is not inside a head. */
static uint32_t granule_boundary(const struct seg *seg, uint32_t granule, uint32_t high)
{
	uint64_t word = load_acquire(&seg->granules[granule]);
	uint32_t back = block_word_len(word), head, covered;

	if (block_word_state(word) != BLOCK_CONT || back > granule)
		return granule;
	head = granule - back;
	covered = granule_covers(load_acquire(&seg->granules[head]), head, high);
	return covered > back ? head + covered : granule;
}

struct gap {
	uint32_t first_free; /* the first free granule that was seen */
	uint32_t start;      /* enough free granules begin here */
};

/* First fit in [from, high), then in the never covered rest. */
static int find_gap(const struct seg *seg, uint32_t from, uint32_t high, uint32_t count,
		    struct gap *ret_gap)
{
	struct gap gap = { .first_free = UINT32_MAX, .start = from };

	for (uint32_t at = from; at < high && at - gap.start < count;) {
		/* edge block_free: acquire <- arena_free(), sweep; its old owner is done */
		uint64_t word = load_acquire(&seg->granules[at]);

		if (!block_word_is_head(word)) {
			if (gap.first_free == UINT32_MAX)
				gap.first_free = at;
			at++;
			continue;
		}
		if (granule_covers(word, at, high) == 0)
			return -EBADMSG;
		at += granule_covers(word, at, high);
		gap.start = at;
	}
	if (count > seg->at.granule_count - gap.start)
		return -ENOSPC;
	if (gap.first_free == UINT32_MAX)
		gap.first_free = gap.start;
	*ret_gap = gap;
	return 0;
}

/* Would it fit where granules were given back last? */
static bool fits_at(const struct seg *seg, uint32_t start, uint32_t high, uint32_t count)
{
	if (start >= high || count > high - start ||
	    granule_boundary(seg, start, high) != start)
		return false;
	for (uint32_t i = 0; i < count; i++)
		/* edge block_free: acquire <- arena_free(), sweep */
		if (block_word_is_head(load_acquire(&seg->granules[start + i])))
			return false;
	return true;
}

/* Where to cover `count` granules: warm memory, low memory, memory never used. */
static int choose_gap(const struct seg *seg, uint32_t high, uint32_t count, struct gap *ret_gap)
{
	uint32_t freed = load_relaxed(&seg->header->granule_freed); /* a hint */
	uint32_t rover = load_relaxed(&seg->header->granule_rover); /* a hint */
	uint32_t from = rover < high ? granule_boundary(seg, rover, high) : 0;
	int r;

	if (fits_at(seg, freed, high, count)) {
		ret_gap->start = freed;
		ret_gap->first_free = rover;
		return 0;
	}
	r = find_gap(seg, from, high, count, ret_gap);
	if (r == -ENOSPC && from > 0)
		r = find_gap(seg, 0, high, count, ret_gap);
	return r;
}

/* Everybody reads the words below the mark: they are committed first, and FREE as nobody ever
 * covered them. */
static int raise_high(struct seg *seg, uint32_t high, uint32_t wanted)
{
	uint64_t from = seg->at.granules + high * sizeof(atom64);
	int r;

	if (wanted <= high)
		return 0;
	r = seg_commit(seg, from, (wanted - high) * sizeof(atom64));
	if (r < 0)
		return r;
	/* edge granules_high: release -> seg_granules_high(); the table is committed below it */
	store_release(&seg->header->granules_high, wanted);
	return 0;
}

/* Write the inner words, then the head; generations stay, they grow when a head is freed. */
static void cover(struct seg *seg, uint32_t client, uint32_t start, uint32_t count)
{
	atom64 *head = &seg->granules[start];

	for (uint32_t i = 1; i < count; i++) {
		/* Relaxed: these mean nothing until the head is stored. */
		uint32_t generation = block_word_generation(load_relaxed(&head[i]));

		store_relaxed(&head[i], block_word(i, generation, 0, BLOCK_CONT));
	}
	/* edge granule_head: release -> arena_locate(), find_gap(); the inner words are in place */
	store_release(head, block_word(count, block_word_generation(load_relaxed(head)), client,
				       BLOCK_HELD));
}

/* Under the guard. */
static int take_guarded(struct seg *seg, uint32_t client, uint32_t count, uint32_t *ret_granule)
{
	uint32_t high = seg_granules_high(seg);
	struct gap gap;
	int r = choose_gap(seg, high, count, &gap);

	if (r < 0)
		return r;
	r = raise_high(seg, high, gap.start + count);
	if (r < 0)
		return r;
	if (gap.first_free == gap.start)
		gap.first_free += count;
	store_relaxed(&seg->header->granule_rover, gap.first_free);
	cover(seg, client, gap.start, count);
	*ret_granule = gap.start;
	return 0;
}

int arena_granule_take(struct seg *seg, uint32_t client, uint32_t count, uint32_t *ret_granule)
{
	struct shm_guard *guard = &seg->header->arena_guard;
	uint32_t generation = generation_of(seg, client);
	int r;

	if (count == 0 || count > seg->at.granule_count)
		return -ENOSPC;
	r = guard_acquire(seg, guard, client, generation);
	if (r < 0)
		return r;
	r = take_guarded(seg, client, count, ret_granule);
	guard_release(guard, client, generation);
	return r;
}

void arena_granule_hint(struct seg *seg, uint32_t granule)
{
	/* Relaxed: a lost hint is made up for when the search reaches the end. */
	store_relaxed(&seg->header->granule_freed, granule);
	if (granule < load_relaxed(&seg->header->granule_rover))
		store_relaxed(&seg->header->granule_rover, granule);
}

bool arena_run_at(const struct seg *seg, uint32_t granule, struct arena_run *ret_run)
{
	uint32_t high = seg_granules_high(seg);
	const struct size_class *class;
	uint64_t word;

	if (granule >= high)
		return false;
	/* edge run_made: acquire <- arena_run_make(); the block words are in place */
	word = load_acquire(&seg->granules[granule]);
	class = granule_run_class(word);
	if (!class || class->granules > high - granule)
		return false;
	ret_run->class = class;
	ret_run->offset = granule_offset(seg, granule);
	ret_run->head = shm_at_bytes(seg, ret_run->offset, class->granules * GRANULE_BYTES);
	ret_run->words = (atom64 *)(ret_run->head + 1);
	return true;
}

/* Blocks must not match references to what these granules were before. */
static uint32_t highest_generation(const struct seg *seg, uint32_t granule, uint32_t count)
{
	uint32_t highest = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t one = block_word_generation(load_relaxed(&seg->granules[granule + i]));

		if (one > highest)
			highest = one;
	}
	return highest;
}

/* Nobody else looks before the granule word says RUN: relaxed throughout. */
static void fill_run(struct shm_run *run, uint32_t class_number, uint32_t generation)
{
	const struct size_class *class = &arena_classes[class_number];
	atom64 *words = (atom64 *)(run + 1);

	run->magic = RUN_MAGIC;
	run->size_class = (uint16_t)class_number;
	run->block_count = (uint16_t)class->block_count;
	run->block_bytes = class->block_bytes;
	run->first_offset = class->first_offset;
	run->granules = class->granules;
	store_relaxed(&run->touched, 0);
	for (uint32_t i = 0; i < class->block_count; i++)
		store_relaxed(&words[i], block_word(0, generation, 0, BLOCK_FREE));
	for (uint32_t i = 0; i < RUN_BLOCKS_MAX / 64; i++) {
		uint32_t left = class->block_count > i * 64 ? class->block_count - i * 64 : 0;

		store_relaxed(&run->map[i],
			      left >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1);
	}
}

int arena_run_make(struct seg *seg, uint32_t client, uint32_t class_number, uint32_t *ret_granule)
{
	const struct size_class *class = &arena_classes[class_number];
	uint64_t offset, word;
	uint32_t granule;
	int r = arena_granule_take(seg, client, class->granules, &granule);

	if (r < 0)
		return r;
	offset = granule_offset(seg, granule);
	word = load_relaxed(&seg->granules[granule]); /* ours alone */
	r = seg_commit(seg, offset, GRANULE_BYTES);
	if (r < 0) {
		store_release(&seg->granules[granule], block_word_freed(word, 0, BLOCK_FREE));
		arena_granule_hint(seg, granule);
		return r;
	}
	fill_run(shm_at_bytes(seg, offset, GRANULE_BYTES), class_number,
		 highest_generation(seg, granule, class->granules));
	/* edge run_made: release -> arena_run_at(), arena_locate(); the words are in place */
	store_release(&seg->granules[granule], block_word_to(word, class_number, BLOCK_RUN));
	*ret_granule = granule;
	return 0;
}
