/* SPDX-License-Identifier: MIT
 *
 * The contexts of queues, for rows and questions. Knows: their bits. Does not know:
 * how one comes about.
 */
#ifndef TESTS_CRASH_FAMILY_QUEUE_H
#define TESTS_CRASH_FAMILY_QUEUE_H

#include "crash.h"

/* In the order of the table in family_queue.c. */
enum {
	EMPTY = 1 << 0,
	SOME = 1 << 1,
	WRAPPED = 1 << 2,
	FULL = 1 << 3,
	GETTER_SLEEPS = 1 << 4,
	PUTTER_SLEEPS = 1 << 5,
	STANDS = 7 << 6, /* at its beginning, in its middle, near its end */
	DIED = 7 << 9,
	DIED_IN_THE_MIDDLE = 1 << 10,
	RETURNED = 1 << 12,
	CLOSED = 1 << 13,
	DRAINED = 1 << 14, /* closed and empty */
	ONE_LEASED_GETTER_SLEEPS = 1 << 15,
	CLOSED_GETTER_SLEEPS = 1 << 16,
	LEASED_BEFORE = 1 << 17,
	LEASED_MANY = 1 << 18,
	NO_MEMORY = 1 << 19
};

/* Which of them the scene has. */
uint32_t queue_context(const struct scene *scene);

#endif
