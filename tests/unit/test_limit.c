/* SPDX-License-Identifier: MIT
 *
 * Proves: of each kind of line ten are said in five seconds, the others are counted and their
 * number told once; kinds do not take from each other; more kinds than there is room for do no
 * harm.
 */
#include "harness.h"

#include "mpd/limit.h"

#include <string.h>

#define SECOND INT64_C(1000000000)

static const char kinds[LIMIT_KINDS + 2];

static unsigned say_many(const void *kind, int64_t now_ns, unsigned times)
{
	unsigned said = 0;

	for (unsigned i = 0; i < times; i++) {
		if (limit_allows(kind, now_ns))
			said++;
		else
			limit_leave_out(kind, 1, i + 1 < times ? "an earlier one" : "the last");
	}
	return said;
}

static void ten_are_said_and_the_others_counted(void **state)
{
	struct limit_over over;

	assert_int_equal(say_many(kinds, SECOND, 1000), LIMIT_LINES);
	assert_int_equal(limit_deadline(), 6 * SECOND);
	assert_false(limit_next_over(6 * SECOND - 1, &over));
	assert_true(limit_next_over(6 * SECOND, &over));
	assert_int_equal(over.left_out, 1000 - LIMIT_LINES);
	assert_int_equal(over.level, 1);
	assert_string_equal(over.text, "the last");
	assert_false(limit_next_over(7 * SECOND, &over));
	assert_int_equal(limit_deadline(), INT64_MAX);
}

static void flood_that_goes_on_is_said_ten_times_in_each_window(void **state)
{
	unsigned said = 0, told = 0, left_out = 0;
	struct limit_over over;

	for (int64_t ms = 0; ms < 60000; ms++) {
		while (limit_next_over(ms * 1000000, &over)) {
			told++;
			left_out += over.left_out;
		}
		said += say_many(kinds, ms * 1000000, 3);
	}
	assert_int_equal(said, 12 * LIMIT_LINES);
	assert_int_equal(told, 11);
	assert_true(limit_next_over(INT64_MAX, &over));
	assert_int_equal(said + left_out + over.left_out, 180000);
}

static void what_is_said_seldom_is_always_said(void **state)
{
	struct limit_over over;

	for (int64_t second = 0; second < 1000; second++)
		assert_int_equal(say_many(kinds, second * SECOND, 2), 2);
	assert_false(limit_next_over(INT64_MAX, &over));
}

static void kinds_do_not_take_from_each_other(void **state)
{
	struct limit_over over;

	assert_int_equal(say_many(&kinds[0], 0, 50), LIMIT_LINES);
	assert_int_equal(say_many(&kinds[1], 0, LIMIT_LINES), LIMIT_LINES);
	assert_true(limit_next_over(5 * SECOND, &over));
	assert_false(limit_next_over(5 * SECOND, &over));
}

/* Windows that hold something back are kept; who finds no room is not limited. */
static void more_kinds_than_there_is_room_for_are_said(void **state)
{
	struct limit_over over;

	for (unsigned i = 0; i < LIMIT_KINDS; i++)
		assert_int_equal(say_many(&kinds[i], 0, 20), LIMIT_LINES);
	assert_int_equal(say_many(&kinds[LIMIT_KINDS], 0, 20), 20);
	for (unsigned i = 0; i < LIMIT_KINDS; i++) {
		assert_true(limit_next_over(5 * SECOND, &over));
		assert_int_equal(over.left_out, 20 - LIMIT_LINES);
	}
	assert_int_equal(say_many(&kinds[LIMIT_KINDS], 5 * SECOND, 20), LIMIT_LINES);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(ten_are_said_and_the_others_counted),
	HARNESS_TEST(flood_that_goes_on_is_said_ten_times_in_each_window),
	HARNESS_TEST(what_is_said_seldom_is_always_said),
	HARNESS_TEST(kinds_do_not_take_from_each_other),
	HARNESS_TEST(more_kinds_than_there_is_room_for_are_said),
};

HARNESS_MAIN(tests)
