/* SPDX-License-Identifier: MIT
 *
 * The view of queues. Knows: the columns. Does not know: where a row comes from.
 */
#include "view.h"

#define ROW(pointer) ((const struct queue_row *)(pointer))
#define BAR_CELLS 8

static void cell_name(const struct show *show, const void *row, struct text *text)
{
	snapshot_add_object(text, ROW(row)->snapshot, ROW(row)->queue->id);
}

static void cell_depth(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%u/%u", ROW(row)->queue->depth, ROW(row)->queue->capacity);
}

static int compare_depth(const void *a, const void *b)
{
	return COMPARE(ROW(a)->queue->depth, ROW(b)->queue->depth);
}

static double fill(const struct queue_row *row)
{
	return row->queue->capacity ? (double)row->queue->depth / row->queue->capacity : 0;
}

static void cell_fill(const struct show *show, const void *row, struct text *text)
{
	const struct mp_observed_queue *queue = ROW(row)->queue;

	format_bar(text, show->glyphs, BAR_CELLS, queue->depth, queue->capacity);
}

static int compare_fill(const void *a, const void *b)
{
	return COMPARE(fill(a), fill(b));
}

static void cell_puts(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, ROW(row)->puts_per_s);
}

static int compare_puts(const void *a, const void *b)
{
	return COMPARE(ROW(a)->puts_per_s, ROW(b)->puts_per_s);
}

static void cell_gets(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, ROW(row)->gets_per_s);
}

static int compare_gets(const void *a, const void *b)
{
	return COMPARE(ROW(a)->gets_per_s, ROW(b)->gets_per_s);
}

static void cell_blocked(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%u/%u", ROW(row)->queue->blocked_putters, ROW(row)->queue->blocked_getters);
}

static uint32_t blocked(const struct queue_row *row)
{
	return row->queue->blocked_putters + row->queue->blocked_getters;
}

static int compare_blocked(const void *a, const void *b)
{
	return COMPARE(blocked(a), blocked(b));
}

static void cell_leased(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%u", ROW(row)->queue->leased);
}

static int compare_leased(const void *a, const void *b)
{
	return COMPARE(ROW(a)->queue->leased, ROW(b)->queue->leased);
}

static void cell_redelivered(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, (double)ROW(row)->queue->redelivered);
}

static int compare_redelivered(const void *a, const void *b)
{
	return COMPARE(ROW(a)->queue->redelivered, ROW(b)->queue->redelivered);
}

static void cell_total(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, (double)ROW(row)->queue->puts);
}

static int compare_total(const void *a, const void *b)
{
	return COMPARE(ROW(a)->queue->puts, ROW(b)->queue->puts);
}

static void cell_skipped(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, (double)ROW(row)->queue->skipped);
}

static int compare_skipped(const void *a, const void *b)
{
	return COMPARE(ROW(a)->queue->skipped, ROW(b)->queue->skipped);
}

static void cell_open(const struct show *show, const void *row, struct text *text)
{
	text_add(text, ROW(row)->queue->is_closed ? "closed" : "open");
}

static void cell_segment(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->snapshot->segment);
}

static const struct column columns[] = {
	{ "NAME", 14, 0, false, true, cell_name, NULL },
	{ "DEPTH/MAX", 11, 0, true, false, cell_depth, compare_depth },
	{ "FILL", BAR_CELLS, 4, false, false, cell_fill, compare_fill },
	{ "PUT/s", 6, 1, true, false, cell_puts, compare_puts },
	{ "GET/s", 6, 1, true, false, cell_gets, compare_gets },
	{ "BLK(p/g)", 8, 2, true, false, cell_blocked, compare_blocked },
	{ "LEASED", 6, 3, true, false, cell_leased, compare_leased },
	{ "REDELIV", 7, 5, true, false, cell_redelivered, compare_redelivered },
	{ "PUTS", 6, 6, true, false, cell_total, compare_total },
	{ "SKIPPED", 7, 7, true, false, cell_skipped, compare_skipped },
	{ "INPUT", 6, 6, false, false, cell_open, NULL },
	{ "SEGMENT", 10, 8, false, true, cell_segment, NULL },
};

static const void *rows(const struct model *model, unsigned *ret_count)
{
	*ret_count = model->queue_count;
	return model->queues;
}

static enum severity severity(const void *row)
{
	return ROW(row)->severity;
}

static int compare(const void *a, const void *b)
{
	return -compare_fill(a, b);
}

static void describe(const struct show *show, const void *row, struct text *text)
{
	const struct mp_observed_queue *queue = ROW(row)->queue;

	cell_name(show, row, text);
	text_add(text, ": %u of %u messages", queue->depth, queue->capacity);
	if (queue->message_bytes)
		text_add(text, " of at most %u bytes", queue->message_bytes);
	text_add(text, ", %u blocked in put, %u in get, %u leased; %llu redelivered, %llu skipped; "
		 "input %s", queue->blocked_putters, queue->blocked_getters, queue->leased,
		 (unsigned long long)queue->redelivered, (unsigned long long)queue->skipped,
		 queue->is_closed ? "closed" : "open");
}

const struct view view_queue = {
	.name = "queues", .title = "Queues", .empty = "no queues",
	.columns = columns, .column_count = sizeof(columns) / sizeof(columns[0]),
	.row_bytes = sizeof(struct queue_row), .rows = rows, .severity = severity,
	.compare = compare, .describe = describe,
};
