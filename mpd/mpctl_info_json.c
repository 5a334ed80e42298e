/* SPDX-License-Identifier: MIT
 *
 * mpctl info as JSON: the members of mptop --json (docs/observing.md) that one look can tell.
 * Knows: snapshots of observe. Does not know: text (mpctl_info.c).
 */
#include "mpctl.h"

#include "mptop/json.h"
#include "mptop/json_object.h"
#include "mptop/snapshot.h"

#include <string.h>

static void put_process(struct json *json, const struct mp_observed_process *process)
{
	json_open(json, NULL, '{');
	json_process_members(json, process);
	json_bool(json, "is_dead", process->is_dead);
	json_close(json, '}');
}

static void put_lock(struct json *json, const struct mp_snapshot *snapshot,
		     const struct mp_observed_lock *lock)
{
	const struct mp_observed_process *owner =
		lock->owner_thread ? snapshot_process(snapshot, lock->owner_process) : NULL;

	json_open(json, NULL, '{');
	json_lock_members(json, lock, owner ? owner->pid : 0);
	json_close(json, '}');
}

static void put_queue(struct json *json, const struct mp_observed_queue *queue)
{
	json_open(json, NULL, '{');
	json_queue_members(json, queue);
	json_close(json, '}');
}

static void put_sync(struct json *json, const struct mp_observed_sync *sync)
{
	json_open(json, NULL, '{');
	json_sync_members(json, sync);
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
	json_open(json, "syncs", '[');
	for (uint32_t i = 0; i < snapshot->sync_count; i++)
		if (is_wanted(object, snapshot->syncs[i].name))
			put_sync(json, &snapshot->syncs[i]);
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
	json_snapshot_members(json, snapshot);
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
	json_threads(&json, snapshot);
	put_objects(&json, snapshot, object);
	json_close(&json, '}');
	putchar('\n');
}
