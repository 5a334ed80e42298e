/* SPDX-License-Identifier: MIT
 *
 * The runner of every test executable: one process for each test, TAP on stdout.
 * Knows: cmocka's group of one, the captured output, the leak check. Does not know: segments.
 *
 * The runner is the reaper of orphans, so what a test's children leave running (an mpd that does
 * not leave) comes back to it and fails that test.
 */
#include "harness.h"

#include "harness_leaks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Not 0: a test that calls exit(0) has not passed. */
#define EXIT_PASSED 10
#define EXIT_SKIPPED 77
#define TIMEOUT_DEFAULT_S 60
#define ORPHANS_END_MS 1000
#define MPD_ENDS_MS 8000

struct options {
	const char *filter;
	bool is_list;
	bool no_fork;
};

struct outcome {
	int status;      /* of waitpid */
	bool is_timeout;
	bool has_orphans;
};

/* Of the test that runs in this process. */
static const struct harness_test *current;
static struct harness_holdings before;
static struct harness_endpoint endpoint;
static char skip_reason[256];

static unsigned number_from(const char *variable, unsigned fallback)
{
	const char *text = getenv(variable);
	long number = text ? strtol(text, NULL, 10) : 0;

	return number > 0 && number < 100000 ? (unsigned)number : fallback;
}

unsigned harness_scale(void)
{
	return number_from("MP_TEST_SCALE", 1);
}

const struct harness_endpoint *harness_endpoint(void)
{
	assert_true(current->with_mpd);
	return &endpoint;
}

void harness_skip(const char *reason)
{
	snprintf(skip_reason, sizeof skip_reason, "%s", reason);
	skip();
	abort();
}

static int begin_test(void **state)
{
	harness_holdings_take(&before);
	if (current->with_mpd)
		harness_endpoint_begin(&endpoint);
	return 0;
}

static int end_test(void **state)
{
	bool is_clean = true;

	if (current->with_mpd)
		is_clean = harness_endpoint_end(&endpoint);
	is_clean = harness_holdings_same(&before) && is_clean;
	return is_clean ? 0 : -1;
}

static int run_here(const struct harness_test *test)
{
	const struct CMUnitTest tests[] = { { test->name, test->run, begin_test, end_test, NULL } };
	int failed;

	current = test;
	failed = cmocka_run_group_tests_name(test->name, tests, NULL, NULL);
	if (!failed && skip_reason[0])
		printf("\nskip: %s\n", skip_reason);
	fflush(NULL);
	return failed ? 1 : skip_reason[0] ? EXIT_SKIPPED : EXIT_PASSED;
}

/* The test's process: its output goes to the runner's file. */
static pid_t start_test(const struct harness_test *test, int output)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child)
		return child;
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	close(output);
	exit(run_here(test));
}

static bool is_exit(int status, int code)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static bool is_good(const struct outcome *outcome)
{
	return !outcome->has_orphans && (is_exit(outcome->status, EXIT_PASSED) ||
					 is_exit(outcome->status, EXIT_SKIPPED));
}

static bool has_ended(void *arg)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, *(pid_t *)arg, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid != 0;
}

/* Where each of its threads is, for the report of a hang. */
static void say_where(pid_t child)
{
	char command[160];

	snprintf(command, sizeof command,
		 "cd /proc/%d/task && for t in *; do echo $t $(cat $t/comm $t/wchan); done", child);
	if (system(command) != 0)
		fprintf(stderr, "cannot look at process %d\n", child);
}

/* How long what it left running may take to end by itself; a failed test is not waited for. */
static unsigned patience_ms(const struct harness_test *test, int status)
{
	if (!is_exit(status, EXIT_PASSED) && !is_exit(status, EXIT_SKIPPED))
		return 0;
	return test->with_mpd ? MPD_ENDS_MS : ORPHANS_END_MS;
}

static void wait_for_test(const struct harness_test *test, pid_t child, struct outcome *outcome)
{
	unsigned limit_s = number_from("MP_TEST_TIMEOUT", TIMEOUT_DEFAULT_S * harness_scale());

	if (!harness_until(has_ended, &child, limit_s * 1000)) {
		outcome->is_timeout = true;
		say_where(child);
		kill(child, SIGKILL);
	}
	waitpid(child, &outcome->status, 0);
	if (harness_children_left(patience_ms(test, outcome->status)))
		return;
	outcome->has_orphans = true;
	harness_print_children();
	harness_end_children();
}

/* Output as TAP comments; remembers the reason of a skip. */
static void print_output(int output, bool is_shown)
{
	FILE *file = fdopen(output, "r");
	char line[1024];

	rewind(file);
	while (fgets(line, sizeof line, file)) {
		if (strncmp(line, "skip: ", 6) == 0) {
			line[strcspn(line, "\n")] = 0;
			snprintf(skip_reason, sizeof skip_reason, "%.*s",
				 (int)sizeof skip_reason - 1, line + 6);
		} else if (is_shown) {
			printf("# %s%s", line, strchr(line, '\n') ? "" : "\n");
		}
	}
	fclose(file);
}

static void print_outcome(unsigned number, const char *name, const struct outcome *outcome,
			  int output)
{
	bool is_ok = is_good(outcome);

	print_output(output, !is_ok);
	if (outcome->is_timeout)
		printf("# ended by the runner: it took too long\n");
	else if (WIFSIGNALED(outcome->status))
		printf("# ended by signal %d, %s\n", WTERMSIG(outcome->status),
		       strsignal(WTERMSIG(outcome->status)));
	else if (is_exit(outcome->status, 0))
		printf("# it called exit\n");
	printf("%sok %u - %s", is_ok ? "" : "not ", number, name);
	if (is_ok && is_exit(outcome->status, EXIT_SKIPPED))
		printf(" # SKIP %s", skip_reason);
	printf("\n");
	fflush(stdout);
}

/* What the runner itself says about a test belongs to the test's output too. */
static void run_apart(const struct harness_test *test, unsigned number, struct outcome *outcome)
{
	int output = memfd_create("test-output", MFD_CLOEXEC);
	int own_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	int own_stdout = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

	skip_reason[0] = 0;
	fflush(NULL);
	dup2(output, STDERR_FILENO);
	dup2(output, STDOUT_FILENO);
	fcntl(output, F_SETFL, O_APPEND);
	wait_for_test(test, start_test(test, output), outcome);
	fflush(NULL);
	dup2(own_stderr, STDERR_FILENO);
	dup2(own_stdout, STDOUT_FILENO);
	close(own_stderr);
	close(own_stdout);
	print_outcome(number, test->name, outcome, output);
}

static bool run_one(const struct harness_test *test, unsigned number, bool no_fork)
{
	struct outcome outcome = { 0 };

	if (no_fork) {
		int code = run_here(test);

		return code == EXIT_PASSED || code == EXIT_SKIPPED;
	}
	run_apart(test, number, &outcome);
	return is_good(&outcome);
}

static bool parse(int argc, char **argv, struct options *options)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
			options->filter = argv[++i];
		else if (strcmp(argv[i], "--list") == 0)
			options->is_list = true;
		else if (strcmp(argv[i], "--no-fork") == 0)
			options->no_fork = true;
		else
			return false;
	}
	return true;
}

static bool is_wanted(const struct harness_test *test, const struct options *options)
{
	return !options->filter || strstr(test->name, options->filter);
}

int harness_main(int argc, char **argv, const struct harness_test *tests, size_t count)
{
	struct options options = { 0 };
	unsigned wanted = 0, number = 0, failed = 0;

	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: %s [--filter TEXT] [--list] [--no-fork]\n", argv[0]);
		return 2;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGHUP, SIG_DFL); /* of nohup: a shell can trap no signal that it inherits ignored */
	for (size_t i = 0; i < count; i++)
		wanted += is_wanted(&tests[i], &options);
	if (!options.is_list)
		printf("1..%u\n", wanted);
	for (size_t i = 0; i < count; i++) {
		if (!is_wanted(&tests[i], &options))
			continue;
		if (options.is_list)
			printf("%s\n", tests[i].name);
		else if (!run_one(&tests[i], ++number, options.no_fork))
			failed++;
	}
	return failed ? 1 : 0;
}
