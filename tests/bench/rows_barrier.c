/* SPDX-License-Identifier: MIT
 *
 * Rows of barriers: two and four threads of two processes meet again and again. Knows: the
 * product's barrier and pthread's between processes. Does not know: how often or in which order it
 * is asked.
 *
 * The measuring thread alone knows when it is over: it names the last meeting before it comes to
 * it, so that everybody sees it after that one and nobody before.
 */
#include "rows.h"

#include <pthread.h>

#define MEETINGS_A_LAP 16

struct shared {
	pthread_barrier_t pthread[2];
	_Alignas(64) _Atomic uint64_t last; /* meeting; 0: not known yet */
};

struct meeting {
	void (*wait)(unsigned which);
	unsigned which; /* 0: two meet, 1: four */
};

static struct shared *shared;
static mp_barrier *barrier[2];

void barriers_open(void)
{
	pthread_barrierattr_t attributes;

	shared = shared_pages(sizeof *shared);
	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	for (unsigned i = 0; i < 2; i++) {
		struct mp_barrier_opts opts = { .parties = 2 + 2 * i };

		if (pthread_barrier_init(&shared->pthread[i], &attributes, opts.parties) != 0)
			bench_fail("no process-shared barrier");
		check(mp_barrier_open(bench_segment, NULL, &opts, &barrier[i]));
	}
	pthread_barrierattr_destroy(&attributes);
}

static void wait_pthread(unsigned which)
{
	pthread_barrier_wait(&shared->pthread[which]);
}

static void wait_ours(unsigned which)
{
	check(mp_barrier_wait(barrier[which], MP_FOREVER, NULL));
}

const struct meeting meeting_pthread_2 = { wait_pthread, 0 };
const struct meeting meeting_pthread_4 = { wait_pthread, 1 };
const struct meeting meeting_2 = { wait_ours, 0 }, meeting_4 = { wait_ours, 1 };

static void *meet_to_the_end(void *arg)
{
	const struct meeting *meeting = arg;
	uint64_t met = 0;

	do
		meeting->wait(meeting->which);
	while (++met != atomic_load(&shared->last));
	return NULL;
}

/* The second thread of a process, where four meet. */
static pthread_t begin_second(const struct meeting *meeting)
{
	pthread_t thread = 0;

	if (meeting->which && pthread_create(&thread, NULL, meet_to_the_end, (void *)meeting) != 0)
		bench_fail("no thread");
	return thread;
}

static void end_second(const struct meeting *meeting, pthread_t thread)
{
	if (meeting->which)
		pthread_join(thread, NULL);
}

void meet(struct run *run)
{
	const struct meeting *meeting = run->row->arg;
	uint64_t met = 0;
	pthread_t second;

	atomic_store(&shared->last, 0); /* the partner of the last row has come out of it */
	second = begin_second(meeting);
	run_begin(run);
	do {
		for (unsigned i = 0; i < MEETINGS_A_LAP; i++, met++)
			meeting->wait(meeting->which);
	} while (run_lap(run, MEETINGS_A_LAP));
	atomic_store(&shared->last, met + 1);
	meeting->wait(meeting->which);
	end_second(meeting, second);
	run_tell_over(run);
}

void meet_too(struct run *run)
{
	const struct meeting *meeting = run->row->arg;
	pthread_t second = begin_second(meeting);

	meet_to_the_end((void *)meeting);
	end_second(meeting, second);
	while (!run_is_over(run))
		bench_pause();
}
