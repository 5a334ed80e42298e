/* SPDX-License-Identifier: MIT
 *
 * A reference: the naive mutex on a futex. See reference_mutex.h. Knows: the futex. Does not know:
 * the product's locks, what is measured.
 */
#include "reference_mutex.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void naive_wait(struct naive_mutex *mutex)
{
	while (atomic_exchange_explicit(&mutex->word, NAIVE_CONTENDED, memory_order_acquire) !=
	       NAIVE_FREE)
		syscall(SYS_futex, &mutex->word, FUTEX_WAIT, NAIVE_CONTENDED, NULL, NULL, 0);
}

void naive_wake(struct naive_mutex *mutex)
{
	syscall(SYS_futex, &mutex->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void naive_acquire(struct naive_mutex *mutex)
{
	naive_acquire_inlined(mutex);
}

void naive_release(struct naive_mutex *mutex)
{
	naive_release_inlined(mutex);
}
