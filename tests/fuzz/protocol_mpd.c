/* SPDX-License-Identifier: MIT
 *
 * Three clients and an mpd in one process. Knows: how packets are made, what every answer must be
 * like, that nothing of a client is left when it has gone. Does not know: what a request does.
 *
 * mpd's own sources run, but for the event loop (loop_by_hand.c): accepting, requests, segments,
 * the reaper and the doctor. Segments are real and may be written to at any time.
 */
#include "protocol.h"

#include "loop_by_hand.h"

#include "mpd/ctl.h"
#include "mpd/doctor.h"
#include "mpd/log.h"
#include "mpd/quota.h"
#include "mpd/reaper.h"
#include "mpd/roster.h"
#include "mpd/version.h"

#include "libshm/slot.h"
#include <libshm/base.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS 3
#define STEPS_MAX 64
#define FLOOD 24
#define SMALL_BYTES (UINT64_C(64) * GRANULE_BYTES)

static const struct segment_keepers keepers = {
	.roster = roster_fd,
	.begun = doctor_begin,
	.ending = doctor_end,
	.watch_clients = reaper_watch_table,
	.changed = reaper_changed,
};

/* Who talks to mpd, and what he has been given. */
struct client {
	int socket; /* -1: not connected */
	uint32_t serial;
	int fd; /* of the segment that was opened last, -1: none */
	struct proto_opened opened;
	struct seg *seg; /* a map of it; NULL */
	uint32_t slot, generation;
	bool is_confused; /* has sent what nobody need answer in order */
};

struct talk {
	struct input *input;
	struct client clients[CLIENTS];
};

static struct sockaddr_un address;
static int null_fd = -1;

uint64_t version_started_ns(void)
{
	return 1;
}

static void changed(void)
{
}

void protocol_mpd_open(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	uint64_t quotas[QUOTA_COUNT];

	/* Abstract, so that nothing is left; told apart by our pid. */
	address.sun_family = AF_UNIX;
	snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "libshm-fuzz-%d", getpid());
	must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
	must(listen(fd, 16) == 0);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	log_set_level(LOG_LEVEL_ERROR);
	must(registry_open(-1) == 0 && roster_open(-1) == 0);
	reaper_open(changed);
	for (unsigned i = 0; i < QUOTA_COUNT; i++)
		quotas[i] = UINT64_MAX;
	quotas[QUOTA_CLIENT_SEGMENTS] = 2; /* of the names there are four */
	quota_configure(quotas);
	segment_configure("fuzz", &keepers);
	must(ctl_open(fd, false, changed) == 0);
}

/* --- the other end --- */

static void forget_segment(struct client *client)
{
	client->seg = seg_unmap(client->seg);
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static void hang_up(struct client *client)
{
	if (client->socket >= 0)
		close(client->socket);
	forget_segment(client);
	*client = (struct client){ .socket = -1, .fd = -1 };
}

static void call_up(struct client *client)
{
	hang_up(client);
	client->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	must(client->socket >= 0);
	if (connect(client->socket, (struct sockaddr *)&address, sizeof address) < 0)
		hang_up(client);
}

static void send_bytes(struct client *client, const void *bytes, size_t count,
		       const struct wire_fds *fds)
{
	if (client->socket >= 0)
		wire_send(client->socket, bytes, count, fds);
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Refusals with a body: a version, a shape, a quota, somebody's mode (proto.h). */
static bool may_say_why(const struct proto_head *head)
{
	return head->type == PROTO_HELLO || head->type == PROTO_OPEN || head->status == -EPROTO;
}

/* A descriptor of a segment lets nobody change its size, one to look at it lets nobody write. */
static void check_descriptor(int fd, uint16_t type)
{
	int seals = fcntl(fd, F_GET_SEALS);

	must(seals >= 0 && (seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) ==
				   (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	if (type == PROTO_OBSERVE)
		must((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
}

static void take_segment(struct client *client, const uint8_t *body, int fd)
{
	forget_segment(client);
	memcpy(&client->opened, body, sizeof client->opened);
	client->fd = fd;
}

/* What every answer is like, whatever was asked. */
static void check_answer(struct client *client, const uint8_t *packet, size_t bytes,
			 struct wire_fds *fds)
{
	struct proto_head head;
	const uint8_t *body = packet + sizeof head;

	must(bytes >= sizeof head);
	memcpy(&head, packet, sizeof head);
	must(head.magic == PROTO_MAGIC && head.version == PROTO_VERSION);
	must(head.bytes == bytes && head.reserved == 0 && head.status <= 0);
	if (head.status < 0) {
		must(fds->count == 0);
		must(may_say_why(&head) || is_zero(body, bytes - sizeof head));
	}
	if (fds->count == 0)
		return;
	must(fds->count == 1);
	if (head.type != PROTO_HELLO)
		check_descriptor(fds->fd[0], head.type);
	if (head.type == PROTO_OPEN) {
		take_segment(client, body, fds->fd[0]);
		fds->count = 0;
	}
}

static void read_answers(struct talk *talk, struct client *client)
{
	static uint8_t packet[PROTO_MESSAGE_MAX];
	struct wire_fds fds;
	int bytes;

	(void)talk;
	while (client->socket >= 0) {
		fds.count = 0;
		bytes = wire_receive(client->socket, packet, sizeof packet, &fds);
		if (bytes <= 0)
			return;
		check_answer(client, packet, (size_t)bytes, &fds);
		wire_close_fds(&fds);
	}
}

/* --- what a client may do --- */

/* Without sense. */
static void say_anything(struct talk *talk, struct client *client)
{
	uint8_t packet[1024];
	size_t count = input_u8(talk->input) * 4u;

	input_take(talk->input, packet, count);
	send_bytes(client, packet, count ? count : 1, NULL);
}

/* A request with its head as it should be, but for one byte perhaps. */
static void say(struct talk *talk, struct client *client, uint16_t type, const void *body,
		size_t bytes, const struct wire_fds *fds)
{
	uint8_t packet[sizeof(struct proto_head) + 512], spoilt = input_u8(talk->input);
	struct proto_head head = { .magic = PROTO_MAGIC, .version = PROTO_VERSION, .type = type,
				   .bytes = (uint32_t)(sizeof head + bytes),
				   .serial = ++client->serial };

	memcpy(packet, &head, sizeof head);
	memcpy(packet + sizeof head, body, bytes);
	if (spoilt >= 0xc0)
		packet[spoilt % (sizeof head + 8)] ^= input_u8(talk->input);
	send_bytes(client, packet, head.bytes - (spoilt == 0xbf), fds);
}

static void say_hello(struct talk *talk, struct client *client)
{
	struct proto_hello hello = { .pid = 1, .signature = layout_signature() };
	uint8_t flags = input_u8(talk->input);

	hello.flags = flags >= 0xf0 ? flags : flags & 1;
	hello.signature ^= flags & 2;
	say(talk, client, PROTO_HELLO, &hello, sizeof hello, NULL);
}

static void say_of_name(struct talk *talk, struct client *client, uint16_t type)
{
	static const uint64_t sizes[] = { SMALL_BYTES, 0, SMALL_BYTES + 1, 1, SMALL_BYTES * 2,
					  UINT64_MAX, SEG_BYTES_MAX, SEG_BYTES_MAX + 1 };
	struct proto_open open = { .mode = 0600, .gid = -1 };
	uint8_t how = input_u8(talk->input), flags = input_u8(talk->input);

	snprintf(open.name, sizeof open.name, "segment%u", how & 3);
	if (how & 0x80)
		input_take(talk->input, open.name, 8);
	open.size_bytes = sizes[how >> 2 & 7];
	open.flags = flags;
	open.max_clients = how & 0x20 ? input_u8(talk->input) : 0;
	open.max_threads = how & 0x20 ? input_u8(talk->input) : 0;
	if (how & 0x40)
		input_take(talk->input, &open.mode,
			   sizeof open - offsetof(struct proto_open, mode));
	say(talk, client, type, &open, sizeof open, NULL);
}

static void say_open(struct talk *talk, struct client *client)
{
	say_of_name(talk, client, PROTO_OPEN);
}

static void say_unlink(struct talk *talk, struct client *client)
{
	say_of_name(talk, client, PROTO_UNLINK);
}

static uint64_t number_of(struct talk *talk, const struct client *client)
{
	uint8_t how = input_u8(talk->input);

	return how < 0xc0 ? client->opened.segment : client->opened.segment + how - 0xe0;
}

static void say_of_segment(struct talk *talk, struct client *client)
{
	struct proto_segment body = { .segment = number_of(talk, client) };
	bool is_formatted = input_u8(talk->input) & 1;

	say(talk, client, is_formatted ? PROTO_FORMATTED : PROTO_OBSERVE, &body, sizeof body, NULL);
}

static void say_of_slot(struct talk *talk, struct client *client)
{
	struct proto_attached body = { .segment = number_of(talk, client), .client = client->slot,
				       .generation = client->generation };
	uint8_t how = input_u8(talk->input);

	if (how & 0x80)
		body.client = input_u8(talk->input);
	if (how & 0x40)
		body.generation += input_u8(talk->input);
	say(talk, client, how & 1 ? PROTO_DETACHED : PROTO_ATTACHED, &body, sizeof body, NULL);
}

static void say_list(struct talk *talk, struct client *client)
{
	struct proto_empty empty = { 0 };

	say(talk, client, PROTO_LIST, &empty, sizeof empty, NULL);
}

/* Many requests, and no answer is read. */
static void flood(struct talk *talk, struct client *client)
{
	struct proto_empty empty = { 0 };

	for (unsigned i = 0; i < FLOOD; i++)
		say(talk, client, PROTO_LIST, &empty, sizeof empty, NULL);
}

/* Up to four, of several kinds, with whatever message. */
static void pass_descriptors(struct talk *talk, struct client *client)
{
	uint8_t how = input_u8(talk->input);
	int kinds[] = { null_fd, client->socket, client->fd, roster_fd() };
	struct wire_fds fds = { .count = 1 + (how & 3) };
	struct proto_empty empty = { 0 };

	for (unsigned i = 0; i < fds.count; i++) {
		fds.fd[i] = kinds[how >> (2 + i) & 3];
		if (fds.fd[i] < 0)
			fds.fd[i] = null_fd;
	}
	say(talk, client, how & 0x80 ? PROTO_HELLO : PROTO_LIST, &empty, sizeof empty, &fds);
}

/* --- what a client may do with the memory --- */

static void format(struct talk *talk, struct client *client)
{
	struct seg_geometry plan;

	(void)talk;
	if (client->fd >= 0 && client->opened.size_bytes <= 4 * SMALL_BYTES &&
	    seg_plan(client->opened.size_bytes, client->opened.max_clients,
		     client->opened.max_threads, &plan) == 0)
		seg_format(client->fd, "fuzz", client->opened.generation, &plan);
}

static void claim(struct talk *talk, struct client *client)
{
	int fd = client->fd >= 0 ? fcntl(client->fd, F_DUPFD_CLOEXEC, 3) : -1;

	(void)talk;
	if (fd < 0)
		return;
	client->seg = seg_unmap(client->seg);
	if (seg_map(fd, false, &client->seg) < 0) {
		close(fd);
		return;
	}
	client->seg->roster_fd = -1;
	if (slot_claim_client(client->seg, 7, "fuzz", SLOT_NONE, &client->slot,
			      &client->generation) < 0)
		client->slot = 0;
}

/* A word at the beginning of the file: header, slots, tables. */
static void scribble(struct talk *talk, struct client *client)
{
	uint64_t value = 0;
	uint16_t place;

	input_take(talk->input, &place, sizeof place);
	input_take(talk->input, &value, 1 + place % 8);
	if (client->fd >= 0 && pwrite(client->fd, &value, sizeof value, place * 8) < 0)
		return;
}

static void leave(struct talk *talk, struct client *client)
{
	(void)talk;
	hang_up(client);
}

static void half_close(struct talk *talk, struct client *client)
{
	if (client->socket >= 0)
		shutdown(client->socket, input_u8(talk->input) % 3);
}

static void come(struct talk *talk, struct client *client)
{
	call_up(client);
	loop_turn();
	say_hello(talk, client);
}

static void let_time_pass(struct talk *talk, struct client *client)
{
	(void)talk;
	(void)client;
	loop_fire_timers();
}

static void (*const steps[])(struct talk *talk, struct client *client) = {
	come,	    say_hello,	say_open,      say_of_segment, say_of_slot, read_answers,
	format,	    claim,	say_list,      say_unlink,     scribble,    let_time_pass,
	leave,	    half_close, say_anything,  pass_descriptors, flood,	    read_answers,
};
#define STEP_COUNT (sizeof steps / sizeof steps[0])

static void play(struct talk *talk)
{
	for (unsigned i = 0; i < STEPS_MAX && talk->input->left; i++) {
		uint8_t step = input_u8(talk->input);

		steps[step % STEP_COUNT](talk, &talk->clients[step / STEP_COUNT % CLIENTS]);
		loop_turn();
	}
}

/* As if every process had detached: this one lives on, and mpd can ask for it. */
static void free_slots(struct seg *seg)
{
	for (uint32_t i = SLOT_FIRST; i < seg->at.max_clients; i++)
		store_release(&seg->clients[i].word, 0);
}

static void end_all(struct talk *talk)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		struct segment *segment = segment_at(i);

		if (segment && segment->seg)
			free_slots(segment->seg);
		if (segment && segment_is_ready(segment))
			segment_unlink(segment);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		hang_up(&talk->clients[i]);
	loop_turn();
	loop_fire_timers();
	loop_turn();
}

static void check_nothing_left(void)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++)
		must(!segment_at(i));
	must(ctl_client_count() == 0);
	must(reaper_is_idle());
	protocol_check_descriptors();
}

void protocol_mpd(struct input *input)
{
	struct talk talk = { .input = input };

	for (unsigned i = 0; i < CLIENTS; i++)
		talk.clients[i] = (struct client){ .socket = -1, .fd = -1 };
	play(&talk);
	end_all(&talk);
	check_nothing_left();
}
