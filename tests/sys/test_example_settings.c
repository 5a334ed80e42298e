/* SPDX-License-Identifier: MIT
 *
 * Proves: of what many read under a read-write lock nobody sees half, although a writer is killed
 * halfway; one of those who are refused then repairs it, and the next writer goes on.
 */
#include "harness.h"
#include "program.h"

#include <stdlib.h>
#include <string.h>

#define RUN_SECONDS 50
#define RUNS 5

static void expect_text(const struct program *program, const char *text)
{
	if (!strstr(program->text, text))
		fail_msg("'%s' is missing in:\n%s", text, program->text);
}

static void readers_see_no_half_change_of_a_killed_writer(void **state)
{
	char *path = strdup(program_built("docs/examples/settings/settings"));
	char *argv[] = { path, NULL };
	struct program program;

	assert_non_null(path);
	for (unsigned i = 0; i < RUNS; i++) {
		program_run(&program, argv, RUN_SECONDS);
		if (program.code != 0)
			fail_msg("it ended with %d and said:\n%s", program.code, program.text);
		expect_text(&program, "versions: 1000\n");
		expect_text(&program, "\nrepairs: 1\n");
		program_free(&program);
	}
	free(path);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(readers_see_no_half_change_of_a_killed_writer),
};

HARNESS_MAIN(tests)
