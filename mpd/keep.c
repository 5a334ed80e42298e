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
#include <unistd.h>

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

static void set_number(const char *variable, long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", number);
	setenv(variable, text, 1);
}

/* All are copied out of the way first: the places may be those of others. */
int keep_lay_out(int socket)
{
	int beyond = STORE_FIRST_FD + (int)kept_count + 1;
	size_t used = 0;

	for (unsigned i = 0; i < kept_count; i++) {
		kept[i].fd = fcntl(kept[i].fd, F_DUPFD_CLOEXEC, beyond);
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ":" : "",
					 kept[i].name);
	}
	socket = fcntl(socket, F_DUPFD_CLOEXEC, beyond);
	for (unsigned i = 0; i < kept_count; i++)
		if (dup2(kept[i].fd, STORE_FIRST_FD + (int)i) < 0)
			return -errno;
	if (dup2(socket, beyond - 1) < 0)
		return -errno;
	setenv("LISTEN_FDNAMES", names, 1);
	set_number("LISTEN_FDS", (long)kept_count);
	set_number("LISTEN_PID", (long)getpid());
	set_number(STORE_SOCKET_VARIABLE, beyond - 1);
	return 0;
}
