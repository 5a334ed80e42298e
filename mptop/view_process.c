/* SPDX-License-Identifier: MIT
 *
 * The view of processes. Knows: the columns. Does not know: where a row comes from.
 */
#include "view.h"

#define ROW(pointer) ((const struct process_row *)(pointer))

static void cell_slot(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%u", ROW(row)->process->slot);
}

static int compare_slot(const void *a, const void *b)
{
	return COMPARE(ROW(a)->process->slot, ROW(b)->process->slot);
}

static void cell_pid(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%u", ROW(row)->process->pid);
}

static int compare_pid(const void *a, const void *b)
{
	return COMPARE(ROW(a)->process->pid, ROW(b)->process->pid);
}

static void cell_name(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->process->name);
}

/* The letter of /proc; B when a thread waits in libshm, D when it died. */
static void cell_state(const struct show *show, const void *row, struct text *text)
{
	const struct process_row *process = row;

	if (process->is_gone)
		text_add(text, "dead");
	else if (process->is_in_cycle)
		text_add(text, "DEADLK");
	else if (process->blocked)
		text_add(text, "%c block", process->process->state);
	else
		text_add(text, "%c", process->process->state);
}

static int64_t since_ns(const struct process_row *row)
{
	if (row->process->is_dead)
		return row->process->dead_ns;
	return row->blocked ? row->blocked->waiting_ns : 0;
}

static void cell_since(const struct show *show, const void *row, struct text *text)
{
	format_age(text, since_ns(row));
}

static int compare_since(const void *a, const void *b)
{
	return COMPARE(since_ns(a), since_ns(b));
}

static void cell_blocked(const struct show *show, const void *row, struct text *text)
{
	const struct process_row *process = row;
	const struct mp_snapshot *snapshot = process->snapshot;
	const struct mp_observed_lock *lock;
	const struct mp_observed_queue *queue;
	uint64_t id;

	if (!process->blocked) {
		text_add(text, "-");
		return;
	}
	id = process->blocked->waits_for[0];
	lock = snapshot_lock(snapshot, id);
	queue = snapshot_queue(snapshot, id);
	snapshot_add_object(text, snapshot, id);
	if (lock && lock->owner_thread) {
		text_add(text, "%s", show->glyphs->arrow);
		snapshot_add_thread(text, snapshot, lock->owner_thread);
	} else if (queue) {
		text_add(text, " (%s)", process->blocked->waits_condition[0] == CONDITION_WRITABLE ?
			 "full" : "empty");
	}
}

static void cell_holds(const struct show *show, const void *row, struct text *text)
{
	const struct process_row *process = row;
	const struct mp_snapshot *snapshot = process->snapshot;
	unsigned held = 0;

	for (uint32_t i = 0; i < snapshot->lock_count; i++) {
		if (!snapshot->locks[i].owner_thread ||
		    snapshot->locks[i].owner_process != process->process->slot)
			continue;
		text_add(text, held++ ? " " : "");
		snapshot_add_object(text, snapshot, snapshot->locks[i].id);
	}
	if (!held)
		text_add(text, "-");
}

static void cell_uring(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, (double)ROW(row)->sleeps_uring);
}

static int compare_uring(const void *a, const void *b)
{
	return COMPARE(ROW(a)->sleeps_uring, ROW(b)->sleeps_uring);
}

static void cell_futex(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, (double)ROW(row)->sleeps_futex);
}

static int compare_futex(const void *a, const void *b)
{
	return COMPARE(ROW(a)->sleeps_futex, ROW(b)->sleeps_futex);
}

static void cell_sleeps(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, ROW(row)->sleeps_per_s);
}

static int compare_sleeps(const void *a, const void *b)
{
	return COMPARE(ROW(a)->sleeps_per_s, ROW(b)->sleeps_per_s);
}

static void cell_threads(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%u", ROW(row)->thread_count);
}

static int compare_threads(const void *a, const void *b)
{
	return COMPARE(ROW(a)->thread_count, ROW(b)->thread_count);
}

static void cell_redelivered(const struct show *show, const void *row, struct text *text)
{
	format_quantity(text, (double)ROW(row)->process->redelivered);
}

static int compare_redelivered(const void *a, const void *b)
{
	return COMPARE(ROW(a)->process->redelivered, ROW(b)->process->redelivered);
}

static void cell_segment(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->snapshot->segment);
}

static const struct column columns[] = {
	{ "PID", 7, 1, true, false, cell_pid, compare_pid },
	{ "NAME", 10, 0, false, true, cell_name, NULL },
	{ "ST", 7, 2, false, false, cell_state, NULL },
	{ "SINCE", 5, 2, true, false, cell_since, compare_since },
	{ "BLOCKED ON", 22, 0, false, true, cell_blocked, NULL },
	{ "HOLDS", 10, 3, false, true, cell_holds, NULL },
	{ "URING", 5, 4, true, false, cell_uring, compare_uring },
	{ "FUTEX", 5, 4, true, false, cell_futex, compare_futex },
	{ "SLP/s", 5, 5, true, false, cell_sleeps, compare_sleeps },
	{ "THR", 3, 6, true, false, cell_threads, compare_threads },
	{ "REDELIV", 7, 7, true, false, cell_redelivered, compare_redelivered },
	{ "SLOT", 4, 8, true, false, cell_slot, compare_slot },
	{ "SEGMENT", 10, 9, false, true, cell_segment, NULL },
};

static const void *rows(const struct model *model, unsigned *ret_count)
{
	*ret_count = model->process_count;
	return model->processes;
}

static enum severity severity(const void *row)
{
	return ROW(row)->severity;
}

static int compare(const void *a, const void *b)
{
	return -compare_since(a, b);
}

static void describe(const struct show *show, const void *row, struct text *text)
{
	const struct process_row *process = row;

	snapshot_add_process(text, process->process);
	text_add(text, " attached ");
	format_age(text, process->process->age_ns);
	text_add(text, " ago, ");
	format_count(text, process->thread_count, "thread");
	text_add(text, ", %u waiting; blocked on ", process->waiting_count);
	cell_blocked(show, row, text);
	text_add(text, "; holds ");
	cell_holds(show, row, text);
	text_add(text, "; sleeps: uring %llu futex %llu, spurious %llu",
		 (unsigned long long)process->sleeps_uring,
		 (unsigned long long)process->sleeps_futex, (unsigned long long)process->spurious);
	if (process->engine_reason[0])
		text_add(text, "; not in io_uring: %s", process->engine_reason);
}

const struct view view_process = {
	.name = "procs", .title = "Procs", .empty = "no process is attached",
	.columns = columns, .column_count = sizeof(columns) / sizeof(columns[0]),
	.row_bytes = sizeof(struct process_row), .rows = rows, .severity = severity,
	.compare = compare, .describe = describe,
};
