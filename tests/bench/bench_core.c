/* SPDX-License-Identifier: MIT
 *
 * What a message and a lock cost, against the barest thing that could do the same, in one run:
 * "line" is the round trip of one word between two processes, "raw" the hand-off of the bytes with
 * one flag. Prints `name value unit`; no number ever fails, only a call that does.
 */
#include <libshm.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define ROUND_NS 100000000
#define TRIPS_PER_LOOK 128
#define PAIRS 1000000
#define STOP UINT64_MAX
#define RAW_BYTES 48

#define check(call)                                                                                \
	do {                                                                                       \
		if ((call) < 0) {                                                                  \
			fprintf(stderr, "%s: %s\n", #call, mp_explain());                          \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* Two lines of their own, so that each side writes one and reads the other. */
struct side {
	_Alignas(64) _Atomic uint64_t turn;
	unsigned char bytes[RAW_BYTES];
};

struct pair {
	struct side ping, pong;
};

static mp_segment *segment;
static mp_queue *forth, *back;
static struct pair *bare;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static cpu_set_t allowed; /* before anybody was pinned */

/* Parent on the first allowed CPU, child on the second; on one CPU both stay where they are. */
static void pin(unsigned wanted)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof allowed, &allowed) < 0)
		return;
	if (CPU_COUNT(&allowed) < 2)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && wanted-- == 0)
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median of ROUNDS measurements. */
static double median(double (*measure)(void))
{
	double all[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++)
		all[i] = measure();
	qsort(all, ROUNDS, sizeof all[0], by_value);
	return all[ROUNDS / 2];
}

static uint64_t wait_turn(struct side *side, uint64_t turn)
{
	uint64_t now;

	do
		now = atomic_load_explicit(&side->turn, memory_order_acquire);
	while (now != turn && now != STOP);
	return now;
}

static void give_turn(struct side *side, uint64_t turn)
{
	atomic_store_explicit(&side->turn, turn, memory_order_release);
}

static int echo_line(void *unused)
{
	pin(1);
	for (uint64_t i = 1; wait_turn(&bare->ping, i) != STOP; i++)
		give_turn(&bare->pong, i);
	return 0;
}

static int echo_raw(void *unused)
{
	unsigned char bytes[RAW_BYTES];

	pin(1);
	for (uint64_t i = 1; wait_turn(&bare->ping, i) != STOP; i++) {
		memcpy(bytes, bare->ping.bytes, sizeof bytes);
		memcpy(bare->pong.bytes, bytes, sizeof bytes);
		give_turn(&bare->pong, i);
	}
	return 0;
}

static int echo_queue(void *unused)
{
	unsigned char bytes[RAW_BYTES];
	int len;

	pin(1);
	while ((len = mp_queue_get(forth, bytes, sizeof bytes, MP_FOREVER)) > 0)
		check(mp_queue_put(back, bytes, (size_t)len, MP_FOREVER));
	return len;
}

static int pour(void *unused)
{
	uint64_t word = 1;

	pin(1);
	for (unsigned i = 0; i < PAIRS; i++)
		check(mp_queue_put(forth, &word, sizeof word, MP_FOREVER));
	return 0;
}

static mp_process *start(int (*fn)(void *arg))
{
	mp_process *child;

	memset(bare, 0, sizeof *bare);
	check(mp_process_start(segment, NULL, fn, NULL, &child));
	return child;
}

static void end(mp_process *child)
{
	int code;

	check(mp_process_join(child, MP_SEC(60)));
	check(mp_process_exitcode(child, &code));
	if (code != 0)
		exit(1);
	mp_process_close(child);
}

/* Nanoseconds a call of trip(i), i = 1, 2, ..., for as long as a round lasts. */
static double time_trips(void (*trip)(uint64_t i))
{
	int64_t began = now_ns(), now;
	uint64_t i = 0;

	do {
		for (unsigned k = 0; k < TRIPS_PER_LOOK; k++)
			trip(++i);
		now = now_ns();
	} while (now - began < ROUND_NS);
	return (double)(now - began) / (double)i;
}

static void trip_line(uint64_t i)
{
	give_turn(&bare->ping, i);
	wait_turn(&bare->pong, i);
}

static void trip_raw(uint64_t i)
{
	static unsigned char bytes[RAW_BYTES];

	memcpy(bare->ping.bytes, bytes, sizeof bytes);
	give_turn(&bare->ping, i);
	wait_turn(&bare->pong, i);
	memcpy(bytes, bare->pong.bytes, sizeof bytes);
}

static double bare_trips(int (*echo)(void *arg), void (*trip)(uint64_t i))
{
	mp_process *child = start(echo);
	double ns = time_trips(trip);

	give_turn(&bare->ping, STOP);
	end(child);
	return ns;
}

static double line(void)
{
	return bare_trips(echo_line, trip_line);
}

static double raw(void)
{
	return bare_trips(echo_raw, trip_raw);
}

static size_t trip_bytes;

static void trip_queue(uint64_t i)
{
	static unsigned char bytes[RAW_BYTES];

	check(mp_queue_put(forth, bytes, trip_bytes, MP_FOREVER));
	check(mp_queue_get(back, bytes, sizeof bytes, MP_FOREVER));
}

static double queue_trips(size_t bytes)
{
	mp_process *child = start(echo_queue);
	double ns;

	trip_bytes = bytes;
	ns = time_trips(trip_queue);
	check(mp_queue_put(forth, NULL, 0, MP_FOREVER)); /* an empty message ends the echo */
	end(child);
	return ns;
}

static double queue_trip_8(void)
{
	return queue_trips(8);
}

static double queue_trip_48(void)
{
	return queue_trips(RAW_BYTES);
}

static double queue_pair(void)
{
	uint64_t word = 1;
	int64_t began = now_ns();

	for (unsigned i = 0; i < PAIRS; i++) {
		check(mp_queue_put(forth, &word, sizeof word, MP_NOW));
		check(mp_queue_get(forth, &word, sizeof word, MP_NOW));
	}
	return (double)(now_ns() - began) / PAIRS;
}

static double queue_one_way(void)
{
	mp_process *child = start(pour);
	uint64_t word;
	int64_t began = now_ns();

	for (unsigned i = 0; i < PAIRS; i++)
		check(mp_queue_get(forth, &word, sizeof word, MP_FOREVER));
	began = now_ns() - began;
	end(child);
	return PAIRS * 1e3 / (double)began;
}

static double lock_pair(void)
{
	mp_lock *lock;
	int64_t began;

	check(mp_lock_open(segment, "bench", NULL, &lock));
	began = now_ns();
	for (unsigned i = 0; i < PAIRS; i++) {
		check(mp_lock_acquire(lock, MP_FOREVER));
		check(mp_lock_release(lock));
	}
	began = now_ns() - began;
	mp_lock_close(lock);
	return (double)began / PAIRS;
}

static double mutex_pairs(bool is_robust)
{
	pthread_mutex_t *mutex = (pthread_mutex_t *)(void *)bare;
	pthread_mutexattr_t kind;
	int64_t began;

	pthread_mutexattr_init(&kind);
	pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&kind,
				    is_robust ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED);
	pthread_mutex_init(mutex, &kind);
	began = now_ns();
	for (unsigned i = 0; i < PAIRS; i++) {
		pthread_mutex_lock(mutex);
		pthread_mutex_unlock(mutex);
	}
	began = now_ns() - began;
	pthread_mutex_destroy(mutex);
	pthread_mutexattr_destroy(&kind);
	return (double)began / PAIRS;
}

static double mutex_pair(void)
{
	return mutex_pairs(false);
}

static double robust_pair(void)
{
	return mutex_pairs(true);
}

static void print_machine(void)
{
	struct mp_segment_info info;
	struct utsname kernel;
	char date[32];
	time_t now = time(NULL);

	uname(&kernel);
	check(mp_segment_info(segment, &info));
	strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
	printf("# %s %s, %ld CPUs, engine %s, libshm %s, %s\n", kernel.machine, kernel.release,
	       sysconf(_SC_NPROCESSORS_ONLN), info.engine, mp_version(), date);
}

static double print_row(const char *name, double value, const char *unit)
{
	printf("%-24s %10.2f %s\n", name, value, unit);
	fflush(stdout);
	return value;
}

int main(void)
{
	double raw_48, queue_48, lock, mutex;

	bare = mmap(NULL, sizeof *bare, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		    0);
	if (bare == MAP_FAILED)
		return 1;
	check(mp_segment_open("bench", NULL, &segment));
	check(mp_queue_open(segment, "forth", NULL, &forth));
	check(mp_queue_open(segment, "back", NULL, &back));
	print_machine();
	pin(0);
	print_row("line", median(line), "ns");
	raw_48 = print_row("raw_48", median(raw), "ns");
	print_row("queue_round_trip_8", median(queue_trip_8), "ns");
	queue_48 = print_row("queue_round_trip_48", median(queue_trip_48), "ns");
	print_row("queue_48_to_raw", queue_48 / raw_48, "ratio");
	print_row("queue_put_get_alone", median(queue_pair), "ns");
	print_row("queue_one_way_8", median(queue_one_way), "M/s");
	lock = print_row("lock_pair", median(lock_pair), "ns");
	mutex = print_row("pthread_pair", median(mutex_pair), "ns");
	print_row("pthread_robust_pair", median(robust_pair), "ns");
	print_row("lock_to_pthread", lock / mutex, "ratio");
	mp_segment_close(segment);
	return 0;
}
