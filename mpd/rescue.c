/* SPDX-License-Identifier: MIT
 *
 * See rescue.h. A memory file has mode 0, but its owner may change that: opening it anew through
 * /proc needs no right to trace the client.
 */
#include "rescue.h"

#include "adopt.h"
#include "memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINK_BYTES 256

static bool is_same_file(int fd, int other_fd)
{
	struct stat one, other;

	return fstat(fd, &one) == 0 && fstat(other_fd, &other) == 0 &&
	       one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* Root opens it whatever its mode is, and changes nothing: another user may put another file in its
 * place at any moment. Whose file it is, is looked at once it is open. 0 or -errno. */
static int rescue(int folder, const char *number)
{
	bool is_root = geteuid() == 0;
	int fd, observer_fd, error;

	if (!is_root && fchmodat(folder, number, 0600, 0) < 0)
		return -errno;
	fd = openat(folder, number, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	observer_fd = openat(folder, number, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	error = observer_fd < 0 ? -errno : -EACCES;
	if (observer_fd >= 0 && is_same_file(fd, observer_fd) && (is_root || fchmod(fd, 0) == 0))
		return adopt_lost(fd, observer_fd);
	close(fd);
	if (observer_fd >= 0)
		close(observer_fd);
	return error;
}

/* NULL: no more, or it cannot be read. */
static struct dirent *next_of(DIR *folder, int *ret_error)
{
	struct dirent *entry;

	errno = 0;
	entry = readdir(folder);
	if (!entry && errno)
		*ret_error = -errno;
	return entry;
}

/* Who has ended, is somebody else's, or has what is none of ours is passed by. */
static int look_into(const char *pid, const char *prefix)
{
	char path[300], target[LINK_BYTES];
	struct dirent *entry;
	int error = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	folder = opendir(path);
	if (!folder)
		return memory_is_short(-errno) ? -errno : 0;
	while (!memory_is_short(error) && (entry = next_of(folder, &error)) != NULL) {
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, LINK_BYTES - 1);

		if (length <= 0)
			continue;
		target[length] = '\0';
		if (strncmp(target, prefix, strlen(prefix)) == 0)
			error = rescue(dirfd(folder), entry->d_name);
	}
	closedir(folder);
	return memory_is_short(error) ? error : 0;
}

/* Root may look into everybody's. */
static bool is_own_process(const char *name)
{
	char path[300];
	struct stat info;

	if (name[0] < '1' || name[0] > '9' || strtol(name, NULL, 10) == getpid())
		return false;
	snprintf(path, sizeof(path), "/proc/%s", name);
	return stat(path, &info) == 0 && (geteuid() == 0 || info.st_uid == geteuid());
}

int rescue_all(const char *endpoint)
{
	char prefix[LINK_BYTES];
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	int error = 0;

	if (!proc)
		return memory_is_short(-errno) ? -errno : 0;
	snprintf(prefix, sizeof(prefix), "/memfd:libshm:%s:", endpoint);
	while (error == 0 && (entry = next_of(proc, &error)) != NULL)
		if (is_own_process(entry->d_name))
			error = look_into(entry->d_name, prefix);
	closedir(proc);
	return error;
}
