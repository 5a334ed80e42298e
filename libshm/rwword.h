/* SPDX-License-Identifier: MIT
 *
 * The words of a read-write lock. Pure functions on a word. Knows: a reader's word, what the
 * writer's word has besides the lock word (lockword.h). Does not know: sleeping, processes.
 *
 *   reader  63    40  39    38  37  32 31    0     one for each thread slot, 0: that thread is out
 *          | gen:24 |WAITS|TOLD|   -  | count |
 *
 *      0 -- CAS --> 1 -- recursion --> n -- release --> 0     in, n times; or looking first
 *                   1 -- it is written --> WAITS                waits, out
 *      WAITS -- woken --> WAITS|1 -- written after all --> WAITS    looking once more
 *      WAITS, WAITS|1 -- by a writer that lets go --> 1         admitted: it is in, awake or not
 *
 *   A count that is not 0 keeps a writer out, WAITS or not. Only its thread and, while it says
 *   WAITS, the writer that owns the lock change it; when that thread has died, a recoverer.
 *
 *   writer  63    54 53  42  41  40                0
 *          | gen:10 | slot | r | as in lockword.h   |  slot, gen: the reader that was told of a
 *                                                      death and has not left yet; 0: none
 *   r: READ_WAIT, somebody says WAITS: who writes admits him before he frees the word. He takes the
 *   flag off first: one who says WAITS behind that look sets it again, for the next writer
 */
#ifndef LIBSHM_RWWORD_H
#define LIBSHM_RWWORD_H

#include "lockword.h"

#define READER_COUNT ((UINT64_C(1) << 32) - 1)
#define READER_TOLD (UINT64_C(1) << 38)
#define READER_WAITS (UINT64_C(1) << 39)
#define READER_GENERATION_SHIFT 40

#define RWLOCK_READ_WAIT (UINT64_C(1) << 41)
#define RWLOCK_TOLD_SHIFT 42
#define RWLOCK_TOLD (~UINT64_C(0) << RWLOCK_TOLD_SHIFT)
/* None of it: who reads may just go in. */
#define RWLOCK_SHUT (((UINT64_C(1) << WHO_BITS) - 1) | LOCK_DIED | LOCK_POISON)

/* That thread is out but for what is added to it. */
static inline uint64_t reader_word(uint64_t who, uint64_t rest)
{
	return (uint64_t)who_generation(who) << READER_GENERATION_SHIFT | rest;
}

static inline uint32_t reader_word_count(uint64_t word)
{
	return (uint32_t)(word & READER_COUNT);
}

/* Whose word it is, in the slot where it was found. */
static inline uint64_t reader_word_who(uint64_t word, uint32_t thread)
{
	return who_make(thread, (uint32_t)(word >> READER_GENERATION_SHIFT));
}

/* A reader is told of the death. */
static inline uint64_t rwlock_word_told(uint64_t word, uint64_t who)
{
	return (word & ~(RWLOCK_TOLD | LOCK_DIED)) |
	       (who & ((UINT64_C(1) << (64 - RWLOCK_TOLD_SHIFT)) - 1)) << RWLOCK_TOLD_SHIFT;
}

/* The thread slot of the reader that was told, 0: none. */
static inline uint32_t rwlock_word_told_slot(uint64_t word)
{
	return who_slot(word >> RWLOCK_TOLD_SHIFT);
}

static inline bool rwlock_word_has_told(uint64_t word, uint64_t who)
{
	return (word & RWLOCK_TOLD) && (word & RWLOCK_TOLD) == who << RWLOCK_TOLD_SHIFT;
}

/* A writer takes a free one; what it says of deaths stays until he is in. */
static inline uint64_t rwlock_word_taken(uint64_t word, uint64_t who)
{
	return word | who;
}

/* The writer lets go. Who waits to read and was not admitted will be by the next one. */
static inline uint64_t rwlock_word_let_go(uint64_t word, bool has_sleepers)
{
	return (word & (LOCK_DIED | LOCK_POISON | RWLOCK_TOLD | RWLOCK_READ_WAIT)) |
	       (has_sleepers ? LOCK_WAIT : 0);
}

/* Does somebody wait whom its owner may admit? Not who would have to be told of a death. */
static inline bool rwlock_word_may_admit(uint64_t word)
{
	return (word & RWLOCK_READ_WAIT) && !(word & (LOCK_DIED | LOCK_POISON | RWLOCK_TOLD));
}

/* A dead writer's: one that was inside may have left what it guards half written. */
static inline uint64_t rwlock_word_after_death(uint64_t word, bool was_inside, bool poison)
{
	return was_inside ? lock_word_after_death(word, poison) | (word & RWLOCK_READ_WAIT)
			  : word & ~((UINT64_C(1) << WHO_BITS) - 1);
}

#endif
