/* SPDX-License-Identifier: MIT
 *
 * Blocks: taking them, giving them back. Knows: block words, caches, hints. Does not know: how
 * granules are found (arena_granule.c), how references are followed (arena_link.c), who is alive,
 * what blocks contain.
 *
 * The word of a block tells the truth. The bitmap of a run, class_run, the rover and the private
 * caches are hints: they lead to words and are checked against them. Progress: blocks up to 16 KiB
 * are lock-free but for making a run; granules are taken under arena_guard. Price: a pair from a
 * warm cache is one plain store and one CAS on a word, with arena_give_back two plain stores; each
 * 32 blocks or so one swap of a bitmap.
 *
 *   operation   steps, the commit in capitals           killed after it       repaired by
 *   refill      touched bit of the run                  a filter bit too many nothing to repair
 *               swap of a bitmap word                   FREE without hint     sweep: hint
 *               CAS FREE -> CACHED(me)                  CACHED by the dead    sweep: FREE, hint
 *               unwanted hints put back                 hints                 nothing to repair
 *   alloc       STORE CACHED(me) -> HELD(me)            HELD by the dead      sweep: FREE, hint
 *   free        touched bit, CAS -> CACHED(me), +1      CACHED by the dead    sweep: FREE, hint
 *   give back   STORE HELD(me) -> CACHED(me), +1        CACHED by the dead    sweep: FREE, hint
 *   flush       STORE FREE                              FREE without hint     sweep: hint
 *               hint                                    nothing               nothing to repair
 *   free large  CAS -> FREE, +1                         rover too high        search from 0
 *
 *   may overlap      alloc/refill   free     link/unlink   granules    sweep of another client
 *   alloc/refill     yes, CAS       yes      other block   yes         yes
 *   free                            yes      CAS decides   yes         yes
 *   link/unlink                              CAS decides   yes         yes
 *   granules                                               guard       yes
 *   sweep                                                              yes, CAS on the word read
 *
 * The plain store CACHED(me) -> HELD(me) is safe because nobody but this client changes that word
 * while the client lives, and one cache holds a block. It may be relaxed: a kill stops the CPU
 * between two instructions, and what was stored before it is seen by all who learn of the death.
 * arena_link.c says why a block that was taken over is given back by a plain store.
 *
 * Runs are never turned back into granules (layout_arena.h says why): memory once cut for small
 * blocks serves that size only.
 */
#include "arena_internal.h"

#include <errno.h>
#include <string.h>

/* Granule words looked at before a new run is made: less than making and committing one costs. */
#define WALK_STEPS 256

/* The class for each number of cache lines. */
static const uint8_t class_of_lines[ARENA_SMALL_MAX / CACHE_LINE + 1] = {
	[0 ... 1] = 0,	   [2] = 1,	     [3] = 2,		[4] = 3,
	[5] = 4,	   [6] = 5,	     [7 ... 8] = 6,	[9 ... 10] = 7,
	[11 ... 12] = 8,   [13 ... 16] = 9,  [17 ... 20] = 10,	[21 ... 24] = 11,
	[25 ... 32] = 12,  [33 ... 48] = 13, [49 ... 64] = 14,	[65 ... 96] = 15,
	[97 ... 128] = 16, [129 ... 192] = 17, [193 ... 256] = 18,
};

uint64_t arena_max_bytes(const struct seg *seg)
{
	return seg->at.granule_count * GRANULE_BYTES;
}

/* -- giving back ------------------------------------------------------------------------------ */

void arena_hint(struct seg *seg, const struct arena_block *block)
{
	if (block->run)
		run_hint(block->run, block->index);
	else
		arena_granule_hint(seg, block->index);
}

/* Make a block FREE that this client has CACHED: first the word, then the way to it. */
static void put_back(struct seg *seg, atom64 *word, uint64_t offset)
{
	uint64_t now = load_relaxed(word); /* only this client changes it */
	struct arena_block block;

	/* edge block_free: release -> take_block() CAS; the old owner is done with the payload */
	store_release(word, block_word_to(now, 0, BLOCK_FREE));
	/* The generation does not matter here, the place does. */
	if (arena_locate(seg, reference_make(offset, 0), &block))
		arena_hint(seg, &block);
}

static bool is_cached_by(const atom64 *word, uint32_t client)
{
	/* Relaxed: if it is ours, only this thread changes it. */
	return (load_relaxed((atom64 *)(uintptr_t)word) & 0xffff) ==
	       block_word(0, 0, client, BLOCK_CACHED);
}

/* A word that says anything else is not ours (any more): drop it, never free it. */
static void put_back_oldest(struct seg *seg, struct arena_stock *stock, uint32_t client,
			    uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (is_cached_by(stock->word[i], client))
			put_back(seg, stock->word[i], stock->offset[i]);
	stock->count -= count;
	memmove(stock->word, stock->word + count, stock->count * sizeof(stock->word[0]));
	memmove(stock->offset, stock->offset + count, stock->count * sizeof(stock->offset[0]));
}

void arena_flush(struct seg *seg, struct arena_cache *cache, uint32_t client)
{
	for (unsigned i = 0; i < ARENA_CLASSES; i++)
		put_back_oldest(seg, &cache->stock[i], client, cache->stock[i].count);
}

static void push(struct seg *seg, struct arena_stock *stock, uint32_t stock_max, uint32_t client,
		 atom64 *word, uint64_t offset)
{
	if (unlikely(stock->count >= stock_max))
		put_back_oldest(seg, stock, client, (stock_max + 1) / 2);
	stock->word[stock->count] = word;
	stock->offset[stock->count] = offset;
	stock->count++;
}

static int free_into(struct seg *seg, struct arena_stock *stock, uint32_t stock_max,
		     uint32_t client, const struct arena_block *block, uint64_t word)
{
	run_note_client(block->run, client);
	/* Relaxed: this thread's cache is the only way to it until a flush, which releases. */
	if (!cas_relaxed(block->word, &word, block_word_freed(word, client, BLOCK_CACHED)))
		return -EINVAL;
	push(seg, stock, stock_max, client, block->word, block->offset);
	return 0;
}

int arena_free(struct seg *seg, struct arena_cache *cache, uint32_t client, uint64_t reference)
{
	struct arena_block block;
	uint64_t word;

	if (!arena_locate(seg, reference, &block))
		return -EINVAL;
	word = load_relaxed(block.word); /* the CAS decides */
	if (!reference_matches(reference, word) || block_word_state(word) != BLOCK_HELD ||
	    block_word_client(word) != client)
		return -EINVAL;
	if (cache && block.run) {
		unsigned number = class_of_lines[block.bytes / CACHE_LINE];

		return free_into(seg, &cache->stock[number], arena_classes[number].stock_max,
				 client, &block, word);
	}
	/* edge block_free: release -> take_block() CAS, find_gap() */
	if (!cas_release(block.word, &word, block_word_freed(word, 0, BLOCK_FREE)))
		return -EINVAL;
	arena_hint(seg, &block);
	return 0;
}

/* LINKED: by a late recoverer, whom arena_keep() did not see yet. */
static bool is_taken_over(uint64_t word, uint32_t client)
{
	return (word & 0xffff) == block_word(0, 0, client, BLOCK_HELD) ||
	       (word & 0xffff) == block_word(0, 0, 0, BLOCK_LINKED);
}

void arena_give_back(struct seg *seg, struct arena_cache *cache, uint32_t client,
		     uint64_t reference, const struct arena_block *block)
{
	unsigned number = class_of_lines[block->run ? block->bytes / CACHE_LINE : 0];
	uint64_t word = load_relaxed(block->word);

	if (unlikely(!reference_matches(reference, word) || !is_taken_over(word, client)))
		return; /* somebody wrote into it: not ours (any more) */
	if (unlikely(!block->run)) {
		/* edge block_free: release -> find_gap() */
		store_release(block->word, block_word_freed(word, 0, BLOCK_FREE));
		arena_hint(seg, block);
		return;
	}
	/* Relaxed: this thread's cache is the only way to it until a flush, which releases. */
	store_relaxed(block->word, block_word_freed(word, client, BLOCK_CACHED));
	push(seg, &cache->stock[number], arena_classes[number].stock_max, client, block->word,
	     block->offset);
}

/* -- taking ----------------------------------------------------------------------------------- */

/* The search for blocks of one class. */
struct search {
	struct seg *seg;
	struct arena_stock *stock;
	uint32_t client;
	uint32_t class_number;
	uint32_t wanted;
};

/* A hint says block `index` may be FREE. -ENOSPC: it is, but there is no memory behind it. */
static int take_block(struct search *search, const struct arena_run *run, uint32_t index)
{
	struct arena_stock *stock = search->stock;
	uint32_t bytes = run->class->block_bytes;
	uint64_t offset = run->offset + run->class->first_offset + (uint64_t)index * bytes;
	atom64 *word = &run->words[index];
	uint64_t now = load_relaxed(word); /* the CAS decides */

	if (block_word_state(now) != BLOCK_FREE)
		return 0;
	/* edge block_free: acquire <- put_back(), arena_free(), sweep */
	if (!cas_acquire(word, &now, block_word_to(now, search->client, BLOCK_CACHED)))
		return 0;
	if (seg_commit(search->seg, offset, bytes) < 0) {
		put_back(search->seg, word, offset);
		return -ENOSPC;
	}
	stock->word[stock->count] = word;
	stock->offset[stock->count] = offset;
	stock->count++;
	return 0;
}

/* Take what one word of the bitmap leads to; what is not wanted is put back. A hint to a block that
 * is not FREE may be dropped: who frees it sets the hint after the word. */
static int take_hints(struct search *search, const struct arena_run *run, uint32_t map_index)
{
	atom64 *map = &run->head->map[map_index];
	uint32_t first = map_index * 64;
	uint64_t hints;
	int r = 0;

	if (load_relaxed(map) == 0)
		return 0;
	/* edge block_hint: seq_cst <- run_hint(); whoever set the bit had made the word FREE */
	hints = swap_seqcst(map, 0);
	if (run->class->block_count - first < 64)
		hints &= (UINT64_C(1) << (run->class->block_count - first)) - 1;
	for (; hints && r == 0 && search->stock->count < search->wanted; hints &= hints - 1)
		r = take_block(search, run, first + lowest_bit(hints));
	if (hints)
		or_seqcst(map, hints);
	return r;
}

static int take_from_run(struct search *search, uint32_t granule)
{
	struct arena_run run;
	atom32 *hint;
	int r = 0;

	if (!arena_run_at(search->seg, granule, &run) ||
	    run.class != &arena_classes[search->class_number])
		return 0;
	run_note_client(run.head, search->client);
	for (uint32_t i = 0; i * 64 < run.class->block_count && r == 0; i++) {
		if (search->stock->count >= search->wanted)
			break;
		r = take_hints(search, &run, i);
	}
	hint = &search->seg->header->class_run[search->class_number];
	/* Relaxed: a hint; stored when it differs, the line is everybody's. */
	if (search->stock->count > 0 && load_relaxed(hint) != granule + 1)
		store_relaxed(hint, granule + 1);
	return r;
}

/* Look for runs of the class that have room, from where the last search ended. */
static int walk(struct search *search, uint32_t steps)
{
	const struct seg *seg = search->seg;
	uint32_t high = seg_granules_high(seg), at = search->stock->cursor;
	int r = 0;

	for (; steps > 0 && high > 0 && r == 0 && search->stock->count == 0; steps--) {
		uint64_t word;
		uint32_t covered;

		if (at >= high)
			at = 0;
		word = load_acquire(&seg->granules[at]);
		covered = granule_covers(word, at, high);
		if (granule_run_class(word) == &arena_classes[search->class_number])
			r = take_from_run(search, at);
		at += covered ? covered : 1;
	}
	search->stock->cursor = at;
	return r;
}

static int take_from_new_run(struct search *search)
{
	uint32_t granule;
	int r = arena_run_make(search->seg, search->client, search->class_number, &granule);

	return r < 0 ? r : take_from_run(search, granule);
}

/* Near places first, memory that is not committed yet last. */
static int refill(struct search *search)
{
	struct seg *seg = search->seg;
	uint32_t hint = load_relaxed(&seg->header->class_run[search->class_number]);
	int r = hint ? take_from_run(search, hint - 1) : 0;

	if (r == 0 && search->stock->count == 0)
		r = walk(search, WALK_STEPS);
	if (r == 0 && search->stock->count == 0)
		r = take_from_new_run(search);
	if (r == -ENOSPC && search->stock->count == 0)
		r = walk(search, seg->at.granule_count);
	if (search->stock->count > 0)
		return 0;
	return r < 0 ? r : -ENOSPC;
}

/* CACHED(me) -> HELD(me). A word that says anything else is not ours: drop it. */
static inline bool pop(struct seg *seg, struct arena_stock *stock, uint32_t client,
		       uint32_t bytes, struct arena_fresh *ret_fresh)
{
	while (likely(stock->count > 0)) {
		uint32_t i = --stock->count;
		atom64 *word = stock->word[i];
		uint64_t now = load_relaxed(word); /* only this thread changes it */

		if (unlikely((now & 0xffff) != block_word(0, 0, client, BLOCK_CACHED)))
			continue;
		/* Relaxed: see the head of this file. */
		store_relaxed(word, block_word_to(now, client, BLOCK_HELD));
		*ret_fresh = (struct arena_fresh){
			.reference = reference_make(stock->offset[i], block_word_generation(now)),
			.data = shm_at_bytes(seg, stock->offset[i], bytes),
			.word = word,
		};
		return true;
	}
	return false;
}

static int alloc_granules(struct seg *seg, uint32_t client, uint64_t bytes,
			  struct arena_fresh *ret_fresh)
{
	uint32_t granule, count = (uint32_t)((bytes + GRANULE_BYTES - 1) / GRANULE_BYTES);
	uint64_t offset, reference;
	atom64 *word;
	int r = arena_granule_take(seg, client, count ? count : 1, &granule);

	if (r < 0)
		return r;
	offset = granule_offset(seg, granule);
	word = &seg->granules[granule]; /* HELD by us */
	reference = reference_make(offset, block_word_generation(load_relaxed(word)));
	r = seg_commit(seg, offset, bytes);
	if (r < 0) {
		arena_free(seg, NULL, client, reference);
		return r;
	}
	*ret_fresh = (struct arena_fresh){
		.reference = reference, .data = shm_at_bytes(seg, offset, bytes), .word = word
	};
	return 0;
}

static cold int alloc_slow(struct seg *seg, struct arena_cache *cache, uint32_t client,
			   uint64_t bytes, struct arena_fresh *ret_fresh)
{
	unsigned number = class_of_lines[(bytes + CACHE_LINE - 1) / CACHE_LINE];
	struct arena_stock single = { .count = 0, .cursor = 0 };
	struct search search = {
		.seg = seg,
		.stock = cache ? &cache->stock[number] : &single,
		.client = client,
		.class_number = number,
		.wanted = cache ? arena_classes[number].stock_max / 2 : 1,
	};
	int r = refill(&search);

	/* No place for a run: one granule is better than none. */
	if (r == -ENOSPC)
		return alloc_granules(seg, client, bytes, ret_fresh);
	if (r < 0)
		return r;
	return pop(seg, search.stock, client, arena_classes[number].block_bytes, ret_fresh)
		       ? 0
		       : -EBADMSG;
}

int arena_alloc_fresh(struct seg *seg, struct arena_cache *cache, uint32_t client, uint64_t bytes,
		      struct arena_fresh *ret_fresh)
{
	unsigned number;

	if (unlikely(bytes > ARENA_SMALL_MAX)) {
		if (bytes > arena_max_bytes(seg))
			return -EMSGSIZE;
		return alloc_granules(seg, client, bytes, ret_fresh);
	}
	number = class_of_lines[(bytes + CACHE_LINE - 1) / CACHE_LINE];
	if (unlikely(!cache || !pop(seg, &cache->stock[number], client,
				    arena_classes[number].block_bytes, ret_fresh)))
		return alloc_slow(seg, cache, client, bytes, ret_fresh);
	return 0;
}

int arena_alloc(struct seg *seg, struct arena_cache *cache, uint32_t client, uint64_t bytes,
		uint64_t *ret_reference, void **ret_data)
{
	struct arena_fresh fresh;
	int r = arena_alloc_fresh(seg, cache, client, bytes, &fresh);

	if (r < 0)
		return r;
	*ret_reference = fresh.reference;
	*ret_data = fresh.data;
	return 0;
}
