/* SPDX-License-Identifier: MIT
 *
 * See endpoint.h. Knows: flock, bind, races between two that start at once.
 */
#include "endpoint.h"

#include "log.h"

#include "libshm/clock.h"
#include "libshm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 512
#define LOCK_ATTEMPTS 500
#define LOCK_PAUSE_NS INT64_C(4000000)
#define LONG_PATH_BYTES (ENDPOINT_BYTES + 16)

static void beside(const char *path, const char *suffix, char ret_path[static LONG_PATH_BYTES])
{
	snprintf(ret_path, LONG_PATH_BYTES, "%s%s", path, suffix);
}

int endpoint_choose(const char *given, char ret_path[static ENDPOINT_BYTES])
{
	char path[ENDPOINT_BYTES], folder[ENDPOINT_BYTES];
	struct sockaddr_un address;
	int length;

	if (!given)
		given = getenv("MP_ENDPOINT");
	if (!given || !given[0])
		return wire_private_endpoint(ret_path);
	if (wire_address(given, &address) < 0 || !wire_endpoint(given, 0, path))
		return -ENAMETOOLONG;
	if (path[0] == '/') {
		memcpy(ret_path, path, sizeof(path));
		return 0;
	}
	if (!getcwd(folder, sizeof(folder)))
		return -ENAMETOOLONG;
	length = snprintf(ret_path, ENDPOINT_BYTES, "%s/%s", folder, path);
	return length < ENDPOINT_BYTES ? 0 : -ENAMETOOLONG;
}

/* 1, 0; -errno: it cannot be told. */
static int compare_file(const char *path, int fd)
{
	struct stat named, opened;

	if (lstat(path, &named) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (fstat(fd, &opened) < 0)
		return -errno;
	return named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

static bool is_same_file(const char *path, int fd)
{
	return compare_file(path, fd) > 0;
}

/* Only named: whoever serves another socket makes no directory for this one. */
static bool is_own(const char *path)
{
	char own[ENDPOINT_BYTES];

	return wire_name_private_endpoint(own) == 0 && strcmp(own, path) == 0;
}

/* The user's own directory may have been removed by the mpd that just left. */
static int open_lock(const char *path, const char *lock_path)
{
	char own[ENDPOINT_BYTES];
	int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	if (!is_own(path) || wire_private_endpoint(own) < 0)
		return -ENOENT;
	fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

static bool somebody_answers(const char *path)
{
	struct sockaddr_un address;
	bool is_answered;
	int fd;

	if (wire_address(path, &address) < 0)
		return false;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	is_answered = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ||
		      errno == EAGAIN;
	close(fd);
	return is_answered;
}

/* 1: it is ours; 0: try again; -EAGAIN: somebody serves there; -errno. */
static int try_lock(const char *path, const char *lock_path, int *ret_fd)
{
	int fd = open_lock(path, lock_path);

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_same_file(lock_path, fd)) {
		*ret_fd = fd;
		return 1;
	}
	close(fd);
	return somebody_answers(path) ? -EAGAIN : 0;
}

/* An mpd that leaves removes the file it has locked: the lock of a file without that name counts
 * for nothing. One that starts or leaves holds the lock and does not answer: what it does next
 * decides whether we are needed. */
int endpoint_lock(const char *path)
{
	char lock_path[LONG_PATH_BYTES];

	beside(path, ".lock", lock_path);
	for (unsigned i = 0; i < LOCK_ATTEMPTS; i++) {
		int fd;
		int result = try_lock(path, lock_path, &fd);

		if (result != 0)
			return result < 0 ? result : fd;
		clock_sleep_ns(LOCK_PAUSE_NS);
	}
	return -EAGAIN;
}

int endpoint_is_locked_by(const char *path, int lock_fd)
{
	char lock_path[LONG_PATH_BYTES];

	beside(path, ".lock", lock_path);
	return compare_file(lock_path, lock_fd);
}

static int option_of(int fd, int option)
{
	socklen_t length = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -1 : value;
}

bool endpoint_is_listening(int fd)
{
	return option_of(fd, SO_DOMAIN) == AF_UNIX && option_of(fd, SO_TYPE) == SOCK_SEQPACKET &&
	       option_of(fd, SO_ACCEPTCONN) == 1;
}

int endpoint_of_socket(int fd, char ret_path[static ENDPOINT_BYTES])
{
	struct sockaddr_un address = { 0 };
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	if (address.sun_path[0] != '/')
		return -EINVAL;
	snprintf(ret_path, ENDPOINT_BYTES, "%.*s", (int)sizeof(address.sun_path),
		 address.sun_path);
	return fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ? -errno : 0;
}

const char *endpoint_advice(int error)
{
	switch (error) {
	case -EEXIST:
		return "something else than a socket is there; remove it, or choose another path";
	case -EADDRINUSE:
		return "somebody answers there who is no mpd, or has lost its lock file; end that "
		       "one, or choose another path";
	case -ENOENT:
	case -ENOTDIR:
		return "its directory does not exist; make it, or choose another path";
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return "mpd may not make a socket there; mend the rights of the directory, or "
		       "choose another path";
	default:
		return strerror(-error);
	}
}

/* We have the lock, so it is one that is being torn down: the kernel lets go of the sockets of a
 * killed mpd a little later than of its locks. */
static bool falls_silent(const char *path)
{
	for (unsigned i = 0; i < LOCK_ATTEMPTS; i++) {
		if (!somebody_answers(path))
			return true;
		clock_sleep_ns(LOCK_PAUSE_NS);
	}
	return false;
}

/* It stays beside us under another name until what its mpd lost has been looked for: if we do not
 * get there, the next mpd knows. */
static int clear_stale(const char *path)
{
	char left[LONG_PATH_BYTES];
	struct stat info;

	beside(path, ".left", left);
	if (lstat(path, &info) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(info.st_mode))
		return -EEXIST;
	if (!falls_silent(path))
		return -EADDRINUSE;
	log_info("replacing the socket of an mpd that is gone");
	return rename(path, left) < 0 ? -errno : 0;
}

bool endpoint_exists(const char *path)
{
	return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool endpoint_was_left(const char *path)
{
	char left[LONG_PATH_BYTES];

	beside(path, ".left", left);
	return endpoint_exists(left);
}

void endpoint_settle(const char *path)
{
	char left[LONG_PATH_BYTES];

	beside(path, ".left", left);
	unlink(left);
}

int endpoint_listen(const char *path)
{
	struct sockaddr_un address;
	int error = wire_address(path, &address);
	int fd;

	if (error == 0)
		error = clear_stale(path);
	if (error < 0)
		return error;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

bool endpoint_hide(const char *path)
{
	char hidden[LONG_PATH_BYTES];

	beside(path, ".leaving", hidden);
	/* Gone already, with its directory perhaps: nobody can come any more. */
	return rename(path, hidden) == 0 || errno == ENOENT || errno == ENOTDIR;
}

void endpoint_show(const char *path)
{
	char hidden[LONG_PATH_BYTES];

	beside(path, ".leaving", hidden);
	if (rename(hidden, path) < 0)
		log_error("the socket %s is lost: %s", path, strerror(errno));
}

static void unlink_socket(const char *path)
{
	struct stat info;

	if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode))
		unlink(path);
}

/* Whoever made a directory for this socket alone says so, and may be killed before mpd leaves. */
static bool is_temporary(const char *folder)
{
	const char *temporary = getenv("MP_ENDPOINT_TEMPORARY");

	return temporary && strcmp(temporary, folder) == 0;
}

/* The user's own directory goes too when nothing else is in it, and so does a temporary one. */
static void remove_directory(const char *path)
{
	char folder[ENDPOINT_BYTES];

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	if (is_own(path) || is_temporary(folder))
		rmdir(folder);
}

void endpoint_remove(const char *path, int lock_fd, bool is_in_use)
{
	char lock_path[LONG_PATH_BYTES], hidden[LONG_PATH_BYTES];

	beside(path, ".lock", lock_path);
	beside(path, ".leaving", hidden);
	if (!is_same_file(lock_path, lock_fd))
		return; /* removed already, and perhaps another mpd's by now */
	if (!is_in_use)
		unlink_socket(path);
	unlink_socket(hidden);
	unlink(lock_path);
	remove_directory(path);
}
