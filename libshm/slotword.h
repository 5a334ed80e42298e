/* SPDX-License-Identifier: MIT
 *
 * The words of client slots, thread slots and directory entries. Pure functions on a word.
 * Knows: states, generations, owner encodings. Does not know: tables or processes.
 *
 *   client  63    60 59     36 35   26 25    4 3    0   FREE -> SETUP -> LIVE -> DEAD -> FREE
 *          |  -    |  gen:24  | ns:10 | pid:22 | state | FREE keeps the generation it had
 *          ns: low bits of the pid namespace's inode, so that even a half-made slot tells
 *          whether its pid means anything to the reader
 *   thread  63    41 40 39    28 27     4 3    0     FREE -> SETUP -> LIVE -> FREE
 *          |   -    | a | client |  gen:24 | state | a: an anchor, which stands for its whole
 *          process in the words of plain locks; no thread runs in that slot
 *   entry   63                28 27     4 3    0      FREE -> LIVE -> REMOVED -> FREE
 *          |         -          |  gen:24 | state |   FREE -> ANONYMOUS -> FREE
 *
 *   who     35     12 11    0     identity of a thread in lock words, never 0
 *          |  gen:24 | slot  |    (the same shape names a client in guard words)
 */
#ifndef LIBSHM_SLOTWORD_H
#define LIBSHM_SLOTWORD_H

#include "bits.h"

#define SLOT_BITS 12
#define GENERATION_BITS 24
#define GENERATION_MASK ((UINT32_C(1) << GENERATION_BITS) - 1)
#define WHO_BITS 36
#define THREAD_ANCHOR (UINT64_C(1) << 40)

enum slot_state { SLOT_FREE = 0, SLOT_SETUP = 1, SLOT_LIVE = 2, SLOT_DEAD = 3 };
/* LIVE has a name and lives until that is removed. REMOVED had one, ANONYMOUS never had: both live
 * as long as somebody holds them. */
enum entry_state { ENTRY_FREE = 0, ENTRY_LIVE = 1, ENTRY_REMOVED = 2, ENTRY_ANONYMOUS = 3 };

static inline uint64_t client_word(enum slot_state state, uint32_t generation, uint32_t pid,
				   uint64_t pid_namespace)
{
	return bits_make(state, 0, 4) | bits_make(pid, 4, 22) | bits_make(pid_namespace, 26, 10) |
	       bits_make(generation, 36, GENERATION_BITS);
}

static inline enum slot_state client_word_state(uint64_t word)
{
	return (enum slot_state)bits_get(word, 0, 4);
}

static inline uint32_t client_word_pid(uint64_t word)
{
	return (uint32_t)bits_get(word, 4, 22);
}

static inline bool client_word_is_of_namespace(uint64_t word, uint64_t pid_namespace)
{
	return bits_get(word, 26, 10) == (pid_namespace & 1023);
}

static inline uint32_t client_word_generation(uint64_t word)
{
	return (uint32_t)bits_get(word, 36, GENERATION_BITS);
}

/* Does it say that somebody is in the slot? Forged words may be in no state at all. */
static inline bool client_word_is_used(uint64_t word)
{
	return client_word_state(word) == SLOT_SETUP || client_word_state(word) == SLOT_LIVE;
}

/* The same, or that he died in it. */
static inline bool client_word_is_taken(uint64_t word)
{
	return client_word_is_used(word) || client_word_state(word) == SLOT_DEAD;
}

static inline uint64_t client_word_with_state(uint64_t word, enum slot_state state)
{
	return (word & ~UINT64_C(15)) | (uint64_t)state;
}

static inline uint64_t thread_word(enum slot_state state, uint32_t generation, uint32_t client)
{
	return bits_make(state, 0, 4) | bits_make(generation, 4, GENERATION_BITS) |
	       bits_make(client, 28, SLOT_BITS);
}

static inline enum slot_state thread_word_state(uint64_t word)
{
	return (enum slot_state)bits_get(word, 0, 4);
}

static inline uint32_t thread_word_generation(uint64_t word)
{
	return (uint32_t)bits_get(word, 4, GENERATION_BITS);
}

static inline uint32_t thread_word_client(uint64_t word)
{
	return (uint32_t)bits_get(word, 28, SLOT_BITS);
}

/* Does a thread run in this slot? */
static inline bool thread_word_is_live(uint64_t word)
{
	return thread_word_state(word) != SLOT_FREE && !(word & THREAD_ANCHOR);
}

static inline uint64_t entry_word(enum entry_state state, uint32_t generation)
{
	return bits_make(state, 0, 4) | bits_make(generation, 4, GENERATION_BITS);
}

static inline enum entry_state entry_word_state(uint64_t word)
{
	return (enum entry_state)bits_get(word, 0, 4);
}

/* Does the object end with its last holder? */
static inline bool entry_word_is_unnamed(uint64_t word)
{
	return entry_word_state(word) == ENTRY_REMOVED || entry_word_state(word) == ENTRY_ANONYMOUS;
}

static inline uint32_t entry_word_generation(uint64_t word)
{
	return (uint32_t)bits_get(word, 4, GENERATION_BITS);
}

static inline uint32_t generation_next(uint32_t generation)
{
	generation = (generation + 1) & GENERATION_MASK;
	return generation ? generation : 1; /* 0 is never used: an empty word names nobody */
}

static inline uint64_t who_make(uint32_t slot, uint32_t generation)
{
	return bits_make(slot, 0, SLOT_BITS) | bits_make(generation, SLOT_BITS, GENERATION_BITS);
}

static inline uint32_t who_slot(uint64_t who)
{
	return (uint32_t)bits_get(who, 0, SLOT_BITS);
}

static inline uint32_t who_generation(uint64_t who)
{
	return (uint32_t)bits_get(who, SLOT_BITS, GENERATION_BITS);
}

/* An object's id: which entry, and which use of it. */
static inline uint64_t object_id_make(uint32_t index, uint32_t generation)
{
	return bits_make(index, 0, SLOT_BITS) | bits_make(generation, SLOT_BITS, GENERATION_BITS);
}

#endif
