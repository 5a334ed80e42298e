/* SPDX-License-Identifier: MIT
 *
 * See json_object.h.
 */
#include "json_object.h"

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
