/* SPDX-License-Identifier: MIT
 *
 * One batch: probes, rows in turn, probes again. Knows: when a batch may be believed. Does not
 * know: what the rows do, how figures are shown.
 */
#ifndef TESTS_BENCH_BATCH_H
#define TESTS_BENCH_BATCH_H

#include "probes.h"

struct result; /* of one time */

struct batch {
	const struct row *rows; /* neighbours in the table */
	unsigned count;
	unsigned kept, thrown_away;
	struct result *results; /* the newest first */
};

/* Cut the table into batches; returns how many. */
unsigned batch_cut(const struct row *rows, unsigned count, struct batch *ret_batches, unsigned max);
/* Measure it once; `round` decides which row is first. */
void batch_measure(struct batch *batch, struct run *run, unsigned round);
/* After the last round: throw away what was slowed down as a whole, file the rest as figures. */
void batch_settle(struct batch *batch);

#endif
