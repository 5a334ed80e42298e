/* SPDX-License-Identifier: MIT
 *
 * One measurement. Knows: the clock, laps, whether somebody slept. Does not know: which row.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

/* Of the waits in a row that claims to sleep, so many percent must have. */
#define MUST_SLEEP_PERCENT 90

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void busy_wait(int64_t ns)
{
	int64_t end = now_ns() + ns;

	while (now_ns() < end)
		bench_pause();
}

void bench_fail(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

int bench_check(int result, const char *call)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "bench: %s: %s\n", call, mp_explain());
	exit(1);
}

void *shared_pages(size_t bytes)
{
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (pages == MAP_FAILED)
		bench_fail("no memory");
	return pages;
}

static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

void run_begin(struct run *run)
{
	run->count = 0;
	run->last_ns = now_ns();
	run->warm_until_ns = run->last_ns + (int64_t)run->warm_ns;
	run->until_ns = run->warm_until_ns + (int64_t)run->duration_ns;
}

bool run_note(struct run *run, double value)
{
	int64_t now = now_ns();

	if (now >= run->warm_until_ns)
		run->laps[run->count++] = value;
	return run->count < LAPS_MAX && now < run->until_ns;
}

void run_sleep_begins(struct run *run)
{
	run->switches = switches();
}

void run_partner_slept(struct run *run)
{
	atomic_store(run->partner_slept, (uint64_t)(switches() - run->switches));
}

void run_must_have_slept(struct run *run, bool is_partner)
{
	uint64_t slept = is_partner ? atomic_load(run->partner_slept)
				    : (uint64_t)(switches() - run->switches);

	if (slept * 100 < (uint64_t)run->count * MUST_SLEEP_PERCENT)
		run->count = 0;
}
