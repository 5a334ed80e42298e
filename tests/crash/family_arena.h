/* SPDX-License-Identifier: MIT
 *
 * What the rows of the arena share with those of its recovery. Knows: sizes. Does not know: what
 * they are promised.
 */
#ifndef TESTS_CRASH_FAMILY_ARENA_H
#define TESTS_CRASH_FAMILY_ARENA_H

#include "crash.h"

#define SMALL 64
#define LARGE 150000 /* whole granules */

#endif
