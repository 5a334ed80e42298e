/* SPDX-License-Identifier: MIT
 *
 * Proves: blocks do not overlap, references that do not fit are refused, a full segment recovers,
 * the sweep frees what one client owned and nothing else, damage never leads outside the segment.
 */
#include "harness_segment.h"

#include "arena.h"
#include "bits.h"
#include "shmref.h"
#include "slot.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1) << 20)

/* Caches are large for a stack; each test is a process of its own. */
static struct arena_cache cache, other_cache;

static uint64_t take(struct seg *seg, struct arena_cache *from, uint32_t client, uint64_t bytes)
{
	uint64_t reference;
	void *data;

	assert_int_equal(arena_alloc(seg, from, client, bytes, &reference, &data), 0);
	assert_int_equal((uintptr_t)data % 64, 0);
	return reference;
}

static void assert_blocks(struct seg *seg, uint64_t held, uint64_t cached, uint64_t linked)
{
	struct arena_usage usage;

	arena_measure(seg, &usage);
	assert_int_equal(usage.blocks_held, held);
	assert_int_equal(usage.blocks_cached, cached);
	assert_int_equal(usage.blocks_linked, linked);
	assert_int_equal(arena_check(seg), 0);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Mostly small, each size class and whole granules now and then. */
static uint64_t random_bytes(uint64_t *state)
{
	uint64_t bits = next_random(state) % 18;

	return 1 + next_random(state) % (UINT64_C(1) << bits);
}

static void blocks_of_all_sizes_are_large_enough_and_disjoint(void **state)
{
	enum { COUNT = 700 };
	struct seg *seg = harness_segment(0);
	static uint64_t references[COUNT];

	for (unsigned i = 0; i < COUNT; i++) {
		uint64_t bytes = i * 29;
		void *data;

		assert_int_equal(arena_alloc(seg, &cache, seg->client, bytes, &references[i],
					     &data), 0);
		memset(data, (int)i, bytes);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		uint64_t bytes = 0;
		const uint8_t *data = arena_at(seg, references[i], &bytes);

		assert_non_null(data);
		assert_true(bytes >= i * 29 && bytes <= i * 29 * 2 + 65536);
		for (unsigned k = 0; k < i * 29; k++)
			assert_int_equal(data[k], (uint8_t)i);
		assert_int_equal(arena_free(seg, &cache, seg->client, references[i]), 0);
	}
	arena_flush(seg, &cache, seg->client);
	assert_blocks(seg, 0, 0, 0);
	harness_segment_end(seg);
}

static void free_is_refused_a_second_time(void **state)
{
	static const uint64_t sizes[] = { 1, 1000, 3000, 16384, 16385, 1 << 20 };
	struct seg *seg = harness_segment(0);

	for (unsigned i = 0; i < 12; i++) {
		struct arena_cache *with = i % 2 ? &cache : NULL;
		uint64_t reference = take(seg, with, seg->client, sizes[i / 2]);

		assert_int_equal(arena_free(seg, with, seg->client, reference), 0);
		assert_int_equal(arena_free(seg, with, seg->client, reference), -EINVAL);
		assert_int_equal(arena_free(seg, NULL, seg->client, reference), -EINVAL);
	}
	harness_segment_end(seg);
}

static void stale_references_are_refused_after_reuse(void **state)
{
	static const uint64_t sizes[] = { 64, 16384, 100000 };
	struct seg *seg = harness_segment(0);

	for (unsigned i = 0; i < 3; i++) {
		uint64_t old = take(seg, &cache, seg->client, sizes[i]), new;

		assert_int_equal(arena_free(seg, &cache, seg->client, old), 0);
		assert_null(arena_at(seg, old, NULL));
		new = take(seg, &cache, seg->client, sizes[i]);
		assert_int_equal(reference_offset(new), reference_offset(old));
		assert_null(arena_at(seg, old, NULL));
		assert_int_equal(arena_free(seg, &cache, seg->client, old), -EINVAL);
		assert_int_equal(arena_link(seg, seg->client, old), -ESTALE);
		assert_int_equal(arena_unlink(seg, seg->client, old), -ESTALE);
		assert_non_null(arena_at(seg, new, NULL));
	}
	harness_segment_end(seg);
}

/* Granules that were one block become a run: old references must not meet new blocks. */
static void references_to_granules_do_not_match_blocks_cut_from_them(void **state)
{
	struct seg *seg = harness_segment(0);
	uint64_t old[64];

	for (unsigned i = 0; i < 64; i++)
		old[i] = take(seg, &cache, seg->client, 65536);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(arena_free(seg, &cache, seg->client, old[i]), 0);
	for (unsigned i = 0; i < 4000; i++)
		take(seg, &cache, seg->client, 64 + i % 2 * 4000);
	for (unsigned i = 0; i < 64; i++)
		assert_null(arena_at(seg, old[i], NULL));
	harness_segment_end(seg);
}

static void references_into_the_middle_or_outside_are_impossible(void **state)
{
	struct seg *seg = harness_segment(0);
	uint64_t small = take(seg, &cache, seg->client, 1024);
	uint64_t large = take(seg, &cache, seg->client, 300000);
	uint64_t arena = seg->at.arena, size = seg->size;
	const uint64_t offsets[] = { 0, 64, arena - 64, arena, size, size - 64, UINT64_C(1) << 37,
				     reference_offset(small) + 64, reference_offset(small) - 64,
				     reference_offset(large) + 64,
				     reference_offset(large) + GRANULE_BYTES };

	for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
		for (uint32_t generation = 0; generation < 3; generation++) {
			uint64_t reference = reference_make(offsets[i], generation);

			assert_null(arena_at(seg, reference, NULL));
			assert_int_equal(arena_word_of(seg, reference), 0);
			assert_int_equal(arena_free(seg, &cache, seg->client, reference), -EINVAL);
			assert_int_equal(arena_link(seg, seg->client, reference), -ESTALE);
		}
	harness_segment_end(seg);
}

static void block_passes_from_client_to_client_through_a_link(void **state)
{
	struct seg *seg = harness_segment(0);
	uint32_t generation, other = harness_segment_client(seg, &generation);
	static const uint64_t sizes[] = { 200, 200000 };

	for (unsigned i = 0; i < 2; i++) {
		uint64_t reference = take(seg, &cache, seg->client, sizes[i]);

		assert_int_equal(arena_free(seg, &other_cache, other, reference), -EINVAL);
		assert_int_equal(arena_unlink(seg, other, reference), -EINVAL);
		assert_int_equal(arena_link(seg, other, reference), -EINVAL);
		assert_int_equal(arena_link(seg, seg->client, reference), 0);
		assert_int_equal(arena_link(seg, seg->client, reference), 0);
		assert_int_equal(block_word_state(arena_word_of(seg, reference)), BLOCK_LINKED);
		assert_int_equal(arena_free(seg, &cache, seg->client, reference), -EINVAL);
		assert_non_null(arena_at(seg, reference, NULL));
		assert_int_equal(arena_unlink(seg, other, reference), 0);
		assert_int_equal(arena_unlink(seg, other, reference), 0);
		assert_int_equal(arena_unlink(seg, seg->client, reference), -EINVAL);
		assert_int_equal(block_word_client(arena_word_of(seg, reference)), other);
		assert_int_equal(arena_free(seg, &other_cache, other, reference), 0);
		assert_int_equal(arena_link(seg, other, reference), -ESTALE);
	}
	harness_segment_end(seg);
}

/* Put and got again by the same, as a queue does; and the same with a recoverer of somebody dead,
 * who had our slot, coming late at each of its steps. */
static void block_taken_over_is_given_back_once_whatever_late_recoverers_do(void **state)
{
	static const uint64_t sizes[] = { 200, 200000 };
	struct seg *seg = harness_segment(0);
	uint32_t me = seg->client;

	for (unsigned i = 0; i < 6; i++) {
		bool is_late_before = i / 2 == 1, is_late_after = i / 2 == 2;
		struct arena_fresh fresh;
		struct arena_block block;

		assert_int_equal(arena_alloc_fresh(seg, &cache, me, sizes[i % 2], &fresh), 0);
		arena_link_fresh(&fresh);
		assert_int_equal(block_word_state(arena_word_of(seg, fresh.reference)),
				 BLOCK_LINKED);
		assert_ptr_equal(arena_take_over(seg, me, fresh.reference, &block), fresh.data);
		assert_true(block.bytes >= sizes[i % 2]);
		if (is_late_before)
			assert_int_equal(arena_link(seg, me, fresh.reference), 0);
		arena_keep(&block, me, fresh.reference);
		assert_true(block_word_is_of(arena_word_of(seg, fresh.reference), me));
		if (is_late_after)
			assert_int_equal(arena_link(seg, me, fresh.reference), 0);
		arena_give_back(seg, &cache, me, fresh.reference, &block);
		assert_int_equal(arena_link(seg, me, fresh.reference), -ESTALE);
		assert_null(arena_at(seg, fresh.reference, NULL));
		arena_flush(seg, &cache, me);
		assert_blocks(seg, 0, 0, 0);
	}
	harness_segment_end(seg);
}

static void block_of_another_is_not_taken_over_nor_given_back(void **state)
{
	static const uint64_t sizes[] = { 200, 200000 };
	struct seg *seg = harness_segment(0);
	uint32_t generation, other = harness_segment_client(seg, &generation);

	for (unsigned i = 0; i < 2; i++) {
		uint64_t reference = take(seg, &other_cache, other, sizes[i]), word;
		struct arena_block block;

		assert_null(arena_take_over(seg, seg->client, reference, &block));
		assert_null(block.word);
		assert_null(arena_take_over(seg, seg->client, reference + 1, &block));
		assert_int_equal(arena_link(seg, other, reference), 0);
		assert_non_null(arena_take_over(seg, seg->client, reference, &block));
		/* Somebody writes into the word: it is left as it is, and in no cache. */
		word = load_relaxed(block.word);
		store_relaxed(block.word, block_word_to(word, other, BLOCK_HELD));
		arena_give_back(seg, &cache, seg->client, reference, &block);
		assert_int_equal(block_word_client(arena_word_of(seg, reference)), other);
		store_relaxed(block.word, block_word_freed(word, other, BLOCK_HELD));
		arena_give_back(seg, &cache, seg->client, reference, &block);
		arena_flush(seg, &other_cache, other);
		assert_blocks(seg, 1, 0, 0);
		assert_int_equal(arena_free(seg, NULL, other,
					    reference_make(block.offset, block_word_generation(
						    load_relaxed(block.word)))), 0);
		assert_blocks(seg, 0, 0, 0);
	}
	harness_segment_end(seg);
}

static void larger_than_the_segment_is_emsgsize(void **state)
{
	struct seg *seg = harness_segment(8 * MIB);
	uint64_t reference = 5;
	void *data = NULL;

	assert_int_equal(arena_alloc(seg, &cache, seg->client, arena_max_bytes(seg) + 1, &reference,
				     &data), -EMSGSIZE);
	assert_int_equal(arena_alloc(seg, &cache, seg->client, UINT64_MAX, &reference, &data),
			 -EMSGSIZE);
	assert_int_equal(reference, 5);
	assert_null(data);
	harness_segment_end(seg);
}

static void whole_segment_can_be_one_block_and_again(void **state)
{
	struct seg *seg = harness_segment(8 * MIB);
	uint64_t bytes, other;
	void *data;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t reference = take(seg, &cache, seg->client, arena_max_bytes(seg));

		assert_non_null(arena_at(seg, reference, &bytes));
		assert_int_equal(bytes, arena_max_bytes(seg));
		assert_int_equal(arena_alloc(seg, &cache, seg->client, 1, &other, &data), -ENOSPC);
		assert_int_equal(arena_free(seg, &cache, seg->client, reference), 0);
	}
	harness_segment_end(seg);
}

static unsigned fill(struct seg *seg, uint64_t bytes, uint64_t *references, unsigned most)
{
	unsigned count = 0;
	void *data;
	int r;

	while ((r = arena_alloc(seg, &cache, seg->client, bytes, &references[count], &data)) == 0) {
		memset(data, (int)count, bytes);
		assert_true(++count < most);
	}
	assert_int_equal(r, -ENOSPC);
	return count;
}

static void assert_full_segment_recovers(uint64_t bytes)
{
	enum { MOST = 200000 };
	struct seg *seg = harness_segment(8 * MIB);
	uint64_t *references = calloc(MOST, sizeof(*references));
	unsigned first, again;

	assert_non_null(references);
	memset(&cache, 0, sizeof(cache));
	first = fill(seg, bytes, references, MOST);
	assert_true(first * bytes > arena_max_bytes(seg) * 3 / 4);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < first; i++)
			assert_int_equal(arena_free(seg, round ? &cache : NULL, seg->client,
						    references[i]), 0);
		assert_int_equal(arena_check(seg), 0);
		again = fill(seg, bytes, references, MOST);
		assert_int_equal(again, first);
	}
	free(references);
	harness_segment_end(seg);
}

static void full_segment_gives_enospc_and_recovers_after_frees(void **state)
{
	assert_full_segment_recovers(64);
	assert_full_segment_recovers(1024);
	assert_full_segment_recovers(12288);
	assert_full_segment_recovers(65536);
	assert_full_segment_recovers(200000);
}

/* Every other granule is free: neighbours join without anybody joining them. */
static void free_neighbours_are_one_piece_again(void **state)
{
	enum { MOST = 256 };
	struct seg *seg = harness_segment(8 * MIB);
	uint64_t references[MOST], reference;
	unsigned count = fill(seg, 65536, references, MOST);
	void *data;

	for (unsigned i = 0; i < count; i += 2)
		assert_int_equal(arena_free(seg, &cache, seg->client, references[i]), 0);
	assert_int_equal(arena_alloc(seg, &cache, seg->client, 65537, &reference, &data), -ENOSPC);
	for (unsigned i = 1; i < count; i += 2)
		assert_int_equal(arena_free(seg, &cache, seg->client, references[i]), 0);
	take(seg, &cache, seg->client, count * 65536);
	harness_segment_end(seg);
}

static void buffer_taken_again_and_again_commits_no_more(void **state)
{
	struct seg *seg = harness_segment(64 * MIB);
	uint64_t committed = 0;

	for (unsigned i = 0; i < 200; i++) {
		uint64_t reference = take(seg, &cache, seg->client, MIB);

		assert_int_equal(arena_free(seg, &cache, seg->client, reference), 0);
		if (i == 0)
			committed = load_relaxed(&seg->header->committed_bytes);
	}
	assert_int_equal(load_relaxed(&seg->header->committed_bytes), committed);
	harness_segment_end(seg);
}

static void idle_gigabyte_with_a_few_blocks_stays_small(void **state)
{
	struct seg *seg = harness_segment(1024 * MIB);
	struct stat status;

	take(seg, &cache, seg->client, 100);
	assert_int_equal(fstat(seg->fd, &status), 0);
	assert_true(status.st_blocks * 512 < 200 * 1024);
	assert_blocks(seg, 1, 31, 0);
	assert_int_equal(fstat(seg->fd, &status), 0);
	assert_true(status.st_blocks * 512 < 200 * 1024);
	harness_segment_end(seg);
}

static void measure_adds_up(void **state)
{
	struct seg *seg = harness_segment(8 * MIB);
	struct arena_usage usage;

	arena_measure(seg, &usage);
	assert_int_equal(usage.free_bytes, usage.total_bytes);
	assert_int_equal(usage.largest_free_bytes, usage.total_bytes);
	take(seg, NULL, seg->client, 1024);
	assert_int_equal(arena_link(seg, seg->client, take(seg, NULL, seg->client, 70000)), 0);
	arena_measure(seg, &usage);
	assert_int_equal(usage.used_bytes, 1024 + 2 * 65536);
	assert_int_equal(usage.largest_free_bytes, usage.total_bytes - 3 * 65536);
	assert_true(usage.free_bytes > usage.total_bytes - 3 * 65536 + 58 * 1024);
	assert_true(usage.free_bytes < usage.total_bytes - 2 * 65536 - 1024);
	assert_int_equal(usage.blocks_held, 1);
	assert_int_equal(usage.blocks_linked, 1);
	harness_segment_end(seg);
}

static void small_segment_uses_granules_when_no_run_fits(void **state)
{
	struct seg_geometry plan;
	struct seg *seg;
	uint64_t size = 65536, first, bytes;

	while (seg_plan(size, 0, 0, &plan) < 0)
		size += 65536;
	seg = harness_segment(size);
	assert_true(seg->at.granule_count < 8);
	first = take(seg, &cache, seg->client, 2 * 65536);
	while (seg->at.granule_count - seg_granules_high(seg) >= 4)
		take(seg, &cache, seg->client, 65536);
	assert_non_null(arena_at(seg, take(seg, &cache, seg->client, 5000), &bytes));
	assert_int_equal(bytes, 65536);
	assert_int_equal(arena_free(seg, &cache, seg->client, first), 0);
	assert_int_equal(arena_check(seg), 0);
	harness_segment_end(seg);
}

/* -- many at once ----------------------------------------------------------------------------- */

#define LIVE_BLOCKS 300

struct worker {
	struct seg *seg;
	uint32_t client;
	uint64_t seed;
	unsigned rounds;
	unsigned wrong;
};

struct live {
	uint64_t reference, bytes, pattern;
};

static bool has_pattern(struct seg *seg, const struct live *live)
{
	uint64_t size = 0;
	const uint64_t *data = arena_at(seg, live->reference, &size);

	if (!data || size < live->bytes)
		return false;
	for (uint64_t i = 0; i < live->bytes / 8; i++)
		if (data[i] != live->pattern)
			return false;
	return true;
}

static bool replace(struct worker *me, struct arena_cache *with, struct live *live)
{
	uint64_t *data;
	void *found;

	if (live->reference) {
		if (!has_pattern(me->seg, live) ||
		    arena_free(me->seg, with, me->client, live->reference) != 0)
			return false;
		live->reference = 0;
		return true;
	}
	live->bytes = random_bytes(&me->seed);
	if (arena_alloc(me->seg, with, me->client, live->bytes, &live->reference, &found) < 0)
		return false;
	data = found;
	live->pattern = live->reference ^ me->seed;
	for (uint64_t i = 0; i < live->bytes / 8; i++)
		data[i] = live->pattern;
	return true;
}

static void *work(void *arg)
{
	struct worker *me = arg;
	struct arena_cache *with = calloc(1, sizeof(*with));
	struct live *live = calloc(LIVE_BLOCKS, sizeof(*live));

	for (unsigned i = 0; i < me->rounds; i++)
		me->wrong += !replace(me, i % 64 ? with : NULL,
				      &live[next_random(&me->seed) % LIVE_BLOCKS]);
	for (unsigned i = 0; i < LIVE_BLOCKS; i++)
		me->wrong += live[i].reference && !replace(me, with, &live[i]);
	arena_flush(me->seg, with, me->client);
	free(live);
	free(with);
	return NULL;
}

static void threads_of_one_client_never_share_a_block(void **state)
{
	struct seg *seg = harness_segment(0);
	struct worker workers[4];
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++) {
		workers[i] = (struct worker){ seg, seg->client, i + 1, 60000 * harness_scale(), 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].wrong, 0);
	}
	assert_blocks(seg, 0, 0, 0);
	harness_segment_end(seg);
}

static void *take_and_flush(void *arg)
{
	struct worker *me = arg;
	struct arena_cache *with = calloc(1, sizeof(*with));
	uint64_t reference;
	void *data;

	for (unsigned i = 0; i < me->rounds; i++) {
		if (arena_alloc(me->seg, with, me->client, 16384, &reference, &data) == 0)
			me->wrong += arena_free(me->seg, with, me->client, reference) != 0;
		arena_flush(me->seg, with, me->client);
	}
	free(with);
	return NULL;
}

/* A hint that came before its word would be taken by another, found untrue and dropped. */
static void threads_that_flush_lose_no_hint(void **state)
{
	struct seg *seg = harness_segment(8 * MIB);
	struct worker workers[3];
	pthread_t threads[3];

	for (unsigned i = 0; i < 3; i++) {
		workers[i] = (struct worker){ seg, seg->client, 1, 200000 * harness_scale(), 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_flush, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].wrong, 0);
	}
	assert_blocks(seg, 0, 0, 0);
	harness_segment_end(seg);
}

static int work_as_client(void *arg)
{
	struct worker me = *(struct worker *)arg;

	me.seg = harness_segment_map_again(me.seg);
	me.seg->client = harness_segment_client(me.seg, &me.seg->client_generation);
	me.client = me.seg->client;
	work(&me);
	harness_segment_end(me.seg);
	return me.wrong != 0;
}

static void processes_never_share_a_block(void **state)
{
	struct seg *seg = harness_segment(0);
	struct worker workers[3];
	pid_t children[3];

	for (unsigned i = 0; i < 3; i++) {
		workers[i] = (struct worker){ seg, 0, i + 1, 60000 * harness_scale(), 0 };
		children[i] = harness_fork(work_as_client, &workers[i]);
	}
	for (unsigned i = 0; i < 3; i++)
		harness_join(children[i]);
	assert_blocks(seg, 0, 0, 0);
	harness_segment_end(seg);
}

/* -- the sweep -------------------------------------------------------------------------------- */

static bool yes(void *ctx)
{
	return true;
}

static bool until_zero(void *ctx)
{
	unsigned *left = ctx;

	return *left > 0 && (*left)--;
}

static void own_some(struct seg *seg, struct arena_cache *with, uint32_t client)
{
	for (unsigned i = 0; i < 40; i++) {
		uint64_t small = take(seg, with, client, 64 + i * 100);
		uint64_t large = take(seg, with, client, 70000);

		if (i % 3 == 0)
			assert_int_equal(arena_link(seg, client, i % 2 ? small : large), 0);
	}
}

static void sweep_frees_what_the_client_owned_and_nothing_else(void **state)
{
	struct seg *seg = harness_segment(0);
	uint32_t generation, dead = harness_segment_client(seg, &generation);
	struct arena_usage mine, both, after;

	own_some(seg, &cache, seg->client);
	arena_measure(seg, &mine);
	own_some(seg, &other_cache, dead);
	arena_measure(seg, &both);
	assert_true(both.blocks_held >= mine.blocks_held + 60);
	assert_true(both.blocks_cached > mine.blocks_cached);
	arena_sweep(seg, dead, yes, NULL);
	arena_sweep(seg, dead, yes, NULL);
	arena_measure(seg, &after);
	assert_int_equal(after.blocks_held, mine.blocks_held);
	assert_int_equal(after.blocks_cached, mine.blocks_cached);
	assert_int_equal(after.blocks_linked, both.blocks_linked);
	assert_int_equal(arena_check(seg), 0);
	harness_segment_end(seg);
}

static void sweep_stops_when_the_slot_has_a_new_owner(void **state)
{
	struct seg *seg = harness_segment(0);
	uint32_t generation, dead = harness_segment_client(seg, &generation);
	struct arena_usage before, after;
	unsigned allowed = 11; /* the first question comes before the first block */

	for (unsigned i = 0; i < 40; i++)
		take(seg, NULL, dead, 100);
	arena_measure(seg, &before);
	arena_sweep(seg, dead, until_zero, &allowed);
	arena_measure(seg, &after);
	assert_int_equal(before.blocks_held - after.blocks_held, 10);
	harness_segment_end(seg);
}

static void sweep_releases_the_guard_of_the_dead(void **state)
{
	struct seg *seg = harness_segment(0);
	uint32_t generation, dead = harness_segment_client(seg, &generation);
	struct shm_guard *guard = &seg->header->arena_guard;

	assert_int_equal(guard_acquire(seg, guard, dead, generation), 0);
	arena_sweep(seg, seg->client, yes, NULL);
	assert_int_not_equal(load_relaxed(&guard->owner), 0);
	arena_sweep(seg, dead, yes, NULL);
	assert_int_equal(load_relaxed(&guard->owner), 0);
	take(seg, &cache, seg->client, 100000);
	harness_segment_end(seg);
}

static void sweep_restores_lost_hints(void **state)
{
	struct seg *seg = harness_segment(0);
	uint64_t reference = take(seg, &cache, seg->client, 100);
	uint64_t start = reference_offset(reference) & ~(GRANULE_BYTES - 1);
	struct shm_run *run = shm_at(seg, struct shm_run, start);

	arena_flush(seg, &cache, seg->client);
	for (unsigned i = 0; i < RUN_BLOCKS_MAX / 64; i++)
		store_relaxed(&run->map[i], 0);
	assert_int_equal(arena_check(seg), -EBADMSG);
	arena_sweep(seg, seg->client, yes, NULL);
	assert_int_equal(arena_check(seg), 0);
	assert_int_equal(arena_free(seg, &cache, seg->client, reference), -EINVAL);
	harness_segment_end(seg);
}

struct sweeper {
	struct seg *seg;
	uint32_t dead;
};

static void *sweep_often(void *arg)
{
	struct sweeper *me = arg;

	for (unsigned i = 0; i < 200; i++)
		arena_sweep(me->seg, me->dead, yes, NULL);
	return NULL;
}

static void sweeps_run_beside_allocators_and_each_other(void **state)
{
	struct seg *seg = harness_segment(0);
	uint32_t generation, dead = harness_segment_client(seg, &generation);
	struct worker worker = { seg, seg->client, 9, 60000, 0 };
	struct sweeper sweeper = { seg, dead };
	pthread_t threads[3];
	struct arena_usage usage;

	own_some(seg, &other_cache, dead);
	pthread_create(&threads[0], NULL, work, &worker);
	pthread_create(&threads[1], NULL, sweep_often, &sweeper);
	pthread_create(&threads[2], NULL, sweep_often, &sweeper);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(worker.wrong, 0);
	arena_measure(seg, &usage);
	assert_int_equal(usage.blocks_held, 0);
	assert_int_equal(usage.blocks_cached, 0);
	assert_int_equal(arena_check(seg), 0);
	harness_segment_end(seg);
}

/* -- damage ----------------------------------------------------------------------------------- */

static bool is_inside(const struct seg *seg, const void *data, uint64_t bytes)
{
	const uint8_t *at = data;

	return at >= seg->base && bytes <= seg->size && at <= seg->base + seg->size - bytes;
}

/* A word, a byte of a run's header, or a hint gets another value. */
static void damage(struct seg *seg, uint64_t *seed)
{
	uint32_t granule = (uint32_t)(next_random(seed) % (seg_granules_high(seg) + 1));
	uint64_t place = next_random(seed) % 100;
	atom64 *word = &seg->granules[granule];

	if (place < 50)
		store_relaxed(word, load_relaxed(word) ^ UINT64_C(1) << next_random(seed) % 64);
	else if (place < 60)
		store_relaxed(word, next_random(seed) & next_random(seed));
	else if (place < 80)
		seg->base[seg->at.arena + granule * GRANULE_BYTES + next_random(seed) % 4096] =
			(uint8_t)next_random(seed);
	else if (place < 90)
		store_relaxed(&seg->header->class_run[next_random(seed) % ARENA_CLASSES],
			      (uint32_t)next_random(seed));
	else if (place < 95)
		store_relaxed(&seg->header->granule_rover, (uint32_t)next_random(seed));
	else
		store_relaxed(&seg->header->granule_freed, (uint32_t)next_random(seed));
}

static void use(struct seg *seg, uint64_t reference, uint64_t *seed)
{
	struct arena_usage usage;
	uint64_t bytes = 0, new;
	void *data = arena_at(seg, reference, &bytes);

	assert_true(!data || is_inside(seg, data, bytes));
	arena_word_of(seg, reference);
	switch (next_random(seed) % 8) {
	case 0:
		(void)!arena_free(seg, &cache, seg->client, reference);
		break;
	case 1:
		(void)!arena_link(seg, seg->client, reference);
		break;
	case 2:
		(void)!arena_unlink(seg, seg->client, reference);
		break;
	case 3:
		arena_measure(seg, &usage);
		(void)!arena_check(seg);
		break;
	case 4:
		arena_sweep(seg, seg->client + 1, yes, NULL);
		break;
	default:
		bytes = random_bytes(seed);
		if (arena_alloc(seg, &cache, seg->client, bytes, &new, &data) == 0)
			assert_true(is_inside(seg, data, bytes));
		break;
	}
}

static void damaged_words_never_lead_outside_the_segment(void **state)
{
	uint64_t references[200], seed = 4711;

	for (unsigned round = 0; round < 100 * harness_scale(); round++) {
		struct seg *seg = harness_segment(16 * MIB);

		memset(&cache, 0, sizeof(cache));
		for (unsigned i = 0; i < 200; i++)
			references[i] = take(seg, &cache, seg->client,
					     i % 20 ? i * 16 : GRANULE_BYTES);
		for (unsigned i = 0; i < 300; i++) {
			damage(seg, &seed);
			use(seg, i % 4 ? references[next_random(&seed) % 200] :
					 next_random(&seed), &seed);
		}
		harness_segment_end(seg);
	}
}

static void check_finds_damage(void **state)
{
	struct seg *seg = harness_segment(0);
	uint64_t small = take(seg, &cache, seg->client, 2000);
	uint64_t start = (reference_offset(small) - seg->at.arena) / GRANULE_BYTES;
	uint64_t word = load_relaxed(&seg->granules[start]);
	struct shm_run *run = shm_at(seg, struct shm_run, seg->at.arena + start * GRANULE_BYTES);

	assert_int_equal(arena_check(seg), 0);
	store_relaxed(&seg->granules[start], word + (UINT64_C(1) << 40));
	assert_int_equal(arena_check(seg), -EBADMSG);
	assert_null(arena_at(seg, small, NULL));
	store_relaxed(&seg->granules[start], word);
	run->block_bytes++;
	assert_int_equal(arena_check(seg), -EBADMSG);
	assert_non_null(arena_at(seg, small, NULL));
	run->block_bytes--;
	assert_int_equal(arena_check(seg), 0);
	store_relaxed(&seg->granules[start + 1], 0);
	assert_int_equal(arena_check(seg), -EBADMSG);
	harness_segment_end(seg);
}

/* A cache in memory that a fork copied, or that somebody scribbled over. */
static void cache_frees_nothing_that_belongs_to_another_client(void **state)
{
	struct seg *seg = harness_segment(16 * MIB);
	struct arena_cache *theirs = calloc(1, sizeof *theirs);
	uint32_t generation, other = harness_segment_client(seg, &generation);
	uint64_t references[100];
	struct arena_usage before, now;
	void *data;

	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(arena_alloc(seg, theirs, seg->client, 100, &references[i], &data),
				 0);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(arena_free(seg, theirs, seg->client, references[i]), 0);
	arena_measure(seg, &before);
	assert_true(before.blocks_cached > 0);
	arena_flush(seg, theirs, other);
	arena_measure(seg, &now);
	assert_int_equal(now.blocks_cached, before.blocks_cached);
	assert_int_equal(now.blocks_held, before.blocks_held);
	free(theirs);
	harness_segment_end(seg);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(blocks_of_all_sizes_are_large_enough_and_disjoint),
	HARNESS_TEST(free_is_refused_a_second_time),
	HARNESS_TEST(cache_frees_nothing_that_belongs_to_another_client),
	HARNESS_TEST(stale_references_are_refused_after_reuse),
	HARNESS_TEST(references_to_granules_do_not_match_blocks_cut_from_them),
	HARNESS_TEST(references_into_the_middle_or_outside_are_impossible),
	HARNESS_TEST(block_passes_from_client_to_client_through_a_link),
	HARNESS_TEST(block_taken_over_is_given_back_once_whatever_late_recoverers_do),
	HARNESS_TEST(block_of_another_is_not_taken_over_nor_given_back),
	HARNESS_TEST(larger_than_the_segment_is_emsgsize),
	HARNESS_TEST(whole_segment_can_be_one_block_and_again),
	HARNESS_TEST(full_segment_gives_enospc_and_recovers_after_frees),
	HARNESS_TEST(free_neighbours_are_one_piece_again),
	HARNESS_TEST(buffer_taken_again_and_again_commits_no_more),
	HARNESS_TEST(idle_gigabyte_with_a_few_blocks_stays_small),
	HARNESS_TEST(measure_adds_up),
	HARNESS_TEST(small_segment_uses_granules_when_no_run_fits),
	HARNESS_TEST(threads_of_one_client_never_share_a_block),
	HARNESS_TEST(threads_that_flush_lose_no_hint),
	HARNESS_TEST(processes_never_share_a_block),
	HARNESS_TEST(sweep_frees_what_the_client_owned_and_nothing_else),
	HARNESS_TEST(sweep_stops_when_the_slot_has_a_new_owner),
	HARNESS_TEST(sweep_releases_the_guard_of_the_dead),
	HARNESS_TEST(sweep_restores_lost_hints),
	HARNESS_TEST(sweeps_run_beside_allocators_and_each_other),
	HARNESS_TEST(damaged_words_never_lead_outside_the_segment),
	HARNESS_TEST(check_finds_damage),
};

HARNESS_MAIN(tests)
