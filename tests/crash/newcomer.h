/* SPDX-License-Identifier: MIT
 *
 * Who comes into the slots of the dead. Knows: that a recoverer may be late. Does not know: where
 * it stands.
 *
 * SURVIVOR stands in the middle of recovering EARLIER when another has done it all: the slots of
 * EARLIER and VICTIM are free, and two newcomers take them. They do laps, and stand there with a
 * lease, a lock and a block, when SURVIVOR goes on. What is theirs it must not touch.
 */
#ifndef TESTS_CRASH_NEWCOMER_H
#define TESTS_CRASH_NEWCOMER_H

#include "crash.h"

/* They have everything, or wait for a guard that SURVIVOR has. */
void newcomers_come(struct scene *scene);

/* They find everything as it was, end what they began and leave; false, and complained of: not. */
bool newcomers_go(struct scene *scene);

/* Did one of them take a message of the scene's queue for good? It is in SLEEPER's ledger. */
bool newcomers_took(const struct scene *scene);

#endif
