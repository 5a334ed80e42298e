/* SPDX-License-Identifier: MIT
 *
 * Dying, or standing still, at one instruction of this process. Knows: int3, the trap flag. Does
 * not know: why there, what an operation is.
 */
#ifndef TESTS_CRASH_BREAKPOINT_H
#define TESTS_CRASH_BREAKPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct breakpoint {
	uint64_t address;
	uint32_t occurrence; /* the first is 1 */
	const uint64_t *next; /* what comes after it, for each occurrence before that one */
	atomic_int *is_stopped; /* NULL: die; else say so here, */
	atomic_int *may_go_on;  /* and wait for this */
};

/* False: that instruction cannot be written to. `next` has to stay. */
bool breakpoint_arm(const struct breakpoint *breakpoint);
/* Before any clone is made; false: the code cannot be written to. */
bool breakpoint_begin(void);

#endif
