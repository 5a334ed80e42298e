/* SPDX-License-Identifier: MIT
 *
 * What the rows of the locks (family_lock.c) and their questions (lock_check.c) share. Knows: what
 * stands in `variant`. Does not know: anything else.
 */
#ifndef TESTS_CRASH_FAMILY_LOCK_H
#define TESTS_CRASH_FAMILY_LOCK_H

#include "crash.h"

#define KIND_OF(variant) ((variant) & 3u)
#define POISONS 4u

/* What runs: the questions differ. In an exclusive row the party holds the lock before. */
int lock_acquire(struct scene *scene, struct party *party);
int lock_acquire_briefly(struct scene *scene, struct party *party); /* until it gives up */
int lock_repair(struct scene *scene, struct party *party);
int lock_release(struct scene *scene, struct party *party);
int lock_release_twice(struct scene *scene, struct party *party);
int lock_release_by_another(struct scene *scene, struct party *party); /* SURVIVOR's */
int lock_release_by_stranger(struct scene *scene, struct party *party);
int lock_close_held(struct scene *scene, struct party *party);

/* Arranged for a release that leaves it held. */
void lock_hold_twice(struct scene *scene, struct party *party);

/* A holder has died before VICTIM begins. */
bool lock_begins_with_a_death(const struct scene *scene);

void lock_look(struct scene *scene);
bool lock_check(struct scene *scene);
bool lock_may_say(struct scene *scene, enum role role, int result);

#endif
