/* SPDX-License-Identifier: MIT
 *
 * Proves: a name is 1 to 63 bytes of visible UTF-8 without a slash, for segments and objects alike,
 * and whoever breaks the rule is told which part of it.
 */
#include "harness.h"

#include "name.h"
#include "objects.h"

#include <libshm.h>

#include <errno.h>
#include <string.h>

#define SIXTY "123456789012345678901234567890123456789012345678901234567890"

static const char *const good[] = {
	"a",
	"jobs",
	"Worker-1:2",
	" with spaces ",
	".",
	"..",
	"-f",
	"%s%n",
	"\xc3\xa4",                 /* U+00E4, two bytes */
	"\xe6\x97\xa5\xe6\x9c\xac", /* U+65E5 U+672C, three bytes each */
	"\xf0\x9f\x90\x84",         /* U+1F404, four bytes */
	"\xf4\x80\x80\x80",         /* U+100000, in the last plane */
	SIXTY "123",
	SIXTY "\xe6\x97\xa5",
};

static const struct {
	const char *name;
	int error;
	const char *text;
} bad[] = {
	{ "", -EINVAL, "is empty" },
	{ SIXTY "1234", -ENAMETOOLONG, "is too long" },
	{ SIXTY "1\xe6\x97\xa5", -ENAMETOOLONG, "is too long" },
	{ "/", -EINVAL, "contains '/'" },
	{ "a/b", -EINVAL, "contains '/'" },
	{ "a\nb", -EINVAL, "'a\\x0ab' contains a control" },
	{ "\x1b[31m", -EINVAL, "'\\x1b[31m' contains a control" },
	{ "\x7f", -EINVAL, "control" },
	{ "\xc2\x9b", -EINVAL, "'\\xc2\\x9b' contains a control" }, /* U+009B, as ESC [ */
	{ "\xff", -EINVAL, "'\\xff' contains a control" },
	{ "\x80", -EINVAL, "UTF-8" },                 /* begins in the middle */
	{ "a\xc3", -EINVAL, "UTF-8" },                /* ends in the middle */
	{ "\xc3(", -EINVAL, "UTF-8" },
	{ "\xc0\xaf", -EINVAL, "UTF-8" },             /* '/' in two bytes */
	{ "\xe0\x80\xaf", -EINVAL, "UTF-8" },         /* and in three */
	{ "\xf0\x80\x80\xaf", -EINVAL, "UTF-8" },     /* and in four */
	{ "\xed\xa0\x80", -EINVAL, "UTF-8" },         /* a surrogate */
	{ "\xf4\x90\x80\x80", -EINVAL, "UTF-8" },     /* beyond U+10FFFF */
	{ "\xf8\x88\x80\x80\x80", -EINVAL, "UTF-8" },
	{ "a\xe2\x80\x8b", -EINVAL, "invisible" },    /* zero width */
	{ "\xe2\x80\xae" "evil", -EINVAL, "invisible" }, /* from right to left */
	{ "\xef\xbb\xbf" "a", -EINVAL, "invisible" },  /* a byte order mark */
};

static void good_names_are_accepted(void **state)
{
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!name_is_good(good[i]) || name_check("object", good[i]) != 0)
			fail_msg("'%s' is refused: %s", good[i], mp_explain());
}

static void bad_names_are_refused_and_the_sentence_says_why(void **state)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(name_is_good(bad[i].name));
		assert_int_equal(name_check("object", bad[i].name), bad[i].error);
		if (!strstr(mp_explain(), bad[i].text))
			fail_msg("no '%s' in: %s", bad[i].text, mp_explain());
	}
}

static void objects_have_good_names_only(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue = NULL;
	mp_lock *lock = NULL;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(mp_queue_open(segment, bad[i].name, NULL, &queue), bad[i].error);
		assert_int_equal(mp_lock_open(segment, bad[i].name, NULL, &lock), bad[i].error);
		assert_int_equal(mp_lock_unlink(segment, bad[i].name), bad[i].error);
	}
	assert_null(queue);
	assert_null(lock);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(mp_lock_open(segment, good[i], NULL, &lock), 0);
		mp_lock_close(lock);
		assert_int_equal(mp_lock_unlink(segment, good[i]), 0);
	}
	objects_end(&objects);
}

static void segments_have_good_names_only(void **state)
{
	mp_segment *segment = NULL;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(mp_segment_open(bad[i].name, NULL, &segment), bad[i].error);
		assert_non_null(strstr(mp_explain(), "the segment's name"));
		assert_int_equal(mp_segment_unlink(bad[i].name), bad[i].error);
	}
	assert_null(segment);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(mp_segment_open(good[i], NULL, &segment), 0);
		mp_segment_close(segment);
	}
}

static const struct harness_test tests[] = {
	HARNESS_TEST(good_names_are_accepted),
	HARNESS_TEST(bad_names_are_refused_and_the_sentence_says_why),
	HARNESS_TEST(objects_have_good_names_only),
	HARNESS_TEST_WITH_MPD(segments_have_good_names_only),
};

HARNESS_MAIN(tests)
