/* SPDX-License-Identifier: MIT
 *
 * See trust.h. The kernel tells who listened on the socket; a file's owner is only good for the
 * sentence, since it may have been replaced since.
 */
#include "trust.h"

#include "explain.h"
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_below_system(const char *path)
{
	size_t length = strlen(WIRE_SYSTEM_FOLDER "/");

	return strncmp(path, WIRE_SYSTEM_FOLDER "/", length) == 0 && !strstr(path, "/../");
}

/* Only root can make that directory, so its owner is whom root has chosen. */
static bool is_chosen(uid_t uid)
{
	struct stat info;

	return lstat(WIRE_SYSTEM_FOLDER, &info) == 0 && S_ISDIR(info.st_mode) &&
	       info.st_uid == uid && !(info.st_mode & (S_IWGRP | S_IWOTH));
}

bool trust_is_mpd(int socket, const char *path)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return false;
	return peer.uid == geteuid() || peer.uid == 0 ||
	       (is_below_system(path) && is_chosen(peer.uid));
}

int trust_explain(const char *path)
{
	struct stat info;

	if (lstat(path, &info) < 0 || info.st_uid == geteuid() || info.st_uid == 0)
		return explain(-EPERM, "another user serves '%s': not trusted; it must be yours, "
				       "root's, or the system's in " WIRE_SYSTEM_FOLDER, path);
	return explain(-EPERM, "'%s' belongs to user %u: not trusted; it must be yours (user %u), "
			       "root's, or the system's in " WIRE_SYSTEM_FOLDER, path,
		       (unsigned)info.st_uid, (unsigned)geteuid());
}
