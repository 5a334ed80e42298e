/* SPDX-License-Identifier: MIT
 *
 * Monotonic nanoseconds and deadlines. Knows: CLOCK_MONOTONIC. Does not know: who waits.
 * Outside, timeouts are relative; inside, every wait has one absolute deadline.
 */
#ifndef LIBSHM_CLOCK_H
#define LIBSHM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define DEADLINE_NEVER INT64_MAX

int64_t clock_now_ns(void);

/* The absolute deadline of a relative timeout: MP_FOREVER never ends, <= 0 is already over. */
int64_t clock_deadline_ns(int64_t timeout_ns);

static inline bool clock_is_past(int64_t deadline_ns)
{
	return deadline_ns != DEADLINE_NEVER && clock_now_ns() >= deadline_ns;
}

void clock_sleep_ns(int64_t ns);

#endif
