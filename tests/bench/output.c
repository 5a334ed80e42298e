/* SPDX-License-Identifier: MIT
 *
 * What is printed. Knows: the table for people, the lines for programs. Does not know: measuring.
 *
 * A row is shown for near and for far if it was measured there; if all its batches were disturbed,
 * it is shown once as disturbed, without a ratio.
 */
#include "output.h"

#include "figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef void (*show_fn)(const struct row *row, enum placement placement);

static bool is_shown(const struct row *row, enum placement placement)
{
	if (placement == DISTURBED)
		return figure_of(row, NEAR)->batches + figure_of(row, FAR)->batches == 0;
	return figure_of(row, placement)->batches > 0;
}

static double value_of(const struct figure *figure, enum stat stat)
{
	return figure->batches ? figure->best.of[stat] : NAN;
}

static double ratio_of(const struct figure *figure, unsigned reference, enum stat stat)
{
	return figure->batches ? figure->ratio[reference].of[stat] : NAN;
}

static double median_ratio(const struct figure *figure)
{
	double ratios[FILED_MAX];

	memcpy(ratios, figure->ratios, sizeof ratios);
	return median_of(ratios, figure->ratio_count);
}

/* Millions a second of something that takes so many nanoseconds. */
static double rate_of(double ns)
{
	return ns > 0 ? 1e3 / ns : NAN;
}

/* Probes and rows, in the order of the table. */
static void show_all(const struct row *rows, unsigned count, enum placement placement, show_fn show)
{
	const struct row *probe;

	if (is_shown(&probe_rmw, placement))
		show(&probe_rmw, placement);
	if (is_shown(&probe_line, placement))
		show(&probe_line, placement);
	for (unsigned i = 0; (probe = probe_raw_at(i)); i++)
		if (is_shown(probe, placement))
			show(probe, placement);
	for (unsigned i = 0; i < count; i++)
		if (is_shown(&rows[i], placement))
			show(&rows[i], placement);
}

static unsigned total(const struct batch *batches, unsigned count, bool is_kept)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += is_kept ? batches[i].kept : batches[i].thrown_away;
	return sum;
}

/* --- for people --- */

static void cell(double value, unsigned width)
{
	if (isnan(value))
		printf(" %*s", (int)width, "-");
	else
		printf(" %*.*f", (int)width, value < 100 ? 2 : 0, value);
}

/* What the first ratio is to. */
static const char *reference_name(const struct row *row)
{
	if (row->against[0])
		return row->against[0];
	return strncmp(row->name, "raw", 3) == 0 ? "line" : "-";
}

static void show_line(const struct row *row, enum placement placement)
{
	const struct figure *figure = figure_of(row, placement);

	printf("%-28s", row->name);
	cell(value_of(figure, STAT_P50), 9);
	printf(" %-4s", row->unit);
	cell(ratio_of(figure, 0, STAT_P50), 6);
	printf(" %-24s", reference_name(row));
	cell(value_of(figure, STAT_MIN), 9);
	cell(value_of(figure, STAT_P99), 9);
	cell(value_of(figure, STAT_P999), 9);
	cell(median_ratio(figure), 7);
	if (row->is_rate)
		printf("  %.2f M/s", rate_of(value_of(figure, STAT_P50)));
	for (unsigned i = 1; i < REFERENCES_MAX && row->against[i]; i++)
		if (!isnan(ratio_of(figure, i, STAT_P50)))
			printf("  %.2f of %s", ratio_of(figure, i, STAT_P50), row->against[i]);
	putchar('\n');
}

static void show_heading(enum placement placement, unsigned batches)
{
	printf("\n# %s (%u batches)\n%-28s %9s %-4s %6s %-24s %9s %9s %9s %7s\n",
	       placement_names[placement], batches, "# name", "value", "unit", "ratio", "to", "min",
	       "p99", "p99.9", "median");
}

void output_table(const struct row *rows, unsigned count, const struct batch *batches,
		  unsigned batch_count)
{
	bool has_lost = false;

	for (unsigned i = 0; i < count; i++)
		has_lost |= is_shown(&rows[i], DISTURBED);
	for (enum placement placement = NEAR; placement < PLACEMENTS; placement++) {
		unsigned measured = figure_of(&probe_line, placement)->batches;

		if (measured == 0 || (placement == DISTURBED && !has_lost))
			continue;
		show_heading(placement, measured);
		show_all(rows, count, placement, show_line);
	}
	printf("\n# value: the median in the best batch; ratio: to the reference in the same "
	       "batch;\n# median: of the ratios of all batches. %u batches kept, %u disturbed and "
	       "thrown away.\n",
	       total(batches, batch_count, true), total(batches, batch_count, false));
}

/* --- for programs --- */

static void number(double value)
{
	if (isnan(value))
		fputs("null", stdout);
	else
		printf("%.6g", value);
}

static void object(const char *row, const char *placement, const char *what, double value,
		   const char *unit, double ratio)
{
	printf("{\"name\": \"%s.%s%s\", \"value\": ", row, placement, what);
	number(value);
	printf(", \"unit\": \"%s\", \"ratio\": ", unit);
	number(ratio);
	puts("}");
}

static void show_object(const struct row *row, enum placement placement)
{
	const struct figure *figure = figure_of(row, placement);
	const char *where = placement_names[placement];
	char what[64];

	for (unsigned i = 0; i < STATS; i++) {
		snprintf(what, sizeof what, ".%s", stat_names[i]);
		object(row->name, where, what, value_of(figure, i), row->unit,
		       ratio_of(figure, 0, i));
	}
	if (row->is_rate)
		object(row->name, where, ".rate", rate_of(value_of(figure, STAT_P50)), "M/s",
		       1 / ratio_of(figure, 0, STAT_P50));
	for (unsigned i = 1; i < REFERENCES_MAX && row->against[i]; i++) {
		double ratio = ratio_of(figure, i, STAT_P50);

		snprintf(what, sizeof what, ".to_%s", row->against[i]);
		object(row->name, where, what, ratio, "ratio", ratio);
	}
	if (row->against[0])
		object(row->name, where, ".median_ratio", median_ratio(figure), "ratio",
		       median_ratio(figure));
}

void output_json(const struct row *rows, unsigned count, const struct batch *batches,
		 unsigned batch_count)
{
	for (enum placement placement = NEAR; placement < PLACEMENTS; placement++)
		show_all(rows, count, placement, show_object);
	object("batches", "kept", "", total(batches, batch_count, true), "count", NAN);
	object("batches", "thrown_away", "", total(batches, batch_count, false), "count", NAN);
}
