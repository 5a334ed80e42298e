/* SPDX-License-Identifier: MIT
 *
 * The arena after a death, and the arena as tools see it. Knows: every word of the arena by walking
 * the granule table. Does not know: how blocks are taken (arena.c), who is dead (recover.h).
 *
 * A sweep may run beside live allocators, beside other sweeps of the same client, and may end at
 * any instruction: each step is one CAS on exactly the word that was read, or one hint.
 *
 *   killed after             left                   repaired by
 *   CAS to FREE              FREE without hint      the next sweep of that client, or of any other
 *                                                   that ever owned a block of the run
 *   hint                     nothing                nothing to repair
 *   the guard was released   nothing                nothing to repair
 *
 * The table is read word by word, not from head to head: below a head no word says HELD or RUN, so
 * nothing is missed when granules change hands meanwhile, and a damaged length leads nowhere.
 */
#include "arena_internal.h"

#include "slot.h"

#include <errno.h>

struct sweep {
	struct seg *seg;
	uint32_t client;
	bool (*is_current)(void *ctx);
	void *ctx;
};

/* Free the block if the dead one owns it; false: the slot has a new owner, stop. */
static bool sweep_word(const struct sweep *sweep, const struct arena_block *block)
{
	uint64_t word = load_acquire(block->word);

	if (!block_word_is_of(word, sweep->client))
		return true;
	/* The word was read before the question: if the slot is still the dead one's, so was it. */
	if (!sweep->is_current(sweep->ctx))
		return false;
	/* edge block_free: release -> take_block() CAS, find_gap() */
	if (cas_release(block->word, &word, block_word_freed(word, 0, BLOCK_FREE)))
		arena_hint(sweep->seg, block);
	return true;
}

/* The dead one had taken hints and not yet the blocks, or freed a block and not set its hint. */
static void restore_hint(const struct arena_run *run, uint32_t index)
{
	uint64_t bit = UINT64_C(1) << index % 64;

	/* Relaxed: a hint too many is harmless, one that a live client just took comes back. */
	if (load_relaxed(&run->head->map[index / 64]) & bit)
		return;
	if (block_word_state(load_acquire(&run->words[index])) == BLOCK_FREE)
		run_hint(run->head, index);
}

static bool sweep_run(const struct sweep *sweep, uint32_t granule)
{
	struct arena_run run;

	if (!arena_run_at(sweep->seg, granule, &run))
		return true;
	/* Relaxed: the bit was set before the first word, both before the death. */
	if (!(load_relaxed(&run.head->touched) & UINT64_C(1) << sweep->client % 64))
		return true;
	for (uint32_t i = 0; i < run.class->block_count; i++) {
		const struct arena_block block = { .word = &run.words[i],
						   .run = run.head,
						   .index = i };

		if (!sweep_word(sweep, &block))
			return false;
		restore_hint(&run, i);
	}
	return true;
}

static bool sweep_granule(const struct sweep *sweep, uint32_t granule)
{
	const struct arena_block block = { .word = &sweep->seg->granules[granule],
					   .run = NULL,
					   .index = granule };

	if (block_word_state(load_acquire(block.word)) == BLOCK_RUN)
		return sweep_run(sweep, granule);
	return sweep_word(sweep, &block);
}

static_assert(RUN_BLOCKS_MAX < TURN_STEP_MAX, "a turn has to have room for a run");

static uint32_t looks_of_granule(const struct seg *seg, uint32_t granule)
{
	return block_word_state(load_relaxed(&seg->granules[granule])) == BLOCK_RUN
		       ? RUN_BLOCKS_MAX : 1;
}

bool arena_sweep_some(struct seg *seg, uint32_t client, bool (*is_current)(void *ctx), void *ctx,
		      struct walk *walk)
{
	const struct sweep sweep = {
		.seg = seg, .client = client, .is_current = is_current, .ctx = ctx
	};
	uint32_t generation = client_word_generation(slot_client_word(seg, client));
	uint32_t high = seg_granules_high(seg);

	/* The generation is the dead one's only if the slot still is. */
	if (!is_current(ctx))
		return true;
	for (; walk->at < high; walk->at++) {
		if (!turn_take(walk->turn, looks_of_granule(seg, walk->at)))
			return false;
		if (!sweep_granule(&sweep, walk->at))
			return true;
	}
	/* Last: granules it began to cover have no head yet, those it had covered are free now. */
	guard_release_dead(&seg->header->arena_guard, client, generation);
	return true;
}

void arena_sweep(struct seg *seg, uint32_t client, bool (*is_current)(void *ctx), void *ctx)
{
	struct walk all = { .turn = NULL };

	arena_sweep_some(seg, client, is_current, ctx, &all);
}

/* -- looking ---------------------------------------------------------------------------------- */

static void count_word(struct arena_usage *usage, uint64_t word, uint64_t bytes)
{
	switch (block_word_state(word)) {
	case BLOCK_HELD:
		usage->blocks_held++;
		usage->used_bytes += bytes;
		break;
	case BLOCK_LINKED:
		usage->blocks_linked++;
		usage->used_bytes += bytes;
		break;
	case BLOCK_CACHED:
		usage->blocks_cached++;
		usage->free_bytes += bytes;
		break;
	case BLOCK_FREE:
		usage->free_bytes += bytes;
		break;
	default:
		break;
	}
}

static void count_run(struct seg *seg, struct arena_usage *usage, uint32_t granule)
{
	struct arena_run run;

	if (!arena_run_at(seg, granule, &run))
		return;
	for (uint32_t i = 0; i < run.class->block_count; i++)
		/* Relaxed: a figure of a moment. */
		count_word(usage, load_relaxed(&run.words[i]), run.class->block_bytes);
}

static void count_gap(struct arena_usage *usage, uint64_t granules)
{
	uint64_t bytes = granules * GRANULE_BYTES;

	usage->free_bytes += bytes;
	if (bytes > usage->largest_free_bytes)
		usage->largest_free_bytes = bytes;
}

void arena_measure(struct seg *seg, struct arena_usage *ret_usage)
{
	struct arena_usage usage = { .total_bytes = arena_max_bytes(seg) };
	uint32_t high = seg_granules_high(seg), gap = 0;

	for (uint32_t at = 0; at < high;) {
		uint64_t word = load_acquire(&seg->granules[at]);
		uint32_t covered = granule_covers(word, at, high);

		if (covered == 0) {
			gap++;
			at++;
			continue;
		}
		count_gap(&usage, gap);
		gap = 0;
		if (block_word_state(word) == BLOCK_RUN)
			count_run(seg, &usage, at);
		else
			count_word(&usage, word, covered * GRANULE_BYTES);
		at += covered;
	}
	count_gap(&usage, (uint64_t)gap + seg->at.granule_count - high);
	usage.committed_bytes = load_relaxed(&seg->header->committed_bytes); /* a hint */
	*ret_usage = usage;
}

/* -- checking --------------------------------------------------------------------------------- */

static bool is_header_as_class(const struct arena_run *run, const struct shm_run *head)
{
	const struct size_class *class = run->class;

	return head->magic == RUN_MAGIC && head->size_class < ARENA_CLASSES &&
	       &arena_classes[head->size_class] == class &&
	       head->block_count == class->block_count && head->block_bytes == class->block_bytes &&
	       head->first_offset == class->first_offset && head->granules == class->granules;
}

static int check_run(struct seg *seg, uint32_t granule)
{
	struct arena_run run;

	if (!arena_run_at(seg, granule, &run) || !is_header_as_class(&run, run.head))
		return -EBADMSG;
	for (uint32_t i = 0; i < run.class->block_count; i++) {
		uint64_t word = load_acquire(&run.words[i]);
		bool is_hinted = load_relaxed(&run.head->map[i / 64]) >> i % 64 & 1;

		if (block_word_state(word) > BLOCK_LINKED || block_word_len(word) != 0)
			return -EBADMSG;
		if (block_word_state(word) == BLOCK_FREE && !is_hinted)
			return -EBADMSG;
	}
	return 0;
}

static int check_head(struct seg *seg, uint32_t granule, uint64_t word, uint32_t covered)
{
	if (covered == 0 || block_word_state(word) == BLOCK_CACHED)
		return -EBADMSG;
	for (uint32_t i = 1; i < covered; i++) {
		uint64_t inner = load_acquire(&seg->granules[granule + i]);

		if (block_word_state(inner) != BLOCK_CONT || block_word_len(inner) != i)
			return -EBADMSG;
	}
	return block_word_state(word) == BLOCK_RUN ? check_run(seg, granule) : 0;
}

int arena_check(struct seg *seg)
{
	uint32_t high = load_acquire(&seg->header->granules_high);

	if (high > seg->at.granule_count)
		return -EBADMSG;
	for (uint32_t at = 0; at < high;) {
		uint64_t word = load_acquire(&seg->granules[at]);
		uint32_t covered = granule_covers(word, at, high);
		int r;

		if (block_word_state(word) == BLOCK_FREE || block_word_state(word) == BLOCK_CONT) {
			at++;
			continue;
		}
		r = block_word_is_head(word) ? check_head(seg, at, word, covered) : -EBADMSG;
		if (r < 0)
			return r;
		at += covered;
	}
	return 0;
}
