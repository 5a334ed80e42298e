/* SPDX-License-Identifier: MIT
 *
 * What is wrong, worst first. Knows: which rows are findings, and how to say it. Does not know: how
 * rows came to be (model.c), how findings are drawn.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A death is repaired within milliseconds; one that is older is a finding. */
#define UNSWEPT_NS MP_SEC(1)
#define NAMES_MAX 4

static struct finding *add_finding(struct model *model, enum severity severity, const char *kind,
				   int64_t age_ns)
{
	struct finding *finding = &model->findings[model->finding_count++];

	finding->severity = severity;
	finding->kind = kind;
	finding->age_ns = age_ns;
	strcpy(finding->object, "-");
	strcpy(finding->who, "-");
	return finding;
}

static void set_object(struct finding *finding, const struct mp_snapshot *snapshot, uint64_t id)
{
	struct text text = { 0 };

	snapshot_add_object(&text, snapshot, id);
	text_copy(&text, finding->object, sizeof(finding->object));
}

static void set_who(struct finding *finding, const struct text *text)
{
	text_copy(text, finding->who, sizeof(finding->who));
}

/* The processes whose threads wait for that condition of the object. */
static void name_waiters(struct finding *finding, const struct mp_snapshot *snapshot, uint64_t id,
			 uint32_t condition)
{
	struct text text = { 0 };
	unsigned named = 0, others = 0;

	for (uint32_t i = 0; i < snapshot->thread_count; i++) {
		const struct mp_observed_thread *thread = &snapshot->threads[i];

		if (!thread->is_waiting || thread->waits_for[0] != id ||
		    thread->waits_condition[0] != condition)
			continue;
		if (named == NAMES_MAX) {
			others++;
			continue;
		}
		text_add(&text, named++ ? ", " : "");
		snapshot_add_thread(&text, snapshot, thread->slot);
	}
	if (others)
		text_add(&text, " and %u more", others);
	if (named)
		set_who(finding, &text);
}

static void find_cycles(struct model *model, const struct mp_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->cycle_count; i++) {
		const struct mp_observed_cycle *cycle = &snapshot->cycles[i];
		struct finding *finding = add_finding(model, SEVERITY_CRITICAL, "lock",
						      cycle->age_ns);
		struct text who = { 0 };

		set_object(finding, snapshot, cycle->steps[0].lock);
		snprintf(finding->what, sizeof(finding->what), "cycle of %u, no progress",
			 cycle->members);
		for (uint32_t j = 0; j < cycle->length; j++) {
			text_add(&who, j ? ", " : "");
			snapshot_add_thread(&who, snapshot, cycle->steps[j].thread);
		}
		set_who(finding, &who);
	}
}

static void find_process(struct model *model, const struct process_row *row)
{
	const struct mp_observed_process *process = row->process;
	struct text name = { 0 };
	struct finding *finding;

	if (!row->is_gone || (process->dead_ns && process->dead_ns < UNSWEPT_NS))
		return;
	finding = add_finding(model, SEVERITY_HIGH, "process", process->dead_ns);
	snapshot_add_process(&name, process);
	text_copy(&name, finding->object, sizeof(finding->object));
	snprintf(finding->what, sizeof(finding->what), "dead and not swept yet, slot %u",
		 process->slot);
}

static void say_long_wait(struct finding *finding, const struct lock_row *row)
{
	struct text text = { 0 };
	const char *state = "";

	if (row->owner && (row->owner->state == 'T' || row->owner->state == 't'))
		state = ", which is stopped";
	text_add(&text, "%u waiting, held by ", row->lock->waiters);
	if (row->lock->owner_thread)
		snapshot_add_thread(&text, row->snapshot, row->lock->owner_thread);
	else
		text_add(&text, "nobody");
	text_add(&text, "%s", state);
	text_copy(&text, finding->what, sizeof(finding->what));
}

static void find_lock(struct model *model, const struct lock_row *row)
{
	const struct mp_observed_lock *lock = row->lock;
	struct finding *finding;

	if (lock->is_poisoned) {
		finding = add_finding(model, SEVERITY_HIGH, "lock", 0);
		set_object(finding, row->snapshot, lock->id);
		strcpy(finding->what, "poisoned: its owner died, nobody has repaired it");
	} else if (lock->is_died) {
		finding = add_finding(model, SEVERITY_INFO, "lock", 0);
		set_object(finding, row->snapshot, lock->id);
		strcpy(finding->what, "its owner died; the next to acquire it is told");
	}
	if (row->longest_wait_ns < LONG_WAIT_NS)
		return;
	finding = add_finding(model, row->is_in_cycle ? SEVERITY_WARN : SEVERITY_HIGH, "lock",
			      row->longest_wait_ns);
	set_object(finding, row->snapshot, lock->id);
	say_long_wait(finding, row);
	name_waiters(finding, row->snapshot, lock->id, 0);
}

static void find_queue(struct model *model, const struct queue_row *row)
{
	const struct mp_observed_queue *queue = row->queue;
	struct finding *finding;

	if (!queue->blocked_putters)
		return;
	finding = add_finding(model, row->severity, "queue", row->longest_put_ns);
	set_object(finding, row->snapshot, queue->id);
	snprintf(finding->what, sizeof(finding->what), "%s %u/%u, %u blocked in put",
		 queue->depth - queue->returned >= queue->capacity ? "full" : "depth",
		 queue->depth, queue->capacity, queue->blocked_putters);
	name_waiters(finding, row->snapshot, queue->id, CONDITION_WRITABLE);
}

static void find_segment(struct model *model, const struct segment_row *row)
{
	struct finding *finding;

	if (row->error < 0) {
		finding = add_finding(model, SEVERITY_WARN, "segment", 0);
		snprintf(finding->what, sizeof(finding->what), "cannot be read: %s",
			 row->error == -EACCES ? "not allowed (try as root)" :
						 mp_strerror(row->error));
	} else if (row->snapshot->is_torn) {
		finding = add_finding(model, SEVERITY_INFO, "segment", 0);
		strcpy(finding->what, "some of it changed while it was read, or makes no sense");
	} else {
		return;
	}
	snprintf(finding->object, sizeof(finding->object), "%s", row->name);
}

static void find_mpd(struct model *model)
{
	struct text text = { 0 };
	struct finding *finding;

	model_add_mpd(&text, model);
	if (!text.used)
		return;
	/* Nothing runs there: no daemon is the normal state. */
	finding = add_finding(model, SEVERITY_INFO, "mpd", 0);
	if (model->segment_count)
		finding->severity = SEVERITY_WARN;
	text_copy(&text, finding->what, sizeof(finding->what));
}

static int worst_first(const void *a, const void *b)
{
	const struct finding *left = a, *right = b;

	if (left->severity != right->severity)
		return left->severity > right->severity ? -1 : 1;
	return (left->age_ns < right->age_ns) - (left->age_ns > right->age_ns);
}

int model_find(struct model *model)
{
	/* One of each row at most, two of a lock, one for mpd. */
	size_t most = model->cycle_count + model->process_count + 2u * model->lock_count +
		      model->queue_count + model->segment_count + 1u;

	model->findings = calloc(most, sizeof(*model->findings));
	if (!model->findings)
		return -ENOMEM;
	for (unsigned i = 0; i < model->segment_count; i++) {
		find_segment(model, &model->segments[i]);
		if (model->segments[i].snapshot)
			find_cycles(model, model->segments[i].snapshot);
	}
	for (unsigned i = 0; i < model->process_count; i++)
		find_process(model, &model->processes[i]);
	for (unsigned i = 0; i < model->lock_count; i++)
		find_lock(model, &model->locks[i]);
	for (unsigned i = 0; i < model->queue_count; i++)
		find_queue(model, &model->queues[i]);
	find_mpd(model);
	qsort(model->findings, model->finding_count, sizeof(*model->findings), worst_first);
	return 0;
}
