/* SPDX-License-Identifier: MIT
 *
 * Monotonic nanoseconds and deadlines. Knows: clock_gettime. Does not know: who waits.
 */
#include "clock.h"

#include <errno.h>
#include <time.h>

int64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_deadline_ns(int64_t timeout_ns)
{
	int64_t now;

	if (timeout_ns <= 0)
		return 0;
	if (timeout_ns == INT64_MAX)
		return DEADLINE_NEVER;
	now = clock_now_ns();
	return timeout_ns < DEADLINE_NEVER - 1 - now ? now + timeout_ns : DEADLINE_NEVER - 1;
}

void clock_sleep_ns(int64_t ns)
{
	struct timespec left = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}
