/* SPDX-License-Identifier: MIT
 *
 * What one look tells of an object, as members of a JSON object that is open: the same names in
 * mptop and mpctl, a contract with scripts (docs/observing.md). Knows: objects as observe shows
 * them. Does not know: rates and ages that take two looks, who asks.
 */
#ifndef MPTOP_JSON_OBJECT_H
#define MPTOP_JSON_OBJECT_H

#include "json.h"

#include <libshm/observe.h>

/* `owner_pid` is 0 where nobody is known to hold it. */
void json_lock_members(struct json *json, const struct mp_observed_lock *lock, uint32_t owner_pid);
void json_queue_members(struct json *json, const struct mp_observed_queue *queue);

#endif
