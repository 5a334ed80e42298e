/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd's log is read by people. A flood of garbage makes a bounded number of lines and says
 * how many it has left out; each line has a time, a level and whom it is about; a file that was
 * renamed is opened anew; the journal's prefixes go to the journal only.
 */
#include "program.h"
#include "raw_client.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLOOD 3000
#define LINES_MAX 200 /* of a test's log, all in all */
#define SECONDS 20

struct watched {
	struct program program;
	char path[128], old_path[136];
	char text[65536]; /* of the file */
	const char *wanted;
};

static struct watched watched;

static void read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t bytes = fd < 0 ? 0 : read(fd, watched.text, sizeof watched.text - 1);

	if (fd >= 0)
		close(fd);
	watched.text[bytes < 0 ? 0 : bytes] = '\0';
}

static bool has_wanted(void *arg)
{
	read_file(watched.path);
	return strstr(watched.text, watched.wanted) != NULL;
}

static void await(const char *text)
{
	watched.wanted = text;
	if (!harness_until(has_wanted, NULL, 15000))
		fail_msg("no '%s' in: %s", text, watched.text);
}

static void start(const char *last)
{
	char *argv[] = { getenv("MP_MPD"), (char *)"--foreground", (char *)"--log-file",
			 watched.path, (char *)(uintptr_t)last, NULL };

	snprintf(watched.path, sizeof watched.path, "%s/log", harness_endpoint()->directory);
	snprintf(watched.old_path, sizeof watched.old_path, "%s.1", watched.path);
	program_start(&watched.program, argv);
	await("serving");
}

static void stop(void)
{
	kill(watched.program.pid, SIGTERM);
	program_wait(&watched.program, SECONDS);
	assert_int_equal(watched.program.code, 0);
	program_free(&watched.program);
	read_file(watched.path);
}

static unsigned count_lines(const char *with)
{
	unsigned count = 0;

	for (const char *at = watched.text; *at; at += strcspn(at, "\n") + 1) {
		const char *found = strstr(at, with);

		count += found && found < at + strcspn(at, "\n");
	}
	return count;
}

static void connect_to(int fd)
{
	struct sockaddr_un address;

	assert_int_equal(wire_address(harness_endpoint()->socket, &address), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
}

static void flood(void)
{
	char byte;

	for (unsigned i = 0; i < FLOOD; i++) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

		connect_to(fd);
		if (send(fd, "garbage", 7, MSG_NOSIGNAL) == 7)
			assert_true(recv(fd, &byte, 1, 0) <= 0);
		close(fd);
	}
}

/* What is left out while the flood lasts is told when its window ends, and at the end. */
static void flood_of_garbage_makes_few_lines_and_tells_how_many_it_left_out(void **state)
{
	unsigned long told = 0, dropped;
	char line[80];
	struct raw raw;

	start("--keep");
	flood();
	snprintf(line, sizeof line, "process %d", (int)getpid());
	await("more like this were left out in 5 s");
	raw_connect(&raw); /* others notice nothing */
	raw_close(&raw);
	stop();
	for (const char *at = watched.text; (at = strstr(at, "warning: ")) != NULL;) {
		at += strlen("warning: ");
		if (strstr(at, "more like this") && strcspn(at, "\n") > 20 &&
		    strncmp(at, "process", 7) != 0)
			told += strtoul(at, NULL, 10);
	}
	dropped = count_lines("is dropped: not our protocol") -
		  count_lines("more like this were left out");
	assert_int_equal(told + dropped, FLOOD);
	assert_true(count_lines("") < LINES_MAX);
	assert_true(count_lines(line) > 0);
	unlink(watched.path);
}

static void each_line_has_a_time_and_a_level(void **state)
{
	unsigned lines = 0;

	start("--log=debug");
	stop();
	for (const char *at = watched.text; *at; at += strcspn(at, "\n") + 1, lines++) {
		int year, month, day, hour, minute, second, ms, pid, used = 0;
		char level[10];

		if (sscanf(at, "%4d-%2d-%2d %2d:%2d:%2d.%3d mpd[%d] %9[a-z]: %n", &year, &month,
			   &day, &hour, &minute, &second, &ms, &pid, level, &used) != 9)
			fail_msg("%s", at);
		assert_int_equal(pid, watched.program.pid);
		assert_true(used > 0);
	}
	assert_true(lines >= 2);
	unlink(watched.path);
}

static void renamed_file_is_opened_anew(void **state)
{
	start(NULL);
	assert_int_equal(rename(watched.path, watched.old_path), 0);
	kill(watched.program.pid, SIGHUP);
	watched.wanted = "";
	assert_true(harness_until(has_wanted, NULL, 1000));
	while (access(watched.path, F_OK) < 0)
		harness_sleep_ms(1);
	stop();
	assert_int_equal(count_lines("serving"), 0);
	assert_int_equal(count_lines("told to end"), 1);
	read_file(watched.old_path);
	assert_int_equal(count_lines("serving"), 1);
	assert_int_equal(count_lines("told to end"), 0);
	unlink(watched.path);
	unlink(watched.old_path);
}

static void file_that_cannot_be_written_is_told_at_the_start(void **state)
{
	char *argv[] = { getenv("MP_MPD"), (char *)"--foreground",
			 (char *)"--log-file=/nowhere/at/all", NULL };
	struct program program;

	program_run(&program, argv, SECONDS);
	assert_int_equal(program.code, 2);
	assert_non_null(strstr(program.text, "the log file /nowhere/at/all: No such file"));
	program_free(&program);
	argv[2] = (char *)"--log-file=here";
	program_run(&program, argv, SECONDS);
	assert_int_equal(program.code, 2);
	assert_non_null(strstr(program.text, "'here' is no absolute path"));
	program_free(&program);
}

/* stderr is a file here: it is the journal only if the variable says that it is this file. */
static void run_with_stream(const char *folder, bool is_journal)
{
	char *argv[] = { getenv("MP_MPD"), (char *)"--foreground", (char *)"--grace=0", NULL };
	struct stat about;
	char path[128], stream[64];
	int fd, saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	pid_t pid;

	snprintf(path, sizeof path, "%s/stderr", folder);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(fstat(fd, &about), 0);
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)about.st_dev,
		 (unsigned long long)about.st_ino + !is_journal);
	setenv("JOURNAL_STREAM", stream, 1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fd, STDERR_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	close(fd);
	close(saved);
	snprintf(watched.path, sizeof watched.path, "%s", path);
	await("serving");
	kill(pid, SIGTERM);
	harness_join(pid);
	assert_int_equal(strncmp(watched.text, "<6>serving", 10) == 0, is_journal);
	unlink(path);
}

static void journal_gets_its_levels_and_others_do_not(void **state)
{
	run_with_stream(harness_endpoint()->directory, true);
	run_with_stream(harness_endpoint()->directory, false);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(flood_of_garbage_makes_few_lines_and_tells_how_many_it_left_out),
	HARNESS_TEST_WITH_MPD(each_line_has_a_time_and_a_level),
	HARNESS_TEST_WITH_MPD(renamed_file_is_opened_anew),
	HARNESS_TEST_WITH_MPD(file_that_cannot_be_written_is_told_at_the_start),
	HARNESS_TEST_WITH_MPD(journal_gets_its_levels_and_others_do_not),
};

HARNESS_MAIN(tests)
