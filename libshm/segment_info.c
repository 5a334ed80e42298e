/* SPDX-License-Identifier: MIT
 *
 * Figures of a segment. Knows: where each figure is counted. Does not know: attaching (client.c).
 */
#include "arena.h"
#include "client.h"
#include "errno_kept.h"
#include "explain.h"
#include "probe.h"
#include "slot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint32_t count_clients(struct seg *seg)
{
	uint32_t high = seg_clients_high(seg), count = 0;

	for (uint32_t i = SLOT_FIRST; i < high; i++)
		count += client_word_state(slot_client_word(seg, i)) != SLOT_FREE;
	return count;
}

static uint32_t count_threads(struct seg *seg)
{
	uint32_t high = seg_threads_high(seg), count = 0;

	for (uint32_t i = SLOT_FIRST; i < high; i++)
		count += thread_word_state(load_relaxed(&seg->threads[i].word)) != SLOT_FREE;
	return count;
}

static uint32_t count_objects(struct seg *seg)
{
	uint32_t high = seg_objects_high(seg), count = 0;

	for (uint32_t i = 0; i < high; i++)
		count += entry_word_state(load_relaxed(&seg->directory[i].word)) != ENTRY_FREE;
	return count;
}

int mp_segment_info(mp_segment *segment, struct mp_segment_info *ret_info)
{
	KEEP_ERRNO;
	struct mp_segment_info info = { .committed_bytes = 0 };
	const struct park_ops *engine = NULL;
	struct arena_usage usage;
	struct seg *seg;

	if (!segment)
		return explain(-EINVAL, "mp_segment_info needs a segment, not NULL");
	seg = segment->seg;
	if (!ret_info)
		return explain(-EINVAL, "segment '%s': ret_info must not be NULL", seg->name);
	arena_measure(seg, &usage);
	snprintf(info.name, sizeof info.name, "%s", seg->name);
	info.size_bytes = seg->size;
	info.committed_bytes = load_relaxed(&seg->header->committed_bytes);
	info.used_bytes = usage.used_bytes;
	info.free_bytes = usage.free_bytes;
	info.clients = count_clients(seg);
	info.threads = count_threads(seg);
	info.objects = count_objects(seg);
	probe_engine(&engine);
	snprintf(info.engine, sizeof info.engine, "%s", engine ? engine->name : "none");
	info.engine_reason = probe_reason_text(probe_reason());
	*ret_info = info;
	return 0;
}
