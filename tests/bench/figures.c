/* SPDX-License-Identifier: MIT
 *
 * What is known of every row after all batches. Knows: rows, placements, which batch was best.
 * Does not know: how it is measured or shown.
 */
#include "figures.h"

#define ROWS_MAX 256

struct entry {
	const struct row *row;
	struct figure figure[PLACEMENTS];
};

static struct entry entries[ROWS_MAX];

static struct entry *entry_of(const struct row *row)
{
	for (unsigned i = 0; i < ROWS_MAX; i++) {
		if (!entries[i].row)
			entries[i].row = row;
		if (entries[i].row == row)
			return &entries[i];
	}
	bench_fail("more rows than figures.c has room for");
}

struct figure *figure_of(const struct row *row, enum placement placement)
{
	return &entry_of(row)->figure[placement];
}

void figure_file(const struct row *row, enum placement placement, const struct stats *stats,
		 const struct stats ratio[REFERENCES_MAX])
{
	struct figure *figure = figure_of(row, placement);
	double median = stats->of[STAT_P50];

	if (!(median >= 0) || figure->batches == FILED_MAX)
		return;
	if (figure->batches == 0 || median < figure->best.of[STAT_P50]) {
		figure->best = *stats;
		for (unsigned i = 0; i < REFERENCES_MAX; i++)
			figure->ratio[i] = ratio[i];
	}
	figure->ratios[figure->batches++] = ratio[0].of[STAT_P50];
}
