/* SPDX-License-Identifier: MIT
 *
 * Block words and references. Pure functions on a word.
 * Knows: who owns a block, how a reference names one use of it. Does not know: where blocks are.
 *
 *   block word  63      40 39     16 15      4 3    0     in a table outside the block
 *              |  len:24  |  gen:24  | client  | state |
 *   reference   63    52 51     32 31              0
 *              | use:12 |  gen:20 |  offset / 64    |     256 GiB a segment
 *
 *   FREE      anybody takes it by CAS
 *   CACHED(c) free, but only client c may take it: plain store
 *   HELD(c)   allocated, not yet reachable: ends with c
 *   LINKED    reachable from an object, owned by nobody
 *   RUN       granules cut into blocks (len is the granules', client is the size class)
 *   CONT      a granule covered by the head `len` granules before it
 *
 *                 refill: CAS            alloc: plain store          arena_link: CAS
 *      FREE ------------------> CACHED(c) ---------------> HELD(c) <-----------------> LINKED
 *        ^                        |    ^                     |  |      arena_unlink: CAS
 *        +---- flush: store ------+    +--- free: CAS, +1 ---+  |
 *        +---- sweep of c, or free without a cache: CAS, +1 ----+
 *
 * A plain store instead of a CAS: arena_link_fresh, arena_give_back (arena_link.c says why).
 *
 * The generation grows at each free, so an old reference is noticed.
 */
#ifndef LIBSHM_BLOCKWORD_H
#define LIBSHM_BLOCKWORD_H

#include "bits.h"

enum block_state {
	BLOCK_FREE = 0,
	BLOCK_CACHED = 1,
	BLOCK_HELD = 2,
	BLOCK_LINKED = 3,
	BLOCK_RUN = 4,
	BLOCK_CONT = 5
};

#define BLOCK_LEN_MAX ((UINT32_C(1) << 24) - 1)

static inline uint64_t block_word(uint32_t len, uint32_t generation, uint32_t client,
				  enum block_state state)
{
	return bits_make(len, 40, 24) | bits_make(generation, 16, 24) | bits_make(client, 4, 12) |
	       (uint64_t)state;
}

static inline enum block_state block_word_state(uint64_t word)
{
	return (enum block_state)(word & 15);
}

static inline uint32_t block_word_client(uint64_t word)
{
	return (uint32_t)bits_get(word, 4, 12);
}

static inline uint32_t block_word_generation(uint64_t word)
{
	return (uint32_t)bits_get(word, 16, 24);
}

static inline uint32_t block_word_len(uint64_t word)
{
	return (uint32_t)bits_get(word, 40, 24);
}

/* Does this word cover granules? (a head, layout_arena.h) */
static inline bool block_word_is_head(uint64_t word)
{
	enum block_state state = block_word_state(word);

	return state != BLOCK_FREE && state < BLOCK_CONT;
}

/* Owned by that client: HELD or CACHED. */
static inline bool block_word_is_of(uint64_t word, uint32_t client)
{
	enum block_state state = block_word_state(word);

	return (state == BLOCK_HELD || state == BLOCK_CACHED) && block_word_client(word) == client;
}

/* The same block with another owner and state. */
static inline uint64_t block_word_to(uint64_t word, uint32_t client, enum block_state state)
{
	return (word & ~UINT64_C(0xffff)) | bits_make(client, 4, 12) | (uint64_t)state;
}

/* The same block, given back: its references die. */
static inline uint64_t block_word_freed(uint64_t word, uint32_t client, enum block_state state)
{
	return block_word(block_word_len(word), block_word_generation(word) + 1, client, state);
}

static inline uint64_t reference_make(uint64_t offset, uint32_t generation)
{
	return bits_make(offset / 64, 0, 32) | bits_make(generation, 32, 20);
}

static inline uint64_t reference_offset(uint64_t reference)
{
	return bits_get(reference, 0, 32) * 64;
}

static inline uint32_t reference_generation(uint64_t reference)
{
	return (uint32_t)bits_get(reference, 32, 20);
}

static inline bool reference_matches(uint64_t reference, uint64_t block)
{
	return reference_generation(reference) == (block_word_generation(block) & 0xfffff);
}

#endif
