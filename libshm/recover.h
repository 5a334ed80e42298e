/* SPDX-License-Identifier: MIT
 *
 * What happens when a participant dies. Knows: the order of a sweep, one row for each kind of
 * object. Does not know: how the death was noticed (slot.h, mpd).
 *
 * Anyone may do it, twice, at once, and may die doing it. Nothing is taken over in the recoverer's
 * own name: the dead one's intent is finished, his locks are released on his behalf, then his
 * blocks are freed, then his slots.
 */
#ifndef LIBSHM_RECOVER_H
#define LIBSHM_RECOVER_H

#include "seg.h"

/* Sweep one use of a client slot that is proven dead (slot_is_dead or mpd's verdict), then any
 * other slot that was left DEAD, then audit. */
void recover_client(struct seg *seg, uint32_t client, uint32_t generation);

/* A living process leaves (detach): the same, in its own name. */
void recover_own_exit(struct seg *seg, uint32_t client, uint32_t generation);

/* A thread of a living process ends: its locks are marked DIED, its slot is freed. */
void recover_thread(struct seg *seg, uint32_t thread, uint64_t who);

/* Sweep every client that can be proven dead now; returns how many. */
unsigned recover_all(struct seg *seg);

/* Ring each sleeper that waits for something ready or whose bit is missing. Returns rings. */
unsigned recover_audit(struct seg *seg);

/* mpd's periodic form: rings only sleepers that were ready already at the last call with no
 * progress since (a rung but stopped process must not keep others asleep). `memory` holds
 * THREADS_MAX words, zeroed at first. */
unsigned recover_audit_stalled(struct seg *seg, uint64_t *memory);

#endif
