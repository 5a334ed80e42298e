/* SPDX-License-Identifier: MIT
 *
 * Starting a private mpd. Knows: where its program is, how to let go of it. Does not know: what is
 * said to it.
 *
 * The program is $MP_MPD or the installed one; never searched in PATH, where `mpd` may be a music
 * player. The intermediate child is cloned without SIGCHLD, so the application never notices it.
 */
#include "spawn.h"

#include "explain.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MPD_PATH
#error "MPD_PATH names the installed mpd (meson.build)"
#endif

/* Only system calls from here on: other threads may have held any lock of the C library. */
static void become_mpd(const char *program, char *const arguments[])
{
	long grandchild;

	setsid();
	grandchild = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (grandchild == 0) {
		execv(program, arguments);
		_exit(127);
	}
	_exit(grandchild < 0 ? 1 : 0);
}

int spawn_mpd(const char *endpoint)
{
	const char *wish = getenv("MP_MPD");
	const char *program = wish && *wish ? wish : MPD_PATH;
	char *const arguments[] = { (char *)"mpd", (char *)"--supervise", (char *)"--endpoint",
				    (char *)endpoint, NULL };
	int status = 0;
	long child;

	if (access(program, X_OK) < 0)
		return explain(-errno, "mpd is not installed at %s; set MP_MPD to its path",
			       program);
	child = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (child < 0)
		return explain(-errno, "no process could be made for mpd");
	if (child == 0)
		become_mpd(program, arguments);
	while (waitpid((pid_t)child, &status, __WCLONE) < 0)
		if (errno != EINTR)
			return 0; /* somebody else reaped it */
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : explain(-EAGAIN, "no process could be made for mpd");
}
