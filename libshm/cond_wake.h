/* SPDX-License-Identifier: MIT
 *
 * Waiters that a death concerns. Knows: the entries of threads, doorbells. Does not know: objects;
 * so nobody need hold the condition whose waiters he wakes.
 */
#ifndef LIBSHM_COND_WAKE_H
#define LIBSHM_COND_WAKE_H

#include "seg.h"

struct sweep;

/* What it costs in looks: a ring takes longer than a look. */
#define COND_WAKE_LOOKS 3072

/* Every thread that waits in that condition, or in any that belongs to that lock, is notified and
 * rung; one that had been notified is rung again, for who did it may have died before. As long as
 * the sweep is current; NULL: always. */
void cond_wake_all_of(struct seg *seg, uint64_t id, const struct sweep *sweep);
void cond_wake_all_of_lock(struct seg *seg, uint64_t lock_id, const struct sweep *sweep);

#endif
