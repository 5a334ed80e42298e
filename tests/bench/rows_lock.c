/* SPDX-License-Identifier: MIT
 *
 * Rows of locks, and of an event and semaphores beside them. Knows: the product's, a naive futex
 * mutex, pthread's two and sem_t that work between processes. Does not know: how often or in which
 * order it is asked.
 */
#include "rows.h"

#include "reference_mutex.h"

#include <pthread.h>
#include <semaphore.h>

#define PAIRS_A_LAP 1000
#define CONTENDED_A_LAP 256

struct shared {
	_Alignas(64) struct naive_mutex naive;
	_Alignas(64) pthread_mutex_t pthread;
	_Alignas(64) pthread_mutex_t robust;
	_Alignas(64) sem_t posix;
	_Alignas(64) uint64_t counter; /* guarded by whichever lock is measured */
	_Alignas(64) _Atomic uint64_t helped; /* the partner's turns so far */
	_Atomic uint32_t has_helped;
};

static struct shared *shared;
static mp_lock *plain, *checked;
static mp_event *event;
static mp_sem *bounded, *owned;

static void make_pthread(pthread_mutex_t *mutex, int robust)
{
	pthread_mutexattr_t kind;

	if (pthread_mutexattr_init(&kind) != 0 ||
	    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED) != 0 ||
	    pthread_mutexattr_setrobust(&kind, robust) != 0 ||
	    pthread_mutex_init(mutex, &kind) != 0)
		bench_fail("no process-shared pthread mutex");
	pthread_mutexattr_destroy(&kind);
}

void locks_open(void)
{
	struct mp_lock_opts opts = { .kind = MP_LOCK_PLAIN };
	struct mp_sem_opts permit = { .initial = 1, .maximum = 1 };

	shared = shared_pages(sizeof *shared);
	make_pthread(&shared->pthread, PTHREAD_MUTEX_STALLED);
	make_pthread(&shared->robust, PTHREAD_MUTEX_ROBUST);
	check(mp_lock_open(bench_segment, NULL, &opts, &plain));
	check(mp_lock_open(bench_segment, NULL, NULL, &checked));
	check(mp_event_open(bench_segment, NULL, NULL, &event));
	if (sem_init(&shared->posix, 1, 1) != 0)
		bench_fail("no process-shared semaphore");
	check(mp_sem_open(bench_segment, NULL, &permit, &bounded));
	permit.owned = 1;
	check(mp_sem_open(bench_segment, NULL, &permit, &owned));
}

/* --- free --- */

#define PAIRS(name, acquire, release)                                                              \
	void name(struct run *run)                                                                 \
	{                                                                                          \
		run_begin(run);                                                                    \
		do {                                                                               \
			for (unsigned i = 0; i < PAIRS_A_LAP; i++) {                               \
				acquire;                                                           \
				release;                                                           \
			}                                                                          \
		} while (run_lap(run, PAIRS_A_LAP));                                               \
	}

PAIRS(pairs_naive, naive_acquire(&shared->naive), naive_release(&shared->naive))
PAIRS(pairs_naive_inlined, naive_acquire_inlined(&shared->naive),
      naive_release_inlined(&shared->naive))
PAIRS(pairs_pthread, pthread_mutex_lock(&shared->pthread), pthread_mutex_unlock(&shared->pthread))
PAIRS(pairs_robust, pthread_mutex_lock(&shared->robust), pthread_mutex_unlock(&shared->robust))
PAIRS(pairs_plain, check(mp_lock_acquire(plain, MP_FOREVER)), check(mp_lock_release(plain)))
PAIRS(pairs_checked, check(mp_lock_acquire(checked, MP_FOREVER)), check(mp_lock_release(checked)))

PAIRS(pairs_sem_posix, sem_wait(&shared->posix), sem_post(&shared->posix))
PAIRS(pairs_sem, check(mp_sem_acquire(bounded, MP_FOREVER)), check(mp_sem_release(bounded, 1)))
PAIRS(pairs_sem_owned, check(mp_sem_acquire(owned, MP_FOREVER)), check(mp_sem_release(owned, 1)))

PAIRS(pairs_event, check(mp_event_set(event)), check(mp_event_clear(event)))

/* --- contended --- */

#define MUTEX(name, take, give)                                                                    \
	static void acquire_##name(void)                                                           \
	{                                                                                          \
		take;                                                                              \
	}                                                                                          \
	static void release_##name(void)                                                           \
	{                                                                                          \
		give;                                                                              \
	}                                                                                          \
	const struct mutex mutex_##name = { acquire_##name, release_##name };

MUTEX(naive, naive_acquire(&shared->naive), naive_release(&shared->naive))
MUTEX(pthread, pthread_mutex_lock(&shared->pthread), pthread_mutex_unlock(&shared->pthread))
MUTEX(robust, pthread_mutex_lock(&shared->robust), pthread_mutex_unlock(&shared->robust))
MUTEX(plain, check(mp_lock_acquire(plain, MP_FOREVER)), check(mp_lock_release(plain)))
MUTEX(checked, check(mp_lock_acquire(checked, MP_FOREVER)), check(mp_lock_release(checked)))
MUTEX(sem_posix, sem_wait(&shared->posix), sem_post(&shared->posix))
MUTEX(sem, check(mp_sem_acquire(bounded, MP_FOREVER)), check(mp_sem_release(bounded, 1)))
MUTEX(sem_owned, check(mp_sem_acquire(owned, MP_FOREVER)), check(mp_sem_release(owned, 1)))

static uint64_t count_under(const struct mutex *mutex)
{
	uint64_t count;

	mutex->acquire();
	count = ++shared->counter;
	mutex->release();
	return count;
}

/* Every turn under every lock was counted, or two were in at once. */
static void check_counter(uint64_t ours)
{
	static uint64_t all_ours;

	all_ours += ours;
	if (shared->counter != all_ours + atomic_load(&shared->helped))
		bench_fail("a lock let two in at once");
}

/* A lap lasts so many of our turns; its operations are those of both. */
void contend(struct run *run)
{
	const struct mutex *mutex = run->row->arg;
	uint64_t before = count_under(mutex), now = before, ours = 1;
	bool is_over;

	run_begin(run);
	do {
		for (unsigned i = 0; i < CONTENDED_A_LAP; i++)
			now = count_under(mutex);
		ours += CONTENDED_A_LAP;
		is_over = !run_lap(run, (unsigned)(now - before));
		before = now;
	} while (!is_over);
	run_tell_over(run);
	while (!atomic_exchange(&shared->has_helped, 0))
		bench_pause();
	check_counter(ours);
}

void contend_too(struct run *run)
{
	uint64_t turns = 0;

	for (; !run_is_over(run); turns++)
		count_under(run->row->arg);
	atomic_fetch_add(&shared->helped, turns);
	atomic_store(&shared->has_helped, 1);
}
