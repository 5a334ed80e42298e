/* SPDX-License-Identifier: MIT
 *
 * mpctl as a script uses it. Knows: sh, an mpd that leaves soon after the test. Does not know: what
 * mpctl does.
 */
#include "mpctl_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCRIPT_SECONDS 60
#define AWAIT_MS 30000

static char directory[64];

void mpctl_begin(struct raw *raw)
{
	strcpy(directory, "/tmp/libshm-mpctl-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(setenv("C", program_built("mpd/mpctl"), 1), 0);
	assert_int_equal(setenv("T", program_built("mptop/mptop"), 1), 0);
	assert_int_equal(setenv("D", directory, 1), 0);
	raw_start(NULL, NULL);
	raw_connect(raw);
}

void mpctl_end(struct raw *raw)
{
	DIR *all = opendir(directory);
	struct dirent *entry;

	mpctl_expect(MPCTL_CLEAN, 0, "");
	raw_close(raw);
	assert_non_null(all);
	while ((entry = readdir(all)))
		unlinkat(dirfd(all), entry->d_name, 0);
	closedir(all);
	assert_int_equal(rmdir(directory), 0); /* nothing half made, no folder */
}

const char *mpctl_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

void mpctl_run(struct program *program, const char *script)
{
	char *argv[] = { "sh", "-c", (char *)script, NULL };

	program_run(program, argv, SCRIPT_SECONDS);
}

static void expect(const char *script, int code, const char *text, bool is_part)
{
	struct program program;

	mpctl_run(&program, script);
	if (program.code != code ||
	    (is_part ? !strstr(program.text, text) : strcmp(program.text, text) != 0))
		fail_msg("%s\nended with %d, not %d, and wrote:\n%s--- instead of:\n%s", script,
			 program.code, code, program.text, text);
	program_free(&program);
}

void mpctl_expect(const char *script, int code, const char *text)
{
	expect(script, code, text, false);
}

void mpctl_expect_in(const char *script, int code, const char *text)
{
	expect(script, code, text, true);
}

struct awaited {
	const char *script, *text;
};

static bool has_come(void *arg)
{
	const struct awaited *awaited = arg;
	struct program program;
	bool has;

	mpctl_run(&program, awaited->script);
	has = strstr(program.text, awaited->text) != NULL;
	program_free(&program);
	return has;
}

void mpctl_await(const char *script, const char *text)
{
	struct awaited awaited = { script, text };

	if (!harness_until(has_come, &awaited, AWAIT_MS))
		fail_msg("%s\nnever wrote:\n%s", script, text);
}
