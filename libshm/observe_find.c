/* SPDX-License-Identifier: MIT
 *
 * Finds an endpoint and its segments. Knows: the conversation with mpd, the list of segments, and
 * what to do without mpd (observe_scan.c). Does not know: what is inside a segment.
 *
 * mpd may be dead, stopped or foreign: every answer has one deadline for the whole refresh and is
 * checked before it is used.
 */
#include "observe_find.h"
#include "clock.h"
#include "probe.h"
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_NS INT64_C(1000000000)
/* Once mpd has let that pass, a screen must not freeze for a second at each refresh. */
#define ANSWER_OF_SILENT_NS INT64_C(50000000)
#define BACKLOG_RETRY_NS 5000000

struct call {
	uint16_t type;
	const void *request;
	uint32_t request_bytes;
	struct wire_fds fds; /* of the answer */
	const uint8_t *answer;
	size_t answer_bytes;
};

struct observe_segment *observe_find_add(struct mp_observer *observer)
{
	if (observer->segment_count == observer->segment_capacity) {
		unsigned capacity = observer->segment_capacity * 2 + 8;
		void *larger = realloc(observer->segments, capacity * sizeof(*observer->segments));

		if (!larger)
			return NULL;
		observer->segments = larger;
		observer->segment_capacity = capacity;
	}
	observer->segments[observer->segment_count] = (struct observe_segment){ .fd = -1 };
	return &observer->segments[observer->segment_count++];
}

struct observe_segment *observe_find_inode(struct mp_observer *observer, dev_t device, ino_t inode)
{
	for (unsigned i = 0; i < observer->segment_count; i++)
		if (observer->segments[i].inode == inode && observer->segments[i].device == device)
			return &observer->segments[i];
	return NULL;
}

static void drop_missing(struct mp_observer *observer)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < observer->segment_count; i++) {
		struct observe_segment segment = observer->segments[i];

		if (segment.is_found)
			observer->segments[kept++] = segment;
		else
			observe_forget_segment(&segment);
	}
	observer->segment_count = kept;
}

static void hang_up(struct mp_observer *observer)
{
	if (observer->socket >= 0)
		close(observer->socket);
	observer->socket = -1;
}

static int wait_for_answer(int socket, int64_t deadline_ns)
{
	struct pollfd wanted = { .fd = socket, .events = POLLIN };

	for (;;) {
		int64_t left = deadline_ns - clock_now_ns();
		int ready;

		if (left <= 0)
			return -ETIMEDOUT;
		ready = poll(&wanted, 1, (int)(left / 1000000) + 1);
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
}

/* What mpd has run out of is not what we have run out of. */
static int status_of_mpd(int status)
{
	return status == -ENOMEM || status == -EMFILE ? -EREMOTEIO : status;
}

/* The answer that is in the packet: its status, or -EPROTO. */
static int check_answer(struct mp_observer *observer, struct call *call, size_t bytes)
{
	struct proto_head head;

	if (bytes < sizeof(head))
		return -EPROTO;
	memcpy(&head, observer->packet, sizeof(head));
	if (head.magic != PROTO_MAGIC || head.bytes != bytes || head.serial != observer->serial ||
	    head.status > 0)
		return -EPROTO;
	call->answer = observer->packet + sizeof(head);
	call->answer_bytes = bytes - sizeof(head);
	return head.version == PROTO_VERSION ? status_of_mpd(head.status) : -EPROTO;
}

/* One request and its answer; the caller closes the descriptors that came. */
static int call_mpd(struct mp_observer *observer, struct call *call, int64_t deadline_ns)
{
	struct proto_head head = { .magic = PROTO_MAGIC, .version = PROTO_VERSION,
		.type = call->type, .bytes = (uint32_t)sizeof(head) + call->request_bytes,
		.serial = ++observer->serial };
	int result;

	call->fds.count = 0;
	memcpy(observer->packet, &head, sizeof(head));
	memcpy(observer->packet + sizeof(head), call->request, call->request_bytes);
	result = wire_send(observer->socket, observer->packet, head.bytes, NULL);
	if (result >= 0)
		result = wait_for_answer(observer->socket, deadline_ns);
	if (result >= 0)
		result = wire_receive(observer->socket, observer->packet, PROTO_MESSAGE_MAX,
				      &call->fds);
	if (result < 0)
		return result;
	return result ? check_answer(observer, call, (size_t)result) : -ECONNRESET;
}

static int connect_to(const char *path, int64_t deadline_ns)
{
	struct sockaddr_un address;
	int result = wire_address(path, &address);
	int fd;

	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		result = -errno;
		if (result != -EAGAIN || clock_is_past(deadline_ns)) {
			close(fd);
			return result == -EAGAIN ? -ETIMEDOUT : result;
		}
		clock_sleep_ns(BACKLOG_RETRY_NS);
	}
	return fd;
}

static void take_welcome(struct mp_observer *observer, const struct proto_welcome *welcome)
{
	struct mp_endpoint_info *info = &observer->info;
	info->is_mpd_alive = 1;
	info->mpd_pid = welcome->pid;
	info->mpd_restarts = welcome->restarts;
	observer->mpd_started_ns = welcome->started_ns;
	observe_text(info->mpd_version, sizeof(info->mpd_version), welcome->version,
		     sizeof(welcome->version));
	observe_text(info->mpd_engine, sizeof(info->mpd_engine), welcome->engine,
		     sizeof(welcome->engine));
	info->mpd_engine_reason = probe_reason_text(welcome->engine_reason);
}

static int say_hello(struct mp_observer *observer, int64_t deadline_ns)
{
	struct proto_hello hello = { .pid = (uint32_t)getpid(), .flags = 1,
				     .signature = layout_signature() };
	struct call call = { .type = PROTO_HELLO, .request = &hello,
			     .request_bytes = sizeof(hello) };
	struct proto_welcome welcome;
	int result = call_mpd(observer, &call, deadline_ns);

	wire_close_fds(&call.fds);
	/* Also an mpd of another version says who it is. */
	if ((result >= 0 || result == -EPROTO) && call.answer_bytes >= sizeof(welcome)) {
		memcpy(&welcome, call.answer, sizeof(welcome));
		take_welcome(observer, &welcome);
	}
	if (result < 0)
		return result;
	return call.answer_bytes == sizeof(welcome) ? 0 : -EPROTO;
}

static int greet(struct mp_observer *observer, const char *path, int64_t deadline_ns)
{
	int fd = connect_to(path, deadline_ns);
	int result;

	if (fd < 0)
		return fd;
	observer->socket = fd;
	result = say_hello(observer, deadline_ns);
	if (result < 0)
		hang_up(observer);
	return result;
}

/* A descriptor that mpd or the scan brought. Takes it over. */
int observe_find_adopt(struct mp_observer *observer, int fd, const char *name)
{
	struct observe_segment *segment;
	struct shm_header header;
	struct stat status;

	if (fstat(fd, &status) < 0) {
		close(fd);
		return 0;
	}
	segment = observe_find_inode(observer, status.st_dev, status.st_ino);
	if (!segment)
		segment = observe_find_add(observer);
	if (!segment || segment->fd >= 0) {
		close(fd);
		if (!segment)
			return -ENOMEM;
	} else {
		segment->fd = fd;
		segment->device = status.st_dev;
		segment->inode = status.st_ino;
	}
	segment->is_found = true;
	observe_text(segment->name, sizeof(segment->name), name, NAME_BYTES);
	if (!segment->generation && observe_read(segment->fd, &header, sizeof(header), 0) == 0)
		segment->generation = header.generation;
	return 0;
}

static void note_listed(struct observe_segment *segment, const struct proto_listed *row)
{
	segment->listed = (struct mp_observed_segment){ .size_bytes = row->size_bytes,
							.is_listed = 1,
							.uid = row->uid,
							.mode = row->mode,
							.clients = row->clients,
							.is_kept = (row->flags & MP_KEEP) != 0 };
}

static bool is_known(struct mp_observer *observer, const struct proto_listed *row)
{
	for (unsigned i = 0; i < observer->segment_count; i++) {
		struct observe_segment *segment = &observer->segments[i];

		if (segment->fd < 0 || !row->generation || segment->generation != row->generation)
			continue;
		segment->is_found = true;
		note_listed(segment, row);
		return true;
	}
	return false;
}

/* Known again by its file, not by its header, which may be spoilt. */
static int adopt_listed(struct mp_observer *observer, const struct proto_listed *row, int fd)
{
	struct observe_segment *segment;
	struct stat status;
	bool has_file = fstat(fd, &status) == 0;
	int result = observe_find_adopt(observer, fd, row->name);

	segment = has_file ? observe_find_inode(observer, status.st_dev, status.st_ino) : NULL;
	if (segment)
		note_listed(segment, row);
	return result;
}

static int open_listed(struct mp_observer *observer, const struct proto_listed *row,
		       int64_t deadline_ns)
{
	struct proto_segment request = { .segment = row->segment };
	struct call call = { .type = PROTO_OBSERVE, .request = &request,
			     .request_bytes = sizeof(request) };
	int result = call_mpd(observer, &call, deadline_ns);
	struct observe_segment *segment;

	if (result >= 0 && call.fds.count == 1)
		return adopt_listed(observer, row, call.fds.fd[0]);
	wire_close_fds(&call.fds);
	/* Gone since the list, or hidden from us: name it, say why. */
	if (result == -ENOENT || result == -ESTALE)
		return 0;
	if (result >= 0 || result == -ETIMEDOUT || result == -ECONNRESET)
		return result < 0 ? result : -EPROTO;
	segment = observe_find_add(observer);
	if (!segment)
		return -ENOMEM;
	segment->error = result == -EPERM ? -EACCES : result;
	segment->is_found = true;
	note_listed(segment, row);
	observe_text(segment->name, sizeof(segment->name), row->name, NAME_BYTES);
	return 0;
}

static int take_list(struct mp_observer *observer, int64_t deadline_ns)
{
	struct proto_empty empty = { 0 };
	struct call call = { .type = PROTO_LIST, .request = &empty,
			     .request_bytes = sizeof(empty) };
	struct proto_list list;
	struct proto_listed *rows;
	int result = call_mpd(observer, &call, deadline_ns);

	wire_close_fds(&call.fds);
	if (result < 0)
		return result;
	if (call.answer_bytes < sizeof(list))
		return -EPROTO;
	memcpy(&list, call.answer, sizeof(list));
	if (list.count != (call.answer_bytes - sizeof(list)) / sizeof(*rows))
		return -EPROTO;
	/* The packet is used again by the next call. */
	rows = malloc(list.count * sizeof(*rows) + 1);
	if (!rows)
		return -ENOMEM;
	memcpy(rows, call.answer + sizeof(list), list.count * sizeof(*rows));
	for (uint32_t i = 0; i < list.count && result >= 0; i++)
		if (!is_known(observer, &rows[i]))
			result = open_listed(observer, &rows[i], deadline_ns);
	free(rows);
	return result;
}

static int ask_once(struct mp_observer *observer, const char *path, int64_t deadline_ns)
{
	int result = observer->socket >= 0 ? 0 : greet(observer, path, deadline_ns);

	if (result >= 0)
		result = take_list(observer, deadline_ns);
	if (result < 0)
		hang_up(observer);
	return result;
}

/* mpd at that path; it may have been restarted since the last call. */
static int ask_mpd(struct mp_observer *observer, const char *path, int64_t deadline_ns)
{
	bool was_connected = observer->socket >= 0;
	int result = ask_once(observer, path, deadline_ns);

	if (result < 0 && result != -ENOMEM && was_connected)
		result = ask_once(observer, path, deadline_ns);
	if (result == -ETIMEDOUT)
		observer->is_silent = true;
	else if (result >= 0)
		observer->is_silent = false;
	return result;
}

static void name_endpoint(struct mp_observer *observer, const char *path)
{
	if (strcmp(observer->info.endpoint, path) != 0)
		hang_up(observer);
	memcpy(observer->info.endpoint, path, strlen(path) + 1);
}

/* A place where one is not allowed to ask says more than one where nobody is. */
static void note_failure(struct mp_endpoint_info *info, int error)
{
	if (!info->mpd_error || error == -EACCES || error == -EPERM || error == -EPROTO)
		info->mpd_error = error;
}

/* Ask each candidate; the first that answers is the endpoint. 1 answered, 0 nobody, -ENOMEM,
 * -EMFILE. */
static int ask_candidates(struct mp_observer *observer)
{
	int64_t deadline_ns = clock_now_ns() +
		(observer->is_silent ? ANSWER_OF_SILENT_NS : ANSWER_NS);
	const char *given = observer->is_given ? observer->given : NULL;
	char path[108];

	for (unsigned i = 0; wire_endpoint(given, i, path); i++) {
		int result;

		name_endpoint(observer, path);
		result = ask_mpd(observer, path, deadline_ns);
		if (result == -ENOMEM || result == -EMFILE)
			return result;
		if (result < 0) {
			note_failure(&observer->info, result);
			continue;
		}
		/* Stay with it: when it dies, its segments are wanted, not another mpd's. */
		observer->is_given = true;
		memcpy(observer->given, path, sizeof(path));
		return 1;
	}
	return 0;
}

/* Nobody answers: look at what clients hold; the first candidate with segments is the endpoint. */
static int scan_candidates(struct mp_observer *observer)
{
	char path[108];
	const char *given = observer->is_given ? observer->given : NULL;

	for (unsigned i = 0; wire_endpoint(given, i, path); i++) {
		int result = observe_scan(observer, path);

		if (result < 0)
			return result;
		if (result > 0) {
			name_endpoint(observer, path);
			return 0;
		}
	}
	if (wire_endpoint(given, 0, path))
		name_endpoint(observer, path);
	return 0;
}

int observe_find(struct mp_observer *observer)
{
	int result;

	if (observer->is_file)
		return 0;
	for (unsigned i = 0; i < observer->segment_count; i++) {
		observer->segments[i].is_found = false;
		observer->segments[i].listed.is_listed = 0;
	}
	observer->info.is_mpd_alive = 0;
	observer->info.mpd_error = 0;
	result = ask_candidates(observer);
	observer->info.is_mpd_alive = result > 0;
	if (result > 0)
		observer->info.mpd_error = 0;
	else if (result == 0)
		result = scan_candidates(observer);
	if (result >= 0)
		drop_missing(observer);
	return result < 0 ? result : 0;
}
