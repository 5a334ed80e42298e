/* SPDX-License-Identifier: MIT
 *
 * See roster.h.
 */
#include "roster.h"

#include "memory.h"
#include "store.h"

#include <fcntl.h>
#include <unistd.h>

static int file = -1;

int roster_open(int inherited_fd)
{
	if (inherited_fd >= 0 && memory_check(inherited_fd, 0) == 0) {
		file = inherited_fd;
		return 0;
	}
	if (inherited_fd >= 0)
		close(inherited_fd);
	file = memory_create("mpd:roster", 0);
	if (file < 0)
		return file;
	store_put("roster", file, -1);
	return 0;
}

int roster_fd(void)
{
	return file;
}

bool roster_is_free(uint64_t byte, uint32_t pid)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	if (byte >= INT64_MAX)
		return true; /* no lock can be there */
	lock.l_start = (off_t)byte;
	return fcntl(file, F_GETLK, &lock) == 0 &&
	       (lock.l_type == F_UNLCK ||
		(pid && lock.l_pid > 0 && (uint32_t)lock.l_pid != pid));
}
