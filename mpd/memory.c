/* SPDX-License-Identifier: MIT
 *
 * See memory.h. A memory file is born with mode 0777: whoever is given a read-only descriptor could
 * open it for writing through /proc, so the mode becomes 0 before anybody is given one.
 */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NOTE_NAME "user.libshm" /* Linux 6.6 */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int memory_create_open(const char *name, uint64_t size_bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size_bytes) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int memory_create(const char *name, uint64_t size_bytes)
{
	int fd = memory_create_open(name, size_bytes);

	if (fd >= 0)
		fchmod(fd, 0);
	return fd;
}

int memory_reopen_read_only(int fd)
{
	char path[40];
	int copy;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, O_RDONLY | O_CLOEXEC);
	return copy < 0 ? -errno : copy;
}

int memory_check(int fd, uint64_t size_bytes)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return -errno;
	if (!S_ISREG(info.st_mode) || info.st_uid != geteuid() ||
	    (uint64_t)info.st_size != size_bytes || fcntl(fd, F_GET_SEALS) != SEALS)
		return -EPERM;
	return 0;
}

bool memory_is_short(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EINTR;
}

int memory_note(int fd, const void *note, size_t bytes)
{
	return fsetxattr(fd, NOTE_NAME, note, bytes, XATTR_CREATE) < 0 ? -errno : 0;
}

int memory_read_note(int fd, void *ret_note, size_t bytes)
{
	ssize_t got = fgetxattr(fd, NOTE_NAME, ret_note, bytes);

	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EBADMSG;
}

int memory_check_same(int checked_fd, int fd)
{
	struct stat checked, info;

	if (fstat(checked_fd, &checked) < 0 || fstat(fd, &info) < 0)
		return -errno;
	return info.st_ino == checked.st_ino && info.st_dev == checked.st_dev ? 0 : -EPERM;
}

int memory_clear(int fd, uint64_t size_bytes)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return fallocate(fd, mode, 0, (off_t)size_bytes) < 0 ? -errno : 0;
}
