/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd does what its configuration file says; with a wrong one it does not start, says which
 * line is wrong, and so does the program that wanted it.
 */
#include "program.h"
#include "raw_client.h"

#include <libshm.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECONDS 20
#define AT_ONCE_NS INT64_C(4000000000) /* less than the time a silent mpd is waited for */

/* The test's own place for configuration files: what mpd finds there by default. */
static const char *write_config(const char *text)
{
	static char path[128];
	char folder[96];
	int fd;

	snprintf(folder, sizeof folder, "%s/libshm", harness_endpoint()->directory);
	mkdir(folder, 0700);
	snprintf(path, sizeof path, "%s/mpd.conf", folder);
	setenv("XDG_CONFIG_HOME", harness_endpoint()->directory, 1);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void remove_config(void)
{
	char path[128];

	snprintf(path, sizeof path, "%s/libshm/mpd.conf", harness_endpoint()->directory);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

/* Run mpd until it refuses; what it says must hold `sentence`. */
static void refuses(const char *option, const char *path, const char *sentence)
{
	char *argv[] = { getenv("MP_MPD"), (char *)(uintptr_t)option, (char *)(uintptr_t)path,
			 NULL };
	struct program program;

	program_run(&program, argv, SECONDS);
	assert_int_equal(program.code, 2);
	if (!strstr(program.text, sentence))
		fail_msg("no '%s' in: %s", sentence, program.text);
	program_free(&program);
}

static void wrong_file_is_told_and_mpd_does_not_start(void **state)
{
	char sentence[160];
	const char *path = write_config("[mpd]\n\ngrase = 5\n");

	snprintf(sentence, sizeof sentence, "%s:3: there is no key 'grase'; the closest is 'grace'",
		 path);
	refuses(NULL, NULL, sentence);
	refuses("--config", path, sentence);
	refuses("--config", "/nowhere/mpd.conf", "/nowhere/mpd.conf: No such file or directory");
	chmod(path, 0622);
	refuses(NULL, NULL, "others may write to it");
	remove_config();
	assert_int_equal(raw_mpd_count(), 0);
}

static void program_that_wants_an_mpd_hears_what_is_wrong_with_its_file(void **state)
{
	int64_t begin_ns = harness_now_ns();
	mp_segment *segment;

	write_config("keep = no\nlog = loud\n");
	assert_int_equal(mp_segment_open("config", NULL, &segment), -ECONNREFUSED);
	if (!strstr(mp_explain(), "mpd.conf:2: log: 'loud' is no level"))
		fail_msg("%s", mp_explain());
	assert_true(harness_now_ns() - begin_ns < AT_ONCE_NS);
	remove_config();
	assert_int_equal(mp_segment_open("config", NULL, &segment), 0);
	mp_segment_close(segment);
}

static void program_hears_that_mpd_is_no_program(void **state)
{
	mp_segment *segment;

	setenv("MP_MPD", write_config("no program\n"), 1);
	assert_int_equal(chmod(getenv("MP_MPD"), 0700), 0);
	assert_int_equal(mp_segment_open("config", NULL, &segment), -ECONNREFUSED);
	if (!strstr(mp_explain(), "cannot be executed"))
		fail_msg("%s", mp_explain());
	remove_config();
}

static bool is_away(void *arg)
{
	return raw_mpd_count() == 0;
}

/* `keep` from a file holds for the mpd that the supervisor starts after a kill too, although the
 * file is wrong by then; the line's --grace beats the file's. */
static void file_is_obeyed_and_what_it_said_outlives_a_kill(void **state)
{
	const char *path = write_config("grace = 86400000\nkeep = yes\n");
	struct raw raw;

	raw_start("--config", path);
	raw_connect(&raw);
	write_config("nonsense\n");
	kill((pid_t)raw.welcome.pid, SIGKILL);
	raw_close(&raw);
	raw_connect(&raw);
	assert_int_equal(raw.welcome.restarts, 1);
	raw_close(&raw);
	harness_sleep_ms(600); /* four times its grace */
	raw_connect(&raw);
	assert_int_equal(raw.welcome.restarts, 1);
	remove_config();
	kill((pid_t)raw.welcome.pid, SIGTERM);
	raw_close(&raw);
	assert_true(harness_until(is_away, NULL, 10000));
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(wrong_file_is_told_and_mpd_does_not_start),
	HARNESS_TEST_WITH_MPD(program_that_wants_an_mpd_hears_what_is_wrong_with_its_file),
	HARNESS_TEST_WITH_MPD(program_hears_that_mpd_is_no_program),
	HARNESS_TEST_WITH_MPD(file_is_obeyed_and_what_it_said_outlives_a_kill),
};

HARNESS_MAIN(tests)
