/* SPDX-License-Identifier: MIT
 *
 * Let each call of an operation fail, one at a time. Knows: the loop over calls, places and errors,
 * and what has to hold after each. Does not know: the operations (test_faults.c).
 *
 * Each case is a process of its own that uses libshm for the first time. The runner itself is a
 * client that speaks the protocol without libshm, so that there is nothing to inherit.
 */
#ifndef TESTS_SYS_FAULT_RUN_H
#define TESTS_SYS_FAULT_RUN_H

#include "fault.h"
#include "harness.h"
#include "raw_client.h"

#include <libshm.h>
#include <libshm/observe.h>

#define FAULT_KEPT "kept" /* the name of the runner's segment */

/* What the operations of one case have open. */
struct fault_case {
	mp_segment *segment, *second;
	mp_queue *queue;
	mp_lock *lock;
	mp_process *process, *other;
	mp_observer *observer;
	struct mp_slot slot;
	char *memory;
};

struct fault_scenario {
	const char *what;
	const char *calls; /* whose Errors lines count, with blanks between */
	uint64_t only;     /* bits of the first 64 of enum fault_call; 0: all of them */
	int success;       /* an error that is as it should be, too; 0: none */
	/* Nothing fails in these; each may be NULL. */
	void (*prepare)(struct fault_case *its);
	void (*undo)(struct fault_case *its); /* an act that succeeded */
	void (*finish)(struct fault_case *its); /* what prepare has made */
	int (*act)(struct fault_case *its);
};

/* With an mpd of the test's endpoint. Fails the test after all cases if one was wrong. */
void fault_run(const struct fault_scenario *scenario);

/* Was one wrong? It stops at the first. */
bool fault_is_found(const struct fault_scenario *scenario);

#endif
