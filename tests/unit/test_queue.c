/* SPDX-License-Identifier: MIT
 *
 * Proves: what queue.h promises, in threads over one mapping and in processes that die.
 */
#include "harness.h"

#include "arena.h"
#include "cellword.h"
#include "objects.h"
#include "spin.h"

#include <libshm/observe.h>
#include <libshm/process.h>
#include <libshm/queue.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mp_queue *open_queue(mp_segment *segment, uint32_t capacity)
{
	mp_queue *queue = NULL;

	assert_int_equal(mp_queue_open(segment, "q",
				       &(struct mp_queue_opts){ .capacity = capacity }, &queue),
			 0);
	return queue;
}

static void put_number(mp_queue *queue, int number)
{
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, MP_NOW), 0);
}

static int get_number(mp_queue *queue)
{
	int number = -1;

	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_NOW), sizeof number);
	return number;
}

static uint64_t used_blocks(struct seg *seg)
{
	struct arena_usage usage;

	arena_measure(seg, &usage);
	return usage.blocks_held + usage.blocks_linked;
}

/* --- one thread --- */

static void messages_come_in_the_order_they_were_put(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 7);

	for (int lap = 0; lap < 50; lap++) {
		for (int i = 0; i < 5; i++)
			put_number(queue, lap * 5 + i);
		assert_int_equal(mp_queue_size(queue), 5);
		for (int i = 0; i < 5; i++)
			assert_int_equal(get_number(queue), lap * 5 + i);
	}
	assert_int_equal(mp_queue_is_empty(queue), 1);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void put_on_full_queue_with_now_returns_eagain(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 3);
	int number = 3;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(mp_queue_is_full(queue), 0);
		put_number(queue, i);
	}
	assert_int_equal(mp_queue_is_full(queue), 1);
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, MP_NOW), -EAGAIN);
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, -5), -EAGAIN);
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, MP_MSEC(20)), -ETIMEDOUT);
	assert_int_equal(get_number(queue), 0);
	put_number(queue, 3);
	for (int i = 1; i < 4; i++)
		assert_int_equal(get_number(queue), i);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void queue_of_one_message_alternates(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 1);

	for (int i = 0; i < 1000; i++) {
		put_number(queue, i);
		assert_int_equal(mp_queue_put(queue, &i, sizeof i, MP_NOW), -EAGAIN);
		assert_int_equal(get_number(queue), i);
		assert_int_equal(mp_queue_get(queue, &i, sizeof i, MP_NOW), -EAGAIN);
	}
	mp_queue_close(queue);
	objects_end(&objects);
}

static void every_length_arrives_whole(void **state)
{
	static const size_t lengths[] = { 0,  1,    7,     8,     47,    48,     49,
					  64, 1000, 16384, 16385, 70000, 1 << 20 };
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	uint64_t before = used_blocks(objects.seg);
	uint8_t *out = malloc(1 << 20), *in = malloc(1 << 20);

	for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
		for (size_t j = 0; j < lengths[i]; j++)
			out[j] = (uint8_t)(j * 7 + i);
		assert_int_equal(mp_queue_put(queue, out, lengths[i], MP_NOW), 0);
		memset(in, 0, 1 << 20);
		assert_int_equal(mp_queue_get(queue, in, 1 << 20, MP_NOW), lengths[i]);
		assert_memory_equal(in, out, lengths[i]);
	}
	assert_int_equal(used_blocks(objects.seg), before);
	free(out);
	free(in);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void message_larger_than_the_buffer_stays_and_tells_its_length(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	struct mp_message_info info = { .len = 0 };
	char text[100] = "a message of a hundred bytes", small[10];

	assert_int_equal(mp_queue_put(queue, text, sizeof text, MP_NOW), 0);
	assert_int_equal(mp_queue_get(queue, small, sizeof small, MP_NOW), -EMSGSIZE);
	assert_int_equal(mp_queue_get_info(queue, small, sizeof small, MP_NOW, &info), -EMSGSIZE);
	assert_int_equal(info.len, sizeof text);
	memset(text, 0, sizeof text);
	assert_int_equal(mp_queue_get(queue, text, sizeof text, MP_NOW), sizeof text);
	assert_string_equal(text, "a message of a hundred bytes");
	mp_queue_close(queue);
	objects_end(&objects);
}

static void message_larger_than_the_queue_carries_is_refused(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	char text[100] = { 0 };
	mp_queue *queue;

	assert_int_equal(mp_queue_open(segment, "q",
				       &(struct mp_queue_opts){ .message_bytes = 20 }, &queue),
			 0);
	assert_int_equal(mp_queue_put(queue, text, 21, MP_NOW), -EMSGSIZE);
	assert_int_equal(mp_queue_put(queue, text, sizeof text, MP_NOW), -EMSGSIZE);
	assert_int_equal(mp_queue_put(queue, text, 20, MP_NOW), 0);
	assert_non_null(strstr(mp_explain(), "at most 20 bytes"));
	mp_queue_close(queue);
	assert_int_equal(mp_queue_open(segment, "r", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, text, (size_t)1 << 40, MP_NOW), -EMSGSIZE);
	assert_int_equal(mp_queue_put(queue, NULL, 4, MP_NOW), -EINVAL);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void closed_queue_drains_and_then_says_epipe(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	int number;

	put_number(queue, 1);
	put_number(queue, 2);
	assert_int_equal(mp_queue_close_input(queue), 0);
	assert_int_equal(mp_queue_close_input(queue), 0);
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, MP_NOW), -EPIPE);
	assert_int_equal(get_number(queue), 1);
	assert_int_equal(get_number(queue), 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_FOREVER), -EPIPE);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void closing_a_full_queue_loses_nothing(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 2);
	int number;

	put_number(queue, 1);
	put_number(queue, 2);
	assert_int_equal(mp_queue_close_input(queue), 0);
	assert_int_equal(get_number(queue), 1);
	assert_int_equal(get_number(queue), 2);
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_NOW), -EPIPE);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void reserved_message_arrives_where_it_was_written(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 2);
	uint64_t before = used_blocks(objects.seg);
	struct mp_slot out, in;

	assert_int_equal(mp_queue_reserve(queue, 1 << 20, MP_NOW, &out), 0);
	assert_int_equal((uintptr_t)out.data % 64, 0);
	memset(out.data, 'x', 1 << 20);
	out.len = 1 << 19;
	void *written = out.data;
	assert_int_equal(mp_queue_commit(queue, &out), 0);
	assert_int_equal(mp_queue_commit(queue, &out), -EINVAL);
	assert_int_equal(mp_queue_claim(queue, MP_NOW, &in), 0);
	assert_ptr_equal(in.data, written);
	assert_int_equal(in.len, 1 << 19);
	assert_int_equal(in.flags, 0);
	assert_int_equal(mp_queue_ack(queue, &in), 0);
	assert_int_equal(mp_queue_ack(queue, &in), -EINVAL);
	assert_int_equal(mp_queue_reserve(queue, 10, MP_NOW, &out), 0);
	assert_int_equal(mp_queue_abandon(queue, &out), 0);
	assert_int_equal(mp_queue_abandon(queue, &out), -EINVAL);
	/* The chunk of lease records stays with the queue. */
	assert_int_equal(used_blocks(objects.seg), before + 1);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void open_reservation_holds_nobody_up(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 2);
	struct mp_slot slot;

	assert_int_equal(mp_queue_reserve(queue, 100, MP_NOW, &slot), 0);
	put_number(queue, 1);
	put_number(queue, 2);
	assert_int_equal(mp_queue_commit(queue, &slot), -EAGAIN);
	assert_int_equal(get_number(queue), 1);
	assert_int_equal(mp_queue_commit(queue, &slot), 0);
	assert_int_equal(get_number(queue), 2);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void length_grown_after_the_reserve_is_refused_and_the_slot_stays(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue = NULL;
	struct mp_slot slot;
	char in[256];
	uint64_t before;

	assert_int_equal(mp_queue_open(segment, "q",
				       &(struct mp_queue_opts){ .capacity = 4,
								.message_bytes = 100 },
				       &queue),
			 0);
	before = used_blocks(objects.seg);
	assert_int_equal(mp_queue_reserve(queue, 70, MP_NOW, &slot), 0);
	memset(slot.data, 'x', 70);
	for (size_t len = 71; len <= 128; len++) { /* its block has 128 bytes */
		slot.len = len;
		assert_int_equal(mp_queue_commit(queue, &slot), -EINVAL);
	}
	slot.len = SIZE_MAX;
	assert_int_equal(mp_queue_commit(queue, &slot), -EINVAL);
	slot.len = 81;
	assert_int_equal(mp_queue_commit(queue, &slot), -EINVAL);
	assert_non_null(strstr(mp_explain(), "81"));
	assert_non_null(strstr(mp_explain(), "70"));
	assert_true(mp_queue_is_empty(queue));
	slot.len = 69;
	assert_int_equal(mp_queue_commit(queue, &slot), 0);
	assert_int_equal(mp_queue_get(queue, in, sizeof in, MP_NOW), 69);
	assert_int_equal(mp_queue_reserve(queue, 70, MP_NOW, &slot), 0);
	slot.len = 100;
	assert_int_equal(mp_queue_commit(queue, &slot), -EINVAL);
	assert_int_equal(mp_queue_abandon(queue, &slot), 0);
	assert_int_equal(used_blocks(objects.seg), before);
	mp_queue_close(queue);
	objects_end(&objects);
}

/* Whatever the user writes into the fields he sees, only his own message is concerned. */
static void public_fields_of_a_slot_decide_nothing(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	uint64_t before;
	struct mp_slot slot;
	char large[300];

	memset(large, 'y', sizeof large);
	assert_int_equal(mp_queue_put(queue, large, sizeof large, MP_NOW), 0);
	assert_int_equal(mp_queue_claim(queue, MP_NOW, &slot), 0);
	assert_int_equal(mp_queue_ack(queue, &slot), 0);
	before = used_blocks(objects.seg); /* with the chunk of lease records */
	for (int is_returned = 0; is_returned < 2; is_returned++) {
		assert_int_equal(mp_queue_reserve(queue, sizeof large, MP_NOW, &slot), 0);
		memset(slot.data, 'z', sizeof large);
		slot.data = large;
		slot.id = UINT64_MAX;
		slot.flags = ~0u;
		slot.reserved0 = ~0u;
		assert_int_equal(mp_queue_commit(queue, &slot), 0);
		assert_int_equal(mp_queue_claim(queue, MP_NOW, &slot), 0);
		assert_int_equal(slot.len, sizeof large);
		assert_int_equal(*(char *)slot.data, 'z');
		slot.data = &slot;
		slot.len = SIZE_MAX;
		slot.id = UINT64_MAX;
		slot.flags = ~0u;
		if (is_returned) {
			assert_int_equal(mp_queue_return(queue, &slot), 0);
			assert_int_equal(mp_queue_get(queue, large, sizeof large, MP_NOW),
					 sizeof large);
			assert_int_equal(large[299], 'z');
		} else {
			assert_int_equal(mp_queue_ack(queue, &slot), 0);
		}
		assert_true(mp_queue_is_empty(queue));
		assert_int_equal(used_blocks(objects.seg), before);
	}
	assert_int_equal(arena_check(objects.seg), 0);
	mp_queue_close(queue);
	objects_end(&objects);
}

/* Records of two queues look alike: index, owner and sequence are the same. */
static void slot_of_another_queue_is_refused(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue = open_queue(segment, 4), *other = NULL;
	struct mp_slot mine, foreign;
	uint64_t before;
	char large[300] = { 0 };

	assert_int_equal(mp_queue_open(segment, "other",
				       &(struct mp_queue_opts){ .message_bytes = 10 }, &other),
			 0);
	assert_int_equal(mp_queue_put(queue, large, sizeof large, MP_NOW), 0);
	assert_int_equal(mp_queue_put(other, "short", 5, MP_NOW), 0);
	assert_int_equal(mp_queue_claim(queue, MP_NOW, &mine), 0);
	assert_int_equal(mp_queue_claim(other, MP_NOW, &foreign), 0);
	assert_int_equal(mp_queue_ack(queue, &foreign), -EINVAL);
	assert_int_equal(mp_queue_return(queue, &foreign), -EINVAL);
	assert_int_equal(mp_queue_ack(other, &foreign), 0);
	before = used_blocks(objects.seg);
	assert_int_equal(mp_queue_ack(queue, &mine), 0);
	assert_int_equal(used_blocks(objects.seg), before - 1);
	assert_int_equal(mp_queue_reserve(queue, sizeof large, MP_NOW, &mine), 0);
	assert_int_equal(mp_queue_commit(other, &mine), -EINVAL);
	assert_int_equal(mp_queue_abandon(other, &mine), -EINVAL);
	assert_int_equal(mp_queue_commit(queue, &mine), 0);
	assert_int_equal(mp_queue_get(queue, large, sizeof large, MP_NOW), sizeof large);
	mp_queue_close(other);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void returned_message_comes_again_flagged(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 2);
	struct mp_message_info info;
	struct mp_slot slot;
	int number;

	put_number(queue, 41);
	put_number(queue, 42);
	assert_int_equal(mp_queue_claim(queue, MP_NOW, &slot), 0);
	assert_int_equal(*(int *)slot.data, 41);
	put_number(queue, 43); /* its place is free: the queue is full again */
	assert_int_equal(mp_queue_size(queue), 2);
	assert_int_equal(mp_queue_return(queue, &slot), 0);
	assert_int_equal(mp_queue_return(queue, &slot), -EINVAL);
	assert_int_equal(mp_queue_size(queue), 3);
	assert_int_equal(mp_queue_get_info(queue, &number, sizeof number, MP_NOW, &info), 4);
	assert_int_equal(number, 41);
	assert_int_equal(info.flags, MP_REDELIVERED);
	assert_int_equal(info.id, slot.id);
	assert_int_equal(get_number(queue), 42);
	assert_int_equal(get_number(queue), 43);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void many_leases_are_kept_apart(void **state)
{
	enum { LEASES = 200 };
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	struct mp_slot slots[LEASES];

	for (int i = 0; i < LEASES; i++) {
		put_number(queue, i);
		assert_int_equal(mp_queue_claim(queue, MP_NOW, &slots[i]), 0);
	}
	for (int i = LEASES - 1; i >= 0; i--) {
		assert_int_equal(*(int *)slots[i].data, i);
		assert_int_equal(mp_queue_ack(queue, &slots[i]), 0);
	}
	mp_queue_close(queue);
	objects_end(&objects);
}

static void other_options_are_another_shape(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue = open_queue(segment, 4), *again = NULL;
	int error = mp_queue_open(segment, "q", &(struct mp_queue_opts){ .capacity = 5 }, &again);

	assert_int_equal(error, -EPROTO);
	assert_null(again);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &again), 0);
	assert_int_equal(mp_queue_id(again), mp_queue_id(queue));
	put_number(queue, 9);
	assert_int_equal(get_number(again), 9);
	mp_queue_close(again);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void unlinked_queue_lives_until_its_last_handle(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	uint64_t before = used_blocks(objects.seg), id;
	mp_queue *queue = open_queue(segment, 4), *other;
	char large[1000] = { 0 };

	id = mp_queue_id(queue);
	assert_int_equal(mp_queue_put(queue, large, sizeof large, MP_NOW), 0);
	assert_int_equal(mp_queue_unlink(segment, "q"), 0);
	assert_int_equal(mp_queue_unlink(segment, "q"), -ENOENT);
	other = open_queue(segment, 8);
	assert_int_not_equal(mp_queue_id(other), id);
	assert_int_equal(mp_queue_get(queue, large, sizeof large, MP_NOW), sizeof large);
	assert_int_equal(mp_queue_put(queue, large, sizeof large, MP_NOW), 0);
	mp_queue_close(queue);
	assert_int_equal(mp_queue_from_id(segment, id, &queue), -ESTALE);
	assert_int_equal(mp_queue_unlink(segment, "q"), 0);
	mp_queue_close(other);
	assert_int_equal(used_blocks(objects.seg), before);
	objects_end(&objects);
}

static void id_opens_the_same_anonymous_queue(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue, *same;

	assert_int_equal(mp_queue_open(segment, NULL, NULL, &queue), 0);
	assert_int_equal(mp_queue_from_id(segment, mp_queue_id(queue), &same), 0);
	put_number(queue, 5);
	assert_int_equal(get_number(same), 5);
	mp_queue_close(same);
	mp_queue_close(queue);
	objects_end(&objects);
}

/* --- threads over one mapping --- */

enum { PRODUCERS = 2, CONSUMERS = 2, EACH = 20000 };

struct stream {
	mp_queue *queue;
	int producer;
	atom64 sum;
	atom64 count;
	atom32 order_errors;
};

static void *produce(void *arg)
{
	struct stream *stream = arg;

	for (int i = 0; i < EACH; i++) {
		uint64_t message[20] = { (uint64_t)stream->producer, (uint64_t)i };
		size_t bytes = i % 16 == 0 ? sizeof message : 2 * sizeof(uint64_t);

		if (mp_queue_put(stream->queue, message, bytes, MP_FOREVER) < 0)
			return (void *)1;
	}
	return NULL;
}

static void *consume(void *arg)
{
	struct stream *stream = arg;
	int64_t last[PRODUCERS] = { -1, -1 };
	uint64_t message[20];

	while (mp_queue_get(stream->queue, message, sizeof message, MP_FOREVER) >= 0) {
		if ((int64_t)message[1] <= last[message[0]])
			add_relaxed(&stream->order_errors, 1);
		last[message[0]] = (int64_t)message[1];
		add_relaxed(&stream->sum, message[1]);
		add_relaxed(&stream->count, 1);
	}
	return NULL;
}

static void threads_exchange_every_message_once_and_in_order(void **state)
{
	static const uint32_t capacities[] = { 1, 3, 64 };

	for (unsigned c = 0; c < ARRAY_LEN(capacities); c++) {
		pthread_t producers[PRODUCERS], consumers[CONSUMERS];
		struct stream stream[PRODUCERS] = { 0 }, sink = { 0 };
		struct objects objects;
		mp_queue *queue = open_queue(objects_begin(&objects), capacities[c]);
		void *failed;

		sink.queue = queue;
		for (int i = 0; i < CONSUMERS; i++)
			pthread_create(&consumers[i], NULL, consume, &sink);
		for (int i = 0; i < PRODUCERS; i++) {
			stream[i] = (struct stream){ .queue = queue, .producer = i };
			pthread_create(&producers[i], NULL, produce, &stream[i]);
		}
		for (int i = 0; i < PRODUCERS; i++) {
			pthread_join(producers[i], &failed);
			assert_null(failed);
		}
		assert_int_equal(mp_queue_close_input(queue), 0);
		for (int i = 0; i < CONSUMERS; i++)
			pthread_join(consumers[i], NULL);
		assert_int_equal(load_relaxed(&sink.count), PRODUCERS * EACH);
		assert_int_equal(load_relaxed(&sink.sum),
				 (uint64_t)PRODUCERS * EACH * (EACH - 1) / 2);
		assert_int_equal(load_relaxed(&sink.order_errors), 0);
		mp_queue_close(queue);
		objects_end(&objects);
	}
}

static void *close_soon(void *arg)
{
	harness_sleep_ms(30);
	return mp_queue_close_input(arg) < 0 ? arg : NULL;
}

static void close_wakes_who_waits_to_get_and_to_put(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 1);
	pthread_t thread;
	int number;

	pthread_create(&thread, NULL, close_soon, queue);
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_FOREVER), -EPIPE);
	pthread_join(thread, NULL);
	mp_queue_close(queue);
	objects_end(&objects);
	queue = open_queue(objects_begin(&objects), 1);
	put_number(queue, 1);
	pthread_create(&thread, NULL, close_soon, queue);
	assert_int_equal(mp_queue_put(queue, &number, sizeof number, MP_FOREVER), -EPIPE);
	pthread_join(thread, NULL);
	mp_queue_close(queue);
	objects_end(&objects);
}

/* --- a client that died, its words written as a kill would leave them --- */

struct victim {
	uint32_t client, generation;
};

static struct victim make_victim(struct seg *seg, mp_queue *queue)
{
	struct victim victim;
	uint32_t index = who_slot(mp_queue_id(queue));

	victim.client = harness_segment_client(seg, &victim.generation);
	or_seqcst(&seg_touched(seg, victim.client)[index / 64], UINT64_C(1) << (index % 64));
	return victim;
}

static struct shm_cell *cells_of(struct seg *seg, mp_queue *queue)
{
	struct shm_entry *entry = &seg->directory[who_slot(mp_queue_id(queue))];
	struct shm_queue *shared =
		(void *)(seg->base + reference_offset(load_relaxed(&entry->object)));

	return (void *)(seg->base + reference_offset(load_relaxed(&shared->cells)));
}

static void put_that_died_is_skipped_and_its_block_freed(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	struct seg *seg = objects.seg;
	struct victim victim = make_victim(seg, queue);
	uint64_t before = used_blocks(seg), reference;
	struct shm_cell *cell = cells_of(seg, queue);
	void *data;

	assert_int_equal(arena_alloc(seg, NULL, victim.client, 500, &reference, &data), 0);
	store_relaxed(&cell->word, cell_word(0, 0, victim.client, CELL_WRITING));
	store_relaxed(&cell->payload.block, reference);
	store_relaxed(&cell->meta, cell_meta(0, PAYLOAD_BLOCK, 500));
	arena_link(seg, victim.client, reference);
	put_number(queue, 1);
	assert_int_equal(mp_queue_get(queue, &data, sizeof data, MP_NOW), -EAGAIN);
	recover_client(seg, victim.client, victim.generation);
	assert_int_equal(get_number(queue), 1);
	assert_int_equal(used_blocks(seg), before);
	for (int i = 0; i < 40; i++) {
		put_number(queue, i);
		assert_int_equal(get_number(queue), i);
	}
	mp_queue_close(queue);
	objects_end(&objects);
}

static void get_that_died_gives_its_message_back_flagged(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	struct seg *seg = objects.seg;
	struct victim victim = make_victim(seg, queue);
	struct shm_cell *cell = cells_of(seg, queue);
	struct mp_message_info info;
	char large[300] = "large", in[300];
	int number;

	assert_int_equal(mp_queue_put(queue, large, sizeof large, MP_NOW), 0);
	put_number(queue, 2);
	store_relaxed(&cell->word, cell_word(0, 0, victim.client, CELL_READING));
	assert_int_equal(get_number(queue), 2); /* passes it: the head is beyond now */
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_NOW), -EAGAIN);
	recover_client(seg, victim.client, victim.generation);
	assert_int_equal(mp_queue_size(queue), 1);
	assert_int_equal(mp_queue_get_info(queue, in, sizeof in, MP_NOW, &info), sizeof in);
	assert_string_equal(in, "large");
	assert_int_equal(info.flags, MP_REDELIVERED);
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_NOW), -EAGAIN);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void closed_queue_waits_for_a_foreign_lease(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	struct seg *seg = objects.seg;
	struct victim victim = make_victim(seg, queue);
	uint32_t own = seg->client, own_generation = seg->client_generation;
	struct mp_slot slot;
	int number;

	put_number(queue, 77);
	/* The lease is taken in the victim's name. */
	self_forget_all(seg);
	seg->client = victim.client;
	seg->client_generation = victim.generation;
	assert_int_equal(mp_queue_claim(queue, MP_NOW, &slot), 0);
	self_forget_all(seg);
	seg->client = own;
	seg->client_generation = own_generation;
	assert_int_equal(mp_queue_ack(queue, &slot), -EINVAL);
	assert_int_equal(mp_queue_close_input(queue), 0);
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_MSEC(10)), -ETIMEDOUT);
	recover_client(seg, victim.client, victim.generation);
	assert_int_equal(get_number(queue), 77);
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_FOREVER), -EPIPE);
	mp_queue_close(queue);
	objects_end(&objects);
}

/* --- one slot, two threads --- */

#define CONTESTS 20000
#define LAST_CONTEST UINT32_MAX
#define CONTEST_BYTES 300 /* in a block of its own */

struct contest {
	struct objects here, there; /* two clients, as two processes are */
	mp_queue *queue, *other;
	struct mp_slot slot; /* the helper's copy */
	atom32 round, acked;
	int result;
};

static void contest_begin(struct contest *contest)
{
	struct seg *seg;

	memset(contest, 0, sizeof *contest);
	contest->queue = open_queue(objects_begin(&contest->here), 4);
	seg = harness_segment_map_again(contest->here.seg);
	seg->hooks = &objects_hooks;
	seg->fork_epoch = self_fork_epoch();
	seg->client = harness_segment_client(seg, &seg->client_generation);
	contest->there.seg = seg;
	contest->there.handle = (struct mp_segment){ .seg = seg, .users = 1 };
	contest->other = open_queue(&contest->there.handle, 4);
}

static void contest_end(struct contest *contest)
{
	mp_queue_close(contest->other);
	mp_queue_close(contest->queue);
	objects_end(&contest->there);
	objects_end(&contest->here);
}

static void *ack_each_round(void *arg)
{
	struct contest *contest = arg;
	uint32_t done = 0, round;

	for (;;) {
		while ((round = load_acquire(&contest->round)) == done)
			cpu_relax();
		if (round == LAST_CONTEST)
			return NULL;
		contest->result = mp_queue_ack(contest->queue, &contest->slot);
		done = round;
		store_release(&contest->acked, round);
	}
}

/* Both at once; what the return says. */
static int ack_and_return(struct contest *contest, struct mp_slot *slot, uint32_t round)
{
	int result;

	contest->slot = *slot;
	store_release(&contest->round, round);
	for (uint32_t i = 0; i < round % 97 * 4; i++)
		cpu_relax();
	result = mp_queue_return(contest->queue, slot);
	while (load_acquire(&contest->acked) != round)
		cpu_relax();
	return result;
}

static void expect_back_or_done(struct contest *contest, bool is_back)
{
	char buffer[CONTEST_BYTES];
	struct mp_message_info info;
	int result = mp_queue_get_info(contest->other, buffer, sizeof buffer, MP_NOW, &info);

	assert_int_equal(result, is_back ? CONTEST_BYTES : -EAGAIN);
	if (is_back)
		assert_int_equal(info.flags, MP_REDELIVERED);
}

static void slot_that_two_threads_ack_and_return_at_once_is_done_or_comes_back(void **state)
{
	int64_t end_ns = harness_now_ns() + MP_MSEC(1500);
	char message[CONTEST_BYTES] = "once";
	struct contest contest;
	struct mp_slot slot;
	pthread_t helper;
	uint64_t before;
	int returned;

	contest_begin(&contest);
	before = used_blocks(contest.here.seg);
	pthread_create(&helper, NULL, ack_each_round, &contest);
	for (uint32_t i = 1; i <= CONTESTS && harness_now_ns() < end_ns; i++) {
		assert_int_equal(mp_queue_put(contest.queue, message, sizeof message, MP_NOW), 0);
		assert_int_equal(mp_queue_claim(contest.queue, MP_NOW, &slot), 0);
		returned = ack_and_return(&contest, &slot, i);
		assert_true((returned == 0 && contest.result == -EINVAL) ||
			    (returned == -EINVAL && contest.result == 0));
		expect_back_or_done(&contest, returned == 0);
	}
	store_release(&contest.round, LAST_CONTEST);
	pthread_join(helper, NULL);
	assert_true(used_blocks(contest.here.seg) <= before + 1); /* and the leases' chunk */
	contest_end(&contest);
}

/* Two getters wait; the messages become ready in the wrong order. */
static void *get_one(void *arg)
{
	struct stream *stream = arg;
	int number;

	if (mp_queue_get(stream->queue, &number, sizeof number, MP_SEC(5)) == sizeof number)
		add_relaxed(&stream->count, 1);
	return NULL;
}

static void second_message_ready_first_still_wakes_both(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	struct shm_cell *cells = cells_of(objects.seg, queue);
	struct stream stream = { .queue = queue };
	int64_t began = harness_now_ns();
	pthread_t threads[2];

	/* A slow putter has the first place, as if it were in the middle of its copy. */
	store_relaxed(&cells[0].word, cell_word(0, 0, objects.seg->client, CELL_WRITING));
	store_relaxed(&cells[0].meta, cell_meta(0, PAYLOAD_INLINE, sizeof(int)));
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, get_one, &stream);
	harness_sleep_ms(50);
	put_number(queue, 2); /* rings one, who finds the first place busy and sleeps again */
	harness_sleep_ms(50);
	swap_seqcst(&cells[0].word, cell_word(0, 0, 0, CELL_READY));
	recover_audit(objects.seg); /* the slow putter's own ring */
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(load_relaxed(&stream.count), 2);
	assert_true(harness_now_ns() - began < 2000000000);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void last_handle_that_closes_gives_its_leases_back(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue = open_queue(segment, 4);
	struct mp_message_info info;
	struct mp_slot slot;
	int number = 8;

	put_number(queue, 8);
	assert_int_equal(mp_queue_claim(queue, MP_NOW, &slot), 0);
	mp_queue_close(queue);
	queue = open_queue(segment, 4);
	assert_int_equal(mp_queue_size(queue), 1);
	assert_int_equal(mp_queue_get_info(queue, &number, sizeof number, MP_NOW, &info), 4);
	assert_int_equal(info.flags, MP_REDELIVERED);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void hints_that_are_impossible_do_not_outlast_the_deadline(void **state)
{
	struct objects objects;
	mp_queue *queue = open_queue(objects_begin(&objects), 4);
	struct shm_entry *entry = &objects.seg->directory[who_slot(mp_queue_id(queue))];
	struct shm_queue *shared =
		(void *)(objects.seg->base + reference_offset(load_relaxed(&entry->object)));
	int number;

	store_relaxed(&shared->rescan_done, UINT64_MAX);
	assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_MSEC(20)), -ETIMEDOUT);
	put_number(queue, 1);
	assert_int_equal(get_number(queue), 1);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void hostile_hints_and_words_are_survived(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue = open_queue(segment, 4);
	struct seg *seg = objects.seg;
	struct shm_entry *entry = &seg->directory[who_slot(mp_queue_id(queue))];
	uint64_t *words = (void *)(seg->base + reference_offset(load_relaxed(&entry->object)) + 64);
	struct shm_cell *cells = cells_of(seg, queue);
	uint8_t buffer[64];

	srand(1);
	for (int i = 0; i < 20000; i++) {
		uint64_t random =
			(uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^ (uint64_t)rand();

		if (i % 3 == 0)
			words[8 + rand() % 32] = random; /* hints, counters, waiters, chunks */
		else if (i % 3 == 1)
			((uint64_t *)cells)[rand() % 32] = random;
		(void)!mp_queue_put(queue, buffer, (size_t)rand() % 64, MP_NOW);
		(void)!mp_queue_get(queue, buffer, sizeof buffer, MP_NOW);
	}
	mp_queue_close(queue);
	objects_end(&objects);
}

/* --- processes --- */

static void observer_counts_what_is_leased(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	mp_segment *segment;
	struct mp_slot slots[3];
	mp_queue *queue;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	queue = open_queue(segment, 16);
	for (int i = 0; i < 3; i++) {
		put_number(queue, i);
		assert_int_equal(mp_queue_claim(queue, MP_NOW, &slots[i]), 0);
	}
	put_number(queue, 3);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_refresh(observer), 1);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->queue_count, 1);
	assert_int_equal(snapshot->queues[0].leased, 3);
	assert_int_equal(snapshot->queues[0].depth, 1);
	assert_int_equal(snapshot->queues[0].puts, 4);
	mp_observe_close(observer);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mp_queue_ack(queue, &slots[i]), 0);
	mp_queue_close(queue);
	mp_segment_close(segment);
}

static int put_thousand(void *arg)
{
	for (int i = 0; i < 1000; i++)
		if (mp_queue_put(arg, &i, sizeof i, MP_FOREVER) < 0)
			return 1;
	return 0;
}

static void process_gets_what_another_puts(void **state)
{
	mp_segment *segment;
	mp_process *process;
	mp_queue *queue;
	int exitcode;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	queue = open_queue(segment, 16);
	assert_int_equal(mp_process_start(segment, NULL, put_thousand, queue, &process), 0);
	for (int i = 0; i < 1000; i++) {
		int number = -1;

		assert_int_equal(mp_queue_get(queue, &number, sizeof number, MP_SEC(10)), 4);
		assert_int_equal(number, i);
	}
	assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
	assert_int_equal(mp_process_exitcode(process, &exitcode), 0);
	assert_int_equal(exitcode, 0);
	assert_null(mp_process_close(process));
	mp_queue_close(queue);
	mp_segment_close(segment);
}

static int claim_and_stay(void *arg)
{
	struct mp_slot slot;

	if (mp_queue_claim(arg, MP_FOREVER, &slot) < 0)
		return 1;
	for (;;)
		pause();
	return 0;
}

static void killed_holder_of_a_lease_gives_it_back_in_milliseconds(void **state)
{
	mp_segment *segment;
	mp_process *process;
	struct mp_message_info info;
	mp_queue *queue;
	int number = 5;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	queue = open_queue(segment, 16);
	put_number(queue, 5);
	assert_int_equal(mp_process_start(segment, NULL, claim_and_stay, queue, &process), 0);
	while (mp_queue_size(queue) > 0)
		harness_sleep_ms(1);
	harness_sleep_ms(5);
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(mp_queue_get_info(queue, &number, sizeof number, MP_SEC(10), &info), 4);
	assert_int_equal(number, 5);
	assert_int_equal(info.flags, MP_REDELIVERED);
	assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
	assert_null(mp_process_close(process));
	mp_queue_close(queue);
	mp_segment_close(segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(messages_come_in_the_order_they_were_put),
	HARNESS_TEST(put_on_full_queue_with_now_returns_eagain),
	HARNESS_TEST(queue_of_one_message_alternates),
	HARNESS_TEST(every_length_arrives_whole),
	HARNESS_TEST(message_larger_than_the_buffer_stays_and_tells_its_length),
	HARNESS_TEST(message_larger_than_the_queue_carries_is_refused),
	HARNESS_TEST(closed_queue_drains_and_then_says_epipe),
	HARNESS_TEST(closing_a_full_queue_loses_nothing),
	HARNESS_TEST(reserved_message_arrives_where_it_was_written),
	HARNESS_TEST(open_reservation_holds_nobody_up),
	HARNESS_TEST(length_grown_after_the_reserve_is_refused_and_the_slot_stays),
	HARNESS_TEST(public_fields_of_a_slot_decide_nothing),
	HARNESS_TEST(slot_of_another_queue_is_refused),
	HARNESS_TEST(returned_message_comes_again_flagged),
	HARNESS_TEST(many_leases_are_kept_apart),
	HARNESS_TEST(other_options_are_another_shape),
	HARNESS_TEST(unlinked_queue_lives_until_its_last_handle),
	HARNESS_TEST(id_opens_the_same_anonymous_queue),
	HARNESS_TEST(threads_exchange_every_message_once_and_in_order),
	HARNESS_TEST(close_wakes_who_waits_to_get_and_to_put),
	HARNESS_TEST(put_that_died_is_skipped_and_its_block_freed),
	HARNESS_TEST(get_that_died_gives_its_message_back_flagged),
	HARNESS_TEST(closed_queue_waits_for_a_foreign_lease),
	HARNESS_TEST(second_message_ready_first_still_wakes_both),
	HARNESS_TEST(slot_that_two_threads_ack_and_return_at_once_is_done_or_comes_back),
	HARNESS_TEST(last_handle_that_closes_gives_its_leases_back),
	HARNESS_TEST(hints_that_are_impossible_do_not_outlast_the_deadline),
	HARNESS_TEST(hostile_hints_and_words_are_survived),
	HARNESS_TEST_WITH_MPD(process_gets_what_another_puts),
	HARNESS_TEST_WITH_MPD(observer_counts_what_is_leased),
	HARNESS_TEST_WITH_MPD(killed_holder_of_a_lease_gives_it_back_in_milliseconds),
};

HARNESS_MAIN(tests)
