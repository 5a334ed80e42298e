/* SPDX-License-Identifier: MIT
 *
 * What must hold after every death. Knows: recovery, slots, guards, the arena. Does not know: any
 * kind of object (family_*.c).
 */
#ifndef TESTS_CRASH_JUDGE_H
#define TESTS_CRASH_JUDGE_H

#include "crash.h"

/* The doorbell of that party's thread now: the lowest bit says asleep, the rest counts rings. */
uint32_t judge_bell(struct scene *scene, enum role role);

/* In a CHECKER clone: recover, ask everything, complain about each breach. */
bool judge_scene(struct scene *scene);

/* Has SLEEPER been rung, and returned in time? One that waits looks again by itself now and then:
 * that is not what wakes it here. */
bool judge_sleeper_woke(struct scene *scene);

#endif
