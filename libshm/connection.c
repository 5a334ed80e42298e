/* SPDX-License-Identifier: MIT
 *
 * A conversation with mpd. Knows: connecting, requests and answers, coming back after a restart.
 * Does not know: segments' memory, how an mpd is started (spawn.c), words (connection_explain.c).
 */
#include "connection.h"

#include "clock.h"
#include "connection_explain.h"
#include "explain.h"
#include "spawn.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A started mpd answers within some milliseconds; a busy machine may take longer. */
#define SPAWN_PATIENCE_NS INT64_C(5000000000)
#define SPAWN_RETRY_NS INT64_C(2000000)
/* OPEN waits for the one who formats the segment. */
#define ANSWER_PATIENCE_S 5
#define ROSTER_ATTEMPTS_MAX 4096
/* Who hangs up at a greeting may have been killed just then; who always does is no mpd of ours. */
#define HANG_UPS_MAX 9
#define ROSTER_BYTE_NONE UINT64_MAX /* no lock can be there */

/* Numbers that the program closed behind our back are forgotten, not closed: they may be its own
 * files by now. */
static void forget_foreign(struct connection *connection)
{
	if (connection->socket >= 0 && !own_fd_is(connection->socket, connection->socket_file)) {
		connection->socket = -1;
		connection->unread = 0;
	}
	if (connection->roster_fd >= 0 &&
	    !own_fd_is(connection->roster_fd, connection->roster_file))
		connection->roster_fd = -1;
}

static void use_socket(struct connection *connection, int fd)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;

	connection->socket = fd;
	connection->socket_file = own_fd_file(fd);
	connection->unread = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return;
	connection->listener_pid = (uint32_t)peer.pid;
	connection->is_elsewhere = peer.pid == 0;
}

static int dial(const char *path, int socket_flags)
{
	struct timeval patience = { .tv_sec = ANSWER_PATIENCE_S };
	struct sockaddr_un address;
	int result = wire_address(path, &address);
	int fd;

	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | socket_flags, 0);
	if (fd < 0)
		return connection_as_ours(-errno);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	result = connection_as_ours(wire_connect(fd, &address));
	if (result == 0 && !trust_is_mpd(fd, path))
		result = -EPERM;
	if (result < 0)
		close(fd);
	return result < 0 ? result : fd;
}

enum send { MAY_WAIT, NEVER_WAIT };

static int send_request(struct connection *connection, enum proto_type type, const void *request,
			size_t bytes, enum send how)
{
	uint8_t packet[sizeof(struct proto_head) + 512];
	struct proto_head head = { .magic = PROTO_MAGIC,
				   .version = PROTO_VERSION,
				   .type = (uint16_t)type,
				   .bytes = (uint32_t)(sizeof head + bytes),
				   .serial = ++connection->serial };

	if (bytes > sizeof packet - sizeof head)
		return -EINVAL;
	memcpy(packet, &head, sizeof head);
	memcpy(packet + sizeof head, request, bytes);
	return connection_as_ours(how == NEVER_WAIT
			       ? wire_send_now(connection->socket, packet, sizeof head + bytes)
			       : wire_send(connection->socket, packet, sizeof head + bytes, NULL));
}

/* Is this the answer to the latest request, and as long as it has to be? Where it is not, *ret_head
 * is what a stranger may have meant. */
static bool is_in_step(const struct connection *connection, const void *packet, size_t got,
		       size_t bytes, struct proto_head *ret_head)
{
	*ret_head = (struct proto_head){ .magic = 0 };
	if (got < sizeof *ret_head)
		return false;
	memcpy(ret_head, packet, sizeof *ret_head);
	return ret_head->magic == PROTO_MAGIC && ret_head->serial == connection->serial &&
	       ret_head->version == PROTO_VERSION && ret_head->status <= 0 &&
	       (ret_head->status < 0 || bytes <= got - sizeof *ret_head);
}

static int receive_answer(struct connection *connection, void *answer, size_t bytes,
			  struct wire_fds *ret_fds)
{
	uint8_t packet[PROTO_MESSAGE_MAX];
	struct wire_fds fds = { 0 };
	struct proto_head head = { 0 };
	int got = wire_receive(connection->socket, packet, sizeof packet, &fds);
	bool is_ours;

	if (got <= 0) {
		/* An answer that comes too late would be taken for the next one, and of what mpd
		 * handed out without our getting it, it only hears in this way. */
		connection_hang_up(connection);
		return got < 0 ? connection_as_ours(got) : -EPIPE;
	}
	is_ours = is_in_step(connection, packet, (size_t)got, bytes, &head);
	/* A refusal tells why, and a stranger who it is. */
	if ((is_ours || head.version != PROTO_VERSION) && answer &&
	    (size_t)got >= sizeof head + bytes)
		memcpy(answer, packet + sizeof head, bytes);
	if (!is_ours) {
		connection_hang_up(connection); /* the next request begins anew */
		head.status = -EPROTO;
	}
	connection->answered = head;
	if (head.status >= 0 && ret_fds)
		*ret_fds = fds;
	else
		wire_close_fds(&fds);
	return head.status;
}

/* A number that no image of a program had before: one that executes itself anew must not hold the
 * byte of what it was, else that would live for ever. */
static uint64_t new_roster_byte(void)
{
	uint64_t byte;

	if (getrandom(&byte, sizeof byte, GRND_NONBLOCK) != (ssize_t)sizeof byte)
		byte = (uint64_t)getpid() << 40 ^ (uint64_t)clock_now_ns();
	return byte >> 2 | 1;
}

/* Any byte that nobody else holds will do: the offset need not exist in the file. */
static int lock_roster_byte(struct connection *connection)
{
	uint64_t byte = connection->roster_byte == ROSTER_BYTE_NONE ? 0 : connection->roster_byte;

	for (uint64_t attempt = 0; attempt < ROSTER_ATTEMPTS_MAX; attempt++) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

		if (!byte)
			byte = new_roster_byte();
		lock.l_start = (off_t)byte;
		if (fcntl(connection->roster_fd, F_SETLK, &lock) == 0) {
			connection->roster_byte = byte;
			return 0;
		}
		if (errno != EAGAIN && errno != EACCES)
			return connection_as_ours(-errno);
		byte = 0; /* somebody has drawn the same number */
	}
	/* Somebody, who may be another user, keeps them all. It is but one of several proofs. */
	connection->roster_byte = ROSTER_BYTE_NONE;
	return 0;
}

void connection_hang_up(struct connection *connection)
{
	forget_foreign(connection);
	if (connection->socket >= 0)
		close(connection->socket);
	connection->socket = -1;
	connection->unread = 0;
}

int connection_post(struct connection *connection, enum proto_type type, const void *request,
		    size_t request_bytes)
{
	int result = -EPIPE;

	forget_foreign(connection);
	if (connection->socket >= 0)
		result = send_request(connection, type, request, request_bytes, NEVER_WAIT);
	if (result == 0)
		connection->unread++;
	else
		connection_hang_up(connection); /* then mpd looks for itself what became of us */
	return result;
}

/* Answers come in order: those of posts first. */
static int read_past_posts(struct connection *connection)
{
	uint8_t packet[PROTO_MESSAGE_MAX];
	struct wire_fds fds;
	int got;

	for (; connection->unread > 0; connection->unread--) {
		fds.count = 0;
		got = wire_receive(connection->socket, packet, sizeof packet, &fds);
		/* Read, but for its descriptor: that was not wanted anyway. */
		if (got == -EMFILE)
			continue;
		if (got <= 0) {
			connection_hang_up(connection);
			return got < 0 ? connection_as_ours(got) : -EPIPE;
		}
		wire_close_fds(&fds);
	}
	/* A welcome's roster descriptor was closed, and with it our lock dropped. */
	return lock_roster_byte(connection);
}

static int ask_once(struct connection *connection, enum proto_type type, const void *request,
		    size_t request_bytes, void *answer, size_t answer_bytes,
		    struct wire_fds *ret_fds)
{
	int result;

	forget_foreign(connection);
	result = connection->socket < 0 ? -EPIPE : 0;
	if (result == 0 && connection->unread > 0)
		result = read_past_posts(connection);
	if (result == 0)
		result = send_request(connection, type, request, request_bytes, MAY_WAIT);
	return result < 0 ? result : receive_answer(connection, answer, answer_bytes, ret_fds);
}

static int say_hello(struct connection *connection)
{
	struct proto_hello hello = { .pid = (uint32_t)getpid(), .signature = layout_signature() };
	struct proto_welcome welcome = { .pid = 0 };
	struct wire_fds fds = { 0 };
	int result = ask_once(connection, PROTO_HELLO, &hello, sizeof hello, &welcome,
			      sizeof welcome, &fds);

	connection->is_strange = false;
	if (result == -EPROTO ||
	    (result >= 0 && (fds.count != 1 || welcome.signature != layout_signature()))) {
		connection_meet_stranger(connection, &connection->answered, &welcome);
		wire_close_fds(&fds);
		return -EPROTO;
	}
	if (result == -EDQUOT)
		memcpy(&connection->refused, &welcome, sizeof connection->refused);
	if (result < 0)
		return result;
	connection->mpd_pid = welcome.pid;
	if (connection->roster_fd < 0) {
		connection->roster_fd = fds.fd[0];
		connection->roster_file = own_fd_file(fds.fd[0]);
	} else {
		close(fds.fd[0]);
	}
	/* Closing any descriptor of the roster drops the lock on all of them: take it again. That
	 * the byte was free for a moment proves nothing while our pid lives. */
	return lock_roster_byte(connection);
}

/* `ret_is_there`: somebody listens, whatever he then did. */
static int connect_once(struct connection *connection, const char *path, bool *ret_is_there)
{
	static const struct proto_head nothing_said;
	int fd = dial(path, 0);
	int result;

	*ret_is_there = fd >= 0;
	if (fd == -EPROTO)
		connection_meet_stranger(connection, &nothing_said, NULL);
	if (fd < 0)
		return fd;
	use_socket(connection, fd);
	result = say_hello(connection);
	if (result < 0) {
		connection_hang_up(connection);
		return result;
	}
	if (connection->endpoint != path)
		snprintf(connection->endpoint, sizeof connection->endpoint, "%s", path);
	return 0;
}

static bool is_nobody_there(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -ENOTDIR ||
	       error == -EPIPE || error == -ECONNRESET;
}

/* As connect_once; -EPROTO and explained if whoever listens hangs up again and again. */
static int connect_to(struct connection *connection, const char *path)
{
	int64_t pause_ns = SPAWN_RETRY_NS;
	bool is_there;
	int result = connect_once(connection, path, &is_there);

	for (unsigned i = 1; i < HANG_UPS_MAX && is_there && is_nobody_there(result); i++) {
		clock_sleep_ns(pause_ns);
		pause_ns *= 2;
		result = connect_once(connection, path, &is_there);
	}
	if (is_there && is_nobody_there(result)) {
		connection->is_strange = true;
		return connection_explain_hang_up(path);
	}
	if (result == -EDQUOT)
		return connection_explain_quota("the connection to", path, &connection->refused);
	return result == -EPROTO ? connection_explain_stranger(connection, path) : result;
}

/* `ret_path` is where it was tried last. */
static int connect_anywhere(struct connection *connection, const char *endpoint,
			    char ret_path[static 108])
{
	int result = -ECONNREFUSED;

	snprintf(ret_path, 108, "%s", endpoint ? endpoint : "");
	for (unsigned i = 0; wire_endpoint(endpoint, i, ret_path); i++) {
		result = connect_to(connection, ret_path);
		/* A system's mpd that this user may not reach is none for him. */
		if (result == -EACCES && i > 0)
			result = -ECONNREFUSED;
		if (result == 0 || !is_nobody_there(result))
			return result;
	}
	return result;
}

/* Where a private mpd would live: what was asked for, or the user's own place. */
static int private_path(const char *endpoint, char path[static 108])
{
	const char *wish = endpoint ? endpoint : getenv("MP_ENDPOINT");

	if (wish && *wish)
		return wire_endpoint(endpoint, 0, path) ? 0 : -EINVAL;
	return wire_private_endpoint(path);
}

static int explain_failure(const struct connection *connection, int error, const char *path,
			   const char *advice)
{
	if (error == -ETIMEDOUT)
		return connection_explain_silence(connection, path, ANSWER_PATIENCE_S);
	if (connection->is_strange || error == -EDQUOT)
		return error; /* explained where it was met */
	if (error == -EPERM)
		return trust_explain(path);
	return is_nobody_there(error) ? connection_explain_nobody(error, path, advice)
				      : connection_explain_other(error, path);
}

/* Until the new mpd serves, or says that it will not. */
static int connect_to_new(struct connection *connection, const char *path)
{
	int64_t patience_ends = clock_now_ns() + SPAWN_PATIENCE_NS;
	struct spawn spawn;
	bool has_failed;
	int result = spawn_mpd(path, &spawn);

	if (result < 0)
		return result;
	do {
		has_failed = spawn_has_failed(&spawn);
		result = connect_to(connection, path);
		if (is_nobody_there(result))
			clock_sleep_ns(SPAWN_RETRY_NS);
	} while (is_nobody_there(result) && !has_failed && clock_now_ns() < patience_ends);
	spawn_end(&spawn);
	if (is_nobody_there(result) && has_failed)
		return explain(-ECONNREFUSED, "mpd does not start at '%s': %s", path, spawn.text);
	return explain_failure(connection, result, path,
			       "one was started and did not come up; "
			       "`mpd --endpoint` with this path tells why");
}

static int spawn_and_connect(struct connection *connection, const char *endpoint)
{
	char path[108];
	int result = private_path(endpoint, path);

	/* -EINVAL: the wish is too long; all else is about the user's own directory. */
	if (result < 0 && result != -EINVAL && wire_name_private_endpoint(path) == 0)
		return explain(result,
			       "no place for a private mpd: the directory of '%s' must be yours "
			       "and writable by nobody else; mend it, or set MP_ENDPOINT", path);
	if (result < 0)
		return explain(result,
			       "no place for a private mpd; set MP_ENDPOINT to the path of a "
			       "socket, of at most %zu bytes", sizeof path - 1);
	result = connection_check_directory(path);
	return result < 0 ? result : connect_to_new(connection, path);
}

int connection_open(struct connection *connection, const char *endpoint, bool may_spawn)
{
	char path[108];
	int result;

	*connection = (struct connection){ .socket = -1, .roster_fd = -1 };
	result = connect_anywhere(connection, endpoint, path);
	if (is_nobody_there(result) && may_spawn)
		return spawn_and_connect(connection, endpoint);
	return explain_failure(connection, result, path, "start one, or leave MP_NO_SPAWN away");
}

void connection_resume(struct connection *connection)
{
	struct proto_hello hello = { .pid = (uint32_t)getpid(), .signature = layout_signature() };
	int fd;

	lock_roster_byte(connection);
	if (connection->socket >= 0)
		return;
	fd = dial(connection->endpoint, SOCK_NONBLOCK);
	if (fd < 0)
		return;
	fcntl(fd, F_SETFL, 0);
	use_socket(connection, fd);
	connection_post(connection, PROTO_HELLO, &hello, sizeof hello);
}

void connection_close(struct connection *connection)
{
	connection_hang_up(connection); /* forgets a roster that is not ours */
	connection->roster_fd = own_fd_close(connection->roster_fd, connection->roster_file);
	connection->roster_byte = 0;
}

/* Of a question: not the answer that there is no such segment. */
static bool is_hung_up(int error)
{
	return error == -EPIPE || error == -ECONNRESET;
}

/* Its supervisor brings it back within milliseconds. 0 or an explained error. */
static int connect_again(struct connection *connection)
{
	int64_t patience_ends = clock_now_ns() + SPAWN_PATIENCE_NS;
	int result;

	connection_hang_up(connection);
	while ((result = connect_to(connection, connection->endpoint)) < 0) {
		if (result == -ETIMEDOUT)
			return connection_explain_silence(connection, connection->endpoint,
							  ANSWER_PATIENCE_S);
		if (connection->is_strange)
			return result;
		if (!is_nobody_there(result) || clock_now_ns() > patience_ends)
			return explain(-ECONNREFUSED, "mpd at '%s' is gone (%s)",
				       connection->endpoint, strerror(-result));
		clock_sleep_ns(SPAWN_RETRY_NS);
	}
	return 0;
}

/* Who is killed again while he is asked again may be as unlucky once more; who hangs up at each
 * question has something against it. */
int connection_ask(struct connection *connection, enum proto_type type, const void *request,
		   size_t request_bytes, void *answer, size_t answer_bytes,
		   struct wire_fds *ret_fds)
{
	int result = ask_once(connection, type, request, request_bytes, answer, answer_bytes,
			      ret_fds);

	for (unsigned i = 1; i < HANG_UPS_MAX && is_hung_up(result); i++) {
		int error = connect_again(connection);

		if (error < 0)
			return error;
		result = ask_once(connection, type, request, request_bytes, answer, answer_bytes,
				  ret_fds);
	}
	if (is_hung_up(result))
		return explain(-ECONNREFUSED, "mpd at '%s' hangs up at each question",
			       connection->endpoint);
	return result == -ETIMEDOUT ? connection_explain_silence(connection, connection->endpoint,
								 ANSWER_PATIENCE_S)
				    : result;
}
