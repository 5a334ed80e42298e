/* SPDX-License-Identifier: MIT
 *
 * Proves: no line of mpd's log loses its end unsaid: the longest names and paths there are have
 * room, and what is longer still shows that something is missing.
 */
#include "harness.h"

#include "libshm/layout.h"
#include "libshm/text.h"

#include "mpd/endpoint.h"
#include "mpd/limit.h"
#include "mpd/log.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLOOD (LIMIT_LINES + 1)

static char path[] = "/tmp/libshm-test-log-XXXXXX";
static char written[65536];

static void begin(void)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(log_open(path), 0);
}

/* The log keeps its file as long as mpd lives. */
static void close_log(void)
{
	struct stat named, opened;

	assert_int_equal(stat(path, &named), 0);
	for (int fd = STDERR_FILENO + 1; fd < 16; fd++)
		if (fstat(fd, &opened) == 0 && opened.st_ino == named.st_ino &&
		    opened.st_dev == named.st_dev)
			close(fd);
}

static void read_back(void)
{
	FILE *file = fopen(path, "re");
	size_t bytes;

	assert_non_null(file);
	bytes = fread(written, 1, sizeof written - 1, file);
	written[bytes] = '\0';
	fclose(file);
	close_log();
	unlink(path);
}

/* The longest there is: characters of three bytes. */
static const char *longest(size_t bytes)
{
	static char text[2][4096];
	static unsigned turn;
	char *at = text[turn++ % 2];

	for (size_t i = 0; i < bytes; i++)
		at[i] = "\xe2\x82\xac"[i % 3];
	at[bytes / 3 * 3] = '\0';
	return at;
}

static void expect_whole_characters(void)
{
	for (const char *c = written; *c; c += *c == '\n' ? 1 :
	     text_character((const uint8_t *)c, strlen(c)))
		if (*c != '\n' && !text_character((const uint8_t *)c, strlen(c)))
			fail_msg("a character was cut: %s", written);
}

static void longest_names_and_paths_have_room(void **state)
{
	const char *socket = longest(ENDPOINT_BYTES - 1), *name = longest(NAME_BYTES - 1);

	begin();
	log_warning("'%s' of '%s' at %s, where the service manager listens, and not %s: %s END",
		    name, name, socket, socket,
		    "no sentence in this program says more than this one, which is two lines long "
		    "and tells what happened, to whom, why, and what an administrator does next");
	read_back();
	assert_non_null(strstr(written, " END\n"));
	expect_whole_characters();
}

static void line_that_is_longer_than_any_says_that_it_was_cut(void **state)
{
	begin();
	log_warning("%s", longest(3000));
	log_warning("a%s", longest(3000));
	log_warning("aa%s", longest(3000));
	read_back();
	for (char *line = written; *line; line = strchr(line, '\n') + 1)
		assert_int_equal(strncmp(strchr(line, '\n') - 3, "...", 3), 0);
	expect_whole_characters();
}

static void sentence_that_was_left_out_is_told_to_its_end(void **state)
{
	const char *name = longest(NAME_BYTES - 1), *socket = longest(ENDPOINT_BYTES - 1);

	begin();
	for (unsigned i = 0; i < FLOOD; i++)
		log_warning("'%s' at %s does what nobody asked for and is dropped: END", name,
			    socket);
	log_settle_all();
	for (unsigned i = 0; i < FLOOD; i++)
		log_warning("%s", longest(3000));
	log_settle_all();
	read_back();
	assert_non_null(strstr(written, "1 more like this were left out"));
	assert_string_equal(strrchr(written, ' ') + strcspn(strrchr(written, ' '), "."), "...\n");
	*strrchr(written, ' ') = '\0';
	assert_non_null(strstr(strstr(written, "more like this"), ": END\n"));
}

static const struct harness_test tests[] = {
	HARNESS_TEST(longest_names_and_paths_have_room),
	HARNESS_TEST(line_that_is_longer_than_any_says_that_it_was_cut),
	HARNESS_TEST(sentence_that_was_left_out_is_told_to_its_end),
};

HARNESS_MAIN(tests)
