/* SPDX-License-Identifier: MIT
 *
 * The lock word: one 64-bit word is the whole truth about a lock. Pure functions on a word.
 * Knows: owner, flags, promise. Does not know: sleeping, recursion, processes.
 *
 *   63    60 59    53 52  41 40     39 38    37   36  35       12 11     0
 *  | spare  | credit | heir | - |NEWS|POISON|DIED|WAIT| owner gen  | owner |   owner 0: free
 *
 *                     CAS acquire                      CAS release
 *      0 ------------------------------> me -----------------------------> 0
 *      free|WAIT|DIED -- CAS, keeps WAIT -> me|WAIT -- slow: promises, rings --> free|WAIT|heir
 *      me (dead) -- recovery, CAS on exactly this word --> free|WAIT?|DIED (or POISON)
 *
 * WAIT: somebody sleeps or is about to, so the release must take the slow path. It stays set in
 * the free word while there is a waiter, so nobody slips through acquire and release unseen. NEWS:
 * turned by each who begins to wait where WAIT is set already, so that the CAS of a release which
 * has not seen him fails; else it says nothing.
 * heir: the thread slot that it was promised to, 0: to nobody. credit: how many others may take it
 * before the heir does. lock_heir.c tells when a promise is void.
 */
#ifndef LIBSHM_LOCKWORD_H
#define LIBSHM_LOCKWORD_H

#include "slotword.h"

#define LOCK_WAIT (UINT64_C(1) << 36)
#define LOCK_DIED (UINT64_C(1) << 37)
#define LOCK_POISON (UINT64_C(1) << 38)
#define LOCK_NEWS (UINT64_C(1) << 39)

#define LOCK_HEIR_AT 41
#define LOCK_CREDIT_AT 53
#define LOCK_CREDIT_BITS 7
#define LOCK_PROMISE ((UINT64_C(1) << 60) - (UINT64_C(1) << LOCK_HEIR_AT))

static inline uint64_t lock_word_owner(uint64_t word)
{
	return word & ((UINT64_C(1) << WHO_BITS) - 1);
}

static inline bool lock_word_is_free(uint64_t word)
{
	return lock_word_owner(word) == 0;
}

static inline uint32_t lock_word_heir(uint64_t word)
{
	return (uint32_t)bits_get(word, LOCK_HEIR_AT, SLOT_BITS);
}

static inline uint32_t lock_word_credit(uint64_t word)
{
	return (uint32_t)bits_get(word, LOCK_CREDIT_AT, LOCK_CREDIT_BITS);
}

static inline uint64_t lock_word_promised(uint64_t word, uint32_t heir, uint32_t credit)
{
	return (word & ~LOCK_PROMISE) | bits_make(heir, LOCK_HEIR_AT, SLOT_BITS) |
	       bits_make(credit, LOCK_CREDIT_AT, LOCK_CREDIT_BITS);
}

/* May the thread in slot `thread` take it, if the promise holds? */
static inline bool lock_word_is_open_to(uint64_t word, uint32_t thread)
{
	uint32_t heir = lock_word_heir(word);

	return lock_word_is_free(word) && (!heir || heir == thread || lock_word_credit(word) > 0);
}

/* The word after `who`, in slot `thread`, takes a lock that is open to it: DIED is told once, WAIT
 * stays; a promise is fulfilled, or is kept with one credit less. */
static inline uint64_t lock_word_taken(uint64_t word, uint64_t who, uint32_t thread)
{
	uint64_t taken = who | (word & LOCK_WAIT);
	uint32_t heir = lock_word_heir(word), credit = lock_word_credit(word);

	return heir == 0 || heir == thread
		       ? taken
		       : lock_word_promised(taken, heir, credit > 0 ? credit - 1 : 0);
}

/* The word when somebody begins to wait: another than before, whatever it was. */
static inline uint64_t lock_word_waited_for(uint64_t word)
{
	return word & LOCK_WAIT ? word ^ LOCK_NEWS : word | LOCK_WAIT;
}

/* The word after a dead owner is released on his behalf. */
static inline uint64_t lock_word_after_death(uint64_t word, bool poison)
{
	return (word & LOCK_WAIT) | (poison ? LOCK_POISON : LOCK_DIED);
}

#endif
