/* SPDX-License-Identifier: MIT
 *
 * What one look tells of a segment and what is in it, as members of a JSON object that is open: the
 * same names in mptop and mpctl, a contract with scripts (docs/observing.md). Knows: what observe
 * shows. Does not know: rates and ages that take two looks, who asks.
 */
#ifndef MPTOP_JSON_OBJECT_H
#define MPTOP_JSON_OBJECT_H

#include "json.h"

#include <libshm/observe.h>

void json_snapshot_members(struct json *json, const struct mp_snapshot *snapshot);

/* All but is_dead: who looks twice knows more of that. */
void json_process_members(struct json *json, const struct mp_observed_process *process);
void json_threads(struct json *json, const struct mp_snapshot *snapshot);

/* An object's name, or its number. */
void json_object_name(struct json *json, const char *key, const struct mp_snapshot *snapshot,
		      uint64_t id);

/* `owner_pid` is 0 where nobody is known to hold it. */
void json_lock_members(struct json *json, const struct mp_observed_lock *lock, uint32_t owner_pid);
void json_queue_members(struct json *json, const struct mp_observed_queue *queue);
void json_sync_members(struct json *json, const struct mp_observed_sync *sync);

#endif
