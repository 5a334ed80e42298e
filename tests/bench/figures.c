/* SPDX-License-Identifier: MIT
 *
 * What is known of every row after all batches. Knows: rows, placements, which batch was best.
 * Does not know: how it is measured or shown.
 */
#include "figures.h"

#include <math.h>

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

/* Lower, unless the other has a ratio and this one has not. */
static bool is_better(const struct figure *figure, const struct stats *stats,
		      const struct stats ratio[REFERENCES_MAX])
{
	bool has_ratio = !isnan(ratio[0].of[STAT_P50]);
	bool had_ratio = !isnan(figure->ratio[0].of[STAT_P50]);

	if (figure->batches == 0)
		return true;
	if (has_ratio != had_ratio)
		return has_ratio;
	return stats->of[STAT_P50] < figure->best.of[STAT_P50];
}

void figure_file(const struct row *row, enum placement placement, const struct stats *stats,
		 const struct stats ratio[REFERENCES_MAX])
{
	struct figure *figure = figure_of(row, placement);

	if (!(stats->of[STAT_P50] >= 0) || figure->batches == FILED_MAX)
		return;
	if (is_better(figure, stats, ratio)) {
		figure->best = *stats;
		for (unsigned i = 0; i < REFERENCES_MAX; i++)
			figure->ratio[i] = ratio[i];
	}
	figure->batches++;
	if (!isnan(ratio[0].of[STAT_P50]))
		figure->ratios[figure->ratio_count++] = ratio[0].of[STAT_P50];
}
