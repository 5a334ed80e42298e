/* SPDX-License-Identifier: MIT
 *
 * Proves: an object without a name lives exactly as long as somebody holds it, whoever ends first
 * and however, and nobody is left with memory that has become another's.
 */
#include "harness.h"

#include "arena.h"
#include "object.h"
#include "objects.h"
#include "shmref.h"
#include "sweep.h"

#include <libshm/lock.h>
#include <libshm/process.h>
#include <libshm/queue.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct usage {
	uint64_t blocks;
	uint32_t entries;
};

static struct usage usage_of(struct seg *seg)
{
	struct arena_usage arena;
	struct usage usage = { 0 };

	arena_measure(seg, &arena);
	usage.blocks = arena.blocks_held + arena.blocks_linked;
	for (uint32_t i = 0; i < seg_objects_high(seg); i++)
		usage.entries +=
			entry_word_state(load_acquire(&seg->directory[i].word)) != ENTRY_FREE;
	return usage;
}

static void assert_usage(struct seg *seg, struct usage before)
{
	struct usage now = usage_of(seg);

	assert_int_equal(now.entries, before.entries);
	assert_int_equal(now.blocks, before.blocks);
}

struct expected {
	struct seg *seg;
	struct usage usage;
};

static bool is_as_before(void *arg)
{
	struct expected *expected = arg;
	struct usage now = usage_of(expected->seg);

	return now.entries == expected->usage.entries && now.blocks == expected->usage.blocks;
}

/* Somebody else frees it, soon. */
static void await_usage(struct seg *seg, struct usage before)
{
	struct expected expected = { .seg = seg, .usage = before };

	harness_until(is_as_before, &expected, 5000);
	assert_usage(seg, before);
}

static mp_queue *open_anonymous(mp_segment *segment)
{
	mp_queue *queue = NULL;

	assert_int_equal(mp_queue_open(segment, NULL, &(struct mp_queue_opts){ .capacity = 4 },
				       &queue),
			 0);
	return queue;
}

/* --- one process --- */

static void five_thousand_anonymous_objects_come_and_go(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct usage before = usage_of(objects.seg);
	char large[200] = { 0 };

	for (int i = 0; i < 5000; i++) {
		mp_queue *queue = open_anonymous(segment);
		mp_lock *lock;

		assert_int_equal(mp_lock_open(segment, NULL, NULL, &lock), 0);
		assert_int_equal(mp_queue_put(queue, large, sizeof large, MP_NOW), 0);
		assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
		mp_queue_close(queue);
		mp_lock_close(lock);
	}
	assert_usage(objects.seg, before);
	assert_int_equal(arena_check(objects.seg), 0);
	objects_end(&objects);
}

static void full_directory_names_its_limit_and_takes_more_after_a_close(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	uint32_t most = objects.seg->at.max_objects;
	mp_lock **locks = calloc(most, sizeof *locks), *lock = NULL;
	char number[16];

	snprintf(number, sizeof number, "%u", most);
	for (uint32_t i = 0; i < most; i++)
		assert_int_equal(mp_lock_open(segment, NULL, NULL, &locks[i]), 0);
	assert_int_equal(mp_lock_open(segment, NULL, NULL, &lock), -ENOSPC);
	assert_non_null(strstr(mp_explain(), number));
	mp_lock_close(locks[most / 2]);
	assert_int_equal(mp_lock_open(segment, NULL, NULL, &locks[most / 2]), 0);
	for (uint32_t i = 0; i < most; i++)
		mp_lock_close(locks[i]);
	free(locks);
	objects_end(&objects);
}

static void id_of_an_anonymous_object_ends_with_its_last_handle(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct usage before = usage_of(objects.seg);
	mp_queue *queue = open_anonymous(segment), *same, *next;
	mp_lock *lock;
	uint64_t id = mp_queue_id(queue);
	int number = 7;

	assert_int_equal(mp_queue_from_id(segment, id, &same), 0);
	assert_int_equal(mp_lock_from_id(segment, id, &lock), -EPROTO);
	mp_queue_close(queue);
	assert_int_equal(mp_queue_from_id(segment, id, &queue), 0);
	mp_queue_close(same);
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, MP_NOW), 0);
	mp_queue_close(queue);
	assert_usage(objects.seg, before);
	assert_int_equal(mp_queue_from_id(segment, id, &queue), -ESTALE);
	next = open_anonymous(segment); /* the same entry, another object */
	assert_int_equal(mp_queue_from_id(segment, id, &queue), -ESTALE);
	assert_int_equal(mp_queue_from_id(segment, UINT64_MAX, &queue), -ESTALE);
	mp_queue_close(next);
	objects_end(&objects);
}

/* Somebody who is stopped holds the guard: the close does not wait, and he frees it. */
static void close_waits_for_nobody_and_the_guards_holder_frees(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct seg *seg = objects.seg;
	struct shm_guard *guard = &seg->header->directory_guard;
	struct usage before = usage_of(seg);
	mp_queue *queue = open_anonymous(segment);
	uint64_t id = mp_queue_id(queue);
	uint32_t other, generation;

	other = harness_segment_client(seg, &generation);
	assert_true(guard_try(guard, other, generation));
	mp_queue_close(queue);
	assert_int_equal(usage_of(seg).entries, before.entries + 1);
	guard_release(guard, other, generation);
	/* It cannot be opened any more, and whoever lets go of the guard next frees it. */
	assert_int_equal(mp_queue_from_id(segment, id, &queue), -ESTALE);
	assert_usage(seg, before);
	objects_end(&objects);
}

/* --- deaths, one step at a time --- */

/* A client that holds the object, and is dead. */
static struct sweep dead_holder(struct seg *seg, uint64_t id)
{
	struct sweep dead = { .seg = seg };
	uint32_t index = who_slot(id);

	dead.client = harness_segment_client(seg, &dead.generation);
	or_seqcst(&seg_touched(seg, dead.client)[index / 64], UINT64_C(1) << (index % 64));
	assert_true(slot_mark_dead(seg, dead.client, dead.generation));
	return dead;
}

static void recoverer_holds_only_what_the_dead_one_still_holds(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct seg *seg = objects.seg;
	struct usage before = usage_of(seg);
	mp_queue *queue = open_anonymous(segment);
	uint32_t index = who_slot(mp_queue_id(queue));
	struct sweep dead = dead_holder(seg, mp_queue_id(queue));
	const struct object_type *type;

	mp_queue_close(queue);
	assert_int_equal(usage_of(seg).entries, before.entries + 1); /* the dead one has it */
	assert_non_null(object_hold(&dead, index, &type));
	slot_free_client(seg, dead.client, dead.generation); /* another has finished the sweep */
	object_free_unheld(seg);
	assert_int_equal(usage_of(seg).entries, before.entries + 1); /* but we hold it */
	assert_null(object_hold(&dead, index, &type)); /* who comes late does not */
	object_let_go(seg, index);
	assert_usage(seg, before);
	objects_end(&objects);
}

static void slot_in_setup_holds_nothing_of_its_last_owner(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct seg *seg = objects.seg;
	struct usage before = usage_of(seg);
	mp_queue *queue = open_anonymous(segment);
	struct sweep dead = dead_holder(seg, mp_queue_id(queue));
	atom64 *word = &seg->clients[dead.client].word;

	slot_free_client(seg, dead.client, dead.generation);
	store_relaxed(word, client_word_with_state(load_relaxed(word), SLOT_SETUP));
	mp_queue_close(queue);
	assert_usage(seg, before);
	objects_end(&objects);
}

/* Killed in the middle of freeing: the entry's block is its own already, the others are not. */
static void half_freed_object_is_freed_by_who_sweeps(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct seg *seg = objects.seg;
	struct usage before = usage_of(seg);
	mp_queue *queue = open_anonymous(segment);
	struct sweep dead = dead_holder(seg, mp_queue_id(queue));
	struct shm_entry *entry = &seg->directory[who_slot(mp_queue_id(queue))];
	struct shm_guard *guard = &seg->header->directory_guard;
	struct shm_intent *intent;
	char large[200] = { 0 };
	uint32_t thread;
	uint64_t who;

	assert_int_equal(mp_queue_put(queue, large, sizeof large, MP_NOW), 0);
	assert_int_equal(slot_claim_thread(seg, dead.client, &thread, &who), 0);
	assert_true(guard_try(guard, dead.client, dead.generation));
	mp_queue_close(queue); /* wishes it freed: the guard is the dead one's */
	store_relaxed(&seg_touched(seg, dead.client)[0], 0);
	intent = &seg->threads[thread].intent;
	store_relaxed(&intent->address, shm_offset(seg, entry));
	store_relaxed(&intent->before, load_relaxed(&entry->word));
	store_relaxed(&intent->after,
		      entry_word(ENTRY_FREE, entry_word_generation(load_relaxed(&entry->word))));
	store_release(&intent->kind, INTENT_FREE_OBJECT);
	assert_int_equal(arena_unlink(seg, dead.client, load_relaxed(&entry->object)), 0);
	for (int twice = 0; twice < 2; twice++) {
		/* Before his blocks are swept: what names them is gone. */
		object_finish_intent(&dead, thread);
		assert_int_equal(entry_word_state(load_relaxed(&entry->word)), ENTRY_FREE);
	}
	recover_client(seg, dead.client, dead.generation);
	assert_int_equal(load_relaxed(&guard->owner), 0);
	assert_usage(seg, before);
	/* A recoverer who comes late leaves alone what took its place. */
	queue = open_anonymous(segment);
	assert_int_equal(mp_queue_put(queue, large, sizeof large, MP_NOW), 0);
	object_finish_intent(&dead, thread);
	assert_int_equal(mp_queue_get(queue, large, sizeof large, MP_NOW), sizeof large);
	mp_queue_close(queue);
	assert_usage(seg, before);
	assert_int_equal(arena_check(seg), 0);
	objects_end(&objects);
}

/* --- many at once --- */

enum { RACERS = 4, ROUNDS = 1500 };

struct race {
	mp_segment *segment;
	atom64 *id; /* of the object that all race for */
	atom32 *held, *late, *wrong;
	unsigned number;
};

/* All who have the queue put its id and nothing else: other bytes are another object's. */
static void use_and_close(struct race *race, mp_queue *queue, uint64_t id)
{
	uint64_t large[20] = { id, [19] = id }, in[20];

	if (mp_queue_id(queue) != id ||
	    mp_queue_put(queue, large, sizeof large, MP_NOW) == -EBADMSG)
		add_relaxed(race->wrong, 1);
	if (mp_queue_get(queue, in, sizeof in, MP_NOW) >= 0 && (in[0] != id || in[19] != id))
		add_relaxed(race->wrong, 1);
	mp_queue_close(queue);
}

static void *race_for_ids(void *arg)
{
	struct race *race = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t id = load_relaxed(race->id);
		mp_queue *queue = NULL;
		int result = 0;

		if (id && i % RACERS != race->number) {
			result = mp_queue_from_id(race->segment, id, &queue);
		} else {
			result = mp_queue_open(race->segment, NULL,
					       &(struct mp_queue_opts){ .capacity = 4 }, &queue);
			id = result < 0 ? 0 : mp_queue_id(queue);
			store_relaxed(race->id, id);
		}
		if (result == 0) {
			add_relaxed(race->held, 1);
			use_and_close(race, queue, id);
		} else {
			add_relaxed(result == -ESTALE ? race->late : race->wrong, 1);
		}
	}
	return NULL;
}

static void id_that_races_with_the_last_close_opens_the_object_or_is_stale(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	struct usage before = usage_of(objects.seg);
	pthread_t threads[RACERS];
	struct race race[RACERS];
	atom64 id = 0;
	atom32 held = 0, late = 0, wrong = 0;

	for (unsigned i = 0; i < RACERS; i++) {
		race[i] = (struct race){ segment, &id, &held, &late, &wrong, i };
		pthread_create(&threads[i], NULL, race_for_ids, &race[i]);
	}
	for (unsigned i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(load_relaxed(&wrong), 0);
	assert_int_equal(load_relaxed(&held) + load_relaxed(&late), RACERS * ROUNDS);
	assert_usage(objects.seg, before);
	assert_int_equal(arena_check(objects.seg), 0);
	objects_end(&objects);
}

/* --- processes --- */

/* Shared by parent and child beside the segment. */
struct meeting {
	mp_segment *segment;
	atom64 id;
	atom32 step;
};

static struct meeting *meet(mp_segment *segment, mp_queue **ret_page)
{
	struct mp_slot slot;
	struct meeting *meeting;

	/* A reserved block: memory that both see. */
	assert_int_equal(mp_queue_open(segment, "meeting", NULL, ret_page), 0);
	assert_int_equal(mp_queue_reserve(*ret_page, sizeof *meeting, MP_NOW, &slot), 0);
	meeting = slot.data;
	memset(meeting, 0, sizeof *meeting);
	meeting->segment = segment;
	return meeting;
}

static bool has_reached(void *arg)
{
	struct meeting *meeting = arg;

	return load_acquire(&meeting->step) & 1;
}

static int make_and_stay(void *arg)
{
	struct meeting *meeting = arg;
	char large[300] = "from the maker";
	mp_queue *queue;

	if (mp_queue_open(meeting->segment, NULL, &(struct mp_queue_opts){ .capacity = 4 },
			  &queue) < 0 ||
	    mp_queue_put(queue, large, sizeof large, MP_NOW) < 0)
		return 1;
	store_relaxed(&meeting->id, mp_queue_id(queue));
	store_release(&meeting->step, 1);
	for (;;)
		pause();
	return 0;
}

static mp_process *start(mp_segment *segment, int (*fn)(void *arg), void *arg)
{
	mp_process *process = NULL;

	assert_int_equal(mp_process_start(segment, NULL, fn, arg, &process), 0);
	return process;
}

static int join(mp_process *process)
{
	int exitcode = -99;

	assert_int_equal(mp_process_join(process, MP_SEC(20)), 0);
	assert_int_equal(mp_process_exitcode(process, &exitcode), 0);
	assert_null(mp_process_close(process));
	return exitcode;
}

static void object_outlives_its_killed_maker_while_another_holds_it(void **state)
{
	mp_segment *segment;
	struct meeting *meeting;
	struct usage before;
	mp_process *process;
	mp_queue *queue, *page;
	uint64_t id;
	char in[300];

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	meeting = meet(segment, &page);
	before = usage_of(segment->seg);
	process = start(segment, make_and_stay, meeting);
	assert_true(harness_until(has_reached, meeting, 5000));
	id = load_relaxed(&meeting->id);
	assert_int_equal(mp_queue_from_id(segment, id, &queue), 0);
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(join(process), -SIGKILL);
	harness_sleep_ms(20);
	assert_int_equal(mp_queue_get(queue, in, sizeof in, MP_NOW), sizeof in);
	assert_string_equal(in, "from the maker");
	assert_int_equal(mp_queue_put(queue, in, sizeof in, MP_NOW), 0);
	mp_queue_close(queue);
	await_usage(segment->seg, before);
	assert_int_equal(mp_queue_from_id(segment, id, &queue), -ESTALE);
	mp_queue_close(page);
	mp_segment_close(segment);
}

static void memory_comes_back_when_the_last_holder_is_killed(void **state)
{
	mp_segment *segment;
	struct meeting *meeting;
	struct usage before;
	mp_queue *queue, *page;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	meeting = meet(segment, &page);
	before = usage_of(segment->seg);
	for (int round = 0; round < 5; round++) {
		mp_process *process = start(segment, make_and_stay, meeting);

		assert_true(harness_until(has_reached, meeting, 5000));
		store_relaxed(&meeting->step, 0);
		assert_int_equal(usage_of(segment->seg).entries, before.entries + 1);
		assert_int_equal(mp_process_kill(process), 0);
		assert_int_equal(join(process), -SIGKILL);
		await_usage(segment->seg, before);
		assert_int_equal(mp_queue_from_id(segment, load_relaxed(&meeting->id), &queue),
				 -ESTALE);
	}
	mp_queue_close(page);
	mp_segment_close(segment);
}

static int make_and_end(void *arg)
{
	struct meeting *meeting = arg;
	mp_lock *lock;

	if (mp_lock_open(meeting->segment, NULL, NULL, &lock) < 0)
		return 1;
	return mp_lock_acquire(lock, MP_NOW);
}

static void memory_comes_back_when_the_last_holder_exits(void **state)
{
	mp_segment *segment;
	struct meeting *meeting;
	struct usage before;
	mp_queue *page;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	meeting = meet(segment, &page);
	before = usage_of(segment->seg);
	for (int round = 0; round < 5; round++) {
		assert_int_equal(join(start(segment, make_and_end, meeting)), 0);
		assert_usage(segment->seg, before); /* it did so itself, before it ended */
	}
	mp_queue_close(page);
	mp_segment_close(segment);
}

static int use_inherited(void *arg)
{
	mp_queue *queue = arg;
	int number = 0;

	for (int i = 0; i < 200; i++) {
		if (mp_queue_get(queue, &number, sizeof number, MP_NOW) >= 0 && number != 42)
			return 1;
		number = 42;
		if (mp_queue_put(queue, &number, sizeof number, MP_NOW) < 0)
			return 2;
	}
	return 0;
}

static void child_keeps_what_its_parent_closes_at_once(void **state)
{
	mp_segment *segment;
	struct usage before;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	mp_queue_close(open_anonymous(segment));
	before = usage_of(segment->seg);
	for (int round = 0; round < 10; round++) {
		mp_queue *queue = open_anonymous(segment);
		mp_process *process = start(segment, use_inherited, queue);

		mp_queue_close(queue);
		mp_queue_close(open_anonymous(segment)); /* would take its memory */
		assert_int_equal(join(process), 0);
		assert_usage(segment->seg, before);
	}
	mp_segment_close(segment);
}

struct churn {
	mp_segment *segment;
	atom32 is_over;
	int result;
};

static void *come_and_go(void *arg)
{
	struct churn *churn = arg;

	while (!load_relaxed(&churn->is_over) && churn->result == 0) {
		mp_queue *queue = NULL;

		churn->result = mp_queue_open(churn->segment, NULL,
					      &(struct mp_queue_opts){ .capacity = 4 }, &queue);
		mp_queue_close(queue);
		if (churn->result < 0)
			print_message("%s\n", mp_explain());
	}
	return NULL;
}

/* What another thread closes while the child is on its way is no loss of the child's. */
static void child_starts_while_other_threads_close_their_objects(void **state)
{
	struct churn churn = { .is_over = 0 };
	mp_queue *queue;
	pthread_t thread;

	assert_int_equal(mp_segment_open("s", NULL, &churn.segment), 0);
	queue = open_anonymous(churn.segment);
	pthread_create(&thread, NULL, come_and_go, &churn);
	for (int round = 0; round < 20; round++)
		assert_int_equal(join(start(churn.segment, use_inherited, queue)), 0);
	store_relaxed(&churn.is_over, 1);
	pthread_join(thread, NULL);
	assert_int_equal(churn.result, 0);
	mp_queue_close(queue);
	assert_int_equal(usage_of(churn.segment->seg).entries, 0);
	mp_segment_close(churn.segment);
}

struct late {
	mp_queue *queue;
	int gate[2];
};

static int use_late(void *arg)
{
	struct late *late = arg;
	char go;
	int number = 1;

	if (read(late->gate[0], &go, 1) != 1)
		return 1;
	return mp_queue_put(late->queue, &number, sizeof number, MP_NOW) == -ESTALE ? 0 : 2;
}

static void forked_child_that_comes_too_late_is_told(void **state)
{
	mp_segment *segment;
	struct late late;
	pid_t child;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	assert_int_equal(pipe(late.gate), 0);
	late.queue = open_anonymous(segment);
	child = harness_fork(use_late, &late);
	mp_queue_close(late.queue);
	late.queue = open_anonymous(segment); /* the same entry, another object */
	assert_int_equal(write(late.gate[1], "g", 1), 1);
	harness_join(child);
	mp_queue_close(late.queue);
	close(late.gate[0]);
	close(late.gate[1]);
	assert_int_equal(usage_of(segment->seg).entries, 0);
	mp_segment_close(segment);
}

static int race_in_a_process(void *arg)
{
	race_for_ids(arg);
	return 0;
}

static void processes_race_for_ids_as_threads_do(void **state)
{
	mp_segment *segment;
	mp_process *processes[RACERS];
	struct race race[RACERS];
	struct mp_slot slot;
	mp_queue *page;
	atom32 *counts;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "page", NULL, &page), 0);
	assert_int_equal(mp_queue_reserve(page, 64, MP_NOW, &slot), 0);
	memset(slot.data, 0, 64);
	counts = (atom32 *)((char *)slot.data + 32);
	for (unsigned i = 0; i < RACERS; i++) {
		race[i] = (struct race){ segment, slot.data, &counts[0], &counts[1], &counts[2],
					 i };
		processes[i] = start(segment, race_in_a_process, &race[i]);
	}
	/* One of them is killed where it happens to be. */
	harness_sleep_ms(5);
	assert_int_equal(mp_process_kill(processes[0]), 0);
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(i ? join(processes[i]) : (join(processes[i]), 0), 0);
	assert_int_equal(load_relaxed(&counts[2]), 0);
	assert_int_equal(mp_queue_abandon(page, &slot), 0);
	await_usage(segment->seg, (struct usage){ .entries = 1, .blocks = 2 });
	assert_int_equal(arena_check(segment->seg), 0);
	mp_queue_close(page);
	mp_segment_close(segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(five_thousand_anonymous_objects_come_and_go),
	HARNESS_TEST(full_directory_names_its_limit_and_takes_more_after_a_close),
	HARNESS_TEST(id_of_an_anonymous_object_ends_with_its_last_handle),
	HARNESS_TEST(close_waits_for_nobody_and_the_guards_holder_frees),
	HARNESS_TEST(recoverer_holds_only_what_the_dead_one_still_holds),
	HARNESS_TEST(slot_in_setup_holds_nothing_of_its_last_owner),
	HARNESS_TEST(half_freed_object_is_freed_by_who_sweeps),
	HARNESS_TEST(id_that_races_with_the_last_close_opens_the_object_or_is_stale),
	HARNESS_TEST_WITH_MPD(object_outlives_its_killed_maker_while_another_holds_it),
	HARNESS_TEST_WITH_MPD(memory_comes_back_when_the_last_holder_is_killed),
	HARNESS_TEST_WITH_MPD(memory_comes_back_when_the_last_holder_exits),
	HARNESS_TEST_WITH_MPD(child_keeps_what_its_parent_closes_at_once),
	HARNESS_TEST_WITH_MPD(child_starts_while_other_threads_close_their_objects),
	HARNESS_TEST_WITH_MPD(forked_child_that_comes_too_late_is_told),
	HARNESS_TEST_WITH_MPD(processes_race_for_ids_as_threads_do),
};

HARNESS_MAIN(tests)
