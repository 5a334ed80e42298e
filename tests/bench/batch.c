/* SPDX-License-Identifier: MIT
 *
 * One batch: probes, rows in turn, probes again. Knows: when a batch may be believed. Does not
 * know: what the rows do, how figures are shown.
 *
 * A host moves virtual CPUs about and lets others run on them. If the probes before and after
 * disagree, nothing in between is known to have had one machine: the batch is filed as disturbed,
 * no ratio of it is ever shown.
 */
#include "batch.h"

#include "figures.h"
#include "partner.h"

#include <math.h>
#include <string.h>

#define BATCH_ROWS_MAX 32
/* Probes that differ by more than this did not see the same machine. */
#define APART_MAX 1.2

struct probes {
	struct stats rmw, line, raw;
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

/* The figures that the row's reference has in this batch. */
static struct stats reference(const struct batch *batch, const struct probes *probes,
			      const struct stats *stats, const char *name)
{
	if (!name)
		return stats_none();
	if (strcmp(name, "raw") == 0)
		return probes->raw;
	if (strcmp(name, "line") == 0)
		return probes->line;
	if (strcmp(name, "rmw") == 0)
		return probes->rmw;
	for (unsigned i = 0; i < batch->count; i++)
		if (strcmp(batch->rows[i].name, name) == 0)
			return stats[i];
	bench_fail("a row names a reference that its batch does not have");
}

static void file_row(const struct batch *batch, const struct probes *probes,
		     enum placement placement, const struct stats *stats, unsigned index)
{
	const struct row *row = &batch->rows[index];
	struct stats ratio[REFERENCES_MAX];

	for (unsigned i = 0; i < REFERENCES_MAX; i++) {
		struct stats to = reference(batch, probes, stats, row->against[i]);

		ratio[i] = placement == DISTURBED ? stats_none()
						  : stats_ratio(&stats[index], &to);
	}
	figure_file(row, placement, &stats[index], ratio);
}

static void file_probes(const struct batch *batch, const struct probes *probes,
			enum placement placement)
{
	struct stats none[REFERENCES_MAX], ratio[REFERENCES_MAX];

	for (unsigned i = 0; i < REFERENCES_MAX; i++)
		ratio[i] = none[i] = stats_none();
	figure_file(&probe_rmw, placement, &probes->rmw, none);
	figure_file(&probe_line, placement, &probes->line, none);
	if (placement != DISTURBED)
		ratio[0] = stats_ratio(&probes->raw, &probes->line);
	figure_file(raw_of(batch), placement, &probes->raw, ratio);
}

void batch_measure(struct batch *batch, struct run *run, unsigned round)
{
	struct stats stats[BATCH_ROWS_MAX];
	struct probes before = probe(batch, run), after, middle;
	enum placement placement;

	for (unsigned i = 0; i < batch->count; i++) {
		unsigned index = (i + round) % batch->count;

		stats[index] = measure(run, &batch->rows[index]);
	}
	after = probe(batch, run);
	placement = judge(&before, &after);
	middle = (struct probes){ .rmw = stats_mean(&before.rmw, &after.rmw),
				  .line = stats_mean(&before.line, &after.line),
				  .raw = stats_mean(&before.raw, &after.raw) };
	file_probes(batch, &middle, placement);
	for (unsigned i = 0; i < batch->count; i++)
		file_row(batch, &middle, placement, stats, i);
	if (placement == DISTURBED)
		batch->thrown_away++;
	else
		batch->kept++;
}
