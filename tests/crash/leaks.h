/* SPDX-License-Identifier: MIT
 *
 * What nobody may leave behind. Knows: every table of the segment. Does not know: what an operation
 * promises.
 */
#ifndef TESTS_CRASH_LEAKS_H
#define TESTS_CRASH_LEAKS_H

#include "crash.h"

/* When recovery has ended, before anything else happens: slots, records, blocks and bits are of the
 * living alone, and each wait bit is of one that waits. */
bool leaks_none_of_the_dead(struct scene *scene);

/* When CHECKER has asked everything: it has nothing itself, and who comes into the slots of the
 * dead finds nothing of theirs. */
bool leaks_none_afterwards(struct scene *scene);

#endif
