/* SPDX-License-Identifier: MIT
 *
 * Statistics of one measurement. Knows: order statistics. Does not know: what was measured.
 */
#ifndef TESTS_BENCH_STATS_H
#define TESTS_BENCH_STATS_H

#include <stdint.h>

enum stat { STAT_MIN, STAT_P50, STAT_P99, STAT_P999, STATS };

extern const char *const stat_names[STATS];

/* NAN where there is no value: a measurement that failed, or that was not made. */
struct stats {
	double of[STATS];
};

struct stats stats_none(void);
/* Sorts. None of zero values. */
struct stats stats_of(double *values, uint32_t count);
/* Each divided by its partner. */
struct stats stats_ratio(const struct stats *of, const struct stats *to);
/* The middle of two measurements of the same. */
struct stats stats_mean(const struct stats *a, const struct stats *b);
/* The larger by the smaller; of the medians. NAN if one is none. */
double stats_apart(const struct stats *a, const struct stats *b);
double median_of(double *values, uint32_t count);

#endif
