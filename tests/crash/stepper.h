/* SPDX-License-Identifier: MIT
 *
 * A process that steps itself through its code and writes down each instruction. Knows: traps,
 * write protection. Does not know: what it executes, what is done with the list.
 */
#ifndef TESTS_CRASH_STEPPER_H
#define TESTS_CRASH_STEPPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STEPS_MAX 400000

/* Before it, the memory that is watched differs from what it was one step before: is_change. */
struct step {
	uint64_t address;
	bool is_change;
};

/* What the process waits for or does. Its last value is OVER. */
enum stepper_state { STEPPING, AT_CHANGE, OVER };

/* Shared by the process and by who watches it. */
struct stepper {
	bool stops_at_changes;      /* and at the first: until the watcher lets it go on */
	_Atomic enum stepper_state state; /* the kernel wakes who waits for another one */
	atomic_bool is_endless;
	const atomic_int *is_done;  /* where the stepped code says that it has ended */
	uint64_t first;             /* the instruction that is step 0 */
	atomic_uint count;
	struct step steps[STEPS_MAX];
};

/* Watched memory, at most some; then begin: from `first` on, until is_done. */
void stepper_watch(void *base, uint64_t bytes);
void stepper_begin(struct stepper *stepper);

#endif
