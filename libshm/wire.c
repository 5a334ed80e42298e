/* SPDX-License-Identifier: MIT
 *
 * Packets with descriptors over a Unix socket, and where endpoints are. Knows: sendmsg, recvmsg,
 * SCM_RIGHTS, MSG_CTRUNC, runtime directories. Does not know: what messages mean.
 *
 * A received descriptor is either handed to the caller or closed, whatever else went wrong.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)

static_assert(PATH_BYTES == 108, "wire.h says so");

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(PROTO_FDS_MAX * sizeof(int))];
};

static void put_fds(struct msghdr *message, union control *control, const struct wire_fds *fds)
{
	struct cmsghdr *head;

	memset(control, 0, sizeof(*control));
	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(fds->count * sizeof(int));
	head = CMSG_FIRSTHDR(message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(fds->count * sizeof(int));
	memcpy(CMSG_DATA(head), fds->fd, fds->count * sizeof(int));
}

static int send_with(int socket, const void *packet, size_t bytes, const struct wire_fds *fds,
		     int flags)
{
	struct iovec part = { (void *)(uintptr_t)packet, bytes };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union control control;
	ssize_t sent;

	if (fds && fds->count > PROTO_FDS_MAX)
		return -EINVAL;
	if (fds && fds->count)
		put_fds(&message, &control, fds);
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL | flags);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return (size_t)sent == bytes ? 0 : -EMSGSIZE;
}

int wire_send(int socket, const void *packet, size_t bytes, const struct wire_fds *fds)
{
	return send_with(socket, packet, bytes, fds, 0);
}

int wire_send_now(int socket, const void *packet, size_t bytes)
{
	return send_with(socket, packet, bytes, NULL, MSG_DONTWAIT);
}

static void take_fds(struct msghdr *message, struct wire_fds *fds)
{
	struct cmsghdr *head;

	for (head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
		const unsigned char *data = CMSG_DATA(head);
		size_t count;

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && fds->count < PROTO_FDS_MAX; i++)
			memcpy(&fds->fd[fds->count++], data + i * sizeof(int), sizeof(int));
	}
}

int wire_receive(int socket, void *packet, size_t capacity, struct wire_fds *ret_fds)
{
	struct iovec part = { packet, capacity };
	union control control;
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct wire_fds fds = { 0 };
	ssize_t bytes;
	int result;

	do
		bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (bytes < 0 && errno == EINTR);
	if (bytes < 0)
		return -errno;
	take_fds(&message, &fds);
	result = (int)bytes;
	if (message.msg_flags & MSG_CTRUNC)
		result = -EMFILE;
	else if (message.msg_flags & MSG_TRUNC)
		result = -EMSGSIZE;
	if (result <= 0 || !ret_fds)
		wire_close_fds(&fds);
	if (result > 0 && ret_fds)
		*ret_fds = fds;
	return result;
}

void wire_close_fds(struct wire_fds *fds)
{
	for (unsigned i = 0; i < fds->count; i++)
		close(fds->fd[i]);
	fds->count = 0;
}

/* A real directory of ours that nobody else can write to. 0, -ENOENT, -EPERM, -errno. */
static int check_own_directory(const char *path, mode_t forbidden)
{
	struct stat info;

	if (lstat(path, &info) < 0)
		return -errno;
	if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & forbidden))
		return -EPERM;
	return 0;
}

/* Where this user's endpoint's directory is, made or not. A runtime directory of somebody else
 * (left in the environment by su) is not ours to use. */
static int user_directory(char ret_path[static 108])
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	char fallback[64];
	int length;

	if (!runtime || runtime[0] != '/' || check_own_directory(runtime, 0) < 0) {
		snprintf(fallback, sizeof(fallback), "/run/user/%u", (unsigned)geteuid());
		runtime = fallback;
	}
	if (check_own_directory(runtime, 0) == 0)
		length = snprintf(ret_path, PATH_BYTES, "%s/libshm", runtime);
	else
		length = snprintf(ret_path, PATH_BYTES, "/tmp/libshm-%u", (unsigned)geteuid());
	return length < (int)PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static int append_socket(char path[static 108])
{
	size_t used = strlen(path);
	int length = snprintf(path + used, PATH_BYTES - used, "/default.sock");

	return used + (size_t)length < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

int wire_name_private_endpoint(char ret_path[static 108])
{
	int error = user_directory(ret_path);

	return error < 0 ? error : append_socket(ret_path);
}

int wire_private_endpoint(char ret_path[static 108])
{
	char path[PATH_BYTES];
	int error = user_directory(path);

	if (error < 0)
		return error;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	error = check_own_directory(path, S_IWGRP | S_IWOTH);
	if (error == 0)
		error = append_socket(path);
	if (error == 0)
		memcpy(ret_path, path, sizeof(path));
	return error;
}

/* The user's endpoint, to connect to: a directory that somebody else made in /tmp is none. */
static bool user_endpoint(char ret_path[static 108])
{
	int error;

	if (user_directory(ret_path) < 0)
		return false;
	error = check_own_directory(ret_path, S_IWGRP | S_IWOTH);
	return (error == 0 || error == -ENOENT) && append_socket(ret_path) == 0;
}

bool wire_endpoint(const char *given, unsigned index, char ret_path[static 108])
{
	const char *only = given ? given : secure_getenv("MP_ENDPOINT");
	char path[PATH_BYTES];

	if (only && only[0])
		return index == 0 && snprintf(ret_path, PATH_BYTES, "%s", only) < (int)PATH_BYTES;
	if (user_endpoint(path) && index-- == 0) {
		memcpy(ret_path, path, sizeof(path));
		return true;
	}
	if (index != 0)
		return false;
	memcpy(ret_path, WIRE_SYSTEM_ENDPOINT, sizeof(WIRE_SYSTEM_ENDPOINT));
	return true;
}

int wire_address(const char *path, struct sockaddr_un *ret_address)
{
	size_t length = strlen(path);

	if (length == 0)
		return -EINVAL;
	if (length >= PATH_BYTES)
		return -ENAMETOOLONG;
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sun_family = AF_UNIX;
	memcpy(ret_address->sun_path, path, length + 1);
	return 0;
}

int wire_connect(int socket, const struct sockaddr_un *address)
{
	int result;

	do
		result = connect(socket, (const struct sockaddr *)address, sizeof(*address));
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : 0;
}
