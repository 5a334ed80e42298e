/* SPDX-License-Identifier: MIT
 *
 * Rows with two putters and two getters. Knows: a putter and a getter as threads on each of the two
 * CPUs. Does not know: how often or in which order it is asked.
 *
 * Each CPU runs one of its two threads at a time, so whoever can do nothing must give way: the
 * queue does that by itself, the ring's users yield.
 */
#include "rows.h"

#include "reference_vyukov.h"

#include <pthread.h>
#include <sched.h>

#define CAPACITY 1024
#define MESSAGES_A_LAP 4096
#define TRIES_BEFORE_YIELD 100

/* One word each way; 0 ends a getter. */
struct crowd {
	void (*put)(uint64_t word);
	uint64_t (*get)(void);
};

struct shared {
	_Alignas(64) _Atomic uint64_t partner_received;
};

static struct shared *shared;
static struct vyukov *ring;
static mp_queue *queue;

void crowds_open(void)
{
	shared = shared_pages(sizeof *shared);
	ring = shared_pages(vyukov_bytes(CAPACITY, sizeof(uint64_t)));
	vyukov_init(ring, CAPACITY, sizeof(uint64_t));
	check(mp_queue_open(bench_segment, NULL, NULL, &queue));
}

static void give_way(unsigned *tries)
{
	if (++*tries % TRIES_BEFORE_YIELD == 0)
		sched_yield();
	else
		bench_pause();
}

static void ring_put(uint64_t word)
{
	for (unsigned tries = 0; !vyukov_try_put(ring, &word, sizeof word);)
		give_way(&tries);
}

static uint64_t ring_get(void)
{
	uint64_t word;
	uint32_t len;

	for (unsigned tries = 0; !vyukov_try_get(ring, &word, &len);)
		give_way(&tries);
	return word;
}

static void queue_put(uint64_t word)
{
	check(mp_queue_put(queue, &word, sizeof word, MP_FOREVER));
}

static uint64_t queue_get(void)
{
	uint64_t word;

	check(mp_queue_get(queue, &word, sizeof word, MP_FOREVER));
	return word;
}

const struct crowd crowd_vyukov = { ring_put, ring_get };
const struct crowd crowd_queue = { queue_put, queue_get };

static void *putter(void *arg)
{
	struct run *run = arg;
	const struct crowd *crowd = run->row->arg;

	while (!run_is_over(run))
		crowd->put(1);
	crowd->put(0);
	return NULL;
}

static pthread_t start_putter(struct run *run)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, putter, run) != 0)
		bench_fail("cannot start a thread");
	return thread;
}

static uint64_t partner_received(void)
{
	return atomic_load_explicit(&shared->partner_received, memory_order_relaxed);
}

/* A lap lasts so many of our messages; its operations are those of both getters. */
void crowd_measure(struct run *run)
{
	const struct crowd *crowd = run->row->arg;
	pthread_t thread = start_putter(run);
	uint64_t before = partner_received(), now;
	bool is_over;

	run_begin(run);
	do {
		for (unsigned i = 0; i < MESSAGES_A_LAP; i++)
			crowd->get();
		now = partner_received();
		is_over = !run_lap(run, MESSAGES_A_LAP + (unsigned)(now - before));
		before = now;
	} while (!is_over);
	run_tell_over(run);
	while (crowd->get() != 0)
		;
	pthread_join(thread, NULL);
}

void crowd_help(struct run *run)
{
	const struct crowd *crowd = run->row->arg;
	pthread_t thread = start_putter(run);

	for (uint64_t received = partner_received(); crowd->get() != 0;)
		atomic_store_explicit(&shared->partner_received, ++received,
				      memory_order_relaxed);
	pthread_join(thread, NULL);
}
