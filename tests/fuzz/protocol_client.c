/* SPDX-License-Identifier: MIT
 *
 * A false mpd, and libshm as its client and as its observer. Knows: how answers are made, that
 * every call ends and leaves no descriptor. Does not know: what the client makes of them.
 *
 * The false mpd is a thread that accepts, says what the input says, and then nonsense for ever:
 * whoever waits for an answer gets one. observe_scan() of the library is replaced (--wrap): the
 * processes of this machine are no part of the input.
 */
#include "protocol.h"

#include "libshm/client.h"
#include "libshm/connection.h"
#include "libshm/observe_find.h"

#include <libshm.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWERS_MAX 12
#define NONSENSE 12
#define CALLERS_MAX 64
#define LAST_WORD "no more"
#define CALLS_MAX 8
#define BODY_MAX 2048
#define MEMORY_BYTES (UINT64_C(64) * GRANULE_BYTES)

struct answer {
	uint8_t packet[sizeof(struct proto_head) + BODY_MAX];
	size_t bytes;
	struct wire_fds fds;
	bool is_last; /* of this connection; the next one has the rest */
};

static char path[108];
static int listener = -1, null_fd = -1, memory_fd = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t silence = PTHREAD_COND_INITIALIZER;
static bool is_silent; /* all connections of this input are over */
static struct answer answers[ANSWERS_MAX];
static unsigned answer_count, answer_next;

int __wrap_observe_scan(struct mp_observer *observer, const char *endpoint);

int __wrap_observe_scan(struct mp_observer *observer, const char *endpoint)
{
	(void)observer;
	(void)endpoint;
	return 0;
}

static void speak(int socket)
{
	pthread_mutex_lock(&mutex);
	for (bool is_last = false; !is_last && answer_next < answer_count;) {
		struct answer *answer = &answers[answer_next++];

		wire_send(socket, answer->packet, answer->bytes, &answer->fds);
		is_last = answer->is_last;
	}
	for (unsigned i = 0; i < NONSENSE; i++)
		wire_send(socket, "x", 1, NULL);
	pthread_mutex_unlock(&mutex);
}

/* The callers of the false mpd: polled[0] is the listener. */
struct callers {
	struct pollfd polled[CALLERS_MAX];
	unsigned count;
	bool is_last_said;
};

static void welcome_caller(struct callers *callers)
{
	int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	must(socket >= 0 && callers->count < CALLERS_MAX);
	callers->polled[callers->count++] = (struct pollfd){ .fd = socket, .events = POLLIN };
	speak(socket);
}

static void hear(struct callers *callers, unsigned i)
{
	uint8_t packet[1024];
	ssize_t got = recv(callers->polled[i].fd, packet, sizeof packet, 0);

	if (got == (ssize_t)sizeof LAST_WORD && memcmp(packet, LAST_WORD, sizeof LAST_WORD) == 0)
		callers->is_last_said = true;
	/* It left without reading our answers: the kernel says so once, before what it sent. */
	if (got > 0 || (got < 0 && errno == ECONNRESET))
		return;
	close(callers->polled[i].fd);
	callers->polled[i] = callers->polled[--callers->count];
}

static void say_silent(void)
{
	pthread_mutex_lock(&mutex);
	is_silent = true;
	pthread_cond_signal(&silence);
	pthread_mutex_unlock(&mutex);
}

static void *be_mpd(void *arg)
{
	struct callers callers = { .polled = { { .fd = listener, .events = POLLIN } }, .count = 1 };

	(void)arg;
	for (;;) {
		if (poll(callers.polled, callers.count, -1) < 0)
			continue;
		/* From the end: one that goes is replaced by one that was heard. */
		for (unsigned i = callers.count; --i > 0;)
			if (callers.polled[i].revents)
				hear(&callers, i);
		if (callers.polled[0].revents)
			welcome_caller(&callers);
		if (callers.is_last_said && callers.count == 1) {
			callers.is_last_said = false;
			say_silent();
		}
	}
	return NULL;
}

static void remove_socket(void)
{
	unlink(path);
}

void protocol_client_open(void)
{
	struct sockaddr_un address;
	struct seg_geometry plan;
	pthread_t thread;

	snprintf(path, sizeof path, "/tmp/libshm-fuzz-%d.sock", getpid());
	unlink(path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	must(listener >= 0 && wire_address(path, &address) == 0);
	must(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
	must(listen(listener, 16) == 0);
	atexit(remove_socket);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	memory_fd = memfd_create("libshm:fuzz", MFD_CLOEXEC);
	must(seg_plan(MEMORY_BYTES, 0, 0, &plan) == 0);
	must(ftruncate(memory_fd, (off_t)plan.size_bytes) == 0);
	must(seg_format(memory_fd, "fuzz", 1, &plan) == 0);
	must(pthread_create(&thread, NULL, be_mpd, NULL) == 0);
	pthread_detach(thread);
}

/* --- answers --- */

static size_t welcome(struct input *input, uint8_t *body)
{
	struct proto_welcome welcome = { .pid = 1, .signature = layout_signature() };

	input_take(input, welcome.version, input_u8(input) % sizeof welcome.version);
	memcpy(body, &welcome, sizeof welcome);
	return sizeof welcome;
}

static size_t opened(struct input *input, uint8_t *body)
{
	struct proto_opened opened = { .segment = 1, .generation = 1,
				       .size_bytes = MEMORY_BYTES };

	opened.must_format = input_u8(input) & 1;
	if (input_u8(input) & 1)
		opened.size_bytes = input_u64(input);
	memcpy(body, &opened, sizeof opened);
	return sizeof opened;
}

static size_t list(struct input *input, uint8_t *body)
{
	struct proto_list head = { .count = input_u8(input) % 8 };
	size_t bytes = sizeof head;

	memcpy(body, &head, sizeof head);
	for (unsigned i = 0; i < head.count; i++) {
		struct proto_listed row = { .segment = i, .generation = input_u8(input) & 1 };

		input_take(input, row.name, input_u8(input) % 9 * 8);
		memcpy(body + bytes, &row, sizeof row);
		bytes += sizeof row;
	}
	return bytes;
}

static size_t anything(struct input *input, uint8_t *body)
{
	size_t bytes = input_u8(input) * 8u;

	input_take(input, body, bytes);
	return bytes;
}

static size_t nothing(struct input *input, uint8_t *body)
{
	(void)input;
	memset(body, 0, sizeof(struct proto_empty));
	return sizeof(struct proto_empty);
}

static size_t (*const bodies[])(struct input *input, uint8_t *body) = {
	welcome, opened, list, anything, nothing,
};
#define BODY_COUNT (sizeof bodies / sizeof bodies[0])

static void add_descriptors(struct answer *answer, uint8_t how)
{
	static int *const kinds[] = { &memory_fd, &null_fd, &listener, &memory_fd };

	answer->fds.count = how & 0x80 ? how & 3 : 1;
	for (unsigned i = 0; i < answer->fds.count; i++)
		answer->fds.fd[i] = *kinds[((how >> 2) + i) & 3];
}

/* As a real one but for what the input wants otherwise: a byte of the head, the length. */
static void add_answer(struct input *input, uint32_t *serial)
{
	struct answer *answer = &answers[answer_count];
	struct proto_head head = { .magic = PROTO_MAGIC, .version = PROTO_VERSION,
				   .serial = ++*serial };
	uint8_t kind = input_u8(input), spoilt = input_u8(input);

	answer->bytes = sizeof head;
	answer->bytes += bodies[kind % BODY_COUNT](input, answer->packet + sizeof head);
	head.bytes = (uint32_t)answer->bytes;
	if (kind & 0x80)
		head.status = -(int32_t)(input_u8(input) & 0x7f);
	memcpy(answer->packet, &head, sizeof head);
	answer->fds.count = 0;
	if (kind & 0x40)
		add_descriptors(answer, input_u8(input));
	if (spoilt >= 0xc0)
		answer->packet[spoilt % sizeof head] ^= input_u8(input);
	else if (spoilt >= 0x80)
		answer->bytes = spoilt % 64 < answer->bytes ? answer->bytes - spoilt % 64 : 1;
	answer->is_last = kind & 0x20;
	if (answer->is_last)
		*serial = 0;
	answer_count++;
}

/* --- calls --- */

struct caller {
	struct client_endpoint endpoint;
	struct mp_segment segment;
	bool is_open;
	unsigned posts;
};

static void open_connection(struct caller *caller)
{
	connection_close(&caller->endpoint.connection);
	caller->posts = 0;
	caller->is_open = connection_open(&caller->endpoint.connection, path, false) == 0;
	must(caller->is_open || strlen(mp_explain()) > 0);
}

static void obtain(struct caller *caller, uint8_t how)
{
	struct mp_segment_opts opts = { .size_bytes = how & 1 ? MEMORY_BYTES : 0 };
	int fd;

	if (!caller->is_open)
		return;
	if (client_obtain(&caller->segment, "name", &opts, &fd) == 0)
		close(fd);
	else
		must(strlen(mp_explain()) > 0);
}

static void post(struct caller *caller)
{
	struct proto_attached attached = { .segment = 1 };

	if (caller->is_open && caller->posts++ < 3)
		(void)!connection_post(&caller->endpoint.connection, PROTO_ATTACHED, &attached,
				       sizeof attached);
}

static void ask(struct caller *caller)
{
	struct proto_attached attached = { .segment = 1 };
	struct proto_empty empty;

	if (caller->is_open)
		(void)!connection_ask(&caller->endpoint.connection, PROTO_ATTACHED, &attached,
				      sizeof attached, &empty, sizeof empty, NULL);
}

static void observe(void)
{
	const struct mp_snapshot *snapshot;
	char name[MP_OBSERVE_NAME];
	mp_observer *observer;
	int count;

	must(mp_observe_open(path, &observer) == 0);
	count = mp_observe_refresh(observer);
	must(count >= 0);
	for (int i = 0; i < count; i++) {
		must(mp_observe_name(observer, (unsigned)i, name) == 0);
		must(strlen(name) < sizeof name && !strchr(name, '\033'));
		(void)!mp_observe_snapshot(observer, (unsigned)i, &snapshot);
	}
	mp_observe_close(observer);
}

static void play(struct input *input, struct caller *caller)
{
	for (unsigned i = 0; i < CALLS_MAX && input->left; i++) {
		uint8_t call = input_u8(input);

		switch (call % 6) {
		case 0:
			open_connection(caller);
			break;
		case 1:
			post(caller);
			break;
		case 2:
			ask(caller);
			break;
		case 3:
			observe();
			break;
		default:
			obtain(caller, call >> 4);
		}
	}
}

/* Connections are accepted in their order: when ours is over, no other is left unless the library
 * has kept one open, and then this waits for ever. */
static void wait_for_silence(void)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	must(fd >= 0 && wire_address(path, &address) == 0);
	must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	must(wire_send(fd, LAST_WORD, sizeof LAST_WORD, NULL) == 0);
	close(fd);
	pthread_mutex_lock(&mutex);
	while (!is_silent)
		pthread_cond_wait(&silence, &mutex);
	is_silent = false;
	pthread_mutex_unlock(&mutex);
}

void protocol_client(struct input *input)
{
	struct caller caller = { 0 };
	uint32_t serial = 0;

	pthread_mutex_lock(&mutex);
	answer_count = answer_next = 0;
	for (unsigned count = input_u8(input) % (ANSWERS_MAX + 1); count; count--)
		add_answer(input, &serial);
	pthread_mutex_unlock(&mutex);
	caller.segment.endpoint = &caller.endpoint;
	caller.endpoint.connection = (struct connection){ .socket = -1, .roster_fd = -1 };
	open_connection(&caller);
	play(input, &caller);
	connection_close(&caller.endpoint.connection); /* after a failure too, as endpoint.c does */
	wait_for_silence();
	protocol_check_descriptors();
}
