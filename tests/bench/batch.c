/* SPDX-License-Identifier: MIT
 *
 * One batch: probes, rows in turn, probes again. Knows: when a batch may be believed. Does not
 * know: what the rows do, how figures are shown.
 *
 * A host moves virtual CPUs about and lets others run on them. If the probes before and after
 * disagree, nothing in between is known to have had one machine; if raw(n) is far from the best
 * that it was in the same placement, somebody else had the machine all the time. Such a batch is
 * filed as disturbed, no ratio of it is ever shown. Neither is a single ratio whose reference was
 * that far from its best.
 */
#include "batch.h"

#include "figures.h"
#include "partner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_ROWS_MAX 32
/* Probes that differ by more than this did not see the same machine. */
#define APART_MAX 1.2
/* A raw(n), or another reference, so much slower than the best one was disturbed itself. */
#define SLOW_MAX 1.3

struct probes {
	struct stats rmw, line, raw;
};

struct result {
	enum placement placement;
	struct probes probes; /* the middle of those before and after */
	struct stats stats[BATCH_ROWS_MAX];
	struct result *next;
};

unsigned batch_cut(const struct row *rows, unsigned count, struct batch *ret_batches, unsigned max)
{
	unsigned batches = 0;

	for (unsigned i = 0; i < count; i++) {
		if (i == 0 || strcmp(rows[i].batch, rows[i - 1].batch) != 0) {
			if (batches == max)
				bench_fail("too many batches");
			ret_batches[batches++] = (struct batch){ .rows = &rows[i] };
		}
		if (++ret_batches[batches - 1].count > BATCH_ROWS_MAX)
			bench_fail("too many rows in a batch");
	}
	return batches;
}

static struct stats measure(struct run *run, const struct row *row)
{
	double duration_ns = run->duration_ns;

	run->row = row;
	run->duration_ns = duration_ns * (row->times ? row->times : 1);
	run->count = 0;
	partner_measure(run);
	run->duration_ns = duration_ns;
	return stats_of(run->laps, run->count);
}

static const struct row *raw_of(const struct batch *batch)
{
	const struct row *raw = probe_raw(batch->rows[0].bytes);

	if (!raw)
		bench_fail("the first row of a batch has a size without a probe");
	return raw;
}

static struct probes probe(const struct batch *batch, struct run *run)
{
	struct probes probes;

	probes.rmw = measure(run, &probe_rmw);
	probes.line = measure(run, &probe_line);
	probes.raw = measure(run, raw_of(batch));
	return probes;
}

/* Where the CPUs were during the batch, if they stayed there. */
static enum placement judge(const struct probes *before, const struct probes *after)
{
	enum placement first = placement_of(before->line.of[STAT_P50], before->rmw.of[STAT_P50]);
	enum placement last = placement_of(after->line.of[STAT_P50], after->rmw.of[STAT_P50]);

	if (first != last || !(stats_apart(&before->line, &after->line) < APART_MAX) ||
	    !(stats_apart(&before->raw, &after->raw) < APART_MAX))
		return DISTURBED;
	return first;
}

/* The median of a row at its best in a placement. */
static double best_row(const struct batch *batch, enum placement placement, unsigned index)
{
	double best = INFINITY;

	for (const struct result *result = batch->results; result; result = result->next)
		if (result->placement == placement && result->stats[index].of[STAT_P50] < best)
			best = result->stats[index].of[STAT_P50];
	return best;
}

static struct stats reference_row(const struct batch *batch, const struct result *result,
				  const char *name)
{
	const struct stats *stats;

	for (unsigned i = 0; i < batch->count; i++) {
		if (strcmp(batch->rows[i].name, name) != 0)
			continue;
		stats = &result->stats[i];
		if (stats->of[STAT_P50] > SLOW_MAX * best_row(batch, result->placement, i))
			return stats_none();
		return *stats;
	}
	bench_fail("a row names a reference that its batch does not have");
}

/* The figures that the row's reference has in this batch. */
static struct stats reference(const struct batch *batch, const struct result *result,
			      const char *name)
{
	if (!name)
		return stats_none();
	if (strcmp(name, "raw") == 0)
		return result->probes.raw;
	if (strcmp(name, "line") == 0)
		return result->probes.line;
	if (strcmp(name, "rmw") == 0)
		return result->probes.rmw;
	return reference_row(batch, result, name);
}

static void file_row(const struct batch *batch, const struct result *result, unsigned index)
{
	const struct row *row = &batch->rows[index];
	struct stats ratio[REFERENCES_MAX];

	for (unsigned i = 0; i < REFERENCES_MAX; i++) {
		struct stats to = reference(batch, result, row->against[i]);

		ratio[i] = result->placement == DISTURBED
				   ? stats_none()
				   : stats_ratio(&result->stats[index], &to);
	}
	figure_file(row, result->placement, &result->stats[index], ratio);
}

static void file_probes(const struct batch *batch, const struct result *result)
{
	struct stats none[REFERENCES_MAX], ratio[REFERENCES_MAX];

	for (unsigned i = 0; i < REFERENCES_MAX; i++)
		ratio[i] = none[i] = stats_none();
	figure_file(&probe_rmw, result->placement, &result->probes.rmw, none);
	figure_file(&probe_line, result->placement, &result->probes.line, none);
	if (result->placement != DISTURBED)
		ratio[0] = stats_ratio(&result->probes.raw, &result->probes.line);
	figure_file(raw_of(batch), result->placement, &result->probes.raw, ratio);
}

static struct result *new_result(struct batch *batch)
{
	struct result *result = calloc(1, sizeof *result);

	if (!result)
		bench_fail("no memory");
	result->next = batch->results;
	batch->results = result;
	return result;
}

void batch_measure(struct batch *batch, struct run *run, unsigned round)
{
	struct result *result = new_result(batch);
	struct probes before = probe(batch, run), after;

	for (unsigned i = 0; i < batch->count; i++) {
		unsigned index = (i + round) % batch->count;

		result->stats[index] = measure(run, &batch->rows[index]);
	}
	after = probe(batch, run);
	result->placement = judge(&before, &after);
	result->probes = (struct probes){ .rmw = stats_mean(&before.rmw, &after.rmw),
					  .line = stats_mean(&before.line, &after.line),
					  .raw = stats_mean(&before.raw, &after.raw) };
	if (result->placement == DISTURBED)
		batch->thrown_away++;
	else
		batch->kept++;
}

static double raw_median(const struct result *result)
{
	return result->probes.raw.of[STAT_P50];
}

static double best_raw(const struct batch *batch, enum placement placement)
{
	double best = INFINITY;

	for (const struct result *result = batch->results; result; result = result->next)
		if (result->placement == placement && raw_median(result) < best)
			best = raw_median(result);
	return best;
}

void batch_settle(struct batch *batch)
{
	double best[PLACEMENTS];

	for (enum placement i = NEAR; i < PLACEMENTS; i++)
		best[i] = best_raw(batch, i);
	for (struct result *result = batch->results; result; result = result->next) {
		if (result->placement == DISTURBED ||
		    raw_median(result) <= SLOW_MAX * best[result->placement])
			continue;
		result->placement = DISTURBED;
		batch->kept--;
		batch->thrown_away++;
	}
	for (const struct result *result = batch->results; result; result = result->next) {
		file_probes(batch, result);
		for (unsigned i = 0; i < batch->count; i++)
			file_row(batch, result, i);
	}
}
