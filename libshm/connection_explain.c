/* SPDX-License-Identifier: MIT
 *
 * Why mpd cannot be talked to, in sentences. Knows: what a connection has seen. Does not know: how
 * one connects.
 */
#include "connection_explain.h"

#include "explain.h"

#include <libshm/base.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A pid that is gone was that of an mpd before this one; that of another program is one that mpd
 * has in another PID namespace. */
static bool is_mpd(uint32_t pid)
{
	char path[32], name[8] = "";
	ssize_t bytes;
	int fd;

	snprintf(path, sizeof path, "/proc/%u/comm", pid);
	fd = pid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return false;
	bytes = read(fd, name, sizeof name - 1);
	close(fd);
	return bytes > 0 && strcmp(name, "mpd\n") == 0;
}

int connection_explain_silence(const struct connection *connection, const char *path,
			       int patience_s)
{
	char who[40] = "mpd";

	if (connection->is_elsewhere)
		snprintf(who, sizeof who, "mpd (in another PID namespace)");
	else if (is_mpd(connection->listener_pid))
		snprintf(who, sizeof who, "mpd (pid %u)", connection->listener_pid);
	else if (is_mpd(connection->mpd_pid))
		snprintf(who, sizeof who, "mpd (pid %u)", connection->mpd_pid);
	return explain(-ETIMEDOUT,
		       "%s at '%s' has not answered for %d s; is it stopped? continue it (kill "
		       "-CONT), or the process that is just making the segment",
		       who, path, patience_s);
}

/* From here on it is known that versions differ, and which. What it calls itself is for a sentence
 * and may be shorter than ours, or missing. */
void connection_meet_stranger(struct connection *connection, const struct proto_head *head,
			      const struct proto_welcome *welcome)
{
	struct connection_stranger *there = &connection->stranger;

	connection->is_strange = true;
	*there = (struct connection_stranger){ .protocol = 0 };
	if (head->magic != PROTO_MAGIC || !welcome->version[0])
		return;
	there->protocol = head->version;
	there->signature = welcome->signature;
	snprintf(there->version, sizeof there->version, "%.*s",
		 (int)sizeof welcome->version - 1, welcome->version);
}

int connection_explain_stranger(const struct connection *connection, const char *path)
{
	const struct connection_stranger *there = &connection->stranger;

	if (!there->protocol)
		return explain(-EPROTO,
			       "who answers at '%s' is no mpd that this libshm %s (protocol %u) "
			       "can read; end it, or set MP_ENDPOINT to another path",
			       path, mp_version(), PROTO_VERSION);
	return explain(-EPROTO,
		       "mpd %.16s at '%s' speaks protocol %u and layout %016llx, this program's "
		       "libshm %s protocol %u and layout %016llx; bring the older of the two "
		       "up to date (mpd: install it, restart it once its clients have ended)",
		       there->version[0] ? there->version : "of an unknown version", path,
		       there->protocol, (unsigned long long)there->signature, mp_version(),
		       PROTO_VERSION, (unsigned long long)layout_signature());
}

int connection_explain_hang_up(const char *path)
{
	return explain(-EPROTO,
		       "who listens at '%s' hangs up when libshm %s greets it in protocol %u: it "
		       "is an mpd of another version or one that does not serve this user (its "
		       "log tells), or no mpd; end it, or set MP_ENDPOINT to another path",
		       path, mp_version(), PROTO_VERSION);
}

int connection_explain_nobody(int error, const char *path, const char *advice)
{
	return explain(-ECONNREFUSED, "no mpd answers at '%s' (%s); %s", path, strerror(-error),
		       advice);
}

int connection_explain_quota(const char *what, const char *name, const struct proto_refused *why)
{
	static const char *const options[] = {
#define QUOTA(id, field, option, fallback, text) [QUOTA_##id] = option,
#include "tbl/quotas.h"
#undef QUOTA
	};
	static const char *const texts[] = {
#define QUOTA(id, field, option, fallback, text) [QUOTA_##id] = text,
#include "tbl/quotas.h"
#undef QUOTA
	};

	if (why->quota == QUOTA_NONE || why->quota >= QUOTA_COUNT)
		return explain(-EDQUOT, "%s '%s': mpd has no room for more", what, name);
	return explain(-EDQUOT,
		       "%s '%s' is over mpd's quota %s: %llu of %llu are used (%s); end or remove "
		       "some, or have %s raised in mpd.conf", what, name, options[why->quota],
		       (unsigned long long)why->used, (unsigned long long)why->allowed,
		       texts[why->quota], options[why->quota]);
}

int connection_explain_other(int error, const char *path)
{
	if (error == -EMFILE)
		return explain(error, "mpd at '%s' cannot be reached: this process has no "
				      "descriptor left; close some, or raise the limit (ulimit -n)",
			       path);
	if (error == -EACCES)
		return explain(error, "mpd at '%s' cannot be reached: its socket, or a directory "
				      "on the way, is closed to this user; ask for access, or set "
				      "MP_ENDPOINT to another path", path);
	return error < 0 ? explain(error, "mpd at '%s' cannot be reached", path) : 0;
}

int connection_check_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char directory[108];

	snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) + 1 : 1,
		 slash ? path : ".");
	if (access(directory, W_OK | X_OK) == 0)
		return 0;
	return explain(-ECONNREFUSED,
		       "no mpd answers at '%s', and none can be started there: the directory '%s': "
		       "%s", path, directory, strerror(errno));
}

int connection_as_ours(int error)
{
	switch (error) {
	case -EAGAIN:
		return -ETIMEDOUT;
	case -ENFILE:
	case -ETOOMANYREFS:
		return -EMFILE;
	case -EPROTOTYPE: /* a socket of another type listens: no mpd */
		return -EPROTO;
	case -ENOBUFS:
	case -ENOLCK:
		return -ENOMEM;
	default:
		return error;
	}
}
