/* SPDX-License-Identifier: MIT
 *
 * Statistics of one measurement. Knows: order statistics. Does not know: what was measured.
 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

const char *const stat_names[STATS] = { "min", "p50", "p99", "p99.9" };

static const double shares[STATS] = { 0, 0.5, 0.99, 0.999 };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct stats stats_none(void)
{
	return (struct stats){ { NAN, NAN, NAN, NAN } };
}

struct stats stats_of(double *values, uint32_t count)
{
	struct stats stats = stats_none();

	if (count == 0)
		return stats;
	qsort(values, count, sizeof values[0], by_value);
	for (unsigned i = 0; i < STATS; i++)
		stats.of[i] = values[(uint32_t)(shares[i] * (count - 1) + 0.5)];
	return stats;
}

struct stats stats_ratio(const struct stats *of, const struct stats *to)
{
	struct stats ratio = stats_none();

	for (unsigned i = 0; i < STATS; i++)
		if (to->of[i] > 0)
			ratio.of[i] = of->of[i] / to->of[i];
	return ratio;
}

struct stats stats_mean(const struct stats *a, const struct stats *b)
{
	struct stats mean;

	for (unsigned i = 0; i < STATS; i++)
		mean.of[i] = (a->of[i] + b->of[i]) / 2;
	return mean;
}

double stats_apart(const struct stats *a, const struct stats *b)
{
	double x = a->of[STAT_P50], y = b->of[STAT_P50];

	if (!(x > 0) || !(y > 0))
		return NAN;
	return x > y ? x / y : y / x;
}

double median_of(double *values, uint32_t count)
{
	return stats_of(values, count).of[STAT_P50];
}
