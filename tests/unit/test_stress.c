/* SPDX-License-Identifier: MIT
 *
 * Proves, under ThreadSanitizer: what locks, queues, leases, blocks and ends of threads hand from
 * one thread to the next is plain memory, and the library's own order is all that makes it safe.
 * stress_mutants.py weakens one access each and wants a report. Everybody sleeps here: there are
 * more threads than processors, and queues are full or empty.
 */
#include "clock.h"
#include "objects.h"

#include <libshm.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define CREW 4
#define MESSAGE_MAX 20000 /* more than a block of a run has: granules of its own */
#define WORDS_MAX (MESSAGE_MAX / sizeof(uint64_t))

/* Asserts work in the test's own thread only: others count what is wrong. */
struct crew {
	mp_segment *segment;
	mp_queue *queue;
	mp_lock *lock;
	unsigned rounds;
	size_t bytes;    /* of a message */
	uint64_t *plain; /* under the lock */
	atom64 number;   /* of threads so far */
	atom64 sum;
	atom64 count;
	atom32 wrong;
	atom32 is_over;
};

static void expect(struct crew *crew, bool is_right)
{
	if (!is_right)
		add_relaxed(&crew->wrong, 1);
}

static void begin(struct crew *crew, struct objects *objects, unsigned rounds)
{
	*crew = (struct crew){ .segment = objects_begin(objects),
			       .rounds = rounds * harness_scale() };
	crew->plain = calloc(8, sizeof *crew->plain);
	assert_non_null(crew->plain);
}

static void end(struct crew *crew, struct objects *objects)
{
	assert_int_equal(load_relaxed(&crew->wrong), 0);
	mp_queue_close(crew->queue);
	mp_lock_close(crew->lock);
	free(crew->plain);
	objects_end(objects);
}

static void start(pthread_t *threads, unsigned count, void *(*fn)(void *arg), struct crew *crew)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fn, crew), 0);
}

static void finish(const pthread_t *threads, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void open_queue(struct crew *crew, uint32_t capacity)
{
	struct mp_queue_opts opts = { .capacity = capacity };

	assert_int_equal(mp_queue_open(crew->segment, NULL, &opts, &crew->queue), 0);
}

/* --- locks --- */

static void add_under_lock(struct crew *crew, bool is_slow)
{
	expect(crew, crew->plain[0] == crew->plain[7]);
	crew->plain[0]++;
	if (is_slow)
		clock_sleep_ns(20000); /* the others fall asleep */
	crew->plain[7]++;
	expect(crew, mp_lock_release(crew->lock) == 0);
	add_relaxed(&crew->count, 1);
}

static void *sleep_for_lock(void *arg)
{
	struct crew *crew = arg;

	for (unsigned i = 0; i < crew->rounds; i++) {
		expect(crew, mp_lock_acquire(crew->lock, MP_FOREVER) == 0);
		add_under_lock(crew, i % 4 == 0);
	}
	return NULL;
}

/* Who sleeps is also told by the wake; who only asks knows of the others from the lock alone. */
static void *ask_for_lock(void *arg)
{
	struct crew *crew = arg;

	while (!load_relaxed(&crew->is_over)) {
		int result = mp_lock_acquire(crew->lock, MP_NOW);

		if (result == 0)
			add_under_lock(crew, false);
		else
			expect(crew, result == -EAGAIN);
		sched_yield();
	}
	return NULL;
}

static void lock_hands_over_what_it_guards(void **state)
{
	static const enum mp_lock_kind kinds[] = { MP_LOCK_CHECKED, MP_LOCK_PLAIN,
						   MP_LOCK_RECURSIVE };

	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct mp_lock_opts opts = { .kind = kinds[i] };
		pthread_t sleepers[CREW], asker;
		struct objects objects;
		struct crew crew;

		begin(&crew, &objects, 600);
		assert_int_equal(mp_lock_open(crew.segment, NULL, &opts, &crew.lock), 0);
		start(sleepers, CREW, sleep_for_lock, &crew);
		start(&asker, 1, ask_for_lock, &crew);
		finish(sleepers, CREW);
		store_relaxed(&crew.is_over, 1);
		finish(&asker, 1);
		assert_int_equal(crew.plain[0], load_relaxed(&crew.count));
		assert_true(crew.plain[0] >= (uint64_t)CREW * crew.rounds);
		end(&crew, &objects);
	}
}

static void *end_holding(void *arg)
{
	struct crew *crew = arg;

	expect(crew, mp_lock_acquire(crew->lock, MP_FOREVER) >= 0);
	crew->plain[0]++;
	return NULL;
}

/* Only the lock tells them of the others: nobody joins anybody before the end. */
static void *inherit(void *arg)
{
	struct crew *crew = arg;

	while (!load_relaxed(&crew->is_over)) {
		int result = mp_lock_acquire(crew->lock, MP_NOW);

		if (result == -EAGAIN)
			continue;
		expect(crew, result == 0 || result == MP_OWNER_DIED);
		add_relaxed(&crew->count, result == MP_OWNER_DIED);
		crew->plain[0]++;
		expect(crew, mp_lock_release(crew->lock) == 0);
		clock_sleep_ns(20000);
	}
	return NULL;
}

static void thread_that_ends_with_a_lock_leaves_what_it_guards_to_the_next(void **state)
{
	pthread_t heirs[2], thread;
	struct objects objects;
	struct crew crew;

	begin(&crew, &objects, 150);
	assert_int_equal(mp_lock_open(crew.segment, NULL, NULL, &crew.lock), 0);
	start(heirs, 2, inherit, &crew);
	for (unsigned i = 0; i < crew.rounds; i++) {
		start(&thread, 1, end_holding, &crew);
		finish(&thread, 1);
	}
	store_relaxed(&crew.is_over, 1);
	finish(heirs, 2);
	assert_true(load_relaxed(&crew.count) > 0);
	end(&crew, &objects);
}

/* --- queues --- */

static void fill(uint64_t *words, size_t bytes, uint64_t first)
{
	for (size_t i = 0; i < bytes / sizeof *words; i++)
		words[i] = first + i;
}

static bool is_filled(const uint64_t *words, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof *words; i++)
		if (words[i] != words[0] + i)
			return false;
	return bytes > 0;
}

static uint64_t first_word(struct crew *crew, unsigned round)
{
	return ((uint64_t)round << 32) + crew->bytes;
}

static void *put_each(void *arg)
{
	struct crew *crew = arg;
	uint64_t words[WORDS_MAX];

	for (unsigned i = 0; i < crew->rounds; i++) {
		fill(words, crew->bytes, first_word(crew, i));
		expect(crew, mp_queue_put(crew->queue, words, crew->bytes, MP_FOREVER) == 0);
	}
	return NULL;
}

static void *get_each(void *arg)
{
	struct crew *crew = arg;
	uint64_t words[WORDS_MAX];
	int got;

	while ((got = mp_queue_get(crew->queue, words, sizeof words, MP_FOREVER)) >= 0) {
		expect(crew, (size_t)got == crew->bytes && is_filled(words, crew->bytes));
		add_relaxed(&crew->sum, words[0]);
		add_relaxed(&crew->count, 1);
	}
	expect(crew, got == -EPIPE);
	return NULL;
}

/* As many threads put as get; all messages arrive, each once. */
static void exchange(uint32_t capacity, size_t bytes, unsigned rounds, void *(*put)(void *arg),
		     void *(*get)(void *arg))
{
	pthread_t putters[CREW / 2], getters[CREW / 2];
	struct objects objects;
	struct crew crew;
	uint64_t sum = 0;

	begin(&crew, &objects, rounds);
	crew.bytes = bytes;
	open_queue(&crew, capacity);
	start(getters, CREW / 2, get, &crew);
	start(putters, CREW / 2, put, &crew);
	finish(putters, CREW / 2);
	assert_int_equal(mp_queue_close_input(crew.queue), 0);
	finish(getters, CREW / 2);
	for (unsigned i = 0; i < crew.rounds; i++)
		sum += CREW / 2 * first_word(&crew, i);
	assert_int_equal(load_relaxed(&crew.count), (uint64_t)CREW / 2 * crew.rounds);
	assert_int_equal(load_relaxed(&crew.sum), sum);
	end(&crew, &objects);
}

static void queue_hands_over_small_messages(void **state)
{
	exchange(1, 16, 2000, put_each, get_each);
	exchange(3, 48, 4000, put_each, get_each);
	exchange(64, 48, 4000, put_each, get_each);
}

static void queue_hands_over_messages_in_blocks(void **state)
{
	exchange(3, 200, 2000, put_each, get_each);
	exchange(64, 4000, 1000, put_each, get_each);
}

static void queue_hands_over_messages_in_granules_of_their_own(void **state)
{
	exchange(5, MESSAGE_MAX, 200, put_each, get_each);
}

/* --- in place --- */

static void *reserve_and_commit_each(void *arg)
{
	struct crew *crew = arg;
	struct mp_slot slot;

	for (unsigned i = 0; i < crew->rounds; i++) {
		expect(crew, mp_queue_reserve(crew->queue, crew->bytes, MP_FOREVER, &slot) == 0);
		fill(slot.data, crew->bytes, first_word(crew, i));
		expect(crew, mp_queue_commit(crew->queue, &slot) == 0);
	}
	return NULL;
}

/* Each 8th goes back to whoever comes next. */
static void *claim_each(void *arg)
{
	struct crew *crew = arg;
	struct mp_slot slot;
	unsigned claims = 0;
	int result;

	while ((result = mp_queue_claim(crew->queue, MP_FOREVER, &slot)) == 0) {
		uint64_t *words = slot.data;

		expect(crew, slot.len == crew->bytes && is_filled(words, slot.len));
		if (!(slot.flags & MP_REDELIVERED) && ++claims % 8 == 0) {
			expect(crew, mp_queue_return(crew->queue, &slot) == 0);
			continue;
		}
		add_relaxed(&crew->sum, words[0]);
		add_relaxed(&crew->count, 1);
		expect(crew, mp_queue_ack(crew->queue, &slot) == 0);
	}
	expect(crew, result == -EPIPE);
	return NULL;
}

static void small_messages_are_read_in_their_lease(void **state)
{
	exchange(3, 40, 2000, put_each, claim_each);
	exchange(64, 40, 2000, put_each, claim_each);
}

static void messages_are_written_and_read_in_place(void **state)
{
	exchange(3, 200, 1000, reserve_and_commit_each, claim_each);
	exchange(5, MESSAGE_MAX, 100, reserve_and_commit_each, claim_each);
}

static void *reserve_and_abandon_each(void *arg)
{
	struct crew *crew = arg;
	struct mp_slot slot;

	for (unsigned i = 0; i < crew->rounds; i++) {
		expect(crew, mp_queue_reserve(crew->queue, crew->bytes, MP_NOW, &slot) == 0);
		fill(slot.data, crew->bytes, first_word(crew, i));
		expect(crew, is_filled(slot.data, crew->bytes));
		expect(crew, mp_queue_abandon(crew->queue, &slot) == 0);
		sched_yield(); /* the next has it before this one asks again */
	}
	return NULL;
}

static void memory_that_was_given_back_is_the_next_ones(void **state)
{
	static const size_t bytes[] = { 200, 16000, MESSAGE_MAX };

	for (unsigned i = 0; i < sizeof bytes / sizeof *bytes; i++) {
		pthread_t threads[CREW];
		struct objects objects;
		struct crew crew;

		begin(&crew, &objects, 200);
		crew.bytes = bytes[i];
		open_queue(&crew, 1);
		start(threads, CREW, reserve_and_abandon_each, &crew);
		finish(threads, CREW);
		end(&crew, &objects);
	}
}

/* --- objects --- */

static void *make_and_remove(void *arg)
{
	struct crew *crew = arg;
	uint64_t number = add_relaxed(&crew->number, 1);
	char name[32];

	for (unsigned i = 0; i < crew->rounds; i++) {
		mp_queue *queue;
		int got;

		/* Now a name of all, now one of its own. */
		snprintf(name, sizeof name, "queue-%u", i % 2 ? 0 : (unsigned)number + 1);
		if (mp_queue_open(crew->segment, name, NULL, &queue) < 0) {
			expect(crew, false);
			continue;
		}
		expect(crew, mp_queue_put(queue, name, sizeof name, MP_NOW) == 0);
		got = mp_queue_get(queue, name, sizeof name, MP_NOW);
		expect(crew, got == sizeof name || got == -EAGAIN);
		got = mp_queue_unlink(crew->segment, name);
		expect(crew, got == 0 || got == -ENOENT);
		mp_queue_close(queue);
	}
	return NULL;
}

static void objects_are_made_and_removed_by_all_at_once(void **state)
{
	pthread_t threads[CREW];
	struct objects objects;
	struct crew crew;

	begin(&crew, &objects, 150);
	start(threads, CREW, make_and_remove, &crew);
	finish(threads, CREW);
	end(&crew, &objects);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(lock_hands_over_what_it_guards),
	HARNESS_TEST(thread_that_ends_with_a_lock_leaves_what_it_guards_to_the_next),
	HARNESS_TEST(queue_hands_over_small_messages),
	HARNESS_TEST(queue_hands_over_messages_in_blocks),
	HARNESS_TEST(queue_hands_over_messages_in_granules_of_their_own),
	HARNESS_TEST(small_messages_are_read_in_their_lease),
	HARNESS_TEST(messages_are_written_and_read_in_place),
	HARNESS_TEST(memory_that_was_given_back_is_the_next_ones),
	HARNESS_TEST(objects_are_made_and_removed_by_all_at_once),
};

HARNESS_MAIN(tests)
