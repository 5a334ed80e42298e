/* SPDX-License-Identifier: MIT
 *
 * Who writes over a segment in which others are at work. Knows: where the regions of a segment
 * begin, which words are the worst. Does not know: what becomes of the others.
 *
 * Words that are right somewhere else are worse than noise: most are copied from another place of
 * the segment, or changed by little.
 */
#include "vandal.h"

#include "libshm/blockword.h"
#include "libshm/client.h"

#define ENTRIES_HIT 16   /* the directory's first: those that are in use */
#define OBJECTS_HIT 4    /* of them */
#define ARENA_HIT (1 << 18) /* bytes at the arena's beginning: the objects, their cells */

uint64_t vandal_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A region, in words. */
struct region {
	uint64_t offset, bytes;
};

enum { REGION_COUNT = 10 };

/* An object, as long as its entry still says where it is; else the directory. */
static struct region object_of(const struct seg *seg, uint64_t which)
{
	struct shm_entry *entry = &seg->directory[which % OBJECTS_HIT];
	uint64_t offset = reference_offset(load_relaxed(&entry->object)) & ~UINT64_C(7);

	if (offset < seg->at.arena || offset > seg->size - sizeof(struct shm_queue))
		offset = seg->at.directory;
	return (struct region){ offset, sizeof(struct shm_queue) };
}

static struct region region_of(const struct seg *seg, uint64_t which)
{
	const struct seg_geometry *at = &seg->at;
	const struct region regions[REGION_COUNT] = {
		{ 0, HEADER_BYTES },
		{ at->clients, (uint64_t)at->max_clients * sizeof(struct shm_client) },
		{ at->touched, (uint64_t)at->max_clients * at->max_objects / 8 },
		{ at->threads, (uint64_t)at->max_threads * sizeof(struct shm_thread) },
		{ at->tickets, (uint64_t)at->max_threads * sizeof(atom32) },
		{ at->directory, ENTRIES_HIT * sizeof(struct shm_entry) },
		{ at->granules, (uint64_t)at->granule_count * sizeof(atom64) },
		{ at->arena, ARENA_HIT },
		{ at->arena, seg->size - at->arena },
		object_of(seg, which / REGION_COUNT),
	};

	return regions[which % REGION_COUNT];
}

static atom64 *random_word(const struct seg *seg, uint64_t *state)
{
	struct region region = region_of(seg, vandal_random(state));
	uint64_t offset = region.offset + vandal_random(state) % (region.bytes / 8) * 8;

	return (atom64 *)(void *)(seg->base + offset);
}

static uint64_t changed(const struct seg *seg, uint64_t word, uint64_t *state)
{
	uint64_t random = vandal_random(state);

	switch (random % 8) {
	case 0:
		return vandal_random(state);
	case 1:
		return vandal_random(state) % 4096;
	case 2:
		return word ^ UINT64_C(1) << (random >> 8) % 64;
	case 3:
		return word + (random >> 8) % 16 - 8;
	case 4:
		return (word & ~UINT64_C(0xffff)) | (random >> 8 & 0xffff);
	default:
		return load_relaxed(random_word(seg, state));
	}
}

void vandal_strike(mp_segment *segment, uint64_t *state, unsigned words)
{
	const struct seg *seg = segment->seg;

	for (unsigned i = 0; i < words; i++) {
		atom64 *word = random_word(seg, state);

		store_relaxed(word, changed(seg, load_relaxed(word), state));
	}
}
