/* SPDX-License-Identifier: MIT
 *
 * What a snapshot holds, found by number and called by name, in mptop and mpctl alike. Knows: slots
 * and ids. Does not know: rates, findings, where a text goes.
 */
#ifndef MPTOP_SNAPSHOT_H
#define MPTOP_SNAPSHOT_H

#include "format.h"

#include <libshm/observe.h>

#define CONDITION_WRITABLE 1 /* of mp_observed_thread.waits_condition, for queues */

/* Lookups in one snapshot; NULL if there is none. */
const struct mp_observed_process *snapshot_process(const struct mp_snapshot *snapshot,
						   uint32_t slot);
const struct mp_observed_thread *snapshot_thread(const struct mp_snapshot *snapshot, uint32_t slot);
const struct mp_observed_lock *snapshot_lock(const struct mp_snapshot *snapshot, uint64_t id);
const struct mp_observed_queue *snapshot_queue(const struct mp_snapshot *snapshot, uint64_t id);
const struct mp_observed_sync *snapshot_sync(const struct mp_snapshot *snapshot, uint64_t id);

/* "loader[4121]", with "/tid" when the thread is not the first. */
void snapshot_add_process(struct text *text, const struct mp_observed_process *process);
void snapshot_add_thread(struct text *text, const struct mp_snapshot *snapshot, uint32_t thread);
/* The name, "#id" for an anonymous one. */
void snapshot_add_object(struct text *text, const struct mp_snapshot *snapshot, uint64_t id);
/* "loader[4121] -> db.lock -> writer[4130] -> cfg.lock -> loader[4121]" */
void snapshot_add_cycle(struct text *text, const struct mp_snapshot *snapshot,
		     const struct mp_observed_cycle *cycle, const char *arrow);

#endif
