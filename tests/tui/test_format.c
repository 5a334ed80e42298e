/* SPDX-License-Identifier: MIT
 *
 * Proves: figures are short and in the right unit at every size, bars and histories keep their
 * length, texts are never cut inside a character, JSON is valid whatever it is given.
 */
#include "harness.h"
#include "json_check.h"
#include "mptop/format.h"
#include "mptop/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_age(int64_t ns, const char *expected)
{
	struct text text = { 0 };

	format_age(&text, ns);
	assert_string_equal(text.bytes, expected);
}

static void ages_change_their_unit_where_it_reads_best(void **state)
{
	assert_age(0, "-");
	assert_age(-5, "-");
	assert_age(7, "7ns");
	assert_age(999, "999ns");
	assert_age(1000, "1.0us");
	assert_age(62000, "62us");
	assert_age(999700, "1.0ms");
	assert_age(1200000, "1.2ms");
	assert_age(3400000000, "3.4s");
	assert_age(12000000000, "12s");
	assert_age(59990000000, "1.0m");
	assert_age(180000000000, "3.0m");
	assert_age(7560000000000, "2.1h");
	assert_age(86400000000000 * 12, "12d");
	assert_age(INT64_MAX, "106752d");
}

static void assert_quantity(double value, const char *expected)
{
	struct text text = { 0 };

	format_quantity(&text, value);
	assert_string_equal(text.bytes, expected);
}

static void quantities_have_three_digits(void **state)
{
	assert_quantity(0, "0");
	assert_quantity(-1, "0");
	assert_quantity(0.4, "0.4");
	assert_quantity(7, "7");
	assert_quantity(12.3, "12");
	assert_quantity(999, "999");
	assert_quantity(999.7, "1.00k");
	assert_quantity(1240, "1.24k");
	assert_quantity(12100, "12.1k");
	assert_quantity(88000, "88.0k");
	assert_quantity(999960, "1.00M");
	assert_quantity(1240000, "1.24M");
	assert_quantity(1.8e19, "18.0E");
}

static void assert_bytes(uint64_t bytes, const char *expected)
{
	struct text text = { 0 };

	format_bytes(&text, bytes);
	assert_string_equal(text.bytes, expected);
}

static void bytes_are_counted_in_powers_of_1024(void **state)
{
	assert_bytes(0, "0");
	assert_bytes(512, "512");
	assert_bytes(1024, "1.0K");
	assert_bytes(65536, "64K");
	assert_bytes(UINT64_C(412) << 20, "412M");
	assert_bytes(UINT64_C(1) << 30, "1.0G");
	assert_bytes(UINT64_MAX, "16E");
}

static void assert_count(uint64_t count, const char *expected)
{
	struct text text = { 0 };

	format_count(&text, count, "death");
	assert_string_equal(text.bytes, expected);
}

static void one_is_counted_in_the_singular(void **state)
{
	assert_count(0, "0 deaths");
	assert_count(1, "1 death");
	assert_count(2, "2 deaths");
}

static void percents_never_exceed_100_nor_divide_by_nothing(void **state)
{
	struct text text = { 0 };

	format_percent(&text, 3, 0);
	text_add(&text, " ");
	format_percent(&text, 1, 3);
	text_add(&text, " ");
	format_percent(&text, 5, 3);
	assert_string_equal(text.bytes, "- 33% 100%");
}

static void a_bar_is_full_only_when_full_and_empty_only_when_empty(void **state)
{
	const struct { double part; const char *bar; } rows[] = {
		{ 0, "........" }, { 1, "#......." }, { 512, "####...." },
		{ 1023, "#######." }, { 1024, "########" }, { 5000, "########" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct text text = { 0 };

		format_bar(&text, &format_ascii, 8, rows[i].part, 1024);
		assert_string_equal(text.bytes, rows[i].bar);
	}
}

static void a_history_shows_the_last_values_scaled_to_the_largest(void **state)
{
	const double values[] = { 100, 0, 7, 14 }, none[] = { 0, 0 };
	struct text text = { 0 };

	format_history(&text, &format_ascii, 3, values, 4);
	assert_string_equal(text.bytes, " =#");
	text_clear(&text);
	format_history(&text, &format_ascii, 9, none, 2);
	assert_string_equal(text.bytes, "  ");
}

static void texts_are_never_cut_inside_a_character(void **state)
{
	struct text text = { 0 };
	char copy[6];

	text_add(&text, "abcd\u00fc!");
	text_copy(&text, copy, sizeof(copy));
	assert_string_equal(copy, "abcd");
	while (text.used + 7 < TEXT_BYTES)
		text_add(&text, "\u20ac\u20ac");
	text_add(&text, "%s", "\u20ac\u20ac\u20ac\u20ac");
	assert_int_equal(text.used, strlen(text.bytes));
	assert_int_equal((unsigned char)text.bytes[text.used - 1], 0xac);
}

static void write_everything(struct json *json, const char *nasty)
{
	json_open(json, NULL, '{');
	json_string(json, "text", nasty);
	json_string(json, nasty, "");
	json_number(json, "not a number", NAN);
	json_number(json, "infinite", -INFINITY);
	json_number(json, "small", 0.0625);
	json_number(json, "large", 1e300);
	json_unsigned(json, "unsigned", UINT64_MAX);
	json_signed(json, "signed", INT64_MIN);
	json_bool(json, "true", true);
	json_open(json, "empty", '[');
	json_close(json, ']');
	json_open(json, "list", '[');
	for (int i = 0; i < 3; i++) {
		json_open(json, NULL, '{');
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}

static void json_is_valid_whatever_it_is_given(void **state)
{
	char *text;
	size_t bytes;
	struct json json = { .out = open_memstream(&text, &bytes) };

	assert_non_null(json.out);
	write_everything(&json, "q\" b\\ n\n t\t \x01\x1f\x7f \u00fc\u20ac </script>");
	fclose(json.out);
	if (!json_is_valid(text))
		fail_msg("not JSON: %s", text);
	assert_null(strchr(text, '\n'));
	assert_non_null(strstr(text, "\"small\":0.062"));
	assert_non_null(strstr(text, "\"empty\":[],\"list\":[{},{},{}]}"));
	free(text);
}

/* The judge must be able to say no. */
static void the_json_check_refuses_what_is_none(void **state)
{
	static const char *const wrong[] = { "",      "{",    "{\"a\":1,}", "[1 2]",  "{\"a\" 1}",
					     "01",    "nan",  "\"a",        "\"\n\"", "\"\\x\"",
					     "{} {}", "[1,]", "\"\xff\"",   "1." };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (json_is_valid(wrong[i]))
			fail_msg("taken for JSON: %s", wrong[i]);
	assert_true(json_is_valid(" {\"a\":[1,-2.5e3,null,true,\"\\u00fc\"]} \n"));
}

static const struct harness_test tests[] = {
	HARNESS_TEST(ages_change_their_unit_where_it_reads_best),
	HARNESS_TEST(quantities_have_three_digits),
	HARNESS_TEST(bytes_are_counted_in_powers_of_1024),
	HARNESS_TEST(one_is_counted_in_the_singular),
	HARNESS_TEST(percents_never_exceed_100_nor_divide_by_nothing),
	HARNESS_TEST(a_bar_is_full_only_when_full_and_empty_only_when_empty),
	HARNESS_TEST(a_history_shows_the_last_values_scaled_to_the_largest),
	HARNESS_TEST(texts_are_never_cut_inside_a_character),
	HARNESS_TEST(json_is_valid_whatever_it_is_given),
	HARNESS_TEST(the_json_check_refuses_what_is_none),
};

HARNESS_MAIN(tests)
