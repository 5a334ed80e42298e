/* SPDX-License-Identifier: MIT
 *
 * The supervisor's table of named descriptors. Knows: LISTEN_FDS as systemd lays it out. Does not
 * know: what the descriptors are, when mpd is started.
 */
#include "keep.h"

#include "log.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define OWN_MAX 16 /* descriptors of the supervisor's own */

struct kept {
	char name[STORE_NAME_BYTES];
	int fd;
};

static struct kept kept[STORE_MAX];
static unsigned kept_count;
static char names[STORE_MAX * STORE_NAME_BYTES];

void keep_put(const char *name, const struct wire_fds *fds)
{
	for (unsigned i = 0; i < fds->count; i++) {
		if (kept_count == STORE_MAX) {
			log_error("no room to keep '%s'", name);
			close(fds->fd[i]);
			continue;
		}
		fcntl(fds->fd[i], F_SETFD, 0); /* now, and not when mpd is waited for */
		snprintf(kept[kept_count].name, STORE_NAME_BYTES, "%s", name);
		kept[kept_count++].fd = fds->fd[i];
	}
}

void keep_forget(const char *name)
{
	unsigned left = 0;

	for (unsigned i = 0; i < kept_count; i++) {
		if (strcmp(kept[i].name, name) == 0)
			close(kept[i].fd);
		else
			kept[left++] = kept[i];
	}
	kept_count = left;
}

unsigned keep_count(void)
{
	return kept_count;
}

static int set_number(const char *variable, long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", number);
	return setenv(variable, text, 1);
}

int keep_out_of_the_way(int fd)
{
	struct rlimit limit = { 0 };
	int place = STORE_FIRST_FD + STORE_MAX;
	int moved;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur <= (rlim_t)place + OWN_MAX)
		place = (int)limit.rlim_cur - OWN_MAX;
	moved = place <= STORE_FIRST_FD ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, place);
	if (moved < 0)
		return fd;
	close(fd);
	return moved;
}

/* Each descriptor stands where mpd looks for it, but for those behind places that were given up:
 * these fill them. What is moved stays open in its old place too; mpd closes all it was not told
 * of. */
static int fill_places(const struct kept *at[])
{
	struct kept *beyond = kept;
	int end = STORE_FIRST_FD + (int)kept_count;

	for (unsigned i = 0; i < kept_count; i++)
		if (kept[i].fd >= STORE_FIRST_FD && kept[i].fd < end)
			at[kept[i].fd - STORE_FIRST_FD] = &kept[i];
	for (unsigned i = 0; i < kept_count; i++) {
		if (at[i])
			continue;
		while (beyond->fd >= STORE_FIRST_FD && beyond->fd < end)
			beyond++;
		if (dup2(beyond->fd, STORE_FIRST_FD + (int)i) < 0)
			return -errno;
		at[i] = beyond++;
	}
	return 0;
}

int keep_lay_out(int socket)
{
	static const struct kept *at[STORE_MAX];
	int end = STORE_FIRST_FD + (int)kept_count, error;
	size_t used = 0;

	if (socket < end)
		socket = fcntl(socket, F_DUPFD_CLOEXEC, end);
	error = socket < 0 ? -errno : fill_places(at);
	if (error < 0)
		return error;
	for (unsigned i = 0; i < kept_count; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ":" : "",
					 at[i]->name);
	fcntl(socket, F_SETFD, 0);
	if (setenv("LISTEN_FDNAMES", names, 1) < 0 ||
	    set_number("LISTEN_FDS", (long)kept_count) < 0 ||
	    set_number("LISTEN_PID", (long)getpid()) < 0 ||
	    set_number(STORE_SOCKET_VARIABLE, socket) < 0)
		return -ENOMEM; /* an mpd that is not told of them all would let go of the rest */
	return 0;
}
