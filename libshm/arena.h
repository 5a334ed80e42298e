/* SPDX-License-Identifier: MIT
 *
 * Allocation inside a segment, crash-consistent. Knows: block words, runs, granules. Does not know:
 * what blocks contain, who is alive, how to sleep.
 *
 * Each block has a word outside it with state, owner client and generation (blockword.h). That word
 * is the truth; bitmaps, class hints and private caches are hints. What a dead client HELD or
 * CACHED is freed by arena_sweep; what is LINKED belongs to the object that refers to it.
 */
#ifndef LIBSHM_ARENA_H
#define LIBSHM_ARENA_H

#include "blockword.h"
#include "seg.h"
#include "turn.h"

#define ARENA_CLASSES 19         /* 64 B .. 16 KiB in runs of one or more granules */
#define ARENA_SMALL_MAX 16384
#define ARENA_CACHE_BLOCKS 64

/* Blocks of one size that are CACHED for one client; the last one given back is the first taken. */
struct arena_stock {
	uint32_t count;
	uint32_t cursor; /* granule where the next search for a run goes on */
	atom64 *word[ARENA_CACHE_BLOCKS];
	uint64_t offset[ARENA_CACHE_BLOCKS];
};

/* A thread's private stock of blocks: process memory, zeroed at first, needs no recovery. It
 * belongs to one segment and one client. */
struct arena_cache {
	struct arena_stock stock[ARENA_CLASSES];
};

/* The largest block a segment could ever give. */
uint64_t arena_max_bytes(const struct seg *seg);

/* Take a block; it is HELD by `client` and dies with it until arena_link. `cache` may be NULL.
 * The payload is aligned to 64 bytes and not cleared. 0, -ENOSPC, -EMSGSIZE, -EBADMSG. */
int arena_alloc(struct seg *seg, struct arena_cache *cache, uint32_t client, uint64_t bytes,
		uint64_t *ret_reference, void **ret_data);

/* A block that this thread HOLDS and has told nobody of. */
struct arena_fresh {
	uint64_t reference;
	void *data;
	atom64 *word;
};

/* The same as arena_alloc; then HELD(client) -> LINKED by a plain store, for nobody else changes
 * the word. */
int arena_alloc_fresh(struct seg *seg, struct arena_cache *cache, uint32_t client, uint64_t bytes,
		      struct arena_fresh *ret_fresh);
static inline void arena_link_fresh(const struct arena_fresh *fresh)
{
	/* Relaxed: the payload is published by the object that refers to it. */
	store_relaxed(fresh->word, block_word_to(load_relaxed(fresh->word), 0, BLOCK_LINKED));
}

/* Give back a block that `client` HELD. -EINVAL: it is not held by that client (double free, stale
 * or impossible reference). */
int arena_free(struct seg *seg, struct arena_cache *cache, uint32_t client, uint64_t reference);

/* HELD(client) -> LINKED, and back. Idempotent where it already is so; -ESTALE if the block was
 * freed meanwhile or the reference is impossible, -EINVAL in any other state. */
int arena_link(struct seg *seg, uint32_t client, uint64_t reference);
int arena_unlink(struct seg *seg, uint32_t client, uint64_t reference);

/* Where a block is and what tells its state. `run` is NULL for whole granules. */
struct arena_block {
	atom64 *word;
	struct shm_run *run;
	uint32_t index; /* of the block in its run, or of the granule */
	uint64_t offset;
	uint64_t bytes;
};

/* arena_unlink for who has the only reference (a queue's cell that he is READING, a record that
 * nobody else may end): finds the block once, for arena_give_back. Called before the payload is
 * read, it fetches the word's line while that travels too. NULL, and no word, if the reference is
 * impossible or stale, or the block is somebody else's. */
void *arena_take_over(struct seg *seg, uint32_t client, uint64_t reference,
		      struct arena_block *ret_block);
/* Still HELD by us? A recoverer that comes very late may have linked it again in the name of a dead
 * one who had our slot: HELD once more, before the reference goes. */
void arena_keep(const struct arena_block *block, uint32_t client, uint64_t reference);
/* HELD(client) -> CACHED(client) or FREE, when the reference is gone: by a plain store, for whoever
 * took over has the word alone. LINKED by a late recoverer is HELD as well. */
void arena_give_back(struct seg *seg, struct arena_cache *cache, uint32_t client,
		     uint64_t reference, const struct arena_block *block);

/* The payload of a live reference, NULL if stale or impossible. `ret_bytes`: its whole size. */
void *arena_at(const struct seg *seg, uint64_t reference, uint64_t *ret_bytes);

/* The state word of a reference (0 if impossible): for recovery and checks. */
uint64_t arena_word_of(const struct seg *seg, uint64_t reference);

/* Return every cached block (thread exit). */
void arena_flush(struct seg *seg, struct arena_cache *cache, uint32_t client);

/* Free what a dead client held or had cached, set missing hints, release its guard. Idempotent,
 * any number at once. `is_current(ctx)` is asked after a word was read and before it is changed:
 * false means the slot was already swept and reused, so stop. */
void arena_sweep(struct seg *seg, uint32_t client, bool (*is_current)(void *ctx), void *ctx);
/* As much of it as the walk's turn allows; false: it goes on with the walk. */
bool arena_sweep_some(struct seg *seg, uint32_t client, bool (*is_current)(void *ctx), void *ctx,
		      struct walk *walk);

/* The arena as tools and tests see it; reads words only, tolerates any content. */
struct arena_usage {
	uint64_t total_bytes;
	uint64_t used_bytes;         /* in blocks HELD or LINKED */
	uint64_t free_bytes;         /* in blocks FREE or CACHED and in free granules */
	uint64_t largest_free_bytes; /* in one piece of granules */
	uint64_t committed_bytes;    /* of the whole segment, a hint */
	uint64_t blocks_held, blocks_cached, blocks_linked;
};
void arena_measure(struct seg *seg, struct arena_usage *ret_usage);

/* Test aid, for an arena nobody is changing: heads do not overlap, what they cover says so, every
 * FREE block has its hint. 0 or -EBADMSG. */
int arena_check(struct seg *seg);

#endif
