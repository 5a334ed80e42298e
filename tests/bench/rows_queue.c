/* SPDX-License-Identifier: MIT
 *
 * Rows of messages. Knows: mp_queue with default options, the reference ring, bare copies. Does not
 * know: how often or in which order it is asked.
 *
 * An empty message ends a part. Where messages are large the queue holds fewer of them, and so does
 * the ring: what is on its way fits a cache.
 */
#include "rows.h"

#include "reference_vyukov.h"

#include <string.h>

#define SMALL_CAPACITY 1024 /* the default */
#define BULK_BYTES (UINT32_C(8) << 20)
#define LARGE_FROM (UINT32_C(1) << 16)
/* So much between two looks at the clock, in a stream of messages. */
#define LAP_BYTES (UINT32_C(1) << 18)
#define LAP_MESSAGES 256
#define SIZES_MAX 6

enum direction { THERE, BACK };

/* What is used for one size of message: queues and rings of their own. */
struct lane {
	size_t bytes;
	mp_queue *queue[2];
	struct vyukov *ring[2];
};

static struct lane lanes[SIZES_MAX];

static uint32_t capacity_of(size_t bytes)
{
	return bytes < LARGE_FROM ? SMALL_CAPACITY : BULK_BYTES / (uint32_t)bytes;
}

static struct vyukov *open_ring(size_t bytes)
{
	uint32_t capacity = capacity_of(bytes);
	struct vyukov *ring = shared_pages(vyukov_bytes(capacity, (uint32_t)bytes));

	vyukov_init(ring, capacity, (uint32_t)bytes);
	return ring;
}

static void open_lane(struct lane *lane, size_t bytes)
{
	struct mp_queue_opts opts = { .capacity = capacity_of(bytes) };

	lane->bytes = bytes;
	for (enum direction i = THERE; i <= BACK; i++) {
		check(mp_queue_open(bench_segment, NULL,
				    opts.capacity == SMALL_CAPACITY ? NULL : &opts,
				    &lane->queue[i]));
		lane->ring[i] = open_ring(bytes);
	}
}

static struct lane *find_lane(size_t bytes)
{
	for (unsigned i = 0; i < SIZES_MAX; i++)
		if (lanes[i].bytes == bytes || lanes[i].bytes == 0)
			return &lanes[i];
	bench_fail("more sizes of messages than rows_queue.c has room for");
}

void queues_open(void)
{
	for (unsigned i = 0; i < row_count; i++)
		if (rows[i].bytes && !find_lane(rows[i].bytes)->bytes)
			open_lane(find_lane(rows[i].bytes), rows[i].bytes);
}

static struct lane *lane_of(const struct run *run)
{
	return find_lane(run->row->bytes);
}

static unsigned messages_a_lap(size_t bytes)
{
	size_t messages = LAP_BYTES / bytes;

	if (messages > LAP_MESSAGES)
		return LAP_MESSAGES;
	return messages ? (unsigned)messages : 1;
}

/* --- the queue, copying --- */

static void put(mp_queue *queue, const void *data, size_t len)
{
	check(mp_queue_put(queue, data, len, MP_FOREVER));
}

static size_t get(mp_queue *queue, struct run *run)
{
	return (size_t)check(mp_queue_get(queue, run->buffer, BUFFER_BYTES, MP_FOREVER));
}

void queue_trips(struct run *run)
{
	struct lane *lane = lane_of(run);

	run_begin(run);
	do {
		put(lane->queue[THERE], run->buffer, lane->bytes);
		get(lane->queue[BACK], run);
	} while (run_lap(run, 1));
	put(lane->queue[THERE], NULL, 0);
}

void queue_echo(struct run *run)
{
	struct lane *lane = lane_of(run);
	size_t len;

	while ((len = get(lane->queue[THERE], run)) > 0)
		put(lane->queue[BACK], run->buffer, len);
}

void queue_alone(struct run *run)
{
	struct lane *lane = lane_of(run);

	run_begin(run);
	do {
		for (unsigned i = 0; i < LAP_MESSAGES; i++) {
			put(lane->queue[THERE], run->buffer, lane->bytes);
			get(lane->queue[THERE], run);
		}
	} while (run_lap(run, LAP_MESSAGES));
}

void queue_receive(struct run *run)
{
	struct lane *lane = lane_of(run);
	unsigned messages = messages_a_lap(lane->bytes);

	run_begin(run);
	do {
		for (unsigned i = 0; i < messages; i++)
			get(lane->queue[THERE], run);
	} while (run_lap(run, messages));
	run_tell_over(run);
	while (get(lane->queue[THERE], run) > 0)
		;
}

void queue_send(struct run *run)
{
	struct lane *lane = lane_of(run);

	while (!run_is_over(run))
		put(lane->queue[THERE], run->buffer, lane->bytes);
	put(lane->queue[THERE], NULL, 0);
}

/* --- the queue, in place: only a word of the message is touched --- */

static void put_in_place(mp_queue *queue, size_t len, uint64_t word)
{
	struct mp_slot slot;

	check(mp_queue_reserve(queue, len, MP_FOREVER, &slot));
	memcpy(slot.data, &word, sizeof word);
	check(mp_queue_commit(queue, &slot));
}

/* The length; *ret_word unless that is 0. */
static size_t get_in_place(mp_queue *queue, uint64_t *ret_word)
{
	struct mp_slot slot;
	size_t len;

	check(mp_queue_claim(queue, MP_FOREVER, &slot));
	len = slot.len;
	if (len)
		memcpy(ret_word, slot.data, sizeof *ret_word);
	check(mp_queue_ack(queue, &slot));
	return len;
}

void queue_zero_copy_trips(struct run *run)
{
	struct lane *lane = lane_of(run);
	uint64_t word = 0;

	run_begin(run);
	do {
		put_in_place(lane->queue[THERE], lane->bytes, word + 1);
		get_in_place(lane->queue[BACK], &word);
	} while (run_lap(run, 1));
	put(lane->queue[THERE], NULL, 0);
}

void queue_zero_copy_echo(struct run *run)
{
	struct lane *lane = lane_of(run);
	uint64_t word;

	while (get_in_place(lane->queue[THERE], &word) > 0)
		put_in_place(lane->queue[BACK], lane->bytes, word);
}

void queue_zero_copy_receive(struct run *run)
{
	struct lane *lane = lane_of(run);
	unsigned messages = messages_a_lap(lane->bytes);
	uint64_t word;

	run_begin(run);
	do {
		for (unsigned i = 0; i < messages; i++)
			get_in_place(lane->queue[THERE], &word);
	} while (run_lap(run, messages));
	run_tell_over(run);
	while (get_in_place(lane->queue[THERE], &word) > 0)
		;
}

void queue_zero_copy_send(struct run *run)
{
	struct lane *lane = lane_of(run);

	for (uint64_t word = 0; !run_is_over(run); word++)
		put_in_place(lane->queue[THERE], lane->bytes, word);
	put(lane->queue[THERE], NULL, 0);
}

/* --- the reference ring, spinning --- */

static void ring_put(struct vyukov *ring, const void *data, size_t len)
{
	while (!vyukov_try_put(ring, data, (uint32_t)len))
		bench_pause();
}

static size_t ring_get(struct vyukov *ring, struct run *run)
{
	uint32_t len;

	while (!vyukov_try_get(ring, run->buffer, &len))
		bench_pause();
	return len;
}

void vyukov_trips(struct run *run)
{
	struct lane *lane = lane_of(run);

	run_begin(run);
	do {
		ring_put(lane->ring[THERE], run->buffer, lane->bytes);
		ring_get(lane->ring[BACK], run);
	} while (run_lap(run, 1));
	ring_put(lane->ring[THERE], run->buffer, 0);
}

void vyukov_echo(struct run *run)
{
	struct lane *lane = lane_of(run);
	size_t len;

	while ((len = ring_get(lane->ring[THERE], run)) > 0)
		ring_put(lane->ring[BACK], run->buffer, len);
}

void vyukov_alone(struct run *run)
{
	struct lane *lane = lane_of(run);

	run_begin(run);
	do {
		for (unsigned i = 0; i < LAP_MESSAGES; i++) {
			ring_put(lane->ring[THERE], run->buffer, lane->bytes);
			ring_get(lane->ring[THERE], run);
		}
	} while (run_lap(run, LAP_MESSAGES));
}

void vyukov_receive(struct run *run)
{
	struct lane *lane = lane_of(run);
	unsigned messages = messages_a_lap(lane->bytes);

	run_begin(run);
	do {
		for (unsigned i = 0; i < messages; i++)
			ring_get(lane->ring[THERE], run);
	} while (run_lap(run, messages));
	run_tell_over(run);
	while (ring_get(lane->ring[THERE], run) > 0)
		;
}

void vyukov_send(struct run *run)
{
	struct lane *lane = lane_of(run);

	while (!run_is_over(run))
		ring_put(lane->ring[THERE], run->buffer, lane->bytes);
	ring_put(lane->ring[THERE], run->buffer, 0);
}

/* --- one CPU copies in and out, nobody takes part --- */

void copy_in_and_out(struct run *run)
{
	static unsigned char *shared;
	unsigned messages = messages_a_lap(run->row->bytes);

	if (!shared)
		shared = shared_pages(BUFFER_BYTES);
	run_begin(run);
	do {
		for (unsigned i = 0; i < messages; i++) {
			memcpy(shared, run->buffer, run->row->bytes);
			/* Else the compiler knows what it would copy out. */
			atomic_signal_fence(memory_order_seq_cst);
			memcpy(run->buffer, shared, run->row->bytes);
			atomic_signal_fence(memory_order_seq_cst);
		}
	} while (run_lap(run, messages));
}
