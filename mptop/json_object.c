/* SPDX-License-Identifier: MIT
 *
 * See json_object.h.
 */
#include "json_object.h"

#include "snapshot.h"

#define WAITS_MAX (sizeof(((struct mp_observed_thread *)0)->waits_for) / sizeof(uint64_t))

void json_snapshot_members(struct json *json, const struct mp_snapshot *snapshot)
{
	json_unsigned(json, "generation", snapshot->generation);
	json_bool(json, "is_torn", snapshot->is_torn);
	json_unsigned(json, "size_bytes", snapshot->size_bytes);
	json_unsigned(json, "committed_bytes", snapshot->committed_bytes);
	json_unsigned(json, "used_bytes", snapshot->used_bytes);
	json_unsigned(json, "free_bytes", snapshot->free_bytes);
	json_unsigned(json, "sweeps", snapshot->sweeps);
	json_unsigned(json, "deaths", snapshot->deaths);
	json_unsigned(json, "audits", snapshot->audits);
}

void json_process_members(struct json *json, const struct mp_observed_process *process)
{
	const char state[] = { process->state, '\0' };

	json_unsigned(json, "slot", process->slot);
	json_unsigned(json, "pid", process->pid);
	json_unsigned(json, "parent_slot", process->parent_slot);
	json_string(json, "name", process->name);
	json_string(json, "state", state);
	json_signed(json, "age_ns", process->age_ns);
	json_signed(json, "dead_ns", process->dead_ns);
	json_unsigned(json, "redelivered", process->redelivered);
	json_unsigned(json, "recovered", process->recovered);
}

void json_object_name(struct json *json, const char *key, const struct mp_snapshot *snapshot,
		      uint64_t id)
{
	struct text text = { 0 };

	snapshot_add_object(&text, snapshot, id);
	json_string(json, key, text.bytes);
}

static void put_waits(struct json *json, const struct mp_snapshot *snapshot,
		      const struct mp_observed_thread *thread)
{
	json_open(json, "waits_for", '[');
	for (unsigned i = 0; thread->is_waiting && i < WAITS_MAX && thread->waits_for[i]; i++) {
		json_open(json, NULL, '{');
		json_unsigned(json, "id", thread->waits_for[i]);
		json_object_name(json, "name", snapshot, thread->waits_for[i]);
		json_unsigned(json, "condition", thread->waits_condition[i]);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void put_thread(struct json *json, const struct mp_snapshot *snapshot,
		       const struct mp_observed_thread *thread)
{
	json_open(json, NULL, '{');
	json_unsigned(json, "slot", thread->slot);
	json_unsigned(json, "process_slot", thread->process_slot);
	json_unsigned(json, "tid", thread->tid);
	json_string(json, "name", thread->name);
	json_string(json, "engine", thread->engine);
	json_string(json, "engine_reason", thread->engine_reason);
	json_bool(json, "is_waiting", thread->is_waiting);
	json_bool(json, "is_asleep", thread->is_asleep);
	json_signed(json, "waiting_ns", thread->waiting_ns);
	put_waits(json, snapshot, thread);
	json_open(json, "holds", '[');
	for (unsigned i = 0; i < thread->held_count; i++)
		json_unsigned(json, NULL, thread->holds[i]);
	json_close(json, ']');
	json_unsigned(json, "sleeps_uring", thread->sleeps_uring);
	json_unsigned(json, "sleeps_futex", thread->sleeps_futex);
	json_unsigned(json, "wakeups", thread->wakeups);
	json_unsigned(json, "spurious", thread->spurious);
	json_unsigned(json, "rings", thread->rings);
	json_close(json, '}');
}

void json_threads(struct json *json, const struct mp_snapshot *snapshot)
{
	json_open(json, "threads", '[');
	for (uint32_t i = 0; i < snapshot->thread_count; i++)
		put_thread(json, snapshot, &snapshot->threads[i]);
	json_close(json, ']');
}

void json_lock_members(struct json *json, const struct mp_observed_lock *lock, uint32_t owner_pid)
{
	json_unsigned(json, "id", lock->id);
	json_string(json, "name", lock->name);
	json_string(json, "kind", lock->kind);
	json_unsigned(json, "owner_thread", lock->owner_thread);
	json_unsigned(json, "owner_slot", lock->owner_process);
	json_unsigned(json, "owner_pid", owner_pid);
	json_unsigned(json, "waiters", lock->waiters);
	json_unsigned(json, "depth", lock->depth);
	json_bool(json, "died", lock->is_died);
	json_bool(json, "poisoned", lock->is_poisoned);
	json_bool(json, "unlinked", lock->is_unlinked);
	json_unsigned(json, "grants", lock->grants);
	json_unsigned(json, "contended", lock->contended);
	json_unsigned(json, "deaths", lock->deaths);
	json_unsigned(json, "wait_ns", lock->wait_ns);
	json_bool(json, "fair", lock->is_fair);
	json_unsigned(json, "heir_thread", lock->heir_thread);
	json_unsigned(json, "overtaken_most", lock->overtaken_most);
	json_unsigned(json, "passed_over", lock->passed_over);
}

void json_queue_members(struct json *json, const struct mp_observed_queue *queue)
{
	json_unsigned(json, "id", queue->id);
	json_string(json, "name", queue->name);
	json_unsigned(json, "depth", queue->depth);
	json_unsigned(json, "capacity", queue->capacity);
	json_unsigned(json, "message_bytes", queue->message_bytes);
	json_bool(json, "closed", queue->is_closed);
	json_bool(json, "unlinked", queue->is_unlinked);
	json_unsigned(json, "blocked_putters", queue->blocked_putters);
	json_unsigned(json, "blocked_getters", queue->blocked_getters);
	json_unsigned(json, "leased", queue->leased);
	json_unsigned(json, "returned", queue->returned);
	json_unsigned(json, "puts", queue->puts);
	json_unsigned(json, "gets", queue->gets);
	json_unsigned(json, "redelivered", queue->redelivered);
	json_unsigned(json, "skipped", queue->skipped);
}

void json_sync_members(struct json *json, const struct mp_observed_sync *sync)
{
	json_unsigned(json, "id", sync->id);
	json_string(json, "name", sync->name);
	json_string(json, "kind", sync->kind);
	json_string(json, "state", sync->state);
	json_string(json, "detail", sync->detail);
	json_unsigned(json, "waiters", sync->waiters);
	json_bool(json, "unlinked", sync->is_unlinked);
	json_unsigned(json, "changes", sync->changes);
	json_unsigned(json, "waits", sync->waits);
	json_unsigned(json, "wait_ns", sync->wait_ns);
	json_unsigned(json, "holders", sync->holders);
	json_unsigned(json, "lost", sync->lost);
	json_unsigned(json, "lock_id", sync->lock);
}
