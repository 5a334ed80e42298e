/* SPDX-License-Identifier: MIT
 *
 * Rows of read-write locks: free, and two processes that read at once. Knows: the product's and
 * pthread's between processes. Does not know: how often or in which order it is asked.
 */
#include "rows.h"

#include <pthread.h>

#define PAIRS_A_LAP 1000
/* So often the partner says how far it is: a lap of ours must not see it come in leaps. */
#define PAIRS_A_REPORT 20

struct shared {
	_Alignas(64) pthread_rwlock_t pthread;
	_Alignas(64) _Atomic uint64_t partner_read;
};

struct pairs {
	void (*some)(unsigned count); /* acquire and release */
};

static struct shared *shared;
static mp_rwlock *rwlock;

void rwlocks_open(void)
{
	pthread_rwlockattr_t kind;

	shared = shared_pages(sizeof *shared);
	if (pthread_rwlockattr_init(&kind) != 0 ||
	    pthread_rwlockattr_setpshared(&kind, PTHREAD_PROCESS_SHARED) != 0 ||
	    pthread_rwlock_init(&shared->pthread, &kind) != 0)
		bench_fail("no process-shared read-write lock");
	pthread_rwlockattr_destroy(&kind);
	check(mp_rwlock_open(bench_segment, NULL, NULL, &rwlock));
}

#define PAIRS(name, acquire, release)                                                              \
	static void some_##name(unsigned count)                                                    \
	{                                                                                          \
		for (unsigned i = 0; i < count; i++) {                                             \
			acquire;                                                                   \
			release;                                                                   \
		}                                                                                  \
	}                                                                                          \
	const struct pairs rwlock_##name = { some_##name };

PAIRS(pthread_read, pthread_rwlock_rdlock(&shared->pthread),
      pthread_rwlock_unlock(&shared->pthread))
PAIRS(pthread_write, pthread_rwlock_wrlock(&shared->pthread),
      pthread_rwlock_unlock(&shared->pthread))
PAIRS(read, check(mp_rwlock_acquire_read(rwlock, MP_FOREVER)), check(mp_rwlock_release(rwlock)))
PAIRS(write, check(mp_rwlock_acquire_write(rwlock, MP_FOREVER)), check(mp_rwlock_release(rwlock)))

void pairs_of_rwlock(struct run *run)
{
	const struct pairs *pairs = run->row->arg;

	run_begin(run);
	do
		pairs->some(PAIRS_A_LAP);
	while (run_lap(run, PAIRS_A_LAP));
}

static uint64_t partner_read(void)
{
	return atomic_load_explicit(&shared->partner_read, memory_order_relaxed);
}

/* A lap lasts so many of our pairs; its operations are those of both. One in which the partner had
 * no CPU is none of two readers. */
void read_together(struct run *run)
{
	const struct pairs *pairs = run->row->arg;
	uint64_t before, partners;

	run_begin(run);
	do {
		do {
			run_lap_starts(run);
			before = partner_read();
			pairs->some(PAIRS_A_LAP);
			partners = partner_read() - before;
		} while (partners == 0);
	} while (run_lap(run, PAIRS_A_LAP + (unsigned)partners));
	run_tell_over(run);
}

void read_together_too(struct run *run)
{
	const struct pairs *pairs = run->row->arg;

	for (uint64_t read = partner_read(); !run_is_over(run);) {
		pairs->some(PAIRS_A_REPORT);
		read += PAIRS_A_REPORT;
		atomic_store_explicit(&shared->partner_read, read, memory_order_relaxed);
	}
}
