/* SPDX-License-Identifier: MIT
 *
 * Which instructions an operation runs. Knows: ptrace. Does not know: what is done with them.
 */
#ifndef TESTS_CRASH_TRACE_H
#define TESTS_CRASH_TRACE_H

#include "breakpoint.h"
#include "crash.h"

/* The exit code of a clone that performed its operation to the end. */
#define EXIT_PLAYED 98

struct trace_step {
	uint64_t address;
	uint32_t occurrence;
	bool is_change;  /* the segment differs from what it was before the last step */
	bool is_after_call; /* into the kernel, which may have woken somebody */
	bool is_blocked; /* before this one the party had slept in the kernel */
};

struct trace {
	struct trace_step *steps;
	unsigned count;
	bool is_asleep;  /* it ended there: nobody wakes it */
	bool is_endless; /* it waits for one who only stands there */
};

/* Step `role` through its operation. `each` is called with the party standing before step k, and
 * once more at the end; is_changed: the segment's bytes are new (the image has them). */
void trace_run(struct scene *scene, enum role role, struct trace *ret_trace,
	       void (*each)(struct scene *scene, unsigned k, bool is_changed));
void trace_end(struct trace *trace);

/* Up to `most` of its steps that change the segment, spread evenly, besides the first and the end:
 * who stands before one has looked at everything and done nothing yet. Returns how many. */
unsigned trace_points(const struct trace *trace, unsigned most, unsigned *ret_points);

/* A clone of `role` that performs its operation and is killed (or stops) before step k. */
void trace_start_until(struct scene *scene, enum role role, const struct trace *trace, unsigned k,
		       bool is_kill);

/* Bring EARLIER to where the context wants it. */
void earlier_stands(struct scene *scene);

#endif
