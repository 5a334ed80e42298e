/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd's configuration file is taken as it was meant or not at all; what is wrong with it is
 * said with file, line and what would be right; a file that others can change is not believed.
 */
#include "harness.h"

#include "mpd/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct config config;
static struct settings settings;

static int parse_bytes(const char *text, size_t bytes)
{
	settings_begin(&settings);
	config.error[0] = '\0';
	memcpy(config.text, text, bytes);
	return config_parse(&config, "f", bytes, &settings);
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void accept(const char *text)
{
	if (parse(text) < 0)
		fail_msg("%s: %s", text, config.error);
}

static void refuse(const char *text, const char *sentence)
{
	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(config.error, sentence);
}

static void what_is_not_said_has_its_default(void **state)
{
	accept("");
	assert_int_equal(settings.grace.number, 1000);
	assert_string_equal(settings.log.text, "info");
	assert_int_equal(settings.keep.number, 0);
	assert_null(settings.endpoint.text);
	assert_false(settings.grace.is_given);
}

static void each_kind_of_value_is_taken(void **state)
{
	accept("# of the house\n; too\n\n[mpd]\n  grace=5000\nkeep = Yes\r\n\tlog\t=\tdebug \n"
	       "endpoint = /run/a b/c=d.sock");
	assert_int_equal(settings.grace.number, 5000);
	assert_int_equal(settings.keep.number, 1);
	assert_int_equal(settings.log.number, 3);
	assert_string_equal(settings.endpoint.text, "/run/a b/c=d.sock");
}

static void unknown_key_is_told_with_the_closest_one(void **state)
{
	refuse("grase = 3\n", "f:1: there is no key 'grase'; the closest is 'grace'");
	refuse("keep = no\n\n  edpoint = /x\n",
	       "f:3: there is no key 'edpoint'; the closest is 'endpoint'");
	refuse("gracefully = 3", "f:1: there is no key 'gracefully'; the closest is 'grace'");
	refuse("Keep = yes", "f:1: there is no key 'Keep'; the closest is 'keep'");
	assert_int_equal(parse("= 3"), -EINVAL);
	assert_non_null(strstr(config.error, "f:1: there is no key ''"));
}

static void bad_value_is_told_with_what_would_be_good(void **state)
{
	refuse("grace = soon", "f:1: grace: 'soon' is not a number from 0 to 86400000");
	refuse("grace = -1", "f:1: grace: '-1' is not a number from 0 to 86400000");
	refuse("grace = 99999999999999999999",
	       "f:1: grace: '99999999999999999999' is not a number from 0 to 86400000");
	refuse("grace =", "f:1: grace: '' is not a number from 0 to 86400000");
	refuse("keep = perhaps", "f:1: keep: 'perhaps' is neither yes nor no");
	refuse("log = loud", "f:1: log: 'loud' is no level: it is error, warning, info or debug");
	refuse("socket-mode = 66", "f:1: socket-mode: '66' is no mode such as 0660: octal, at most "
				   "0777, rw for the owner");
	refuse("endpoint =", "f:1: endpoint: it is empty; leave it away instead");
	refuse("grace = 5 # ms", "f:1: grace: '5 # ms' is not a number from 0 to 86400000; a "
				 "comment has a line of its own");
}

static void line_that_is_none_is_told(void **state)
{
	refuse("keep", "f:1: 'keep' is not KEY = VALUE");
	refuse("\n[users]\n",
	       "f:2: there is no section '[users]'; the only one is [mpd]");
	refuse("help = yes", "f:1: 'help' belongs on the command line (--help)");
	refuse("keep = no\nlog = info\nkeep = yes", "f:3: 'keep' was set in line 1 already");
}

static void over_long_line_and_binary_file_are_told(void **state)
{
	char text[CONFIG_LINE_BYTES + 2];

	memset(text, '#', sizeof text);
	assert_int_equal(parse_bytes(text, CONFIG_LINE_BYTES), 0);
	assert_int_equal(parse_bytes(text, CONFIG_LINE_BYTES + 1), -EINVAL);
	assert_string_equal(config.error, "f:1: the line is longer than 512 bytes");
	assert_int_equal(parse_bytes("keep = yes\nlog\0= info", 22), -EINVAL);
	assert_string_equal(config.error, "f:2: a zero byte: this is no text");
	refuse("\x1bgrace = 3", "f:1: there is no key '?grace'; the closest is 'grace'");
}

static void command_line_beats_the_file_which_must_be_right_all_the_same(void **state)
{
	char *line[] = { (char *)"mpd", (char *)"--grace", (char *)"7", (char *)"--keep=no",
			 (char *)"--grace=8", NULL };
	const char *file = "grace = 5000\nkeep = yes\nlog = error\n";

	settings_begin(&settings);
	assert_int_equal(settings_take_line(&settings, 5, line), 0);
	memcpy(config.text, file, strlen(file));
	assert_int_equal(config_parse(&config, "f", strlen(file), &settings), 0);
	assert_int_equal(settings.grace.number, 8);
	assert_int_equal(settings.keep.number, 0);
	assert_int_equal(settings.log.number, 0);
	memcpy(config.text, "grace = x", 9);
	assert_int_equal(config_parse(&config, "f", 9, &settings), -EINVAL);
}

/* What a supervisor passes on is taken for what it was: of the line, or of the file. */
static void where_it_was_given_is_passed_on_too(void **state)
{
	char *line[] = { (char *)"mpd", (char *)"--grace=7", (char *)"--of-file=yes",
			 (char *)"--keep=on", NULL };
	const char *arguments[SETTINGS_COUNT];
	char room[64];

	settings_begin(&settings);
	assert_int_equal(settings_take_line(&settings, 4, line), 0);
	assert_true(settings.keep.is_of_file);
	assert_false(settings.grace.is_of_file);
	assert_int_equal(settings_pass_on(&settings, arguments, SETTINGS_COUNT, room, sizeof room),
			 3);
	for (unsigned i = 0; i < 3; i++)
		assert_string_equal(arguments[i], line[i + 1]);
}

static void what_was_given_is_passed_on_and_nothing_else(void **state)
{
	const char *arguments[SETTINGS_COUNT];
	char room[64];

	accept("keep = on\nlog = debug\n");
	assert_int_equal(settings_pass_on(&settings, arguments, SETTINGS_COUNT, room, sizeof room),
			 3);
	assert_string_equal(arguments[0], "--of-file=yes");
	assert_string_equal(arguments[1], "--keep=on");
	assert_string_equal(arguments[2], "--log=debug");
	assert_int_equal(settings_pass_on(&settings, arguments, SETTINGS_COUNT, room, 35), -E2BIG);
	assert_int_equal(settings_pass_on(&settings, arguments, 2, room, sizeof room), -E2BIG);
}

static void file_that_others_can_change_is_not_believed(void **state)
{
	struct stat about = { .st_mode = S_IFREG | 0644, .st_uid = 1000 };

	assert_null(config_distrust(&about, 1000));
	assert_non_null(strstr(config_distrust(&about, 1001), "belongs to another user"));
	assert_non_null(strstr(config_distrust(&about, 0), "belongs to another user"));
	about.st_uid = 0;
	assert_null(config_distrust(&about, 1000));
	about.st_mode |= S_IWOTH;
	assert_non_null(strstr(config_distrust(&about, 1000), "chmod go-w"));
	about.st_mode = S_IFREG | 0664;
	assert_non_null(strstr(config_distrust(&about, 1000), "chmod go-w"));
	about.st_mode = S_IFDIR | 0755;
	assert_non_null(config_distrust(&about, 1000));
}

struct place {
	char folder[40];
	char path[64];
};

static struct place begin_file(size_t bytes)
{
	struct place place = { .folder = "/tmp/libshm-test-XXXXXX" };
	char *text = malloc(bytes + 1);
	int fd;

	assert_non_null(text);
	memset(text, '\n', bytes + 1);
	memcpy(text, "keep = on\n", 10);
	assert_non_null(mkdtemp(place.folder));
	snprintf(place.path, sizeof place.path, "%s/mpd.conf", place.folder);
	fd = open(place.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, bytes), (ssize_t)bytes);
	close(fd);
	free(text);
	settings_begin(&settings);
	return place;
}

static void end_file(struct place *place)
{
	unlink(place->path);
	rmdir(place->folder);
}

static void file_is_read_or_it_is_said_why_not(void **state)
{
	struct place place = begin_file(10);

	assert_int_equal(config_read(&config, place.path, &settings), 0);
	assert_int_equal(settings.keep.number, 1);
	assert_int_equal(config_read(&config, "/nowhere/mpd.conf", &settings), -ENOENT);
	assert_string_equal(config.error, "/nowhere/mpd.conf: No such file or directory");
	assert_int_equal(config_read(&config, place.folder, &settings), -EPERM);
	chmod(place.path, 0602);
	assert_int_equal(config_read(&config, place.path, &settings), -EPERM);
	unlink(place.path);
	assert_int_equal(mkfifo(place.path, 0600), 0);
	assert_int_equal(config_read(&config, place.path, &settings), -EPERM);
	end_file(&place);
}

static void file_larger_than_any_configuration_is_refused(void **state)
{
	struct place place = begin_file(CONFIG_FILE_BYTES);

	assert_int_equal(config_read(&config, place.path, &settings), 0);
	end_file(&place);
	place = begin_file(CONFIG_FILE_BYTES + 1);
	assert_int_equal(config_read(&config, place.path, &settings), -EINVAL);
	assert_non_null(strstr(config.error, "it is larger than 65536 bytes"));
	end_file(&place);
}

static void default_file_is_the_system_s_or_the_user_s(void **state)
{
	char path[CONFIG_PATH_BYTES];

	assert_int_equal(config_default_path(true, path), 0);
	assert_string_equal(path, "/etc/libshm/mpd.conf");
	setenv("XDG_CONFIG_HOME", "/x", 1);
	setenv("HOME", "/home/h", 1);
	assert_int_equal(config_default_path(false, path), 0);
	assert_string_equal(path, "/x/libshm/mpd.conf");
	setenv("XDG_CONFIG_HOME", "not/absolute", 1);
	assert_int_equal(config_default_path(false, path), 0);
	assert_string_equal(path, "/home/h/.config/libshm/mpd.conf");
	unsetenv("HOME");
	assert_int_equal(config_default_path(false, path), -ENOENT);
}

/* Whatever the bytes: an answer, and a sentence that can be printed. */
static void random_bytes_are_answered(void **state)
{
	static const char letters[] = "keepgrac=lo\n\r\t #[]mpd\0\xff\x01" "0123456789-";
	char text[600];
	unsigned seed = 1;

	for (unsigned i = 0; i < 20000; i++) {
		size_t bytes;

		seed = seed * 1103515245 + 12345;
		bytes = (seed >> 16) % sizeof text;
		for (size_t at = 0; at < bytes; at++) {
			seed = seed * 1103515245 + 12345;
			text[at] = letters[(seed >> 16) % (sizeof letters - 1)];
		}
		if (parse_bytes(text, bytes) == 0)
			continue;
		assert_int_equal(strncmp(config.error, "f:", 2), 0);
		for (const char *c = config.error; *c; c++)
			assert_false((unsigned char)*c < ' ' || *c == 127);
	}
}

static const struct harness_test tests[] = {
	HARNESS_TEST(what_is_not_said_has_its_default),
	HARNESS_TEST(each_kind_of_value_is_taken),
	HARNESS_TEST(unknown_key_is_told_with_the_closest_one),
	HARNESS_TEST(bad_value_is_told_with_what_would_be_good),
	HARNESS_TEST(line_that_is_none_is_told),
	HARNESS_TEST(over_long_line_and_binary_file_are_told),
	HARNESS_TEST(command_line_beats_the_file_which_must_be_right_all_the_same),
	HARNESS_TEST(where_it_was_given_is_passed_on_too),
	HARNESS_TEST(what_was_given_is_passed_on_and_nothing_else),
	HARNESS_TEST(file_that_others_can_change_is_not_believed),
	HARNESS_TEST(file_is_read_or_it_is_said_why_not),
	HARNESS_TEST(file_larger_than_any_configuration_is_refused),
	HARNESS_TEST(default_file_is_the_system_s_or_the_user_s),
	HARNESS_TEST(random_bytes_are_answered),
};

HARNESS_MAIN(tests)
