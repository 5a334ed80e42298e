/* SPDX-License-Identifier: MIT
 *
 * The views as plain text. Knows: columns as wide as their longest text, nothing is cut. Does not
 * know: terminals.
 */
#include "print.h"

#include "view.h"

#include <stdlib.h>

#define COLUMNS_MAX 16
#define METER_CELLS 52

/* Cells a UTF-8 text takes, whatever the locale; names hold no combining or control characters
 * that observe has not checked, so one character is one cell here. */
static unsigned cells_of(const char *text)
{
	unsigned cells = 0;

	for (; *text; text++)
		cells += (*text & 0xc0) != 0x80;
	return cells;
}

static void measure(const struct view *view, const struct show *show, const void *const *rows,
		    unsigned count, unsigned *widths)
{
	for (unsigned i = 0; i < view->column_count; i++) {
		widths[i] = cells_of(view->columns[i].title);
		for (unsigned j = 0; j < count; j++) {
			struct text text = { 0 };
			unsigned cells;

			view->columns[i].cell(show, rows[j], &text);
			cells = cells_of(text.bytes);
			widths[i] = cells > widths[i] ? cells : widths[i];
		}
	}
}

static void print_cell(FILE *out, const struct column *column, unsigned width, const char *text,
		       bool is_last)
{
	unsigned cells = cells_of(text);
	int gap = cells < width ? (int)(width - cells) : 0;

	if (column->is_right)
		fprintf(out, "%*s%s", gap, "", text);
	else
		fprintf(out, "%s%*s", text, is_last ? 0 : gap, "");
	fputs(is_last ? "\n" : "  ", out);
}

static void print_row(FILE *out, const struct view *view, const struct show *show, const void *row,
		      const unsigned *widths)
{
	for (unsigned i = 0; i < view->column_count; i++) {
		struct text text = { 0 };

		if (row)
			view->columns[i].cell(show, row, &text);
		print_cell(out, &view->columns[i], widths[i],
			   row ? text.bytes : view->columns[i].title, i + 1 == view->column_count);
	}
}

static void print_view(FILE *out, const struct view *view, const struct show *show)
{
	unsigned widths[COLUMNS_MAX], count;
	const void **rows = view_order(view, show, NULL, -1, false, &count);

	fprintf(out, "\n%s\n", view->title);
	if (!count) {
		fprintf(out, "  %s\n", view->empty);
		free(rows);
		return;
	}
	measure(view, show, rows, count, widths);
	print_row(out, view, show, NULL, widths);
	for (unsigned i = 0; i < count; i++)
		print_row(out, view, show, rows[i], widths);
	free(rows);
}

/* Every cycle, one line each; the screen has room for the oldest only. */
static void print_alarms(FILE *out, const struct show *show)
{
	struct text text = { 0 };

	for (unsigned i = 0; i < show->model->segment_count; i++) {
		const struct mp_snapshot *snapshot = show->model->segments[i].snapshot;

		for (uint32_t j = 0; snapshot && j < snapshot->cycle_count; j++) {
			text_clear(&text);
			text_add(&text, "DEADLOCK ");
			format_age(&text, snapshot->cycles[j].age_ns);
			text_add(&text, "  ");
			snapshot_add_cycle(&text, snapshot, &snapshot->cycles[j],
					   show->glyphs->arrow);
			fprintf(out, "%s\n", text.bytes);
		}
	}
	text_clear(&text);
	model_add_mpd(&text, show->model);
	if (text.used)
		fprintf(out, "%s\n", text.bytes);
}

static void print_segments(FILE *out, const struct model *model)
{
	for (unsigned i = 0; i < model->segment_count; i++) {
		const struct segment_row *row = &model->segments[i];
		struct text text = { 0 };

		if (!row->snapshot) {
			fprintf(out, "Segment %s: %s\n", row->name, mp_strerror(row->error));
			continue;
		}
		text_add(&text, "Segment %s: ", row->name);
		format_bytes(&text, row->snapshot->used_bytes);
		text_add(&text, " of ");
		format_bytes(&text, row->snapshot->size_bytes);
		text_add(&text, " used, ");
		format_bytes(&text, row->snapshot->committed_bytes);
		text_add(&text, " committed, ");
		format_count(&text, row->snapshot->deaths, "death");
		text_add(&text, ", ");
		format_count(&text, row->snapshot->sweeps, "sweep");
		text_add(&text, row->snapshot->is_torn ? ", torn" : "");
		fprintf(out, "%s\n", text.bytes);
	}
}

void print_text(FILE *out, const struct model *model, int only_view)
{
	const struct show show = { model, &format_ascii };

	struct text title = { 0 };

	overview_title(&show, TEXT_BYTES, &title);
	fprintf(out, "%s\n", title.bytes);
	for (unsigned i = 0; i < OVERVIEW_METERS; i++) {
		struct text meter = { 0 };

		overview_meter(&show, i, METER_CELLS, &meter);
		fprintf(out, "%s\n", meter.bytes);
	}
	print_segments(out, model);
	print_alarms(out, &show);
	for (int i = 0; i < VIEW_COUNT; i++)
		if (only_view < 0 || only_view == i)
			print_view(out, views[i], &show);
	fflush(out);
}
