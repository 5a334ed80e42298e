/* SPDX-License-Identifier: MIT
 *
 * How mpd starts. Knows: which of its forms was asked for, detaching from the caller. Does not
 * know: what mpd does (serve.h), how it is kept alive (supervise.h).
 *
 *   mpd                         goes to the background and supervises; returns when it serves
 *   mpd --supervise             supervises in this process, detached (what libshm starts)
 *   mpd --foreground            serves in this process, nobody keeps its descriptors
 *   mpd --foreground --supervise   as process 1 of a container
 */
#include "config.h"
#include "endpoint.h"
#include "log.h"
#include "reload.h"
#include "serve.h"
#include "settings.h"
#include "store.h"
#include "supervise.h"
#include "system.h"
#include "version.h"

#include "libshm/cc.h"
#include "libshm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_MISUSE 2
#define ARGUMENTS_BYTES 8192 /* what a supervisor passes on */

static void replace(int fd, int with)
{
	if (with != fd)
		dup2(with, fd);
}

/* Descriptors 0 to 2 always exist, so that no socket is ever mistaken for stderr. A supervisor lets
 * go of stderr when mpd serves. */
static void detach(bool is_foreground)
{
	int null = open("/dev/null", O_RDWR);

	while (null >= 0 && null <= STDERR_FILENO)
		null = dup(null);
	if (null < 0)
		return;
	if (!is_foreground)
		setsid(); /* fails for a group's leader: it has been detached then */
	replace(STDIN_FILENO, null);
	replace(STDOUT_FILENO, null);
	close(null);
	if (chdir("/") < 0)
		log_debug("no /: %s", strerror(errno));
}

/* Until somebody reads them from a descriptor (serve.c, supervise.c): asked for a little early, mpd
 * does it a little later. */
static void hold_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void harden(void)
{
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* RLIMIT_FSIZE counts for memory files too */
	signal(SIGHUP, SIG_IGN);
}

/* The mpd that the supervisor runs: told what we were told, from wherever, so that a file that has
 * changed or become wrong meanwhile does not come between a kill and the restart. What mpd takes
 * from the file at a SIGHUP, its successors find in the store (reload.h). */
static int supervise(const struct settings *settings, const char *endpoint, int ready_fd)
{
	const char *arguments[SETTINGS_COUNT + 9] = { "mpd", "--foreground", "--config=none",
						      "--reload", reload_path() };
	const char **at = arguments + 5;
	struct supervise_plan plan = { .endpoint = endpoint,
				       .ready_fd = ready_fd,
				       .is_background = !settings->foreground.number };
	char room[ARGUMENTS_BYTES];
	int count = settings_pass_on(settings, at, SETTINGS_COUNT, room, sizeof(room));

	if (count < 0) {
		log_error("the configuration is too long to be passed on");
		return EXIT_MISUSE;
	}
	at += count;
	if (settings->endpoint.is_given && !settings->endpoint.is_of_file)
		*at++ = "--of-file=no";
	/* Last, so that it counts: it was chosen where the environment may say more. */
	*at++ = "--endpoint";
	*at++ = endpoint;
	plan.arguments = (char *const *)(uintptr_t)arguments;
	return supervise_run(&plan);
}

/* The caller waits until mpd serves, or until it is clear that it will not. */
static int go_to_background(const struct settings *settings, const char *endpoint)
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
		_exit(supervise(settings, endpoint, channel[1]));
	}
	close(channel[1]);
	if (read(channel[0], &byte, 1) == 1)
		return 0;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool is_system(const struct settings *settings, const char *endpoint)
{
	return settings->system.number || strcmp(endpoint, WIRE_SYSTEM_ENDPOINT) == 0;
}

static int open_log(const struct settings *settings)
{
	const char *path = settings->log_file.text;
	int error = path ? log_open(path) : 0;

	if (error < 0)
		fprintf(stderr, "mpd: the log file %s: %s\n", path, strerror(-error));
	return error;
}

/* A private mpd has one user, and nobody to protect from him: only what was set holds there. */
static void take_quotas(const struct settings *settings, struct serve_plan *plan)
{
	plan->quotas[QUOTA_NONE] = UINT64_MAX;
#define QUOTA(id, field, name, fallback, text)                                                     \
	plan->quotas[QUOTA_##id] = plan->is_system || settings->field.is_given ?                   \
				   (uint64_t)settings->field.number : UINT64_MAX;
#include "libshm/tbl/quotas.h"
#undef QUOTA
}

/* What may change while mpd runs. */
static void take_live(const struct settings *settings, struct serve_plan *plan)
{
	log_set_level((enum log_level)settings->log.number);
	plan->is_kept = settings->keep.number;
	plan->grace_ns = settings->grace.number * 1000000;
	take_quotas(settings, plan);
}

static bool reload_plan(struct serve_plan *plan)
{
	const struct settings *settings = reload();

	if (settings)
		take_live(settings, plan);
	return settings != NULL;
}

/* Only who serves takes them: a supervisor hands them on. */
static bool is_server(const struct settings *settings)
{
	return settings->foreground.number && !settings->supervise.number;
}

static int start(struct settings *settings, const char *endpoint)
{
	struct serve_plan plan = { .endpoint = endpoint,
				   .is_system = is_system(settings, endpoint),
				   .socket_mode = (unsigned)settings->socket_mode.number,
				   .socket_gid = settings->socket_group.number,
				   .reload = reload_plan };

	harden();
	/* A service manager that has started a program that has started us means that program. */
	if (!settings->foreground.number)
		store_disown();
	store_open();
	if (is_server(settings))
		reload_take_over(settings);
	take_live(settings, &plan);
	reload_begin(settings, plan.is_system);
	if (open_log(settings) < 0)
		return EXIT_MISUSE;
	if (is_server(settings)) {
		detach(true);
		return serve(&plan);
	}
	if (!settings->supervise.number)
		return go_to_background(settings, endpoint);
	detach(settings->foreground.number);
	return supervise(settings, endpoint, -1);
}

static int complain(const char *text)
{
	fprintf(stderr, "mpd: %s\n", text);
	return -EINVAL;
}

/* A file that nobody named need not be there; one that is somebody else's was not meant for us (the
 * environment of su), but the system's own must be right. */
static int read_default(struct config *config, bool is_system, struct settings *settings)
{
	char path[CONFIG_PATH_BYTES];
	struct stat about;
	int error = config_default_path(is_system, path);

	if (error == 0 && !is_system && stat(path, &about) == 0 && about.st_uid != geteuid() &&
	    about.st_uid != 0) {
		log_warning("%s is another user's and not read", path);
		return 0;
	}
	if (error == 0)
		error = config_read(config, path, settings);
	return error == 0 || error == -ENOENT ? 0 : complain(config->error);
}

static int read_config(struct settings *settings)
{
	static struct config config;
	const char *path = settings->config.text;
	const char *endpoint = settings->endpoint.text;

	if (path && strcmp(path, "none") == 0)
		return 0;
	if (!path)
		return read_default(&config, endpoint ? is_system(settings, endpoint)
						      : settings->system.number, settings);
	return config_read(&config, path, settings) == 0 ? 0 : complain(config.error);
}

static const char *wanted_endpoint(const struct settings *settings, bool is_of_line)
{
	const char *environment = getenv("MP_ENDPOINT");

	if (settings->system.number)
		return settings->endpoint.text ? settings->endpoint.text : WIRE_SYSTEM_ENDPOINT;
	return !is_of_line && environment && environment[0] ? NULL : settings->endpoint.text;
}

/* Where mpd is process 1, all others end with it. */
static void keep_container(struct settings *settings)
{
	char reason[SETTINGS_REASON_BYTES];
	unsigned keep = settings_find("keep", 4);

	if (getpid() != 1 || settings->keep.is_given)
		return;
	if (settings_take(settings, keep, "yes", reason) < 0)
		abort();
	settings->keep.is_of_file = false;
}

/* Be who is to serve everybody, in a directory that says so. */
static int prepare_system(struct settings *settings, const char *endpoint)
{
	const char *user = settings->user.text, *group = settings->socket_group.text;
	int64_t gid = SYSTEM_NO_GROUP;

	if (!is_system(settings, endpoint) && user)
		return complain("--user is for --system");
	if (!is_system(settings, endpoint) && (group || settings->socket_mode.is_given))
		return complain("--socket-mode and --socket-group are for --system: a private mpd "
				"serves one user");
	if (!is_system(settings, endpoint))
		return 0;
	if (group && system_find_group(group, &gid) < 0)
		return -EINVAL;
	settings->socket_group.number = gid;
	if (system_make_folder(endpoint, user) < 0)
		return -EPERM;
	return user ? system_become(user, gid) : 0;
}

static int run(struct settings *settings)
{
	bool is_of_line = settings->endpoint.is_given;
	char endpoint[ENDPOINT_BYTES];
	int error;

	if (read_config(settings) < 0)
		return EXIT_MISUSE;
	keep_container(settings);
	log_set_level((enum log_level)settings->log.number);
	error = endpoint_choose(wanted_endpoint(settings, is_of_line), endpoint);
	if (error < 0) {
		fprintf(stderr, "mpd: no place for the socket: %s\n", strerror(-error));
		return 1;
	}
	return prepare_system(settings, endpoint) < 0 ? 1 : start(settings, endpoint);
}

int main(int count, char **arguments)
{
	static struct settings settings; /* reload.c has it as long as mpd lives */

	hold_signals();
	settings_begin(&settings);
	if (settings_take_line(&settings, count, arguments) < 0) {
		fprintf(stderr, "Try: mpd --help\n");
		return EXIT_MISUSE;
	}
	if (settings.help.number) {
		settings_print_help(stdout);
		return 0;
	}
	if (settings.version.number)
		return printf("mpd %s\n", MPD_VERSION) < 0;
	return run(&settings);
}
