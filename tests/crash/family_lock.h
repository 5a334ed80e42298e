/* SPDX-License-Identifier: MIT
 *
 * What the rows of the locks (family_lock.c) and their questions (lock_check.c) share.
 * Knows: what stands in `variant`. Does not know: anything else.
 */
#ifndef TESTS_CRASH_FAMILY_LOCK_H
#define TESTS_CRASH_FAMILY_LOCK_H

#include "crash.h"

#define KIND_OF(variant) ((variant) & 3u)
#define POISONS 4u

/* What runs, and what is arranged before. */
int lock_release(struct scene *scene, struct party *party);
void lock_hold_twice(struct scene *scene, struct party *party);

bool lock_check(struct scene *scene);

#endif
