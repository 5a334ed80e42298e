/* SPDX-License-Identifier: MIT
 *
 * The view of what threads meet at besides locks and queues: events, semaphores, conditions,
 * barriers, rwlocks. Knows: the columns. Does not know: where a row comes from, what a state means.
 */
#include "view.h"

#define ROW(pointer) ((const struct sync_row *)(pointer))

static void cell_name(const struct show *show, const void *row, struct text *text)
{
	snapshot_add_object(text, ROW(row)->snapshot, ROW(row)->sync->id);
}

static void cell_kind(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->sync->kind);
}

static void cell_state(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->sync->state);
}

static void cell_waiters(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%u", ROW(row)->sync->waiters);
}

static int compare_waiters(const void *a, const void *b)
{
	return COMPARE(ROW(a)->sync->waiters, ROW(b)->sync->waiters);
}

static void cell_longest(const struct show *show, const void *row, struct text *text)
{
	format_age(text, ROW(row)->longest_wait_ns);
}

static int compare_longest(const void *a, const void *b)
{
	return COMPARE(ROW(a)->longest_wait_ns, ROW(b)->longest_wait_ns);
}

static void cell_changes(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, ROW(row)->changes_per_s);
}

static int compare_changes(const void *a, const void *b)
{
	return COMPARE(ROW(a)->changes_per_s, ROW(b)->changes_per_s);
}

static void cell_waits(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, ROW(row)->waits_per_s);
}

static int compare_waits(const void *a, const void *b)
{
	return COMPARE(ROW(a)->waits_per_s, ROW(b)->waits_per_s);
}

/* The average of those that are over. */
static int64_t wait_ns(const struct sync_row *row)
{
	const struct mp_observed_sync *sync = row->sync;
	uint64_t over = sync->waits > sync->waiters ? sync->waits - sync->waiters : 0;

	return over ? (int64_t)(sync->wait_ns / over) : 0;
}

static void cell_wait(const struct show *show, const void *row, struct text *text)
{
	format_age(text, wait_ns(row));
}

static int compare_wait(const void *a, const void *b)
{
	return COMPARE(wait_ns(a), wait_ns(b));
}

static void cell_segment(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->snapshot->segment);
}

static const struct column columns[] = {
	{ "NAME", 14, 0, false, true, cell_name, NULL },
	{ "KIND", 7, 2, false, false, cell_kind, NULL },
	{ "STATE", 15, 0, false, false, cell_state, NULL },
	{ "WAIT#", 5, 1, true, false, cell_waiters, compare_waiters },
	{ "LONGEST", 7, 3, true, false, cell_longest, compare_longest },
	{ "CHG/s", 5, 4, true, false, cell_changes, compare_changes },
	{ "WAITS/s", 7, 5, true, false, cell_waits, compare_waits },
	{ "WAIT", 5, 6, true, false, cell_wait, compare_wait },
	{ "SEGMENT", 10, 7, false, true, cell_segment, NULL },
};

static const void *rows(const struct model *model, unsigned *ret_count)
{
	*ret_count = model->sync_count;
	return model->syncs;
}

/* Who waits for an event may do so for days. */
static enum severity severity(const void *row)
{
	return ROW(row)->sync->waiters ? SEVERITY_INFO : SEVERITY_NONE;
}

static int compare(const void *a, const void *b)
{
	return -compare_longest(a, b);
}

static void describe(const struct show *show, const void *row, struct text *text)
{
	const struct mp_observed_sync *sync = ROW(row)->sync;

	text_add(text, "%s ", sync->kind);
	cell_name(show, row, text);
	text_add(text, " is %s; %u waiting; changed %llu times, waited for %llu times", sync->state,
		 sync->waiters, (unsigned long long)sync->changes,
		 (unsigned long long)sync->waits);
	if (sync->holders)
		text_add(text, ", held by %u processes", sync->holders);
	if (sync->lost)
		text_add(text, ", %llu notifications lost", (unsigned long long)sync->lost);
	if (sync->detail[0])
		text_add(text, "; %s", sync->detail);
}

const struct view view_sync = {
	.name = "syncs", .title = "Syncs", .empty = "no events, semaphores, conditions, barriers, "
						   "rwlocks",
	.columns = columns, .column_count = sizeof(columns) / sizeof(columns[0]),
	.row_bytes = sizeof(struct sync_row), .rows = rows, .severity = severity,
	.compare = compare, .describe = describe,
};
