/* SPDX-License-Identifier: MIT
 *
 * The lock word: one 64-bit word is the whole truth about a lock. Pure functions on a word.
 * Knows: owner and flags. Does not know: sleeping, recursion, processes.
 *
 *   63     41  40     39    38     37   36  35       12 11     0
 *  | spare   |STARVE|GRANT|POISON|DIED|WAIT| owner gen  | owner |     owner 0: free
 *
 *                     CAS acquire                      CAS release
 *      0 ------------------------------> me -----------------------------> 0
 *      free|WAIT|DIED -- CAS, keeps WAIT -> me|WAIT -- slow: rings ------> free|WAIT?
 *      me (dead) -- recovery, CAS on exactly this word --> free|WAIT?|DIED (or POISON)
 *
 * WAIT: somebody sleeps or is about to, so the release must take the slow path. It stays set in
 * the free word while sleepers exist, so nobody slips through acquire and release without ringing.
 * GRANT and STARVE belong to the fair hand-over and are reserved.
 */
#ifndef LIBSHM_LOCKWORD_H
#define LIBSHM_LOCKWORD_H

#include "slotword.h"

#define LOCK_WAIT (UINT64_C(1) << 36)
#define LOCK_DIED (UINT64_C(1) << 37)
#define LOCK_POISON (UINT64_C(1) << 38)
#define LOCK_GRANT (UINT64_C(1) << 39)
#define LOCK_STARVE (UINT64_C(1) << 40)

static inline uint64_t lock_word_owner(uint64_t word)
{
	return word & ((UINT64_C(1) << WHO_BITS) - 1);
}

static inline bool lock_word_is_free(uint64_t word)
{
	return lock_word_owner(word) == 0;
}

/* The word after `who` takes a free lock: DIED is told once, WAIT stays. */
static inline uint64_t lock_word_taken(uint64_t word, uint64_t who)
{
	return who | (word & LOCK_WAIT);
}

/* The word after a dead owner is released on his behalf. */
static inline uint64_t lock_word_after_death(uint64_t word, bool poison)
{
	return (word & LOCK_WAIT) | (poison ? LOCK_POISON : LOCK_DIED);
}

#endif
