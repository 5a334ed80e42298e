/* SPDX-License-Identifier: MIT
 *
 * What the target attach does with semaphores, events, conditions, barriers and read-write locks.
 * Knows: public calls with MP_NOW, that any word of such an object may be anything. Does not know:
 * what the words mean.
 */
#ifndef TESTS_FUZZ_ATTACH_SYNC_H
#define TESTS_FUZZ_ATTACH_SYNC_H

#include "input.h"

#include "seg.h"

#include <libshm.h>

struct sync_stage {
	mp_segment *segment;
	mp_lock *lock; /* the condition's */
	mp_sem *sem, *owned;
	mp_event *event;
	mp_cond *cond;
	mp_barrier *barrier;
	mp_rwlock *rwlock;
};

/* Open one of them, or close it if it is open. */
void sync_open(struct sync_stage *stage, unsigned arg);

/* One call; what it returned. */
int sync_use(struct sync_stage *stage, unsigned arg);

/* One word of one that is open becomes what the input says. */
void sync_spoil(struct sync_stage *stage, struct seg *seg, struct input *input);

void sync_close(struct sync_stage *stage);

#endif
