/* SPDX-License-Identifier: MIT
 *
 * See proc.h. Maps are read in pieces into a fixed buffer: a process may have very many maps.
 */
#include "proc.h"

#include "libshm/slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PIECE_BYTES 8192
#define SO_PEERPIDFD_NUMBER 77 /* Linux 6.5; missing in older headers */

/* "7f..-7f.. rw-s 00000000 00:01 1027   /memfd:..." */
static bool is_line_of(const char *line, const struct stat *file)
{
	unsigned device_major, device_minor;
	unsigned long long offset, inode;

	if (sscanf(line, "%*x-%*x %*s %llx %x:%x %llu", &offset, &device_major, &device_minor,
		   &inode) != 4)
		return false;
	return offset == 0 && inode == file->st_ino && device_major == major(file->st_dev) &&
	       device_minor == minor(file->st_dev);
}

/* Counts among the whole lines; moves the begun one to the front, *used is its length. */
static int scan_lines(char *text, size_t *used, const struct stat *file)
{
	char *line = text;
	int count = 0;

	text[*used] = '\0';
	for (char *end = strchr(line, '\n'); end; end = strchr(line, '\n')) {
		*end = '\0';
		count += is_line_of(line, file);
		line = end + 1;
	}
	*used -= (size_t)(line - text);
	memmove(text, line, *used);
	return count;
}

int proc_count_mapped(uint32_t pid, int fd)
{
	char path[32], text[PIECE_BYTES + 1];
	struct stat file;
	size_t used = 0;
	ssize_t got = 0;
	int maps, count = 0;

	if (fstat(fd, &file) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	maps = open(path, O_RDONLY | O_CLOEXEC);
	if (maps < 0)
		return -errno;
	while (used < PIECE_BYTES &&
	       (got = read(maps, text + used, PIECE_BYTES - used)) > 0) {
		used += (size_t)got;
		count += scan_lines(text, &used, &file);
	}
	close(maps);
	return got < 0 ? -EIO : count;
}

/* The pid of a peer that has ended may be another process's by now: one that began at another time
 * than the peer says of itself is not watched in its place. */
static int open_pid(uint32_t pid, uint64_t started_ticks)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	uint64_t ticks = fd >= 0 && started_ticks ? slot_start_ticks(pid) : 0;

	if (ticks && ticks != started_ticks) {
		close(fd);
		return -1;
	}
	return fd;
}

int proc_open_peer(int socket, uint32_t pid, uint64_t started_ticks)
{
	socklen_t length = sizeof(int);
	int fd;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD_NUMBER, &fd, &length) < 0)
		fd = open_pid(pid, started_ticks);
	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* The last number of "NSpid:\t812\t1": the pid in the innermost namespace. */
static uint32_t innermost_pid(uint32_t pid)
{
	char path[40], line[256];
	uint32_t inner = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, "NSpid:", 6) == 0)
			inner = (uint32_t)strtoul(strrchr(line, '\t') + 1, NULL, 10);
	if (status)
		fclose(status);
	return inner;
}

static bool is_foreign(uint32_t pid, uint64_t pid_namespace, uint32_t inner)
{
	char path[40];
	struct stat info;

	snprintf(path, sizeof(path), "/proc/%u/ns/pid", pid);
	return stat(path, &info) == 0 && info.st_ino == pid_namespace &&
	       innermost_pid(pid) == inner;
}

static uint32_t find_foreign(uint64_t pid_namespace, uint32_t inner)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint32_t found = 0;

	while (proc && !found && (entry = readdir(proc)) != NULL) {
		uint32_t pid = (uint32_t)strtoul(entry->d_name, NULL, 10);

		if (pid && is_foreign(pid, pid_namespace, inner))
			found = pid;
	}
	if (proc)
		closedir(proc);
	return found;
}

int proc_open_foreign(uint64_t pid_namespace, uint32_t pid, uint32_t *ret_pid)
{
	uint32_t found = pid && pid_namespace ? find_foreign(pid_namespace, pid) : 0;
	int fd = found ? (int)syscall(SYS_pidfd_open, found, 0) : -1;

	/* The number may have become another's between the look and the open; while this
	 * descriptor says nothing, what is seen behind it is the same process. */
	if (fd >= 0 && !is_foreign(found, pid_namespace, pid)) {
		close(fd);
		fd = -1;
	}
	*ret_pid = fd >= 0 ? found : 0;
	return fd;
}
