/* SPDX-License-Identifier: MIT
 *
 * How many processes there are and how many of them are blocked, stuck or dead: one that uses
 * several segments is one. Knows: rows. Does not know: where they come from.
 *
 * Rows are of one process when they have the same PID, but for processes of other PID namespaces:
 * there the same number is another process as likely as not, so each row counts for itself.
 */
#include "model.h"

#include <stdlib.h>

static bool is_foreign(const struct process_row *row)
{
	return row->process->state == '?';
}

static int by_pid(const void *a, const void *b)
{
	const struct process_row *x = *(struct process_row *const *)a;
	const struct process_row *y = *(struct process_row *const *)b;

	if (is_foreign(x) != is_foreign(y))
		return is_foreign(x) ? 1 : -1;
	if (x->is_gone != y->is_gone)
		return x->is_gone ? 1 : -1;
	return (x->process->pid > y->process->pid) - (x->process->pid < y->process->pid);
}

/* The row after the last one of the process whose first row is `rows[i]`. */
static unsigned end_of_one(struct process_row *const *rows, unsigned i, unsigned count)
{
	unsigned end = i + 1;

	while (end < count && !is_foreign(rows[i]) && by_pid(&rows[i], &rows[end]) == 0)
		end++;
	return end;
}

/* What is true of it in one segment is true of it. */
static void count_one(struct model *model, struct process_row *const *rows, unsigned count)
{
	bool is_blocked = false, is_stuck = false;

	for (unsigned i = 0; i < count; i++) {
		is_blocked = is_blocked || rows[i]->blocked;
		is_stuck = is_stuck || (rows[i]->severity >= SEVERITY_HIGH && !rows[i]->is_gone);
	}
	model->people_count++;
	model->blocked_count += is_blocked;
	model->stuck_count += is_stuck;
	model->dead_count += rows[0]->is_gone;
}

int model_count_people(struct model *model)
{
	struct process_row **rows = calloc(model->process_count + 1u, sizeof(struct process_row *));
	unsigned end;

	model->people_count = model->blocked_count = model->stuck_count = model->dead_count = 0;
	if (!rows)
		return -ENOMEM;
	for (unsigned i = 0; i < model->process_count; i++)
		rows[i] = &model->processes[i];
	qsort(rows, model->process_count, sizeof(struct process_row *), by_pid);
	for (unsigned i = 0; i < model->process_count; i = end) {
		end = end_of_one(rows, i, model->process_count);
		count_one(model, rows + i, end - i);
	}
	free(rows);
	return 0;
}
