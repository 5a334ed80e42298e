/* SPDX-License-Identifier: MIT
 *
 * See system.h. The directory tells libshm whom to trust: root makes it, so its owner is whom root
 * has chosen. Nobody else may write to it.
 */
#include "system.h"

#include "endpoint.h"

#include "libshm/cc.h"
#include "libshm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_WANTED 65536 /* connections, two of each segment, one of each process */

struct identity {
	uid_t uid;
	gid_t gid;
};

static int fail(int error, const char *format, ...) printf_like(2, 3);

static int fail(int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("mpd: ", stderr);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, ": %s\n", strerror(-error));
	va_end(arguments);
	return error;
}

/* A number need not have a name. */
static int find_identity(const char *user, struct identity *ret_identity)
{
	struct passwd *known = getpwnam(user);
	char *end = NULL;
	unsigned long number;

	if (known) {
		*ret_identity = (struct identity){ known->pw_uid, known->pw_gid };
		return 0;
	}
	errno = 0;
	number = strtoul(user, &end, 10);
	if (errno || user[0] < '0' || user[0] > '9' || *end || number >= UINT32_MAX)
		return fail(-EINVAL, "there is no user '%s'", user);
	known = getpwuid((uid_t)number);
	*ret_identity = (struct identity){ (uid_t)number,
					   known ? known->pw_gid : (gid_t)number };
	return 0;
}

int system_find_group(const char *group, int64_t *ret_gid)
{
	struct group *known = getgrnam(group);
	char *end = NULL;
	unsigned long number;

	if (known) {
		*ret_gid = known->gr_gid;
		return 0;
	}
	errno = 0;
	number = strtoul(group, &end, 10);
	if (errno || group[0] < '0' || group[0] > '9' || *end || number >= UINT32_MAX)
		return fail(-EINVAL, "there is no group '%s'", group);
	*ret_gid = (int64_t)number;
	return 0;
}

/* Only what is ours alone is given away: the socket may have been asked for in /run itself. */
static int own_folder(int fd, const char *folder, bool is_ours, const struct identity *identity)
{
	struct stat info;

	if (is_ours && geteuid() == 0 && fchown(fd, identity->uid, identity->gid) < 0)
		return fail(-errno, "the directory %s cannot be given to user %u", folder,
			    identity->uid);
	if (fstat(fd, &info) < 0)
		return fail(-errno, "the directory %s", folder);
	if (info.st_uid != identity->uid && geteuid() == 0)
		return fail(-EPERM, "the directory %s belongs to user %u and not to %u", folder,
			    info.st_uid, identity->uid);
	if (info.st_mode & (S_IWGRP | S_IWOTH))
		return fail(-EPERM, "the directory %s may be written to by others; chmod go-w",
			    folder);
	return 0;
}

static bool is_system_folder(const char *folder)
{
	return strcmp(folder, WIRE_SYSTEM_FOLDER) == 0;
}

int system_make_folder(const char *endpoint, const char *user)
{
	struct identity identity = { geteuid(), getegid() };
	char folder[ENDPOINT_BYTES];
	bool is_made;
	int fd, error;

	snprintf(folder, sizeof(folder), "%s", endpoint);
	*strrchr(folder, '/') = '\0';
	error = user ? find_identity(user, &identity) : 0;
	if (error < 0)
		return error;
	is_made = mkdir(folder, 0755) == 0;
	if (!is_made && errno != EEXIST)
		return fail(-errno, "the directory %s cannot be made", folder);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "the directory %s", folder);
	if (is_made && fchmod(fd, 0755) < 0) /* whatever the umask is */
		error = fail(-errno, "the directory %s", folder);
	if (error == 0)
		error = own_folder(fd, folder, is_made || is_system_folder(folder), &identity);
	close(fd);
	return error;
}

/* Only root may raise the hard limit. */
static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max >= FILES_WANTED)
		return;
	limit = (struct rlimit){ FILES_WANTED, FILES_WANTED };
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool has_groups(const gid_t *groups, int count)
{
	gid_t there[1];

	return getgroups(0, NULL) == count &&
	       (count == 0 || (getgroups(1, there) == 1 && there[0] == groups[0]));
}

static bool is_root_gone(const struct identity *identity, const gid_t *groups, int count)
{
	uid_t real, effective, saved;

	return getresuid(&real, &effective, &saved) == 0 && real == identity->uid &&
	       effective == identity->uid && saved == identity->uid &&
	       (identity->uid == 0 || (setuid(0) < 0 && has_groups(groups, count)));
}

/* The one group beside the user's first: of a group that one is not in nothing can be made. */
int system_become(const char *user, int64_t socket_gid)
{
	const gid_t groups[] = { (gid_t)socket_gid };
	int count = socket_gid != SYSTEM_NO_GROUP;
	struct identity identity;
	int error = find_identity(user, &identity);

	if (error < 0)
		return error;
	if (geteuid() != 0 && geteuid() == identity.uid)
		return 0;
	if (geteuid() != 0)
		return fail(-EPERM, "only root can become user '%s'", user);
	raise_files();
	if (setgroups((size_t)count, groups) < 0 ||
	    setresgid(identity.gid, identity.gid, identity.gid) < 0 ||
	    setresuid(identity.uid, identity.uid, identity.uid) < 0)
		return fail(-errno, "cannot become user '%s'", user);
	if (!is_root_gone(&identity, groups, count))
		return fail(-EPERM, "root's rights cannot be given up");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return 0;
}

int system_open_socket(const char *endpoint, unsigned mode, int64_t gid)
{
	if (gid != SYSTEM_NO_GROUP && chown(endpoint, (uid_t)-1, (gid_t)gid) < 0)
		return -errno;
	return chmod(endpoint, mode) < 0 ? -errno : 0;
}
