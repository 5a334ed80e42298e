/* SPDX-License-Identifier: MIT
 *
 * Proves: a repair done in pieces, as mpd does it, ends as one done at once, whoever else goes on
 * with it or dies in between; each piece looks at no more than its turn allows, however large a
 * hostile client has made what is looked at.
 */
#include "harness.h"

#include "arena.h"
#include "cellword.h"
#include "object.h"
#include "objects.h"
#include "shmref.h"

#include <libshm/queue.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CAPACITY 100000
#define MESSAGES 2000
#define LOOKS TURN_STEP_MAX

struct world {
	struct objects objects;
	mp_segment *segment;
	struct seg *seg, *mpd; /* the same memory */
	mp_queue *queue;
	struct shm_queue *shared;
	struct shm_cell *cells;
	uint32_t victim, generation;
	uint64_t blocks; /* before there was the queue */
};

static uint64_t count_blocks(struct seg *seg)
{
	struct arena_usage usage;

	arena_measure(seg, &usage);
	return usage.blocks_held + usage.blocks_linked;
}

static struct seg *become_mpd(struct world *world)
{
	struct seg *mpd = harness_segment_map_again(world->seg);
	struct slot_identity self;

	slot_identify(&self);
	mpd->frees_later = true;
	mpd->hooks = &objects_hooks;
	recover_become_mpd(mpd, &self);
	return mpd;
}

static void begin(struct world *world)
{
	struct mp_queue_opts opts = { .capacity = CAPACITY };
	struct shm_entry *entry;
	uint32_t index;

	*world = (struct world){ .victim = SLOT_NONE };
	world->segment = objects_begin(&world->objects);
	world->seg = world->objects.seg;
	world->mpd = become_mpd(world);
	world->blocks = count_blocks(world->seg);
	assert_int_equal(mp_queue_open(world->segment, "queue", &opts, &world->queue), 0);
	index = who_slot(mp_queue_id(world->queue));
	entry = &world->seg->directory[index];
	world->shared = (void *)(world->seg->base +
				 reference_offset(load_relaxed(&entry->object)));
	world->cells = (void *)(world->seg->base +
				reference_offset(load_relaxed(&world->shared->cells)));
	world->victim = harness_segment_client(world->seg, &world->generation);
	or_seqcst(&seg_touched(world->seg, world->victim)[index / 64],
		  UINT64_C(1) << (index % 64));
}

static void end(struct world *world)
{
	mp_queue_close(world->queue);
	harness_segment_end(world->mpd);
	objects_end(&world->objects);
}

/* Messages, some of which the victim was about to take, and places where it was about to put. */
static void leave_work(struct world *world)
{
	for (uint32_t i = 0; i < MESSAGES; i++) {
		assert_int_equal(mp_queue_put(world->queue, &i, sizeof i, MP_NOW), 0);
		if (i % 500 == 0)
			store_relaxed(&world->cells[i].word,
				      cell_word(0, 0, world->victim, CELL_READING));
	}
	for (uint32_t i = MESSAGES; i < CAPACITY; i += 10000)
		store_relaxed(&world->cells[i].word,
			      cell_word(0, 0, world->victim, CELL_WRITING));
}

static void expect_all_messages(struct world *world)
{
	uint8_t is_seen[MESSAGES] = { 0 };
	uint32_t number;

	for (uint32_t i = 0; i < MESSAGES; i++) {
		assert_int_equal(mp_queue_get(world->queue, &number, sizeof number, MP_NOW),
				 sizeof number);
		assert_true(number < MESSAGES && !is_seen[number]);
		is_seen[number] = 1;
	}
	assert_int_equal(mp_queue_get(world->queue, &number, sizeof number, MP_NOW), -EAGAIN);
	for (uint32_t i = MESSAGES; i < CAPACITY; i += 10000)
		assert_int_not_equal(cell_word_state(load_relaxed(&world->cells[i].word)),
				     CELL_WRITING);
}

/* One turn, at most. */
static bool recover_a_turn(struct world *world, struct recovery *recovery)
{
	struct turn turn = { .looks_left = LOOKS };
	bool is_done = recover_some(world->mpd, recovery, &turn);

	assert_true(turn.looks_left <= LOOKS);
	return is_done;
}

static void expect_swept(struct world *world)
{
	uint64_t word = slot_client_word(world->seg, world->victim);

	assert_int_equal(client_word_state(word), SLOT_FREE);
	assert_int_equal(load_relaxed(&world->seg->header->directory_guard.owner), 0);
}

static void sweep_in_pieces_repairs_all_that_one_at_once_does(void **state)
{
	struct recovery recovery = { .is_swept = false };
	struct world world;
	unsigned turns = 1;

	(void)state;
	begin(&world);
	leave_work(&world);
	recover_mark_dead(world.mpd, world.victim, world.generation);
	while (!recover_a_turn(&world, &recovery))
		turns++;
	assert_in_range(turns, CAPACITY / LOOKS, 2 * CAPACITY / LOOKS);
	expect_swept(&world);
	expect_all_messages(&world);
	end(&world);
}

static void peer_may_finish_a_sweep_between_two_of_its_pieces(void **state)
{
	struct recovery recovery = { .is_swept = false };
	struct world world;

	(void)state;
	begin(&world);
	leave_work(&world);
	recover_mark_dead(world.mpd, world.victim, world.generation);
	for (unsigned i = 0; i < 3; i++)
		assert_false(recover_a_turn(&world, &recovery));
	recover_client(world.seg, world.victim, world.generation);
	expect_swept(&world);
	expect_all_messages(&world);
	while (!recover_a_turn(&world, &recovery))
		;
	expect_swept(&world);
	end(&world);
}

/* The victim is the last to hold the queue, which has no name any more. */
static void leave_it_to_the_victim(struct world *world)
{
	assert_int_equal(mp_queue_unlink(world->segment, "queue"), 0);
	world->queue = mp_queue_close(world->queue);
	assert_true(count_blocks(world->seg) > world->blocks);
	recover_mark_dead(world->mpd, world->victim, world->generation);
}

static bool is_guarded(const struct world *world)
{
	return load_relaxed(&world->seg->header->directory_guard.owner) != 0;
}

static void object_that_nobody_holds_is_freed_in_pieces(void **state)
{
	struct recovery recovery = { .is_swept = false };
	unsigned turns = 0, guarded = 0;
	struct world world;

	(void)state;
	begin(&world);
	leave_it_to_the_victim(&world);
	while (!recover_a_turn(&world, &recovery)) {
		turns++;
		guarded += is_guarded(&world);
	}
	assert_true(guarded > CAPACITY / LOOKS && turns > guarded);
	expect_swept(&world);
	assert_int_equal(count_blocks(world.seg), world.blocks);
	end(&world);
}

static void successor_finishes_what_mpd_was_freeing_when_it_died(void **state)
{
	struct recovery recovery = { .is_swept = false };
	struct world world;

	(void)state;
	begin(&world);
	leave_it_to_the_victim(&world);
	while (!is_guarded(&world))
		assert_false(recover_a_turn(&world, &recovery));
	assert_false(recover_a_turn(&world, &recovery));
	harness_segment_end(world.mpd);
	world.mpd = become_mpd(&world);
	expect_swept(&world);
	assert_int_equal(count_blocks(world.seg), world.blocks);
	end(&world);
}

/* A thread of ours that says it waits for the queue, in all its records. */
static uint32_t forge_waiter(struct world *world)
{
	uint64_t offset = shm_offset(world->seg, world->shared), who;
	struct shm_thread *slot;
	uint32_t thread;

	assert_int_equal(slot_claim_thread(world->seg, world->seg->client, &thread, &who), 0);
	slot = &world->seg->threads[thread];
	for (unsigned i = 0; i < WAIT_RECORDS_MAX; i++)
		store_relaxed(&slot->records[i], offset | WAIT_READABLE);
	store_relaxed(&slot->record_count, WAIT_RECORDS_MAX);
	or_seqcst(&world->shared->readable.leaf[thread / 64], UINT64_C(1) << (thread % 64));
	return thread;
}

/* Each cell says that the message is being taken: the walk from the hint goes on and on. A look
 * that goes far ends in pages that cannot be read. */
static void audit_rings_rather_than_walk_over_a_forged_queue(void **state)
{
	struct walk walk = { .turn = NULL };
	struct world world;
	uint32_t thread, bell;
	uint64_t far, page = (uint64_t)sysconf(_SC_PAGESIZE);

	(void)state;
	begin(&world);
	for (uint32_t i = 0; i < CAPACITY; i++)
		store_relaxed(&world.cells[i].word,
			      cell_word(0, 0, world.seg->client, CELL_READING));
	thread = forge_waiter(&world);
	bell = load_relaxed(&world.seg->threads[thread].bell);
	far = shm_offset(world.seg, &world.cells[4096]) / page * page + page;
	assert_int_equal(mprotect(world.mpd->base + far, CAPACITY / 2 * sizeof *world.cells,
				  PROT_NONE), 0);
	assert_true(recover_audit_some(world.mpd, &walk));
	assert_int_equal(load_relaxed(&world.seg->threads[thread].bell), bell + 2);
	end(&world);
}

static void look_of_mpd_at_many_sleepers_takes_several_turns(void **state)
{
	static struct stalled_audit audit;
	unsigned turns = 1, waiters = 300;
	struct world world;

	(void)state;
	begin(&world);
	assert_int_equal(mp_queue_put(world.queue, "x", 1, MP_NOW), 0);
	for (unsigned i = 0; i < waiters; i++)
		forge_waiter(&world);
	for (unsigned look = 0; look < 2; look++) {
		struct turn turn = { .looks_left = LOOKS };

		while (!recover_audit_stalled(world.mpd, &audit, &turn)) {
			assert_true(turn.looks_left <= LOOKS);
			turn.looks_left = LOOKS;
			turns++;
		}
		assert_int_equal(audit.rings, look ? waiters : 0);
	}
	assert_true(turns > waiters);
	end(&world);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(sweep_in_pieces_repairs_all_that_one_at_once_does),
	HARNESS_TEST(peer_may_finish_a_sweep_between_two_of_its_pieces),
	HARNESS_TEST(object_that_nobody_holds_is_freed_in_pieces),
	HARNESS_TEST(successor_finishes_what_mpd_was_freeing_when_it_died),
	HARNESS_TEST(audit_rings_rather_than_walk_over_a_forged_queue),
	HARNESS_TEST(look_of_mpd_at_many_sleepers_takes_several_turns),
};

HARNESS_MAIN(tests)
