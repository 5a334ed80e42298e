/* SPDX-License-Identifier: MIT
 *
 * What the rows of the read-write locks (family_rwlock.c) and their questions (rwlock_check.c)
 * share. Knows: what stands in `variant`. Does not know: anything else.
 */
#ifndef TESTS_CRASH_FAMILY_RWLOCK_H
#define TESTS_CRASH_FAMILY_RWLOCK_H

#include "crash.h"

#define RWLOCK_POISONS 1u

/* What runs: the questions differ. */
int rwlock_read(struct scene *scene, struct party *party);
int rwlock_read_briefly(struct scene *scene, struct party *party); /* until it gives up */
int rwlock_write(struct scene *scene, struct party *party);
int rwlock_write_briefly(struct scene *scene, struct party *party); /* until it gives up */
int rwlock_repair(struct scene *scene, struct party *party);
int rwlock_release(struct scene *scene, struct party *party);
int rwlock_close_held(struct scene *scene, struct party *party);

/* Arranged before it runs. */
void rwlock_hold_read(struct scene *scene, struct party *party);
void rwlock_hold_write(struct scene *scene, struct party *party);
void rwlock_hold_told(struct scene *scene, struct party *party); /* reads, was told of a death */

/* A death is to be told before VICTIM begins. */
bool rwlock_begins_with_a_death(const struct scene *scene);
/* That one comes to it: who reads comes in beside a dead reader that nobody has swept. */
bool rwlock_meets_a_death(const struct scene *scene, const struct operation *operation);
bool rwlock_survivor_reads(const struct scene *scene);
bool rwlock_survivor_writes(const struct scene *scene);

void rwlock_look(struct scene *scene);
bool rwlock_check(struct scene *scene);
bool rwlock_may_say(struct scene *scene, enum role role, int result);

#endif
