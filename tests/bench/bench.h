/* SPDX-License-Identifier: MIT
 *
 * What a row of the benchmark is. Knows: one measurement of one row, as the row's two functions
 * see it. Does not know: batches, statistics, output.
 *
 * A row is an entry in rows.c: run() measures in this process on the first CPU and notes what it
 * saw; other(), if there is one, plays the other part in the partner process on the second CPU at
 * the same time, and returns once run() has told it to.
 *
 *	static void trip(struct run *run)
 *	{
 *		run_begin(run);
 *		do {
 *			... once there and back ...
 *		} while (run_lap(run, 1));
 *		... tell the partner ...
 *	}
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <libshm.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFERENCES_MAX 4
#define LAPS_MAX 65536
#define BUFFER_BYTES (UINT32_C(1) << 20)

struct run;

struct row {
	const char *batch; /* neighbours in the table with the same batch are measured together */
	const char *name;
	const char *unit;
	size_t bytes; /* of a message; the first row of a batch says which raw(n) it probes */
	/* Ratios to these rows of the batch, or to a probe: "rmw", "line", "raw". The first is what
	 * the row is judged by. */
	const char *against[REFERENCES_MAX];
	void (*run)(struct run *run);
	void (*other)(struct run *run);
	const void *arg;
	bool is_rate;   /* also shown as millions a second */
	unsigned times; /* so many times longer than the others; 0: as long */
};

struct run {
	const struct row *row;
	unsigned char *buffer; /* BUFFER_BYTES of private memory, 64-byte aligned */
	_Atomic uint32_t *is_over; /* told to other() by run_tell_over() */
	_Atomic uint64_t *partner_slept; /* voluntary context switches in other() */
	int64_t last_ns, warm_until_ns, until_ns;
	double duration_ns, warm_ns;
	double stamp_ns; /* what reading the clock costs */
	long switches;
	uint32_t count;
	double laps[LAPS_MAX];
};

/* Every call of the product goes through this: what fails ends the benchmark. */
#define check(call) bench_check((call), #call)

int bench_check(int result, const char *call);
void bench_fail(const char *what) __attribute__((noreturn));

int64_t now_ns(void);
void busy_wait(int64_t ns);
/* Zeroed pages that the partner sees too; only from a row file's open function. */
void *shared_pages(size_t bytes);

/* The segment of the rows; it is open before the partner is started. */
extern mp_segment *bench_segment;

/* The clock starts. */
void run_begin(struct run *run);

/* Note a value of its own; false once there are enough. */
bool run_note(struct run *run, double value);

/* `operations` were done since the last lap; false once there are enough. */
static inline bool run_lap(struct run *run, unsigned operations)
{
	int64_t now = now_ns();
	double ns = (double)(now - run->last_ns) - run->stamp_ns;

	run->last_ns = now;
	if (now >= run->warm_until_ns)
		run->laps[run->count++] = ns > 0 ? ns / operations : 0;
	return run->count < LAPS_MAX && now < run->until_ns;
}

/* The product of the row before the lap, not to be counted: start the lap here. */
static inline void run_lap_starts(struct run *run)
{
	run->last_ns = now_ns();
}

static inline bool run_is_over(const struct run *run)
{
	return atomic_load_explicit(run->is_over, memory_order_relaxed) != 0;
}

static inline void run_tell_over(const struct run *run)
{
	atomic_store_explicit(run->is_over, 1, memory_order_release);
}

/* Around a row that claims to sleep: how often this thread gave its CPU away, and the verdict.
 * A row that did not sleep has no value. */
void run_sleep_begins(struct run *run);
void run_partner_slept(struct run *run);
void run_must_have_slept(struct run *run, bool is_partner);

static inline void bench_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
