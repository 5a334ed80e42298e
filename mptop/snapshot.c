/* SPDX-License-Identifier: MIT
 *
 * See snapshot.h.
 */
#include "snapshot.h"

const struct mp_observed_process *snapshot_process(const struct mp_snapshot *snapshot,
						   uint32_t slot)
{
	for (uint32_t i = 0; i < snapshot->process_count; i++)
		if (snapshot->processes[i].slot == slot)
			return &snapshot->processes[i];
	return NULL;
}

const struct mp_observed_thread *snapshot_thread(const struct mp_snapshot *snapshot, uint32_t slot)
{
	for (uint32_t i = 0; i < snapshot->thread_count; i++)
		if (snapshot->threads[i].slot == slot)
			return &snapshot->threads[i];
	return NULL;
}

const struct mp_observed_lock *snapshot_lock(const struct mp_snapshot *snapshot, uint64_t id)
{
	for (uint32_t i = 0; id && i < snapshot->lock_count; i++)
		if (snapshot->locks[i].id == id)
			return &snapshot->locks[i];
	return NULL;
}

const struct mp_observed_queue *snapshot_queue(const struct mp_snapshot *snapshot, uint64_t id)
{
	for (uint32_t i = 0; id && i < snapshot->queue_count; i++)
		if (snapshot->queues[i].id == id)
			return &snapshot->queues[i];
	return NULL;
}

const struct mp_observed_sync *snapshot_sync(const struct mp_snapshot *snapshot, uint64_t id)
{
	for (uint32_t i = 0; id && i < snapshot->sync_count; i++)
		if (snapshot->syncs[i].id == id)
			return &snapshot->syncs[i];
	return NULL;
}

/* "" for one without a name, and for what is none. */
static const char *name_of(const struct mp_snapshot *snapshot, uint64_t id)
{
	const struct mp_observed_lock *lock = snapshot_lock(snapshot, id);
	const struct mp_observed_queue *queue = lock ? NULL : snapshot_queue(snapshot, id);
	const struct mp_observed_sync *sync = lock || queue ? NULL : snapshot_sync(snapshot, id);

	return lock ? lock->name : queue ? queue->name : sync ? sync->name : "";
}

void snapshot_add_process(struct text *text, const struct mp_observed_process *process)
{
	if (process)
		text_add(text, "%s[%u]", process->name, process->pid);
	else
		text_add(text, "?");
}

void snapshot_add_thread(struct text *text, const struct mp_snapshot *snapshot, uint32_t thread)
{
	const struct mp_observed_thread *row = snapshot_thread(snapshot, thread);
	const struct mp_observed_process *process =
		row ? snapshot_process(snapshot, row->process_slot) : NULL;

	if (process && row->tid && row->tid != process->pid)
		text_add(text, "%s[%u/%u]", process->name, process->pid, row->tid);
	else
		snapshot_add_process(text, process);
}

void snapshot_add_object(struct text *text, const struct mp_snapshot *snapshot, uint64_t id)
{
	const char *name = name_of(snapshot, id);

	if (!id)
		text_add(text, "?");
	else if (name[0])
		text_add(text, "%s", name);
	else
		text_add(text, "#%llu", (unsigned long long)id);
}

void snapshot_add_cycle(struct text *text, const struct mp_snapshot *snapshot,
		     const struct mp_observed_cycle *cycle, const char *arrow)
{
	for (uint32_t i = 0; i < cycle->length; i++) {
		snapshot_add_thread(text, snapshot, cycle->steps[i].thread);
		text_add(text, " %s ", arrow);
		snapshot_add_object(text, snapshot, cycle->steps[i].lock);
		text_add(text, " %s ", arrow);
	}
	if (cycle->members > cycle->length)
		text_add(text, "(%u more) %s ", cycle->members - cycle->length, arrow);
	if (cycle->length)
		snapshot_add_thread(text, snapshot, cycle->steps[0].thread);
}
