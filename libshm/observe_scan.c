/* SPDX-License-Identifier: MIT
 *
 * Finds segments without mpd: memory files that its clients hold open, by the name mpd gave them.
 * Knows: /proc, memory files, pidfds. Does not know: what is inside a segment.
 *
 * mpd takes every right from the file (mode 0), so opening it anew is for root; the owner's other
 * processes duplicate a client's descriptor instead, where the kernel lets them. Either way only
 * pread is ever used on it.
 */
#include "cc.h"
#include "observe_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PREFIX "/memfd:libshm:"
#define DELETED " (deleted)"

struct scan {
	struct mp_observer *observer;
	/* What the names of the endpoint's files begin with: its path as it was given, and with
	 * the links in it resolved, as another program may have given it. */
	char prefixes[2][PATH_MAX];
	uid_t uid; /* who must own the files */
	int found;
};

/* Files of the endpoint belong to whom the endpoint belongs. */
static uid_t owner_of(const char *endpoint)
{
	char folder[PATH_MAX];
	struct stat status;
	char *slash;

	if (stat(endpoint, &status) == 0)
		return status.st_uid;
	snprintf(folder, sizeof(folder), "%s", endpoint);
	slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = '\0';
		if (stat(folder, &status) == 0)
			return status.st_uid;
	}
	return geteuid();
}

static void set_prefixes(struct scan *scan, const char *endpoint)
{
	const char *slash = strrchr(endpoint, '/');
	char folder[PATH_MAX], resolved[PATH_MAX];

	if (endpoint[0] == '/' || !getcwd(folder, sizeof(folder)))
		folder[0] = '\0';
	else
		strncat(folder, "/", sizeof(folder) - strlen(folder) - 1);
	snprintf(scan->prefixes[0], PATH_MAX, PREFIX "%.*s%s:", PATH_MAX / 2, folder, endpoint);
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - endpoint + 1) : 1,
		 slash ? endpoint : ".");
	if (realpath(folder, resolved))
		snprintf(scan->prefixes[1], PATH_MAX, PREFIX "%.*s/%s:", PATH_MAX / 2, resolved,
			 slash ? slash + 1 : endpoint);
	else
		memcpy(scan->prefixes[1], scan->prefixes[0], PATH_MAX);
}

/* Bytes of the prefix that the link begins with, 0: none. */
static size_t prefix_of(const struct scan *scan, const char *link)
{
	for (size_t i = 0; i < ARRAY_LEN(scan->prefixes); i++) {
		size_t length = strlen(scan->prefixes[i]);

		if (strncmp(link, scan->prefixes[i], length) == 0)
			return length;
	}
	return 0;
}

/* The segment's name if the link is one of this endpoint's segments. */
static bool match_link(const struct scan *scan, int folder, const char *entry, char *ret_name)
{
	char link[PATH_MAX];
	ssize_t length = readlinkat(folder, entry, link, sizeof(link) - 1);
	size_t prefix, end;

	if (length <= 0)
		return false;
	link[length] = '\0';
	prefix = prefix_of(scan, link);
	if (!prefix)
		return false;
	end = (size_t)length;
	if (end > prefix + strlen(DELETED) && !strcmp(link + end - strlen(DELETED), DELETED))
		end -= strlen(DELETED);
	observe_text(ret_name, NAME_BYTES, link + prefix, end - prefix);
	return true;
}

static int duplicate_of(int pid, int number)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int fd, error;

	if (pidfd < 0)
		return -errno;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	error = errno;
	close(pidfd);
	return fd < 0 ? -error : fd;
}

static int open_file(int folder, int pid, const char *entry)
{
	int fd = openat(folder, entry, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 || (errno != EACCES && errno != EPERM))
		return fd < 0 ? -errno : fd;
	fd = duplicate_of(pid, atoi(entry));
	return fd == -EPERM ? -EACCES : fd;
}

static bool is_own(const struct mp_observer *observer, int pid, int number)
{
	if (pid != getpid())
		return false;
	for (unsigned i = 0; i < observer->segment_count; i++)
		if (observer->segments[i].fd == number)
			return true;
	return false;
}

/* A file that we may not open: it is shown by name, with the reason. */
static int add_unreadable(struct scan *scan, const struct stat *status, const char *name, int error)
{
	struct observe_segment *segment = observe_find_add(scan->observer);

	if (!segment)
		return -ENOMEM;
	segment->error = error;
	segment->device = status->st_dev;
	segment->inode = status->st_ino;
	segment->is_found = true;
	memcpy(segment->name, name, NAME_BYTES);
	scan->found++;
	return 0;
}

static int take_file(struct scan *scan, int folder, int pid, const char *entry, const char *name)
{
	struct observe_segment *known;
	struct stat status;
	int fd;

	if (fstatat(folder, entry, &status, 0) < 0 || !S_ISREG(status.st_mode) ||
	    status.st_uid != scan->uid)
		return 0;
	known = observe_find_inode(scan->observer, status.st_dev, status.st_ino);
	if (known && known->fd >= 0) {
		scan->found += !known->is_found;
		known->is_found = true;
		return 0;
	}
	fd = open_file(folder, pid, entry);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0 && !known)
		return add_unreadable(scan, &status, name, fd);
	if (fd < 0) {
		scan->found += !known->is_found;
		known->is_found = true;
		return 0;
	}
	/* Only memory files have seals: nothing else is ever read. */
	if (fcntl(fd, F_GET_SEALS) < 0) {
		close(fd);
		return 0;
	}
	scan->found += !known || !known->is_found;
	return observe_find_adopt(scan->observer, fd, name);
}

/* Then nobody can be looked at: an empty list would be a lie. */
static bool is_out_of_descriptors(int error)
{
	return error == EMFILE || error == ENFILE;
}

static int scan_process(struct scan *scan, int pid)
{
	char path[32], name[NAME_BYTES];
	struct dirent *entry;
	int result = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	folder = opendir(path);
	if (!folder) /* ended meanwhile, or another user's */
		return is_out_of_descriptors(errno) ? -EMFILE : 0;
	while (result >= 0 && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
		    is_own(scan->observer, pid, atoi(entry->d_name)))
			continue;
		if (match_link(scan, dirfd(folder), entry->d_name, name))
			result = take_file(scan, dirfd(folder), pid, entry->d_name, name);
	}
	closedir(folder);
	return result;
}

int observe_scan(struct mp_observer *observer, const char *endpoint)
{
	struct scan scan = { .observer = observer, .uid = owner_of(endpoint) };
	struct dirent *entry;
	int result = 0;
	DIR *proc;

	set_prefixes(&scan, endpoint);
	proc = opendir("/proc");
	if (!proc)
		return is_out_of_descriptors(errno) ? -EMFILE : 0;
	while (result >= 0 && (entry = readdir(proc)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			result = scan_process(&scan, atoi(entry->d_name));
	closedir(proc);
	return result < 0 ? result : scan.found;
}
