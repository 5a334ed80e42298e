/* SPDX-License-Identifier: MIT
 *
 * Proves: where libshm and mpd are of different versions, of the protocol or of the layout, each
 * says so and names both; nothing is shared by mistake, nobody else notices.
 */
#include "program.h"
#include "raw_client.h"

#include <libshm.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 10000
#define OTHER_PROTOCOL 9
#define OTHER_LAYOUT UINT64_C(0x0123456789abcdef)

static bool is_there(void *arg)
{
	struct raw raw;
	bool is_heard;

	raw_dial(&raw);
	is_heard = raw.socket >= 0;
	if (is_heard)
		raw_close(&raw);
	return is_heard;
}

/* An mpd whose words are kept; it stays until end_mpd. */
static void start_mpd(struct program *mpd, const char *path)
{
	char *argv[] = { (char *)path, (char *)"--foreground", (char *)"--endpoint",
			 getenv("MP_ENDPOINT"), (char *)"--keep",
			 (char *)"--log", (char *)"debug", NULL };

	program_start(mpd, argv);
	assert_true(harness_until(is_there, NULL, PATIENCE_MS));
}

static void end_mpd(struct program *mpd)
{
	assert_int_equal(kill(mpd->pid, SIGTERM), 0);
	program_wait(mpd, 10);
}

static void expect_text(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("'%s' is not in:\n%s", wanted, text);
}

static void expect_layout(const char *text, uint64_t signature)
{
	char wanted[32];

	snprintf(wanted, sizeof wanted, "layout %016llx", (unsigned long long)signature);
	expect_text(text, wanted);
}

struct greeting {
	unsigned version;
	size_t extra_bytes; /* behind what a HELLO of version 1 has */
	uint64_t signature;
};

/* The answer's head; *ret_welcome is what it says. */
static struct proto_head greet(int fd, const struct greeting *greeting,
			       struct proto_welcome *ret_welcome)
{
	struct proto_hello hello = { .pid = 1, .signature = greeting->signature };
	uint8_t packet[PROTO_HELLO_MAX] = { 0 }, answer[PROTO_MESSAGE_MAX];
	struct proto_head head = { .magic = PROTO_MAGIC, .version = (uint16_t)greeting->version,
				   .type = PROTO_HELLO, .serial = 77 };
	struct wire_fds fds = { 0 };
	int got;

	head.bytes = (uint32_t)(sizeof head + sizeof hello + greeting->extra_bytes);
	memcpy(packet, &head, sizeof head);
	memcpy(packet + sizeof head, &hello, sizeof hello);
	assert_int_equal(wire_send(fd, packet, head.bytes, NULL), 0);
	got = wire_receive(fd, answer, sizeof answer, &fds);
	assert_int_equal(got, sizeof head + sizeof *ret_welcome);
	assert_int_equal(fds.count, 0);
	memcpy(&head, answer, sizeof head);
	memcpy(ret_welcome, answer + sizeof head, sizeof *ret_welcome);
	return head;
}

static void expect_refusal(const struct greeting *greeting)
{
	struct proto_welcome welcome;
	struct proto_head head;
	struct raw raw;

	raw_dial(&raw);
	assert_true(raw.socket >= 0);
	head = greet(raw.socket, greeting, &welcome);
	assert_int_equal(head.magic, PROTO_MAGIC);
	assert_int_equal(head.version, PROTO_VERSION);
	assert_int_equal(head.type, PROTO_HELLO);
	assert_int_equal(head.serial, 77);
	assert_int_equal(head.status, -EPROTO);
	assert_string_equal(welcome.version, mp_version());
	assert_true(welcome.signature == layout_signature());
	raw_close(&raw);
}

static void mpd_tells_a_client_of_another_version_who_it_is(void **state)
{
	static const struct greeting greetings[] = {
		{ OTHER_PROTOCOL, 0, OTHER_LAYOUT },
		{ OTHER_PROTOCOL, 40, OTHER_LAYOUT },
		{ OTHER_PROTOCOL, PROTO_HELLO_MAX - sizeof(struct proto_head) -
					  sizeof(struct proto_hello), OTHER_LAYOUT },
		{ 0, 0, OTHER_LAYOUT },
		{ PROTO_VERSION, 0, OTHER_LAYOUT },
	};
	struct raw_segment segment;
	struct program mpd;
	struct raw raw;

	start_mpd(&mpd, getenv("MP_MPD"));
	raw_connect(&raw);
	raw_attach(&raw, "calm", 0, &segment);
	for (unsigned i = 0; i < sizeof greetings / sizeof *greetings; i++) {
		expect_refusal(&greetings[i]);
		assert_int_equal(raw_count(&raw), 1);
	}
	raw_close(&raw);
	raw_forget(&segment);
	end_mpd(&mpd);
	expect_text(mpd.text, "is of another version and is told so: it speaks protocol 9 and "
			      "layout 0123456789abcdef, this mpd 0.1.0 protocol 1 and layout ");
	expect_text(mpd.text, "it speaks protocol 1 and layout 0123456789abcdef, ");
	expect_layout(mpd.text, layout_signature());
	program_free(&mpd);
}

/* --- an mpd of another version, as this test plays it --- */

enum manner {
	REFUSES,           /* as the protocol says, in its version */
	REFUSES_AT_LENGTH, /* with a welcome that has grown */
	OTHER_LAYOUT_ONLY, /* same protocol */
	SAYS_LITTLE,       /* a head and no more */
	WELCOMES,          /* status 0 and a descriptor, in another version */
	TALKS_NONSENSE,
	HANGS_UP,
	MANNERS
};

struct stranger {
	enum manner manner;
	int listen_fd;
	pid_t pid;
};

static void answer_greeting(int fd, enum manner manner, uint32_t serial)
{
	struct proto_welcome welcome = { .pid = 7, .signature = OTHER_LAYOUT,
					 .version = "0.0.9" };
	struct proto_head head = { .magic = PROTO_MAGIC, .version = OTHER_PROTOCOL,
				   .type = PROTO_HELLO, .serial = serial, .status = -EPROTO };
	size_t bytes = sizeof head + sizeof welcome;
	uint8_t packet[1024] = { 0 };
	struct wire_fds fds = { .count = manner == WELCOMES, .fd = { fd } };

	if (manner == OTHER_LAYOUT_ONLY)
		head.version = PROTO_VERSION;
	if (manner == REFUSES_AT_LENGTH)
		bytes = sizeof packet;
	if (manner == SAYS_LITTLE)
		bytes = sizeof head;
	if (manner == WELCOMES)
		head.status = 0;
	head.bytes = (uint32_t)bytes;
	memcpy(packet, &head, sizeof head);
	memcpy(packet + sizeof head, &welcome, sizeof welcome);
	if (manner == TALKS_NONSENSE)
		memset(packet, 'x', sizeof packet);
	(void)wire_send(fd, packet, bytes, &fds);
}

static int be_strange(void *arg)
{
	struct stranger *stranger = arg;

	for (;;) {
		int fd = accept4(stranger->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		struct proto_head head = { .magic = 0 };
		uint8_t packet[1024];

		assert_true(fd >= 0);
		if (wire_receive(fd, packet, sizeof packet, NULL) >= (int)sizeof head)
			memcpy(&head, packet, sizeof head);
		if (stranger->manner != HANGS_UP)
			answer_greeting(fd, stranger->manner, head.serial);
		close(fd);
	}
	return 0;
}

static void start_stranger(struct stranger *stranger, enum manner manner)
{
	struct sockaddr_un address;

	*stranger = (struct stranger){ .manner = manner };
	stranger->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(stranger->listen_fd >= 0);
	assert_int_equal(wire_address(getenv("MP_ENDPOINT"), &address), 0);
	assert_int_equal(bind(stranger->listen_fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(stranger->listen_fd, 16), 0);
	stranger->pid = harness_fork(be_strange, stranger);
}

static void end_stranger(struct stranger *stranger)
{
	harness_kill(stranger->pid);
	close(stranger->listen_fd);
	assert_int_equal(unlink(getenv("MP_ENDPOINT")), 0);
}

static void expect_sentence(enum manner manner)
{
	const char *text = mp_explain();

	expect_text(text, getenv("MP_ENDPOINT"));
	expect_text(text, mp_version());
	expect_text(text, "protocol 1");
	if (manner == SAYS_LITTLE || manner == TALKS_NONSENSE) {
		expect_text(text, "is no mpd that this libshm");
	} else if (manner == HANGS_UP) {
		expect_text(text, "hangs up");
	} else {
		expect_text(text, "mpd 0.0.9 ");
		expect_text(text, manner == OTHER_LAYOUT_ONLY ? "speaks protocol 1 "
							      : "speaks protocol 9 ");
		expect_layout(text, OTHER_LAYOUT);
		expect_layout(text, layout_signature());
		expect_text(text, "bring the older of the two up to date");
	}
}

/* None is started beside it either: whoever has the path is not pushed away. */
static void client_tells_which_versions_have_met(void **state)
{
	for (int manner = 0; manner < MANNERS; manner++) {
		struct stranger stranger;
		mp_segment *segment = NULL;

		start_stranger(&stranger, (enum manner)manner);
		assert_int_equal(mp_segment_open("any", NULL, &segment), -EPROTO);
		expect_sentence((enum manner)manner);
		assert_int_equal(mp_segment_unlink("any"), -EPROTO);
		expect_sentence((enum manner)manner);
		assert_null(segment);
		assert_int_equal(raw_mpd_count(), 0);
		end_stranger(&stranger);
	}
}

static void client_goes_on_when_mpd_comes_back_in_another_version(void **state)
{
	struct stranger stranger;
	mp_segment *segment, *second = NULL;
	struct program mpd;
	mp_queue *queue;
	int item = 5;

	start_mpd(&mpd, getenv("MP_MPD"));
	assert_int_equal(mp_segment_open("upgrade", NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "items", NULL, &queue), 0);
	assert_int_equal(kill(mpd.pid, SIGKILL), 0);
	program_wait(&mpd, 10);
	program_free(&mpd);
	assert_int_equal(unlink(getenv("MP_ENDPOINT")), 0);
	start_stranger(&stranger, REFUSES);
	assert_int_equal(mp_segment_open("more", NULL, &second), -EPROTO);
	expect_sentence(REFUSES);
	assert_int_equal(mp_queue_put(queue, &item, sizeof item, MP_NOW), 0);
	assert_int_equal(mp_queue_get(queue, &item, sizeof item, MP_NOW), sizeof item);
	mp_queue_close(queue);
	mp_segment_close(segment);
	end_stranger(&stranger);
}

static void observer_names_an_mpd_of_another_version(void **state)
{
	struct mp_endpoint_info info;
	struct stranger stranger;
	struct program mptop;
	mp_observer *observer;
	char *argv[] = { (char *)program_built("mptop/mptop"), (char *)"--once", NULL };

	start_stranger(&stranger, REFUSES);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	assert_int_equal(info.is_mpd_alive, 0);
	assert_int_equal(info.mpd_error, -EPROTO);
	assert_string_equal(info.mpd_version, "0.0.9");
	mp_observe_close(observer);
	program_run(&mptop, argv, 20);
	expect_text(mptop.text, "mpd 0.0.9 at ");
	expect_text(mptop.text, "is of another version than this mptop (libshm 0.1.0)");
	program_free(&mptop);
	end_stranger(&stranger);
}

/* --- real programs of two layouts --- */

static void two_builds_of_another_layout_do_not_meet(void **state)
{
	struct program mpd, client;
	mp_segment *segment = NULL;
	char mpd_other[4096], client_other[4096];
	char *argv[] = { client_other, (char *)"world", (char *)"exit", NULL };

	snprintf(mpd_other, sizeof mpd_other, "%s", program_built("tests/sys/mpd-other"));
	snprintf(client_other, sizeof client_other, "%s", program_built("tests/sys/client-other"));
	/* Their client, our mpd. */
	start_mpd(&mpd, getenv("MP_MPD"));
	assert_int_equal(mp_segment_open("world", NULL, &segment), 0);
	program_run(&client, argv, 20);
	assert_int_equal(client.code, 1);
	expect_text(client.text, "mpd 0.1.0 at ");
	expect_layout(client.text, layout_signature());
	program_free(&client);
	mp_segment_close(segment);
	end_mpd(&mpd);
	program_free(&mpd);
	/* Our client, their mpd. */
	start_mpd(&mpd, mpd_other);
	assert_int_equal(mp_segment_open("world", NULL, &segment), -EPROTO);
	expect_text(mp_explain(), "mpd 9.9.9 at ");
	expect_layout(mp_explain(), layout_signature());
	program_run(&client, argv, 20);
	assert_int_equal(client.code, 0);
	program_free(&client);
	end_mpd(&mpd);
	expect_layout(mpd.text, layout_signature());
	program_free(&mpd);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(mpd_tells_a_client_of_another_version_who_it_is),
	HARNESS_TEST_WITH_MPD(client_tells_which_versions_have_met),
	HARNESS_TEST_WITH_MPD(client_goes_on_when_mpd_comes_back_in_another_version),
	HARNESS_TEST_WITH_MPD(observer_names_an_mpd_of_another_version),
	HARNESS_TEST_WITH_MPD(two_builds_of_another_layout_do_not_meet),
};

HARNESS_MAIN(tests)
