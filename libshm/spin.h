/* SPDX-License-Identifier: MIT
 *
 * Spinning. Knows: the pause instruction and the named budgets. Does not know: what is waited for.
 * Unbounded spinning does not exist in this library.
 */
#ifndef LIBSHM_SPIN_H
#define LIBSHM_SPIN_H

#include <stdint.h>

/* A sleep and its wake cost 15 to 30 us across CPUs on the measured machines; spinning longer than
 * that loses even when it succeeds. */
#define SPIN_BUDGET_NS INT64_C(20000)
/* Looks between two readings of the clock: a reading costs about 25 ns, a look about 10. */
#define SPIN_LOOKS_PER_CLOCK 32
/* After so many budgets spent in vain a thread only tries each SPIN_RETRY_PERIOD-th wait. */
#define SPIN_FAILURES_MAX 3
#define SPIN_RETRY_PERIOD 16

/* Tells the CPU that this is a loop of looks. */
#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ __volatile__("yield")
#else
#define cpu_relax() ((void)0)
#endif

#endif
