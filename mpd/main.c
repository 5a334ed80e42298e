/* SPDX-License-Identifier: MIT
 *
 * mpd's command line. Knows: options, detaching from the caller. Does not know: what mpd does
 * (serve.h), how it is kept alive (supervise.h).
 *
 *   mpd                         goes to the background and supervises; returns when it serves
 *   mpd --supervise             supervises in this process, detached (what libshm starts)
 *   mpd --foreground            serves in this process, nobody keeps its descriptors
 *   mpd --foreground --supervise   as process 1 of a container
 */
#include "endpoint.h"
#include "log.h"
#include "serve.h"
#include "store.h"
#include "supervise.h"
#include "version.h"

#include "libshm/cc.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE_DEFAULT_MS 1000
#define GRACE_MAX_MS 86400000

struct options {
#define OPTION(field, name, argument, text) const char *field;
#include "options.h"
#undef OPTION
};

static const struct option option_table[] = {
#define OPTION(field, name, argument, text)                                                        \
	{ name, (argument) ? required_argument : no_argument, NULL,                                \
	  (int)(offsetof(struct options, field) / sizeof(char *)) },
#include "options.h"
#undef OPTION
	{ 0 },
};

static int print_help(FILE *to)
{
	fprintf(to, "usage: mpd [OPTION]...\n"
		    "The daemon of libshm: hands out shared memory, notices deaths, repairs.\n\n");
#define OPTION(field, name, argument, text)                                                        \
	fprintf(to, "  --%s %-*s %s\n", name, 13 - (int)strlen(name),                              \
		(argument) ? (argument) : "", text);
#include "options.h"
#undef OPTION
	return to == stderr ? 2 : 0;
}

/* Each field is NULL or what was given, "" for an option without argument. 0 or -EINVAL. */
static int parse(int count, char **arguments, struct options *options)
{
	const char **fields = (const char **)options;
	int which;

	while ((which = getopt_long(count, arguments, "", option_table, NULL)) >= 0) {
		if (which == '?')
			return -EINVAL;
		fields[which] = optarg ? optarg : "";
	}
	return optind == count ? 0 : -EINVAL;
}

static int read_grace(const char *text, int64_t *ret_ns)
{
	long ms = GRACE_DEFAULT_MS;
	char *end = NULL;

	if (text) {
		ms = strtol(text, &end, 10);
		if (end == text || *end || ms < 0 || ms > GRACE_MAX_MS)
			return -EINVAL;
	}
	*ret_ns = (int64_t)ms * 1000000;
	return 0;
}

static void replace(int fd, int with)
{
	if (with != fd)
		dup2(with, fd);
}

/* Descriptors 0 to 2 always exist, so that no socket is ever mistaken for stderr. */
static void detach(bool is_foreground)
{
	int null = open("/dev/null", O_RDWR);

	while (null >= 0 && null <= STDERR_FILENO)
		null = dup(null);
	if (null < 0)
		return;
	if (!is_foreground) {
		setsid(); /* fails for a group's leader: it has been detached then */
		replace(STDERR_FILENO, null);
	}
	replace(STDIN_FILENO, null);
	replace(STDOUT_FILENO, null);
	close(null);
	if (chdir("/") < 0)
		log_debug("no /: %s", strerror(errno));
}

static void harden(void)
{
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* RLIMIT_FSIZE counts for memory files too */
	signal(SIGHUP, SIG_IGN);
}

/* The mpd that the supervisor runs: our own options, but serving in its own process. */
static int supervise(const struct options *options, const char *endpoint, int ready_fd)
{
	const char *arguments[10] = { "mpd", "--foreground", "--endpoint", endpoint };
	struct supervise_plan plan = { .endpoint = endpoint, .ready_fd = ready_fd };
	unsigned count = 4;

	if (options->is_kept)
		arguments[count++] = "--keep";
	if (options->grace) {
		arguments[count++] = "--grace";
		arguments[count++] = options->grace;
	}
	if (options->level) {
		arguments[count++] = "--log";
		arguments[count++] = options->level;
	}
	plan.arguments = (char *const *)(uintptr_t)arguments;
	return supervise_run(&plan);
}

/* The caller waits until mpd serves, or until it is clear that it will not. */
static int go_to_background(const struct options *options, const char *endpoint)
{
	int channel[2], status;
	char byte;
	pid_t pid;

	if (pipe2(channel, O_CLOEXEC) < 0)
		return 1;
	pid = fork();
	if (pid < 0)
		return 1;
	if (pid == 0) {
		close(channel[0]);
		detach(false);
		_exit(supervise(options, endpoint, channel[1]));
	}
	close(channel[1]);
	if (read(channel[0], &byte, 1) == 1)
		return 0;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int start(const struct options *options, const char *endpoint)
{
	struct serve_plan plan = { .endpoint = endpoint, .is_kept = options->is_kept != NULL };

	if (read_grace(options->grace, &plan.grace_ns) < 0)
		return print_help(stderr);
	harden();
	if (options->is_foreground && !options->is_supervised) {
		store_open();
		detach(true);
		return serve(&plan);
	}
	close_range(STORE_FIRST_FD, ~0U, 0);
	if (!options->is_supervised)
		return go_to_background(options, endpoint);
	detach(options->is_foreground != NULL);
	return supervise(options, endpoint, -1);
}

int main(int count, char **arguments)
{
	struct options options = { 0 };
	char endpoint[ENDPOINT_BYTES];
	int error;

	if (parse(count, arguments, &options) < 0)
		return print_help(stderr);
	if (options.is_help)
		return print_help(stdout);
	if (options.is_version)
		return printf("mpd %s\n", MPD_VERSION) < 0;
	if (options.level && log_set_level(options.level) < 0)
		return print_help(stderr);
	error = endpoint_choose(options.endpoint, endpoint);
	if (error < 0) {
		fprintf(stderr, "mpd: no place for the socket: %s\n", strerror(-error));
		return 1;
	}
	return start(&options, endpoint);
}
