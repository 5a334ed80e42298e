/* SPDX-License-Identifier: MIT
 *
 * What must hold after every death. Knows: recovery, slots, guards, the arena. Does not know: any
 * kind of object (family_*.c).
 */
#ifndef TESTS_CRASH_JUDGE_H
#define TESTS_CRASH_JUDGE_H

#include "crash.h"

/* The doorbell of SLEEPER now. */
uint32_t judge_bell(struct scene *scene);

/* In a CHECKER clone: recover, ask everything, complain about each breach. */
bool judge_scene(struct scene *scene);

/* Has SLEEPER returned, in time? In a copy: has it been rung? */
bool judge_sleeper_woke(struct scene *scene);

#endif
