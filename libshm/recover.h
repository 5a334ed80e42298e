/* SPDX-License-Identifier: MIT
 *
 * What happens when a participant dies. Knows: the order of a sweep, the audit. Does not know: how
 * the death was noticed (slot.h, mpd), what one kind of object has to repair (its recover row).
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

/* This process leaves: it gives up what it owns and holds, its threads' slots, then its own slot is
 * swept like a dead one's, by itself, as its last act. */
void recover_own_exit(struct seg *seg);

/* A thread of a living process ends: its locks are marked DIED. Its slot is freed by the caller. */
void recover_thread(struct seg *seg, uint32_t thread, uint64_t who);

/* mpd, which is `self`, takes its own slot (1) of a segment: its former self, if any, is swept
 * first. */
struct slot_identity;
void recover_become_mpd(struct seg *seg, const struct slot_identity *self);

/* Sweep every client that can be proven dead now; returns how many. */
unsigned recover_all(struct seg *seg);

/* Ring each sleeper that waits for something ready or whose bit is missing. Returns rings. */
unsigned recover_audit(struct seg *seg);

/* mpd's periodic form: rings only sleepers that were ready already at the last call with no
 * progress since (a rung but stopped process must not keep others asleep), once for each such
 * state. `memory` holds THREADS_MAX words, zeroed at first. *ret_is_any_new: somebody was found for
 * the first time, to be rung by the next call. */
unsigned recover_audit_stalled(struct seg *seg, uint64_t *memory, bool *ret_is_any_new);

#endif
