/* SPDX-License-Identifier: MIT
 *
 * A reference: the naive mutex on a futex. Knows: free, held, held with waiters. Does not know:
 * who holds it, deaths, anything of the product.
 */
#ifndef TESTS_BENCH_REFERENCE_MUTEX_H
#define TESTS_BENCH_REFERENCE_MUTEX_H

#include <stdatomic.h>
#include <stdint.h>

enum naive_state { NAIVE_FREE, NAIVE_HELD, NAIVE_CONTENDED };

struct naive_mutex {
	_Atomic uint32_t word;
};

void naive_wait(struct naive_mutex *mutex);
void naive_wake(struct naive_mutex *mutex);

static inline void naive_acquire_inlined(struct naive_mutex *mutex)
{
	uint32_t expected = NAIVE_FREE;

	if (!atomic_compare_exchange_strong_explicit(&mutex->word, &expected, NAIVE_HELD,
						     memory_order_acquire, memory_order_relaxed))
		naive_wait(mutex);
}

static inline void naive_release_inlined(struct naive_mutex *mutex)
{
	if (atomic_exchange_explicit(&mutex->word, NAIVE_FREE, memory_order_release) ==
	    NAIVE_CONTENDED)
		naive_wake(mutex);
}

/* The same as calls into a shared library, which is what every other lock here is. */
void naive_acquire(struct naive_mutex *mutex);
void naive_release(struct naive_mutex *mutex);

#endif
