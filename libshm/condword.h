/* SPDX-License-Identifier: MIT
 *
 * The entry of a thread that waits in a condition. Pure functions on a word. Knows: states, whose
 * condition, who came first. Does not know: locks, sleeping, processes.
 *
 *   63     38 37                    2 1     0
 *  | ticket  | condition's id        | state |
 *
 *   FREE -- its thread, with the lock --> WAITING -- notifier, recoverer: CAS --> NOTIFIED
 *   FREE <-- its thread, with the lock again ---------------------------------------'
 *   FREE <-- the sweep of a dead thread, from either
 *
 * No two waits of a thread have the same word: a late CAS hits none but the wait it was meant for.
 */
#ifndef LIBSHM_CONDWORD_H
#define LIBSHM_CONDWORD_H

#include "slotword.h"

#define COND_TICKET_BITS 26

enum cond_state { COND_FREE = 0, COND_WAITING = 1, COND_NOTIFIED = 2 };

static inline uint64_t cond_entry_waiting(uint64_t id, uint64_t ticket)
{
	return bits_make(COND_WAITING, 0, 2) | bits_make(id, 2, WHO_BITS) |
	       bits_make(ticket, 2 + WHO_BITS, COND_TICKET_BITS);
}

static inline enum cond_state cond_entry_state(uint64_t entry)
{
	return (enum cond_state)bits_get(entry, 0, 2);
}

static inline uint64_t cond_entry_notified(uint64_t entry)
{
	return (entry & ~UINT64_C(3)) | COND_NOTIFIED;
}

/* Of that condition, in whatever state. */
static inline bool cond_entry_is_of(uint64_t entry, uint64_t id)
{
	return bits_get(entry, 2, WHO_BITS) == id;
}

/* Of two that wait in one condition. Tickets wrap: it holds for 2^25 waits at least. */
static inline bool cond_entry_is_older(uint64_t entry, uint64_t other)
{
	return (int64_t)((entry & ~UINT64_C(0) << (2 + WHO_BITS)) -
			 (other & ~UINT64_C(0) << (2 + WHO_BITS))) < 0;
}

#endif
