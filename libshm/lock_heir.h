/* SPDX-License-Identifier: MIT
 *
 * Whose turn it is: a released lock is promised to the one who waited longest, and only so many
 * others may take it before he does. Knows: when a promise is made, kept, void. Does not know: how
 * a lock is taken (lock.c), how to sleep.
 */
#ifndef LIBSHM_LOCK_HEIR_H
#define LIBSHM_LOCK_HEIR_H

#include "self.h"

/* How often others may have a lock while one waits for it: the default; a fair lock: never. */
#define OVERTAKEN_MAX 64

/* `word` without its promise, if that is void. */
uint64_t lock_heir_in_force(struct seg *seg, struct shm_lock *shared, uint64_t word);

/* The word of the lock when it becomes free, made from its flags: with whom it is promised to next.
 * 0 and the flags that are told to the next taker, if nobody waits. */
uint64_t lock_heir_next(struct seg *seg, struct shm_lock *shared, uint64_t word);

/* After the seq_cst CAS that left `word` there: see that somebody comes. */
void lock_heir_call(struct seg *seg, struct self *me, struct shm_lock *shared, uint64_t word);

/* This thread waits no longer (wait_end) and has not got it: what was promised to it goes on. */
void lock_heir_renounce(struct self *me, struct shm_lock *shared);

#endif
