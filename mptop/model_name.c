/* SPDX-License-Identifier: MIT
 *
 * Names of what a snapshot holds: processes, threads, objects, cycles. Knows: slots and ids.
 * Does not know: rates, findings.
 */
#include "model.h"

#include <errno.h>

const struct mp_observed_process *model_process(const struct mp_snapshot *snapshot, uint32_t slot)
{
	for (uint32_t i = 0; i < snapshot->process_count; i++)
		if (snapshot->processes[i].slot == slot)
			return &snapshot->processes[i];
	return NULL;
}

const struct mp_observed_thread *model_thread(const struct mp_snapshot *snapshot, uint32_t slot)
{
	for (uint32_t i = 0; i < snapshot->thread_count; i++)
		if (snapshot->threads[i].slot == slot)
			return &snapshot->threads[i];
	return NULL;
}

const struct mp_observed_lock *model_lock(const struct mp_snapshot *snapshot, uint64_t id)
{
	for (uint32_t i = 0; id && i < snapshot->lock_count; i++)
		if (snapshot->locks[i].id == id)
			return &snapshot->locks[i];
	return NULL;
}

const struct mp_observed_queue *model_queue(const struct mp_snapshot *snapshot, uint64_t id)
{
	for (uint32_t i = 0; id && i < snapshot->queue_count; i++)
		if (snapshot->queues[i].id == id)
			return &snapshot->queues[i];
	return NULL;
}

void model_add_process(struct text *text, const struct mp_observed_process *process)
{
	if (process)
		text_add(text, "%s[%u]", process->name, process->pid);
	else
		text_add(text, "?");
}

void model_add_thread(struct text *text, const struct mp_snapshot *snapshot, uint32_t thread)
{
	const struct mp_observed_thread *row = model_thread(snapshot, thread);
	const struct mp_observed_process *process =
		row ? model_process(snapshot, row->process_slot) : NULL;

	if (process && row->tid && row->tid != process->pid)
		text_add(text, "%s[%u/%u]", process->name, process->pid, row->tid);
	else
		model_add_process(text, process);
}

void model_add_object(struct text *text, const struct mp_snapshot *snapshot, uint64_t id)
{
	const struct mp_observed_lock *lock = model_lock(snapshot, id);
	const struct mp_observed_queue *queue = lock ? NULL : model_queue(snapshot, id);
	const char *name = lock ? lock->name : queue ? queue->name : "";

	if (!id)
		text_add(text, "?");
	else if (name[0])
		text_add(text, "%s", name);
	else
		text_add(text, "#%llu", (unsigned long long)id);
}

void model_add_cycle(struct text *text, const struct mp_snapshot *snapshot,
		     const struct mp_observed_cycle *cycle, const char *arrow)
{
	for (uint32_t i = 0; i < cycle->length; i++) {
		model_add_thread(text, snapshot, cycle->steps[i].thread);
		text_add(text, " %s ", arrow);
		model_add_object(text, snapshot, cycle->steps[i].lock);
		text_add(text, " %s ", arrow);
	}
	if (cycle->members > cycle->length)
		text_add(text, "(%u more) %s ", cycle->members - cycle->length, arrow);
	if (cycle->length)
		model_add_thread(text, snapshot, cycle->steps[0].thread);
}

void model_add_mpd(struct text *text, const struct model *model)
{
	const struct mp_endpoint_info *info = &model->info;

	if (info->is_mpd_alive || info->is_file)
		return;
	if (info->mpd_error == -EACCES || info->mpd_error == -EPERM) {
		text_add(text, "not allowed to ask mpd at %s: %s", info->endpoint,
			 mp_strerror(info->mpd_error));
		return;
	}
	if (info->mpd_error == -EPROTO) {
		text_add(text, "mpd %s at %s is of another version than this mptop (libshm %s): "
			 "segments are found through the programs",
			 info->mpd_version, info->endpoint, mp_version());
		return;
	}
	if (!model->segment_count) {
		text_add(text, "no mpd runs here, and nobody has a segment open");
		return;
	}
	text_add(text, "mpd");
	if (info->mpd_pid)
		text_add(text, "[%u]", info->mpd_pid);
	text_add(text, " does not answer: programs run on, segments are found through them");
}

const char *severity_name(enum severity severity)
{
	static const char *const names[] = { "-", "INFO", "WARN", "HIGH", "CRIT" };

	return names[severity];
}
