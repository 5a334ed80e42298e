/* SPDX-License-Identifier: MIT
 *
 * mpctl info as JSON: the members of mptop --json (docs/observing.md) that one look can tell.
 * Knows: snapshots of observe. Does not know: text (mpctl_info.c).
 */
#include "mpctl.h"

#include "mptop/json.h"
#include "mptop/json_object.h"

#include <string.h>

static void put_process(struct json *json, const struct mp_observed_process *process)
{
	const char state[] = { process->state, '\0' };

	json_open(json, NULL, '{');
	json_unsigned(json, "slot", process->slot);
	json_unsigned(json, "pid", process->pid);
	json_string(json, "name", process->name);
	json_string(json, "state", state);
	json_bool(json, "is_dead", process->is_dead);
	json_signed(json, "age_ns", process->age_ns);
	json_unsigned(json, "redelivered", process->redelivered);
	json_unsigned(json, "recovered", process->recovered);
	json_close(json, '}');
}

static void put_waits(struct json *json, const struct mp_observed_thread *thread)
{
	json_open(json, "waits_for", '[');
	for (unsigned i = 0; thread->is_waiting && i < 6 && thread->waits_for[i]; i++) {
		json_open(json, NULL, '{');
		json_unsigned(json, "id", thread->waits_for[i]);
		json_unsigned(json, "condition", thread->waits_condition[i]);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void put_thread(struct json *json, const struct mp_observed_thread *thread)
{
	json_open(json, NULL, '{');
	json_unsigned(json, "slot", thread->slot);
	json_unsigned(json, "process_slot", thread->process_slot);
	json_unsigned(json, "tid", thread->tid);
	json_string(json, "name", thread->name);
	json_bool(json, "is_waiting", thread->is_waiting);
	json_signed(json, "waiting_ns", thread->waiting_ns);
	put_waits(json, thread);
	json_close(json, '}');
}

static uint32_t pid_of(const struct mp_snapshot *snapshot, uint32_t slot)
{
	for (uint32_t i = 0; i < snapshot->process_count; i++)
		if (snapshot->processes[i].slot == slot)
			return snapshot->processes[i].pid;
	return 0;
}

static void put_lock(struct json *json, const struct mp_snapshot *snapshot,
		     const struct mp_observed_lock *lock)
{
	json_open(json, NULL, '{');
	json_lock_members(json, lock,
			  lock->owner_thread ? pid_of(snapshot, lock->owner_process) : 0);
	json_close(json, '}');
}

static void put_queue(struct json *json, const struct mp_observed_queue *queue)
{
	json_open(json, NULL, '{');
	json_queue_members(json, queue);
	json_close(json, '}');
}

static bool is_wanted(const char *object, const char *name)
{
	return !object || strcmp(object, name) == 0;
}

static void put_objects(struct json *json, const struct mp_snapshot *snapshot, const char *object)
{
	json_open(json, "locks", '[');
	for (uint32_t i = 0; i < snapshot->lock_count; i++)
		if (is_wanted(object, snapshot->locks[i].name))
			put_lock(json, snapshot, &snapshot->locks[i]);
	json_close(json, ']');
	json_open(json, "queues", '[');
	for (uint32_t i = 0; i < snapshot->queue_count; i++)
		if (is_wanted(object, snapshot->queues[i].name))
			put_queue(json, &snapshot->queues[i]);
	json_close(json, ']');
}

static void put_segment(struct json *json, const struct mp_observed_segment *about,
			const struct mp_snapshot *snapshot)
{
	json_string(json, "name", about->name);
	json_bool(json, "listed", about->is_listed);
	json_unsigned(json, "uid", about->uid);
	json_unsigned(json, "mode", about->mode);
	json_bool(json, "kept", about->is_kept);
	json_unsigned(json, "generation", snapshot->generation);
	json_bool(json, "is_torn", snapshot->is_torn);
	json_unsigned(json, "size_bytes", snapshot->size_bytes);
	json_unsigned(json, "committed_bytes", snapshot->committed_bytes);
	json_unsigned(json, "used_bytes", snapshot->used_bytes);
	json_unsigned(json, "free_bytes", snapshot->free_bytes);
	json_unsigned(json, "sweeps", snapshot->sweeps);
	json_unsigned(json, "deaths", snapshot->deaths);
}

void mpctl_info_json(const struct mp_observed_segment *about, const struct mp_snapshot *snapshot,
		     const char *object)
{
	struct json json = { .out = stdout };

	json_open(&json, NULL, '{');
	put_segment(&json, about, snapshot);
	json_open(&json, "processes", '[');
	for (uint32_t i = 0; i < snapshot->process_count; i++)
		put_process(&json, &snapshot->processes[i]);
	json_close(&json, ']');
	json_open(&json, "threads", '[');
	for (uint32_t i = 0; i < snapshot->thread_count; i++)
		put_thread(&json, &snapshot->threads[i]);
	json_close(&json, ']');
	put_objects(&json, snapshot, object);
	json_close(&json, '}');
	putchar('\n');
}
