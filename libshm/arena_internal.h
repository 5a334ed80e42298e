/* SPDX-License-Identifier: MIT
 *
 * What the arena's own files share: the size classes, checked runs, granules. Included by arena*.c
 * only. Knows: where a block's word is. Does not know: who may change it (arena.c, arena_sweep.c).
 */
#ifndef LIBSHM_ARENA_INTERNAL_H
#define LIBSHM_ARENA_INTERNAL_H

#include "arena.h"
#include "shmref.h"

/* The geometry of a run, a constant of the layout: what shared memory says about it is not used. */
struct size_class {
	uint32_t block_bytes;
	uint32_t granules;
	uint32_t block_count;
	uint32_t first_offset;
	uint32_t reciprocal; /* 2^32 / block_bytes rounded up: exact for every offset in a run */
	uint32_t stock_max;  /* blocks a cache keeps */
};

extern const struct size_class arena_classes[ARENA_CLASSES];

/* A run whose granule word was checked. */
struct arena_run {
	struct shm_run *head;
	atom64 *words;
	const struct size_class *class;
	uint64_t offset;
};

static inline uint64_t granule_offset(const struct seg *seg, uint32_t granule)
{
	return seg->at.arena + granule * GRANULE_BYTES;
}

/* Read the mark anew; false if the granule is really above it. */
bool arena_granule_exists(const struct seg *seg, uint32_t granule);

/* Was the granule ever covered? Only then may its word be read. Asked for each free and each
 * access, hence the private copy of a mark that only grows. */
static inline bool granule_exists(const struct seg *seg, uint32_t granule)
{
	/* Relaxed: this thread or one that it has met read the mark with acquire; the words have
	 * their own acquire. */
	return likely(granule < load_relaxed(&seg->granules_seen)) ||
	       arena_granule_exists(seg, granule);
}

/* How many granules the head at `granule` covers, 0 if it is no head or an impossible one. */
static inline uint32_t granule_covers(uint64_t word, uint32_t granule, uint32_t high)
{
	uint32_t len = block_word_len(word);

	return block_word_is_head(word) && len <= high - granule ? len : 0;
}

/* The size class of a granule word that says RUN, NULL if it says anything else. */
static inline const struct size_class *granule_run_class(uint64_t word)
{
	uint32_t number = block_word_client(word);

	if (block_word_state(word) != BLOCK_RUN || number >= ARENA_CLASSES ||
	    block_word_len(word) != arena_classes[number].granules)
		return NULL;
	return &arena_classes[number];
}

/* Cover `count` free granules: HELD by that client, not committed. 0, -ENOSPC, -EBADMSG. */
int arena_granule_take(struct seg *seg, uint32_t client, uint32_t count, uint32_t *ret_granule);

/* Free granules begin here: a hint for the next search. */
void arena_granule_hint(struct seg *seg, uint32_t granule);

/* The run that begins at `granule`; false if none does. */
bool arena_run_at(const struct seg *seg, uint32_t granule, struct arena_run *ret_run);

/* Make a run of that class. 0, -ENOSPC, -EBADMSG. */
int arena_run_make(struct seg *seg, uint32_t client, uint32_t class_number, uint32_t *ret_granule);

/* Remember that this client owns or owned a block of the run: before its word says so. */
static inline void run_note_client(struct shm_run *run, uint32_t client)
{
	uint64_t bit = UINT64_C(1) << client % 64;

	/* Relaxed: a bit is never cleared. The RMW is seq_cst only to stay ahead of the word. */
	if (unlikely(!(load_relaxed(&run->touched) & bit)))
		or_seqcst(&run->touched, bit);
}

/* Tell allocators that the block's word became FREE: after it did. */
static inline void run_hint(struct shm_run *run, uint32_t index)
{
	/* edge block_hint: seq_cst -> take_hints() swap; who sees the hint sees the word FREE */
	or_seqcst(&run->map[index / 64], UINT64_C(1) << index % 64);
}

/* Find the block that a reference names, whatever its state and generation; false if no block can
 * be there. */
bool arena_locate(const struct seg *seg, uint64_t reference, struct arena_block *ret_block);

/* A word that somebody owned is FREE now: set the hint that leads to it. */
void arena_hint(struct seg *seg, const struct arena_block *block);

#endif
