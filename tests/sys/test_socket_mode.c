/* SPDX-License-Identifier: MIT
 *
 * Proves: who may connect to the system's mpd is what socket-mode and socket-group say: a group's
 * members do, a stranger does not and is told why; mpd stays in that one group and in no other.
 */
#include "harness.h"
#include "people.h"

#include "libshm/wire.h"

#include <libshm.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SECONDS 20

static const char *const crew_only[] = { "--socket-mode=0660", "--socket-group=64100", NULL };

static int open_one(void *wanted)
{
	mp_segment *segment;
	int result = mp_segment_open("one", NULL, &segment);

	if (result != *(int *)wanted)
		fail_msg("%s", mp_explain());
	if (result == 0)
		mp_segment_close(segment);
	return 0;
}

/* Whoever only looks where libshm looks by itself has no system's mpd. */
static int find_none(void *arg)
{
	static const struct mp_segment_opts no_spawn = { .flags = MP_NO_SPAWN };
	mp_segment *segment;

	unsetenv("MP_ENDPOINT");
	return mp_segment_open("one", &no_spawn, &segment) != -ECONNREFUSED;
}

static void expect_socket(mode_t mode, gid_t gid)
{
	struct stat about;

	assert_int_equal(stat(WIRE_SYSTEM_ENDPOINT, &about), 0);
	assert_int_equal(about.st_mode & 0777, mode);
	assert_int_equal(about.st_gid, gid);
}

static void expect_groups(const char *groups)
{
	char path[64], line[256], wanted[64];
	bool is_found = false;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", people_mpd());
	snprintf(wanted, sizeof wanted, "Groups:\t%s", groups);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		is_found |= strncmp(line, wanted, strlen(wanted)) == 0 &&
			    strspn(line + strlen(wanted), " \n") == strlen(line + strlen(wanted));
	fclose(file);
	assert_true(is_found);
}

static void mode_and_group_say_who_may_connect(void **state)
{
	int served = 0, refused = -EACCES;

	people_begin(MPD_USER, crew_only);
	expect_socket(0660, CREW);
	expect_groups("64100");
	people_do(ALICE, open_one, &served);
	people_do(BOB, open_one, &served);
	people_do(ROOT, open_one, &served);
	people_do(STRANGER, open_one, &refused);
	people_do(STRANGER, find_none, NULL);
	people_kill_mpd();
	expect_groups("64100");
	people_do(ALICE, open_one, &served);
	people_do(STRANGER, open_one, &refused);
	people_end();
}

static void everybody_may_connect_where_nothing_is_said(void **state)
{
	int served = 0;

	people_begin(MPD_USER, NULL);
	expect_socket(0666, MPD_USER);
	expect_groups("");
	people_do(STRANGER, open_one, &served);
	people_end();
}

static void refuses(const char *first, const char *second, int code, const char *sentence)
{
	char *argv[] = { getenv("MP_MPD"), (char *)"--foreground", (char *)(uintptr_t)first,
			 (char *)(uintptr_t)second, NULL };
	struct program program;

	program_run(&program, argv, SECONDS);
	assert_int_equal(program.code, code);
	if (!strstr(program.text, sentence))
		fail_msg("no '%s' in: %s", sentence, program.text);
	program_free(&program);
}

static void what_makes_no_sense_is_refused(void **state)
{
	refuses("--socket-mode=0660", NULL, 1, "are for --system");
	refuses("--socket-group=64100", NULL, 1, "are for --system");
	refuses("--socket-mode=660x", "--system", 2, "'660x' is no mode such as 0660");
	refuses("--socket-mode=0066", "--system", 2, "rw for the owner");
	refuses("--socket-mode=01666", "--system", 2, "at most 0777");
	refuses("--socket-group=no such group", "--system", 1, "there is no group 'no such group'");
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(mode_and_group_say_who_may_connect),
	HARNESS_TEST_WITH_MPD(everybody_may_connect_where_nothing_is_said),
	HARNESS_TEST_WITH_MPD(what_makes_no_sense_is_refused),
};

HARNESS_MAIN(tests)
