/* SPDX-License-Identifier: MIT
 *
 * Proves: whatever is sent to mpd's socket, mpd answers everybody else as if nothing had been sent;
 * who breaks the protocol is dropped, and what he sent along is closed.
 */
#include "harness.h"

#include "libshm/recover.h"
#include "libshm/slot.h"
#include "program.h"
#include "raw_client.h"

#include <libshm.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 10000 /* on a busy machine; there is no haste */
#define PACKET_BYTES 1024
#define MANY_FDS 253 /* the kernel's limit for a message */
#define QUESTIONS 48
#define ROUNDS 50
#define SIZE (UINT64_C(4) << 20)
#define SILENT 300
#define UNREAD 100000
#define UNKNOWN 999999

/* The size of each request's body. */
static const size_t body_bytes[] = {
#define MESSAGE(number, name, request, answer, text) [number] = sizeof(struct request),
	PROTO_MESSAGES
#undef MESSAGE
};

#define TYPES (sizeof body_bytes / sizeof *body_bytes)

/* Who does everything right, and what he has; he is asked after each mischief. */
struct peace {
	struct raw raw;
	struct raw_segment segment;
	unsigned fds;
};

static void begin_peace(struct peace *peace)
{
	struct raw newcomer;

	raw_start(NULL, NULL);
	raw_connect(&peace->raw);
	raw_attach(&peace->raw, "calm", 0, &peace->segment);
	raw_connect(&newcomer); /* all has settled */
	raw_close(&newcomer);
	harness_sleep_ms(20);
	peace->fds = raw_fd_count((pid_t)peace->raw.welcome.pid);
}

static void expect_peace(struct peace *peace)
{
	uint64_t word = slot_client_word(peace->segment.seg, peace->segment.client);

	assert_int_equal(raw_count(&peace->raw), 1);
	assert_int_equal(client_word_state(word), SLOT_LIVE);
	assert_int_equal(client_word_generation(word), peace->segment.generation);
}

static void end_peace(struct peace *peace)
{
	struct raw newcomer;

	expect_peace(peace);
	raw_connect(&newcomer); /* welcomed after all who are gone */
	assert_int_equal(newcomer.welcome.restarts, 0);
	raw_close(&newcomer);
	raw_expect_fds((pid_t)peace->raw.welcome.pid, peace->fds);
	recover_client(peace->segment.seg, peace->segment.client, peace->segment.generation);
	raw_close(&peace->raw);
	raw_forget(&peace->segment);
}

static bool is_dropped(void *arg)
{
	char byte;

	return recv(*(int *)arg, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

static void expect_dropped(struct raw *raw)
{
	assert_true(harness_until(is_dropped, &raw->socket, PATIENCE_MS));
	raw_close(raw);
}

/* A packet whose head is right, with as many zeros behind it as there are bytes. */
static void send_sized(struct raw *raw, unsigned type, size_t bytes)
{
	uint8_t packet[PACKET_BYTES] = { 0 };
	struct proto_head head = { .magic = PROTO_MAGIC, .version = PROTO_VERSION,
				   .type = (uint16_t)type,
				   .bytes = (uint32_t)(sizeof head + bytes), .serial = 9 };

	memcpy(packet, &head, sizeof head);
	assert_int_equal(wire_send(raw->socket, packet, sizeof head + bytes, NULL), 0);
}

/* --- packets that are none --- */

static void send_garbage(unsigned kind, struct raw *raw)
{
	struct proto_head head = { .magic = PROTO_MAGIC, .version = PROTO_VERSION,
				   .type = PROTO_LIST, .bytes = 32, .serial = 9 };
	uint8_t packet[2048] = { 0 };
	struct wire_fds fds = { .count = 1, .fd = { raw->socket } };
	size_t bytes = 32;

	if (kind == 0)
		head.magic = 0x20544547; /* "GET " */
	if (kind == 1)
		head.version = 9;
	if (kind == 2)
		head.type = 99;
	if (kind == 3)
		bytes = 31;
	if (kind == 4)
		head.bytes = 4096;
	if (kind == 5)
		bytes = head.bytes = sizeof packet;
	if (kind == 6)
		head.type = PROTO_HELLO;
	if (kind == 7)
		head.reserved = 1;
	if (kind == 8)
		bytes = 3;
	memcpy(packet, &head, sizeof head);
	assert_int_equal(wire_send(raw->socket, packet, bytes, kind == 9 ? &fds : NULL), 0);
}

static void garbage_drops_its_sender_only(void **state)
{
	struct peace peace;
	struct raw bad;

	begin_peace(&peace);
	for (unsigned kind = 0; kind < 10; kind++) {
		raw_connect(&bad);
		send_garbage(kind, &bad);
		expect_dropped(&bad);
		expect_peace(&peace);
	}
	end_peace(&peace);
}

static void request_of_another_length_drops_its_sender(void **state)
{
	struct peace peace;
	struct raw bad;

	begin_peace(&peace);
	for (unsigned type = PROTO_OPEN; type < TYPES; type++)
		for (size_t bytes = 0; bytes <= body_bytes[type] + 8; bytes += 4) {
			if (bytes == body_bytes[type])
				continue;
			raw_connect(&bad);
			send_sized(&bad, type, bytes);
			expect_dropped(&bad);
		}
	end_peace(&peace);
}

static void request_before_the_greeting_drops_its_sender(void **state)
{
	struct peace peace;
	struct raw bad;

	begin_peace(&peace);
	for (unsigned type = PROTO_OPEN; type < TYPES; type++) {
		raw_dial(&bad);
		send_sized(&bad, type, body_bytes[type]);
		expect_dropped(&bad);
	}
	raw_dial(&bad);
	send_sized(&bad, PROTO_HELLO, body_bytes[PROTO_HELLO] - 4);
	expect_dropped(&bad);
	end_peace(&peace);
}

/* --- descriptors --- */

/* So many copies of `fd` with that request. */
static void send_with_fds(struct raw *raw, unsigned type, int fd, unsigned count)
{
	uint8_t packet[PACKET_BYTES] = { 0 };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(MANY_FDS * sizeof(int))];
	} control = { 0 };
	struct proto_head head = { .magic = PROTO_MAGIC, .version = PROTO_VERSION,
				   .type = (uint16_t)type,
				   .bytes = (uint32_t)(sizeof head + body_bytes[type]) };
	struct iovec part = { packet, head.bytes };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
				  .msg_controllen = CMSG_SPACE(count * sizeof fd) };

	memcpy(packet, &head, sizeof head);
	control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(count * sizeof fd),
					 .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	for (unsigned i = 0; i < count; i++)
		memcpy(CMSG_DATA(&control.head) + i * sizeof fd, &fd, sizeof fd);
	assert_int_equal(sendmsg(raw->socket, &message, MSG_NOSIGNAL), head.bytes);
}

/* Nobody has a copy of the other end any more. */
static void expect_closed(int end)
{
	struct pollfd hung_up = { .fd = end };

	assert_int_equal(poll(&hung_up, 1, PATIENCE_MS), 1);
	assert_true(hung_up.revents & POLLHUP);
	close(end);
}

static void descriptors_that_nobody_asked_for_are_closed(void **state)
{
	static const unsigned counts[] = { 1, PROTO_FDS_MAX, PROTO_FDS_MAX + 1, MANY_FDS };
	struct peace peace;
	struct raw bad;
	int ends[2];

	begin_peace(&peace);
	for (unsigned type = PROTO_HELLO; type < TYPES; type++)
		for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
			if (type == PROTO_HELLO)
				raw_dial(&bad);
			else
				raw_connect(&bad);
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
			send_with_fds(&bad, type, ends[1], counts[i]);
			close(ends[1]);
			expect_dropped(&bad);
			expect_closed(ends[0]);
		}
	end_peace(&peace);
}

/* --- requests that are whole and wrong --- */

static int say_of(struct raw *raw, enum proto_type type, uint64_t segment, uint32_t client,
		  uint32_t generation)
{
	struct proto_attached about = { segment, client, generation };
	struct wire_fds fds = { 0 };
	struct proto_opened answer;
	int status = raw_ask(raw, type, &about, body_bytes[type], &answer,
			     type == PROTO_OBSERVE ? sizeof answer : sizeof(struct proto_empty),
			     &fds);

	wire_close_fds(&fds);
	return status;
}

static void what_was_never_opened_cannot_be_spoken_of(void **state)
{
	struct peace peace;
	struct raw bad;

	begin_peace(&peace);
	raw_connect(&bad);
	assert_int_equal(say_of(&bad, PROTO_FORMATTED, UNKNOWN, 0, 0), -ESTALE);
	assert_int_equal(say_of(&bad, PROTO_ATTACHED, UNKNOWN, 2, 1), -ESTALE);
	assert_int_equal(say_of(&bad, PROTO_DETACHED, UNKNOWN, 2, 1), -ESTALE);
	assert_int_equal(say_of(&bad, PROTO_OBSERVE, UNKNOWN, 0, 0), -ESTALE);
	expect_peace(&peace);
	raw_close(&bad);
	end_peace(&peace);
}

/* In another process, so that only the slot's owner is the one mpd watches. */
static int speak_of_anothers_slot(void *arg)
{
	const struct peace *peace = arg;
	const struct raw_segment *theirs = &peace->segment;
	uint64_t segment = theirs->opened.segment;
	struct raw bad;

	raw_connect(&bad);
	assert_true(say_of(&bad, PROTO_ATTACHED, segment, theirs->client, theirs->generation) < 0);
	assert_true(say_of(&bad, PROTO_DETACHED, segment, theirs->client, theirs->generation) < 0);
	assert_true(say_of(&bad, PROTO_ATTACHED, segment, theirs->client, 77) < 0);
	assert_true(say_of(&bad, PROTO_ATTACHED, segment, 0, 1) < 0);
	assert_true(say_of(&bad, PROTO_ATTACHED, segment, 1, 1) < 0);
	assert_true(say_of(&bad, PROTO_ATTACHED, segment, UINT32_MAX, 1) < 0);
	assert_true(say_of(&bad, PROTO_DETACHED, segment, UINT32_MAX, UINT32_MAX) < 0);
	raw_close(&bad);
	return 0;
}

static void slot_of_another_process_cannot_be_claimed_or_given_up(void **state)
{
	struct peace peace;

	begin_peace(&peace);
	harness_join(harness_fork(speak_of_anothers_slot, &peace));
	expect_peace(&peace);
	end_peace(&peace);
}

static void second_word_about_a_slot_changes_nothing(void **state)
{
	struct peace peace;
	uint64_t segment;

	begin_peace(&peace);
	segment = peace.segment.opened.segment;
	assert_int_equal(raw_say_attached(&peace.raw, &peace.segment), 0);
	assert_int_equal(raw_say_attached(&peace.raw, &peace.segment), 0);
	assert_int_equal(say_of(&peace.raw, PROTO_FORMATTED, segment, 0, 0), 0);
	end_peace(&peace);
}

/* --- too much of it --- */

static bool is_hung_up(int socket)
{
	struct pollfd asked = { .fd = socket };

	return poll(&asked, 1, 0) == 1 && (asked.revents & POLLHUP);
}

/* So many that their answers have no room: mpd reads on, and nobody reads what it says. */
static void client_that_does_not_read_is_dropped(void **state)
{
	struct proto_empty empty = { 0 };
	struct raw raw, other;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_connect(&other);
	for (unsigned i = 0; i < UNREAD && !is_hung_up(raw.socket); i++)
		raw_send(&raw, PROTO_LIST, &empty, sizeof empty);
	assert_true(is_hung_up(raw.socket));
	assert_int_equal(raw_count(&other), 0);
	raw_close(&raw);
	raw_close(&other);
}

static void name_question(struct proto_open *open, unsigned i)
{
	snprintf(open->name, sizeof open->name, "question-%u", i);
}

/* Each question removes a segment: how far mpd was then stands in the answer to anybody else. */
static void prepare_questions(void)
{
	struct raw raw;

	raw_connect(&raw);
	for (unsigned i = 0; i < QUESTIONS; i++) {
		struct raw_segment segment;
		struct proto_open open;

		name_question(&open, i);
		assert_int_equal(raw_open(&raw, open.name, SIZE, MP_KEEP, &segment), 0);
		raw_format(&raw, &segment, open.name);
		close(segment.fd);
	}
	raw_close(&raw);
}

static void queue_questions(struct raw *raw)
{
	for (unsigned i = 0; i < QUESTIONS; i++) {
		struct proto_open open = { .flags = 0 };

		name_question(&open, i);
		raw_send(raw, PROTO_UNLINK, &open, sizeof open);
	}
}

static void take_answers(struct raw *raw)
{
	struct proto_empty empty;

	raw->serial -= QUESTIONS;
	for (unsigned i = 0; i < QUESTIONS; i++) {
		raw->serial++;
		assert_int_equal(raw_receive(raw, &empty, sizeof empty, NULL), 0);
	}
}

/* How many segments there were when this one was answered. */
static unsigned listed(struct raw *raw)
{
	static union {
		struct proto_list list;
		uint8_t bytes[PROTO_MESSAGE_MAX];
	} answer;

	assert_int_equal(raw_receive_list(raw, &answer, sizeof answer), 0);
	return answer.list.count;
}

/* mpd finds all questions at once, those of the one between two of others. In whatever order it
 * takes the three, the one must not be done before the others have their turn. True if one of them
 * came behind the one. */
static bool ask_beside_others(struct peace *peace)
{
	struct proto_empty empty = { 0 };
	struct raw asker, later;
	unsigned before, behind;

	prepare_questions();
	raw_connect(&asker);
	raw_connect(&later);
	assert_int_equal(raw_count(&peace->raw), 1 + QUESTIONS);
	program_stop((pid_t)peace->raw.welcome.pid);
	raw_send(&peace->raw, PROTO_LIST, &empty, sizeof empty);
	queue_questions(&asker);
	raw_send(&later, PROTO_LIST, &empty, sizeof empty);
	assert_int_equal(kill((pid_t)peace->raw.welcome.pid, SIGCONT), 0);
	before = listed(&peace->raw) - 1;
	behind = listed(&later) - 1;
	print_message("%u and %u questions were left\n", before, behind);
	assert_true(before > 0 && behind > 0);
	take_answers(&asker);
	assert_int_equal(raw_count(&peace->raw), 1);
	raw_close(&later);
	raw_close(&asker);
	return before < QUESTIONS || behind < QUESTIONS;
}

static void one_that_asks_without_end_does_not_keep_others_from_their_answers(void **state)
{
	struct peace peace;
	unsigned rounds = 0;

	begin_peace(&peace);
	while (!ask_beside_others(&peace))
		assert_true(++rounds < ROUNDS);
	end_peace(&peace);
}

static void connections_that_say_nothing_hold_nobody_up(void **state)
{
	struct raw silent[SILENT], newcomer;
	struct peace peace;

	begin_peace(&peace);
	for (unsigned i = 0; i < SILENT; i++)
		raw_dial(&silent[i]);
	expect_peace(&peace);
	raw_connect(&newcomer);
	raw_close(&newcomer);
	for (unsigned i = 0; i < SILENT; i++)
		raw_close(&silent[i]);
	end_peace(&peace);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(garbage_drops_its_sender_only),
	HARNESS_TEST_WITH_MPD(request_of_another_length_drops_its_sender),
	HARNESS_TEST_WITH_MPD(request_before_the_greeting_drops_its_sender),
	HARNESS_TEST_WITH_MPD(descriptors_that_nobody_asked_for_are_closed),
	HARNESS_TEST_WITH_MPD(what_was_never_opened_cannot_be_spoken_of),
	HARNESS_TEST_WITH_MPD(slot_of_another_process_cannot_be_claimed_or_given_up),
	HARNESS_TEST_WITH_MPD(second_word_about_a_slot_changes_nothing),
	HARNESS_TEST_WITH_MPD(client_that_does_not_read_is_dropped),
	HARNESS_TEST_WITH_MPD(one_that_asks_without_end_does_not_keep_others_from_their_answers),
	HARNESS_TEST_WITH_MPD(connections_that_say_nothing_hold_nobody_up),
};

HARNESS_MAIN(tests)
