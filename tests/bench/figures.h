/* SPDX-License-Identifier: MIT
 *
 * What is known of every row after all batches. Knows: rows, placements, which batch was best.
 * Does not know: how it is measured or shown.
 */
#ifndef TESTS_BENCH_FIGURES_H
#define TESTS_BENCH_FIGURES_H

#include "probes.h"
#include "stats.h"

#define FILED_MAX 512

/* All of it from one batch, the one with the lowest median of the row among those that have its
 * ratio: figures and ratios belong together. Only the median of ratios looks at other batches. */
struct figure {
	struct stats best;
	struct stats ratio[REFERENCES_MAX];
	double ratios[FILED_MAX]; /* of the medians, to the first reference */
	uint32_t ratio_count;
	uint32_t batches;
};

struct figure *figure_of(const struct row *row, enum placement placement);
/* The row was measured in a batch of that placement. */
void figure_file(const struct row *row, enum placement placement, const struct stats *stats,
		 const struct stats ratio[REFERENCES_MAX]);

#endif
