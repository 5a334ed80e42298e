/* SPDX-License-Identifier: MIT
 *
 * Proves: any number of recoverers at once repair a death exactly once, and what they repair is not
 * freed under them; a half-made object is finished or gone.
 */
#include "harness.h"

#include "arena.h"
#include "cellword.h"
#include "lockword.h"
#include "object.h"
#include "objects.h"

#include <libshm/lock.h>
#include <libshm/queue.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct victim {
	struct seg *seg;
	uint32_t client, generation;
};

static struct victim make_victim(struct seg *seg, uint64_t object_id)
{
	struct victim victim = { .seg = seg };
	uint32_t index = who_slot(object_id);

	victim.client = harness_segment_client(seg, &victim.generation);
	or_seqcst(&seg_touched(seg, victim.client)[index / 64], UINT64_C(1) << (index % 64));
	return victim;
}

static void *recover(void *arg)
{
	struct victim *victim = arg;

	recover_client(victim->seg, victim->client, victim->generation);
	return NULL;
}

static void recover_from_everywhere(struct victim *victim, unsigned count)
{
	pthread_t threads[4];

	for (unsigned i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, recover, victim);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static struct shm_queue *shared_queue(struct seg *seg, mp_queue *queue)
{
	struct shm_entry *entry = &seg->directory[who_slot(mp_queue_id(queue))];

	return (void *)(seg->base + reference_offset(load_relaxed(&entry->object)));
}

static uint64_t used(struct seg *seg)
{
	struct arena_usage usage;

	arena_measure(seg, &usage);
	return usage.blocks_held + usage.blocks_linked;
}

static void message_of_a_dead_getter_comes_back_exactly_once(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct seg *seg = objects.seg;
	struct shm_cell *cells;
	char large[200], in[200];
	mp_queue *queue;

	memset(large, 'm', sizeof large);
	assert_int_equal(mp_queue_open(segment, "q", &(struct mp_queue_opts){ .capacity = 8 },
				       &queue),
			 0);
	cells = (void *)(seg->base +
			 reference_offset(load_relaxed(&shared_queue(seg, queue)->cells)));
	for (int round = 0; round < 200; round++) {
		struct victim victim = make_victim(seg, mp_queue_id(queue));
		uint64_t before = used(seg), word;
		int index = round % 8;

		assert_int_equal(mp_queue_put(queue, large, sizeof large, MP_NOW), 0);
		word = load_relaxed(&cells[index].word);
		store_relaxed(&cells[index].word,
			      cell_word(cell_word_lap(word), 0, victim.client, CELL_READING));
		if (round % 2) /* in the middle of its end: the block is its own already */
			assert_int_equal(arena_unlink(seg, victim.client,
						      load_relaxed(&cells[index].payload.block)),
					 0);
		recover_from_everywhere(&victim, 4);
		assert_int_equal(mp_queue_get(queue, in, sizeof in, MP_NOW), sizeof in);
		assert_memory_equal(in, large, sizeof in);
		assert_int_equal(mp_queue_get(queue, in, sizeof in, MP_NOW), -EAGAIN);
		assert_int_equal(used(seg), before);
	}
	mp_queue_close(queue);
	objects_end(&objects);
}

static void death_is_told_to_one_acquirer_however_many_recover(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct seg *seg = objects.seg;
	mp_lock *lock;

	assert_int_equal(mp_lock_open(segment, "l", NULL, &lock), 0);
	for (int round = 0; round < 200; round++) {
		struct shm_entry *entry = &seg->directory[who_slot(mp_lock_id(lock))];
		struct shm_lock *shared =
			(void *)(seg->base + reference_offset(load_relaxed(&entry->object)));
		struct victim victim = make_victim(seg, mp_lock_id(lock));
		uint32_t thread;
		uint64_t who;

		assert_int_equal(slot_claim_thread(seg, victim.client, &thread, &who), 0);
		store_relaxed(&shared->word, who);
		recover_from_everywhere(&victim, 4);
		assert_int_equal(mp_lock_acquire(lock, MP_NOW), MP_OWNER_DIED);
		assert_int_equal(mp_lock_release(lock), 0);
		assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
		assert_int_equal(mp_lock_release(lock), 0);
	}
	mp_lock_close(lock);
	objects_end(&objects);
}

/* The object goes and its memory is used anew while it is being repaired. */
static void object_is_not_freed_under_a_recoverer(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct seg *seg = objects.seg;
	uint64_t before;

	mp_queue *warm;
	assert_int_equal(mp_queue_open(segment, "w", NULL, &warm), 0);
	before = used(seg);
	for (int round = 0; round < 300; round++) {
		pthread_t threads[2];
		struct victim victim;
		uint8_t *again;
		mp_queue *queue;
		uint64_t reference;

		assert_int_equal(mp_queue_open(segment, "q",
					       &(struct mp_queue_opts){ .capacity = 4 }, &queue),
				 0);
		victim = make_victim(seg, mp_queue_id(queue));
		for (int i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, recover, &victim);
		assert_int_equal(mp_queue_unlink(segment, "q"), 0);
		mp_queue_close(queue);
		assert_int_equal(arena_alloc(seg, NULL, seg->client, sizeof(struct shm_queue),
					     &reference, (void **)&again),
				 0);
		memset(again, 0x5a, sizeof(struct shm_queue));
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		for (unsigned i = 0; i < sizeof(struct shm_queue); i++)
			assert_int_equal(again[i], 0x5a);
		assert_int_equal(arena_free(seg, NULL, seg->client, reference), 0);
		object_free_unheld(seg);
	}
	assert_int_equal(used(seg), before);
	assert_int_equal(arena_check(seg), 0);
	mp_queue_close(warm);
	objects_end(&objects);
}

/* Killed between the directory's commit and the links: the intent's redo links; before the commit:
 * the blocks are swept. */
static void half_made_object_is_finished_or_gone(void **state)
{
	for (int is_committed = 0; is_committed < 2; is_committed++) {
		struct objects objects;
		mp_segment *segment = objects_begin(&objects);
		struct seg *seg = objects.seg;
		uint32_t own = seg->client, own_generation = seg->client_generation;
		struct victim victim = { .seg = seg };
		struct shm_entry *entry;
		uint64_t before = used(seg);
		struct self *me;
		mp_lock *lock;

		victim.client = harness_segment_client(seg, &victim.generation);
		self_forget_all(seg);
		seg->client = victim.client;
		seg->client_generation = victim.generation;
		assert_int_equal(mp_lock_open(segment, "half", NULL, &lock), 0);
		assert_int_equal(self_get(seg, &me), 0);
		entry = &seg->directory[who_slot(mp_lock_id(lock))];
		/* Turn the clock back to the kill. */
		assert_int_equal(arena_unlink(seg, victim.client, load_relaxed(&entry->object)), 0);
		store_relaxed(&me->shared->intent.kind, INTENT_CREATE_OBJECT);
		store_relaxed(&seg->header->directory_guard.owner,
			      who_make(victim.client, victim.generation));
		if (!is_committed)
			store_relaxed(&entry->word, entry_word(ENTRY_FREE, 0));
		seg->client = own;
		seg->client_generation = own_generation;
		self_latest = NULL;
		recover_client(seg, victim.client, victim.generation);
		free(lock);
		assert_int_equal(load_relaxed(&seg->header->directory_guard.owner), 0);
		assert_int_equal(used(seg), before + (is_committed ? 1 : 0));
		assert_int_equal(mp_lock_open(segment, "half",
					      &(struct mp_lock_opts){
						      .flags = is_committed ? MP_EXISTING
									    : MP_EXCLUSIVE },
					      &lock),
				 0);
		assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
		assert_int_equal(mp_lock_release(lock), 0);
		mp_lock_close(lock);
		objects_end(&objects);
	}
}

/* /proc is asked when a process attaches, which a forked child does for itself, and not each time
 * somebody is about to sleep. */
static void pid_namespace_is_looked_up_once_for_each_process(void **state)
{
	struct seg *seg = harness_segment(0);
	uint64_t ours = slot_pid_namespace();
	uint32_t client, generation;
	bool is_gone;

	assert_int_equal(load_relaxed(&seg->pid_namespace), ours);
	client = harness_segment_client(seg, &generation);
	assert_true(slot_pidfd(seg, client, generation, &is_gone) >= 0);
	store_relaxed(&seg->pid_namespace, ours + 1); /* as if forked out of another one */
	assert_int_equal(slot_pidfd(seg, client, generation, &is_gone), -1);
	assert_false(is_gone);
	client = harness_segment_client(seg, &generation);
	assert_int_equal(load_relaxed(&seg->pid_namespace), ours);
	assert_true(slot_pidfd(seg, client, generation, &is_gone) >= 0);
	harness_segment_end(seg);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(message_of_a_dead_getter_comes_back_exactly_once),
	HARNESS_TEST(death_is_told_to_one_acquirer_however_many_recover),
	HARNESS_TEST(object_is_not_freed_under_a_recoverer),
	HARNESS_TEST(half_made_object_is_finished_or_gone),
	HARNESS_TEST(pid_namespace_is_looked_up_once_for_each_process),
};

HARNESS_MAIN(tests)
