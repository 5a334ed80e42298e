/* SPDX-License-Identifier: MIT
 *
 * Proves: SIGHUP makes mpd obey its configuration file anew, as far as it can while it runs, and
 * say what it did; a wrong file changes nothing; an mpd that is killed is followed by one that
 * obeys the same; and a signal that comes while mpd is starting ends nobody.
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
#include <unistd.h>

#define SECONDS 20
#define KILLS 10

struct service {
	struct program program; /* the supervisor */
	char config[128], log[128];
	char text[65536]; /* of the log */
	const char *wanted;
};

static struct service service;

static void write_config(const char *text)
{
	int fd = open(service.config, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void read_log(void)
{
	int fd = open(service.log, O_RDONLY | O_CLOEXEC);
	ssize_t bytes = fd < 0 ? 0 : read(fd, service.text, sizeof service.text - 1);

	if (fd >= 0)
		close(fd);
	service.text[bytes < 0 ? 0 : bytes] = '\0';
}

static bool has_wanted(void *arg)
{
	read_log();
	return strstr(service.text, service.wanted) != NULL;
}

static void await(const char *text)
{
	service.wanted = text;
	if (!harness_until(has_wanted, NULL, SECONDS * 1000))
		fail_msg("no '%s' in: %s", text, service.text);
}

static void start(const char *config, const char *last)
{
	char *argv[] = { getenv("MP_MPD"), (char *)"--foreground", (char *)"--supervise",
			 (char *)"--config", service.config, (char *)"--log-file", service.log,
			 (char *)(uintptr_t)last, NULL };

	snprintf(service.config, sizeof service.config, "%s/conf", harness_endpoint()->directory);
	snprintf(service.log, sizeof service.log, "%s/log", harness_endpoint()->directory);
	write_config(config);
	program_start(&service.program, argv);
	await("serving");
}

static void end(void)
{
	program_wait(&service.program, SECONDS);
	assert_int_equal(service.program.code, 0);
	program_free(&service.program);
	unlink(service.log);
	unlink(service.config);
}

static void stop(void)
{
	kill(service.program.pid, SIGTERM);
	end();
}

static void reload(const char *config, const char *told)
{
	write_config(config);
	kill(service.program.pid, SIGHUP);
	await(told);
}

/* May this process have a second segment? */
static int open_second(void)
{
	mp_segment *segment;
	int result = mp_segment_open("second", NULL, &segment);

	if (result == 0)
		mp_segment_close(segment);
	return result;
}

static void what_may_change_holds_at_once_and_is_told(void **state)
{
	mp_segment *first;

	start("", "--keep");
	assert_int_equal(mp_segment_open("first", NULL, &first), 0);
	assert_int_equal(open_second(), 0);
	reload("client-segments = 1\n", "client-segments is 1 now, it was its default");
	assert_null(strstr(service.text, "stays"));
	assert_int_equal(open_second(), -EDQUOT);
	reload("client-segments = 2\nlog = debug\n", "log is debug now, it was its default");
	assert_non_null(strstr(service.text, "client-segments is 2 now, it was 1"));
	assert_int_equal(open_second(), 0);
	reload("", "client-segments is its default now, it was 2");
	assert_int_equal(open_second(), 0);
	reload("", "was read anew, nothing has changed");
	mp_segment_close(first);
	stop();
}

static void wrong_file_changes_nothing_and_is_told(void **state)
{
	mp_segment *first;

	start("client-segments = 1\n", "--keep");
	assert_int_equal(mp_segment_open("first", NULL, &first), 0);
	assert_int_equal(open_second(), -EDQUOT);
	reload("client-segments = 5\ngrase = 3\n", "conf:2: there is no key 'grase'");
	assert_non_null(strstr(service.text, "the configuration is not taken, all stays"));
	assert_int_equal(open_second(), -EDQUOT);
	unlink(service.config);
	kill(service.program.pid, SIGHUP);
	await("conf: No such file");
	assert_int_equal(open_second(), -EDQUOT);
	mp_segment_close(first);
	stop();
}

static void what_needs_a_start_is_told_and_the_command_line_counts(void **state)
{
	start("log = info\n", "--grace=7");
	reload("endpoint = /somewhere/else\ngrace = 9\nkeep = yes\n", "keep is yes now");
	assert_non_null(strstr(service.text,
			       "mpd.sock until mpd is started anew, it is /somewhere/else in "));
	assert_non_null(strstr(service.text, "endpoint stays "));
	assert_null(strstr(service.text, "grace is"));
	assert_int_equal(access(harness_endpoint()->socket, F_OK), 0);
	/* Nobody uses it: it leaves once it may. */
	write_config("keep = no\n");
	kill(service.program.pid, SIGHUP);
	end();
}

static void successor_of_a_killed_mpd_obeys_what_it_obeyed(void **state)
{
	mp_segment *first;
	struct raw raw;

	start("", "--keep");
	assert_int_equal(mp_segment_open("first", NULL, &first), 0);
	reload("client-segments = 1\n", "client-segments is 1 now");
	write_config("nonsense\n");
	raw_connect(&raw);
	kill((pid_t)raw.welcome.pid, SIGKILL);
	raw_close(&raw);
	raw_connect(&raw);
	assert_int_equal(raw.welcome.restarts, 1);
	raw_close(&raw);
	assert_int_equal(open_second(), -EDQUOT);
	/* What comes from the file still follows the file. */
	reload("client-segments = 3\n", "client-segments is 3 now, it was 1");
	assert_int_equal(open_second(), 0);
	mp_segment_close(first);
	stop();
}

static int signal_without_end(void *arg)
{
	for (;;) {
		kill(service.program.pid, SIGUSR1);
		kill(service.program.pid, SIGHUP);
		harness_sleep_ms(1);
	}
	return 0;
}

static void signal_that_comes_while_mpd_starts_ends_nobody(void **state)
{
	struct raw raw;
	pid_t flood;

	start("", "--keep");
	flood = harness_fork(signal_without_end, NULL);
	for (unsigned i = 1; i <= KILLS; i++) {
		raw_connect(&raw);
		assert_int_equal(raw.welcome.restarts, i - 1);
		kill((pid_t)raw.welcome.pid, SIGKILL);
		raw_close(&raw);
	}
	raw_connect(&raw);
	assert_int_equal(raw.welcome.restarts, KILLS);
	raw_close(&raw);
	harness_kill(flood);
	stop();
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(what_may_change_holds_at_once_and_is_told),
	HARNESS_TEST_WITH_MPD(wrong_file_changes_nothing_and_is_told),
	HARNESS_TEST_WITH_MPD(what_needs_a_start_is_told_and_the_command_line_counts),
	HARNESS_TEST_WITH_MPD(successor_of_a_killed_mpd_obeys_what_it_obeyed),
	HARNESS_TEST_WITH_MPD(signal_that_comes_while_mpd_starts_ends_nobody),
};

HARNESS_MAIN(tests)
