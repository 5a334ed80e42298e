/* SPDX-License-Identifier: MIT
 *
 * Starting a private mpd. Knows: where its program is, how to let go of it. Does not know: what is
 * said to it.
 *
 * The program is $MP_MPD or the installed one; never searched in PATH, where `mpd` may be a music
 * player. The intermediate child is cloned without SIGCHLD, so the application never notices it.
 *
 * Its stderr is a pipe to us: mpd writes there why it cannot serve, and lets go of it as soon as it
 * serves. A child that another thread forks meanwhile may hold the pipe open, so its end is waited
 * for by nobody; what was written counts once it is a whole line.
 */
#include "spawn.h"

#include "explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MPD_PATH
#error "MPD_PATH names the installed mpd (meson.build)"
#endif

static const char no_program[] = "the program cannot be executed\n";

/* Only system calls from here on: other threads may have held any lock of the C library. */
static void become_mpd(const char *program, char *const arguments[], int voice)
{
	long grandchild;

	setsid();
	if (voice == STDERR_FILENO)
		fcntl(voice, F_SETFD, 0);
	else
		dup2(voice, STDERR_FILENO);
	grandchild = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (grandchild == 0) {
		execv(program, arguments);
		if (write(STDERR_FILENO, no_program, sizeof(no_program) - 1) < 0)
			_exit(126);
		_exit(127);
	}
	_exit(grandchild < 0 ? 1 : 0);
}

/* For who wants to talk to mpd, each reason why there is none is the same error. */
static int explain_no_process(int error)
{
	return explain(-ECONNREFUSED, "no process could be made for mpd (%s)", strerror(error));
}

static int start(const char *program, const char *endpoint, int voice)
{
	char *const arguments[] = { (char *)"mpd", (char *)"--supervise", (char *)"--endpoint",
				    (char *)endpoint, NULL };
	int status = 0;
	long child = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);

	if (child < 0)
		return explain_no_process(errno);
	if (child == 0)
		become_mpd(program, arguments, voice);
	while (waitpid((pid_t)child, &status, __WCLONE) < 0)
		if (errno != EINTR)
			return 0; /* somebody else reaped it */
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : explain_no_process(EAGAIN);
}

int spawn_mpd(const char *endpoint, struct spawn *spawn)
{
	const char *wish = getenv("MP_MPD");
	const char *program = wish && *wish ? wish : MPD_PATH;
	int channel[2], result;

	*spawn = (struct spawn){ .fd = -1 };
	if (access(program, X_OK) < 0)
		return explain(-ECONNREFUSED, "mpd is not installed at %s (%s); set MP_MPD to its "
					      "path", program, strerror(errno));
	if (pipe2(channel, O_CLOEXEC | O_NONBLOCK) < 0)
		return explain(-EMFILE, "no pipe could be made to start mpd with (%s)",
			       strerror(errno));
	result = start(program, endpoint, channel[1]);
	close(channel[1]);
	spawn->fd = channel[0];
	if (result < 0)
		spawn_end(spawn);
	return result;
}

static bool is_whole_line(const struct spawn *spawn)
{
	return spawn->used > 0 && (spawn->used == sizeof(spawn->text) - 1 ||
				   memchr(spawn->text, '\n', spawn->used));
}

/* The sentence alone: without the program's name before it, and the lines after it. */
static void cut(char *text)
{
	static const char name[] = "mpd: ";

	text[strcspn(text, "\n")] = '\0';
	if (strncmp(text, name, strlen(name)) == 0)
		memmove(text, text + strlen(name), strlen(text + strlen(name)) + 1);
}

bool spawn_has_failed(struct spawn *spawn)
{
	ssize_t bytes = -1;

	if (spawn->fd >= 0 && spawn->used < sizeof(spawn->text) - 1)
		bytes = read(spawn->fd, spawn->text + spawn->used,
			     sizeof(spawn->text) - 1 - spawn->used);
	if (bytes > 0)
		spawn->used += (size_t)bytes;
	spawn->text[spawn->used] = '\0';
	if (!is_whole_line(spawn))
		return false;
	cut(spawn->text);
	return true;
}

void spawn_end(struct spawn *spawn)
{
	if (spawn->fd >= 0)
		close(spawn->fd);
	spawn->fd = -1;
}
