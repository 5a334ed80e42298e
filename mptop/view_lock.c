/* SPDX-License-Identifier: MIT
 *
 * The view of locks. Knows: the columns. Does not know: where a row comes from.
 */
#include "view.h"

#define ROW(pointer) ((const struct lock_row *)(pointer))

static void cell_name(const struct show *show, const void *row, struct text *text)
{
	snapshot_add_object(text, ROW(row)->snapshot, ROW(row)->lock->id);
}

static void cell_kind(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->lock->kind);
}

static void cell_state(const struct show *show, const void *row, struct text *text)
{
	const struct mp_observed_lock *lock = ROW(row)->lock;

	if (ROW(row)->is_in_cycle)
		text_add(text, "DEADLK");
	else if (lock->is_poisoned)
		text_add(text, "poison");
	else if (lock->owner_thread)
		text_add(text, lock->waiters ? "contd" : "held");
	else
		text_add(text, lock->is_died ? "died" : "free");
}

static void cell_owner(const struct show *show, const void *row, struct text *text)
{
	if (ROW(row)->lock->owner_thread)
		snapshot_add_thread(text, ROW(row)->snapshot, ROW(row)->lock->owner_thread);
	else
		text_add(text, "-");
}

static void cell_held(const struct show *show, const void *row, struct text *text)
{
	format_age(text, ROW(row)->lock->held_ns);
}

static int compare_held(const void *a, const void *b)
{
	return COMPARE(ROW(a)->lock->held_ns, ROW(b)->lock->held_ns);
}

static void cell_waiters(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%u", ROW(row)->lock->waiters);
}

static int compare_waiters(const void *a, const void *b)
{
	return COMPARE(ROW(a)->lock->waiters, ROW(b)->lock->waiters);
}

static double contention(const struct lock_row *row)
{
	return row->acquires > 0 ? row->contended / row->acquires : 0;
}

static void cell_contended(const struct show *show, const void *row, struct text *text)
{
	format_percent(text, ROW(row)->contended, ROW(row)->acquires);
}

static int compare_contended(const void *a, const void *b)
{
	return COMPARE(contention(a), contention(b));
}

static void cell_acquires(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, ROW(row)->acquires_per_s);
}

static int compare_acquires(const void *a, const void *b)
{
	return COMPARE(ROW(a)->acquires_per_s, ROW(b)->acquires_per_s);
}

/* The average slow wait. */
static int64_t wait_ns(const struct lock_row *row)
{
	const struct mp_observed_lock *lock = row->lock;

	return lock->contended ? (int64_t)(lock->wait_ns / lock->contended) : 0;
}

static void cell_wait(const struct show *show, const void *row, struct text *text)
{
	format_age(text, wait_ns(row));
}

static int compare_wait(const void *a, const void *b)
{
	return COMPARE(wait_ns(a), wait_ns(b));
}

static void cell_grants(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, (double)ROW(row)->lock->grants);
}

static int compare_grants(const void *a, const void *b)
{
	return COMPARE(ROW(a)->lock->grants, ROW(b)->lock->grants);
}

static void cell_deaths(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, (double)ROW(row)->lock->deaths);
}

static int compare_deaths(const void *a, const void *b)
{
	return COMPARE(ROW(a)->lock->deaths, ROW(b)->lock->deaths);
}

static void cell_segment(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->snapshot->segment);
}

static const struct column columns[] = {
	{ "NAME", 14, 0, false, true, cell_name, NULL },
	{ "ST", 6, 3, false, false, cell_state, NULL },
	{ "OWNER", 16, 0, false, true, cell_owner, NULL },
	{ "HELD", 5, 1, true, false, cell_held, compare_held },
	{ "WAIT#", 5, 2, true, false, cell_waiters, compare_waiters },
	{ "CONT%", 5, 3, true, false, cell_contended, compare_contended },
	{ "ACQ/s", 5, 4, true, false, cell_acquires, compare_acquires },
	{ "WAIT", 5, 5, true, false, cell_wait, compare_wait },
	{ "GRANTS", 6, 6, true, false, cell_grants, compare_grants },
	{ "DEATHS", 6, 7, true, false, cell_deaths, compare_deaths },
	{ "TYPE", 9, 6, false, false, cell_kind, NULL },
	{ "SEGMENT", 10, 8, false, true, cell_segment, NULL },
};

static const void *rows(const struct model *model, unsigned *ret_count)
{
	*ret_count = model->lock_count;
	return model->locks;
}

static enum severity severity(const void *row)
{
	return ROW(row)->severity;
}

static int compare(const void *a, const void *b)
{
	int result = COMPARE(ROW(b)->longest_wait_ns, ROW(a)->longest_wait_ns);

	return result ? result : -compare_contended(a, b);
}

static void describe(const struct show *show, const void *row, struct text *text)
{
	const struct mp_observed_lock *lock = ROW(row)->lock;

	cell_name(show, row, text);
	text_add(text, " %s%s lock, owner ", lock->is_fair ? "fair " : "", lock->kind);
	cell_owner(show, row, text);
	if (lock->owner_thread && lock->held_ns) {
		text_add(text, " for ");
		format_age(text, lock->held_ns);
	}
	if (lock->site)
		text_add(text, " from 0x%llx", (unsigned long long)lock->site);
	text_add(text, "; %u waiting; ", lock->waiters);
	format_count(text, lock->grants, "grant");
	text_add(text, ", %llu contended, ", (unsigned long long)lock->contended);
	format_count(text, lock->deaths, "death");
	text_add(text, ", overtaken %u times at most", lock->overtaken_most);
}

const struct view view_lock = {
	.name = "locks", .title = "Locks", .empty = "no locks",
	.columns = columns, .column_count = sizeof(columns) / sizeof(columns[0]),
	.row_bytes = sizeof(struct lock_row), .rows = rows, .severity = severity,
	.compare = compare, .describe = describe,
};
