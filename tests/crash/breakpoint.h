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
	uint64_t walk_to; /* 0, or single steps from there on, until this is reached */
	uint32_t walk_occurrence;
	atomic_int *is_stopped; /* NULL: die; else say so here, */
	atomic_int *may_go_on;  /* and wait for this */
};

/* Can one stop at that instruction without walking there? The kernel's (vdso) cannot be written. */
bool breakpoint_is_possible(uint64_t address);
/* `next` has to stay. */
void breakpoint_arm(const struct breakpoint *breakpoint);
/* Before any clone is made; false: the code cannot be written to. */
bool breakpoint_begin(void);

#endif
