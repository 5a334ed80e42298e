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

#include "object.h"
#include "seg.h"
#include "sweep.h"

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

/* As much of it as the walk's turn allows; false: it goes on with the walk. */
bool recover_audit_some(struct seg *seg, struct walk *walk);

/* mpd's periodic form: rings only sleepers that were ready already at the last look with no
 * progress since (a rung but stopped process must not keep others asleep), once for each such
 * state. All zero at first. */
struct stalled_audit {
	uint64_t memory[THREADS_MAX];
	struct walk walk;
	unsigned rings;  /* of this look, */
	bool is_any_new; /* and was somebody found for the first time, to be rung by the next? */
};
/* As much of a look as the turn allows (NULL: all); false: it goes on with the next call. */
bool recover_audit_stalled(struct seg *seg, struct stalled_audit *audit, struct turn *turn);

/* --- for one who has others to serve --- */

/* The verdict alone. Who gives it goes on with recover_some. */
void recover_mark_dead(struct seg *seg, uint32_t client, uint32_t generation);

/* Where a recovery goes on; all zero at first: all is to be done. */
struct recovery {
	struct sweep sweep; /* seg NULL: none is under way */
	struct object_freeing freeing;
	struct walk audit;
	bool is_swept, is_freed, is_audited;
};

/* What it had done is to be done again: all, or only the freeing. */
void recover_all_again(struct recovery *recovery);
void recover_free_again(struct recovery *recovery);

/* As much as the turn allows of what recover_client does with every slot that says DEAD, and what
 * nobody holds any more. True: all is done, and *recovery is as at first. */
bool recover_some(struct seg *seg, struct recovery *recovery, struct turn *turn);

#endif
