/* SPDX-License-Identifier: MIT
 *
 * Proves: relative timeouts become the right absolute deadlines, at the edges of the range too.
 */
#include "harness.h"

#include "clock.h"

#include <libshm/base.h>

static void time_goes_forward(void **state)
{
	int64_t first = clock_now_ns();

	assert_true(first > 0);
	assert_true(clock_now_ns() >= first);
}

static void deadline_of_now_and_of_negative_timeouts_is_past(void **state)
{
	assert_true(clock_is_past(clock_deadline_ns(MP_NOW)));
	assert_true(clock_is_past(clock_deadline_ns(-1)));
	assert_true(clock_is_past(clock_deadline_ns(INT64_MIN)));
}

static void deadline_of_forever_never_comes(void **state)
{
	assert_true(clock_deadline_ns(MP_FOREVER) == DEADLINE_NEVER);
	assert_false(clock_is_past(DEADLINE_NEVER));
}

static void deadline_of_a_timeout_that_overflows_is_finite_and_far(void **state)
{
	int64_t deadline = clock_deadline_ns(MP_FOREVER - 1);

	assert_true(deadline < DEADLINE_NEVER && deadline > clock_now_ns());
	assert_false(clock_is_past(deadline));
}

/* "Not before" can be seen only by who was not held up that long himself. */
static void deadline_comes_when_its_time_is_over_and_not_before(void **state)
{
	int64_t began, deadline;
	bool is_past;

	do {
		began = clock_now_ns();
		deadline = clock_deadline_ns(MP_MSEC(20));
		is_past = clock_is_past(deadline);
	} while (is_past && clock_now_ns() - began >= MP_MSEC(20));
	assert_false(is_past);
	clock_sleep_ns(MP_MSEC(25));
	assert_true(clock_is_past(deadline));
}

static const struct harness_test tests[] = {
	HARNESS_TEST(time_goes_forward),
	HARNESS_TEST(deadline_of_now_and_of_negative_timeouts_is_past),
	HARNESS_TEST(deadline_of_forever_never_comes),
	HARNESS_TEST(deadline_of_a_timeout_that_overflows_is_finite_and_far),
	HARNESS_TEST(deadline_comes_when_its_time_is_over_and_not_before),
};

HARNESS_MAIN(tests)
