/* SPDX-License-Identifier: MIT
 *
 * Descriptors that the program may close behind our back. Knows: fstat, pidfs. Does not know: what
 * the files are.
 */
#include "own_fd.h"

#include "errno_kept.h"

#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PIDFS_MAGIC 0x50494446 /* Linux 6.9; missing in older headers */

struct own_fd_file own_fd_file(int fd)
{
	KEEP_ERRNO;
	struct stat about;

	if (fd < 0 || fstat(fd, &about) < 0)
		return (struct own_fd_file){ 0 };
	return (struct own_fd_file){ .device = (uint64_t)about.st_dev,
				     .inode = (uint64_t)about.st_ino };
}

bool own_fd_is(int fd, struct own_fd_file file)
{
	struct own_fd_file seen = own_fd_file(fd);

	return seen.inode && seen.device == file.device && seen.inode == file.inode;
}

int own_fd_close(int fd, struct own_fd_file file)
{
	if (own_fd_is(fd, file))
		close(fd);
	return -1;
}

bool own_fd_has_identity(int pidfd)
{
	struct statfs about;

	return fstatfs(pidfd, &about) == 0 && about.f_type == PIDFS_MAGIC;
}
