/* SPDX-License-Identifier: MIT
 *
 * See ctl.h. Knows: the head of a packet, greetings of other versions. Does not know: other bodies.
 */
#include "ctl.h"

#include "log.h"
#include "quota.h"
#include "reaper.h"
#include "requests.h"
#include "version.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUESTS_A_TURN 16
#define ACCEPTS_A_TURN 64
#define PAUSE_NS INT64_C(100000000) /* no descriptor is left: try again then */
#define REQUEST_BYTES_MAX PROTO_HELLO_MAX

static unsigned clients;
static int listen_fd;
static loop_id listen_source;
static struct loop_timer pause_timer;
static int64_t latest_accept_ns;
static bool is_system;
static void (*notify_changed)(void);

union packet {
	struct proto_head head;
	uint8_t bytes[PROTO_MESSAGE_MAX];
};

/* A request may have others answered that wait: its own answer stands beside theirs. */
static union packet answer, late_answer;

bool ctl_is_system(void)
{
	return is_system;
}

unsigned ctl_client_count(void)
{
	return clients;
}

void ctl_greet(struct conn *conn, bool is_observer)
{
	conn->is_greeted = true;
	conn->is_observer = is_observer;
	clients += !is_observer;
	notify_changed();
}

/* It may have died between claiming a slot and saying so: whoever has a slot gets a watch. */
static void watch_everybody(void)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		struct segment *segment = segment_at(i);

		if (segment && segment->seg)
			reaper_watch_table(segment);
	}
}

static void end(struct conn *conn)
{
	bool may_have_slot = conn->is_greeted && !conn->is_observer &&
			     (conn->holds || !conn->process);

	loop_remove(&conn->source);
	requests_conn_ended(conn);
	if (conn->process)
		reaper_connection_ended(conn->process);
	if (may_have_slot)
		watch_everybody();
	/* Its other end sees the end even while the event loop still refers to it. */
	shutdown(conn->fd, SHUT_RDWR);
	close(conn->fd);
	clients -= conn->is_greeted && !conn->is_observer;
	conn_give(conn);
	notify_changed();
}

static void drop(struct conn *conn, const char *why)
{
	log_warning("process %u (uid %u) is dropped: %s", conn->pid, conn->uid, why);
	end(conn);
}

/* The body stands in the packet already. */
static int send_answer(struct conn *conn, union packet *packet, uint16_t type, uint32_t serial,
		       int status, size_t bytes, const struct wire_fds *fds)
{
	if (status == -EMFILE)
		status = -ENFILE; /* the other would be the client's own lack */
	packet->head = (struct proto_head){ .magic = PROTO_MAGIC, .version = PROTO_VERSION,
					    .type = type, .serial = serial, .status = status,
					    .bytes = (uint32_t)(sizeof(packet->head) + bytes) };
	return wire_send(conn->fd, packet, packet->head.bytes, fds);
}

void ctl_answer_late(struct conn *conn, uint16_t type, int status, const void *body, size_t bytes,
		     const struct wire_fds *fds)
{
	memcpy(late_answer.bytes + sizeof(late_answer.head), body, bytes);
	/* A failure shows as the end of the connection: nothing is freed under the caller. */
	if (send_answer(conn, &late_answer, type, conn->serial, status, bytes, fds) < 0)
		shutdown(conn->fd, SHUT_RDWR);
	conn->waits_for = NULL;
	loop_change(&conn->source, POLLIN);
}

void ctl_note_stranger(const struct conn *conn, unsigned protocol, uint64_t signature)
{
	log_warning("process %u (uid %u) is of another version and is told so: it speaks protocol "
		    "%u and layout %016llx, this mpd %s protocol %u and layout %016llx; bring the "
		    "older of the two up to date", conn->pid, conn->uid, protocol,
		    (unsigned long long)signature, MPD_VERSION, PROTO_VERSION,
		    (unsigned long long)layout_signature());
}

/* A greeting in another version: it must be as long as the first one was. */
static bool is_strange_greeting(const struct conn *conn, const struct proto_head *head, int bytes)
{
	return !conn->is_greeted && bytes >= (int)(sizeof(*head) + sizeof(struct proto_hello)) &&
	       head->magic == PROTO_MAGIC && head->version != PROTO_VERSION &&
	       head->type == PROTO_HELLO && head->bytes == (uint32_t)bytes;
}

/* It learns who is here from the answer, whatever else it wanted. */
static void refuse_stranger(struct conn *conn, const struct proto_head *head)
{
	const struct proto_hello *hello = (const void *)(head + 1);
	struct proto_welcome *welcome = (void *)(answer.bytes + sizeof(answer.head));

	ctl_note_stranger(conn, head->version, hello->signature);
	requests_fill_welcome(welcome);
	(void)send_answer(conn, &answer, PROTO_HELLO, head->serial, -EPROTO, sizeof(*welcome),
			  NULL);
	end(conn);
}

/* NULL: it is a whole request. Else what is wrong with it. */
static const char *judge(const struct conn *conn, const struct proto_head *head, int bytes,
			 const struct wire_fds *fds)
{
	const struct request_type *type;

	if (bytes < (int)sizeof(*head) || head->magic != PROTO_MAGIC)
		return "not our protocol";
	if (head->version != PROTO_VERSION)
		return "another version of the protocol";
	type = request_type(head->type);
	if (!type)
		return "no such request";
	if ((size_t)bytes != sizeof(*head) + type->request_bytes || head->bytes != (uint32_t)bytes)
		return "wrong size of a request";
	if (head->reserved || head->status)
		return "reserved bytes are not zero";
	if (fds->count)
		return "unasked descriptors";
	if (conn->is_greeted == (head->type == PROTO_HELLO))
		return conn->is_greeted ? "a second HELLO" : "no HELLO";
	return NULL;
}

static void serve(struct conn *conn, const struct proto_head *head)
{
	const struct request_type *type = request_type(head->type);
	struct reply reply = { .body = answer.bytes + sizeof(answer.head),
			       .bytes = type->answer_bytes };
	int status;

	memset(reply.body, 0, type->answer_bytes);
	status = type->handle(conn, head + 1, &reply);
	if (status == REPLY_LATER) {
		conn->serial = head->serial;
		loop_change(&conn->source, 0);
		return;
	}
	if (status == REPLY_DROP) {
		drop(conn, "a request that makes no sense");
		return;
	}
	if (status < 0)
		log_debug("process %u: %s: %s", conn->pid, type->name, strerror(-status));
	status = send_answer(conn, &answer, head->type, head->serial, status, reply.bytes,
			     &reply.fds);
	/* A process that is gone may have more to say: that it attached, or left. */
	if (status < 0 && status != -EPIPE && status != -ECONNRESET)
		drop(conn, status == -EAGAIN ? "it does not read its answers" : strerror(-status));
}

/* One packet; false: nothing more to read, or the connection is over. */
static bool read_one(struct conn *conn)
{
	static union {
		struct proto_head head;
		uint8_t bytes[REQUEST_BYTES_MAX];
	} request;
	struct wire_fds fds = { 0 };
	int bytes = wire_receive(conn->fd, &request, sizeof(request), &fds);
	const char *wrong;

	if (bytes == -EAGAIN)
		return false;
	/* It left without reading our answers; the kernel says so once, before what it sent. */
	if (bytes == -ECONNRESET)
		return true;
	if (bytes == 0) {
		end(conn);
		return false;
	}
	if (bytes < 0) {
		drop(conn, bytes == -EMSGSIZE ? "a request that is too long" : strerror(-bytes));
		return false;
	}
	if (!fds.count && is_strange_greeting(conn, &request.head, bytes)) {
		refuse_stranger(conn, &request.head);
		return false;
	}
	wrong = judge(conn, &request.head, bytes, &fds);
	wire_close_fds(&fds);
	if (wrong) {
		drop(conn, wrong);
		return false;
	}
	serve(conn, &request.head);
	return conn->fd >= 0 && !conn->waits_for;
}

/* What was sent before the end is still read. */
static void readable(void *arg, unsigned events)
{
	struct conn *conn = arg;

	if (!(events & POLLIN)) {
		if (events)
			end(conn);
		return;
	}
	for (unsigned i = 0; i < REQUESTS_A_TURN; i++)
		if (!read_one(conn))
			return;
}

static bool is_welcome(const struct ucred *peer)
{
	return is_system || peer->uid == geteuid() || peer->uid == 0;
}

static void begin(int fd)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof(peer);
	struct conn *conn;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || !is_welcome(&peer)) {
		log_warning("process %d of user %u is not welcome", (int)peer.pid, peer.uid);
		close(fd);
		return;
	}
	if (quota_is_flood(peer.uid, (uint32_t)peer.pid)) {
		log_warning("process %d of user %u is refused: too many connections",
			    (int)peer.pid, peer.uid);
		close(fd);
		return;
	}
	conn = conn_take();
	if (!conn) {
		log_warning("process %d is refused: %d connections", (int)peer.pid,
			    CONNECTIONS_MAX);
		close(fd);
		return;
	}
	*conn = (struct conn){ .fd = fd, .pid = (uint32_t)peer.pid, .uid = peer.uid,
				.gid = peer.gid };
	latest_accept_ns = clock_now_ns();
	conn->source = loop_add(fd, POLLIN, readable, conn);
	if (!conn->source)
		drop(conn, "there is no room in the event loop");
}

static void resume(void *arg, unsigned events)
{
	loop_change(&listen_source, POLLIN);
}

/* Nobody is left in the queue, or there is no room for him. */
static void stop_accepting(int error)
{
	if (error == EAGAIN)
		return;
	log_error("no connection can be accepted: %s", strerror(error));
	loop_change(&listen_source, 0);
	loop_timer_set(&pause_timer, clock_now_ns() + PAUSE_NS);
}

int64_t ctl_accept(void)
{
	for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			begin(fd);
		} else if (errno != EINTR && errno != ECONNABORTED) {
			stop_accepting(errno);
			break;
		}
	}
	return latest_accept_ns;
}

static void somebody_knocks(void *arg, unsigned events)
{
	ctl_accept();
}

int ctl_open(int fd, bool is_system_wide, void (*changed)(void))
{
	listen_fd = fd;
	is_system = is_system_wide;
	notify_changed = changed;
	pause_timer.fn = resume;
	listen_source = loop_add(fd, POLLIN, somebody_knocks, NULL);
	return listen_source ? 0 : -ENOMEM;
}
