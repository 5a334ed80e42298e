/* SPDX-License-Identifier: MIT
 *
 * See raw_client.h. Knows: the protocol's bytes. Does not know: what is tested.
 */
#include "raw_client.h"

#include "libshm/slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 10000
#define ROSTER_BYTES 100000

void raw_start(const char *extra, const char *value)
{
	const char *path = getenv("MP_MPD"), *endpoint = getenv("MP_ENDPOINT");
	pid_t child;

	assert_non_null(path);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		setsid();
		if (fork() == 0)
			execl(path, "mpd", "--supervise", "--endpoint", endpoint, "--grace",
			      RAW_GRACE, extra, value, NULL);
		_exit(0);
	}
	assert_int_equal(harness_wait(child), 0);
}

static int dial(void)
{
	struct timeval patience = { .tv_sec = 30 };
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	assert_int_equal(wire_address(getenv("MP_ENDPOINT"), &address), 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

void raw_send(struct raw *raw, enum proto_type type, const void *request, size_t bytes)
{
	uint8_t packet[512];
	struct proto_head head = { .magic = PROTO_MAGIC,
				   .version = PROTO_VERSION,
				   .type = (uint16_t)type,
				   .bytes = (uint32_t)(sizeof head + bytes),
				   .serial = ++raw->serial };

	memcpy(packet, &head, sizeof head);
	memcpy(packet + sizeof head, request, bytes);
	(void)wire_send(raw->socket, packet, sizeof head + bytes, NULL);
}

/* The latest answer. */
static union {
	struct proto_head head;
	uint8_t bytes[PROTO_MESSAGE_MAX];
} packet;

int raw_receive_list(struct raw *raw, void *answer, size_t capacity)
{
	int status = raw_receive(raw, answer, sizeof(struct proto_list), NULL);
	size_t bytes = packet.head.bytes - sizeof packet.head;

	memcpy(answer, packet.bytes + sizeof packet.head, bytes < capacity ? bytes : capacity);
	return status;
}

int raw_receive(struct raw *raw, void *answer, size_t answer_bytes, struct wire_fds *ret_fds)
{
	int bytes = wire_receive(raw->socket, &packet, sizeof packet, ret_fds);

	if (bytes <= 0)
		return bytes < 0 ? bytes : -EPIPE;
	assert_int_equal(packet.head.magic, PROTO_MAGIC);
	assert_int_equal(packet.head.bytes, bytes);
	assert_int_equal(packet.head.serial, raw->serial);
	if (answer) {
		assert_true((size_t)bytes >= sizeof packet.head + answer_bytes);
		memcpy(answer, packet.bytes + sizeof packet.head, answer_bytes);
	}
	return packet.head.status;
}

int raw_ask(struct raw *raw, enum proto_type type, const void *request, size_t request_bytes,
	    void *answer, size_t answer_bytes, struct wire_fds *ret_fds)
{
	raw_send(raw, type, request, request_bytes);
	return raw_receive(raw, answer, answer_bytes, ret_fds);
}

void raw_dial(struct raw *raw)
{
	*raw = (struct raw){ .socket = dial(), .roster = -1 };
}

static bool try_connect(struct raw *raw, uint32_t flags)
{
	struct proto_hello hello = { .pid = (uint32_t)getpid(), .flags = flags,
				     .signature = layout_signature() };
	struct wire_fds fds = { 0 };

	raw_dial(raw);
	if (raw->socket < 0)
		return false;
	if (raw_ask(raw, PROTO_HELLO, &hello, sizeof hello, &raw->welcome, sizeof raw->welcome,
		    &fds) == 0) {
		assert_int_equal(fds.count, flags ? 0 : 1);
		raw->roster = fds.count ? fds.fd[0] : -1;
		return true;
	}
	close(raw->socket);
	raw->socket = -1;
	return false;
}

static void connect_with(struct raw *raw, uint32_t flags)
{
	int64_t deadline_ns = harness_now_ns() + PATIENCE_MS * INT64_C(1000000);

	while (!try_connect(raw, flags)) {
		assert_true(harness_now_ns() < deadline_ns);
		harness_sleep_ms(1);
	}
}

void raw_connect(struct raw *raw)
{
	connect_with(raw, 0);
}

bool raw_try_connect(struct raw *raw, bool is_observer)
{
	return try_connect(raw, is_observer);
}

void raw_connect_as_observer(struct raw *raw)
{
	connect_with(raw, 1);
}

void raw_close(struct raw *raw)
{
	if (raw->socket >= 0)
		close(raw->socket);
	if (raw->roster >= 0)
		close(raw->roster);
	raw->socket = raw->roster = -1;
}

int raw_open(struct raw *raw, const char *name, uint64_t size_bytes, uint32_t flags,
	     struct raw_segment *ret_segment)
{
	struct proto_open open = { .size_bytes = size_bytes, .flags = flags, .mode = 0600,
				   .gid = -1 };
	struct wire_fds fds = { 0 };
	int status;

	memcpy(open.name, name, strnlen(name, sizeof open.name));
	*ret_segment = (struct raw_segment){ .fd = -1 };
	status = raw_ask(raw, PROTO_OPEN, &open, sizeof open, &ret_segment->opened,
			 sizeof ret_segment->opened, &fds);
	assert_int_equal(fds.count, status == 0);
	if (status == 0)
		ret_segment->fd = fds.fd[0];
	return status;
}

int raw_unlink(struct raw *raw, const char *name)
{
	struct proto_open open = { 0 };

	memcpy(open.name, name, strnlen(name, sizeof open.name));
	return raw_ask(raw, PROTO_UNLINK, &open, sizeof open, NULL, 0, NULL);
}

unsigned raw_count(struct raw *raw)
{
	struct proto_empty empty = { 0 };
	struct proto_list list;

	assert_int_equal(raw_ask(raw, PROTO_LIST, &empty, sizeof empty, &list, sizeof list, NULL),
			 0);
	return list.count;
}

int raw_list(struct raw *raw, struct proto_listed *ret_rows, unsigned room)
{
	struct proto_empty empty = { 0 };
	struct proto_list list;
	int status = raw_ask(raw, PROTO_LIST, &empty, sizeof empty, &list, sizeof list, NULL);
	unsigned count = list.count < room ? list.count : room;

	if (status < 0)
		return status;
	memcpy(ret_rows, packet.bytes + sizeof packet.head + sizeof list, count * sizeof *ret_rows);
	return (int)list.count;
}

void raw_format(struct raw *raw, struct raw_segment *segment, const char *name)
{
	struct proto_segment formatted = { .segment = segment->opened.segment };
	struct seg_geometry plan;

	assert_int_equal(seg_plan(segment->opened.size_bytes, segment->opened.max_clients,
				  segment->opened.max_threads, &plan), 0);
	assert_int_equal(seg_format(segment->fd, name, segment->opened.generation, &plan), 0);
	assert_int_equal(raw_ask(raw, PROTO_FORMATTED, &formatted, sizeof formatted, NULL, 0, NULL),
			 0);
}

int raw_say_attached(struct raw *raw, const struct raw_segment *segment)
{
	struct proto_attached attached = { .segment = segment->opened.segment,
					   .client = segment->client,
					   .generation = segment->generation };

	return raw_ask(raw, PROTO_ATTACHED, &attached, sizeof attached, NULL, 0, NULL);
}

/* A byte of this process's own: no two tests' processes of one endpoint share a pid. */
uint64_t raw_lock_byte(const struct raw *raw)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
			      .l_start = getpid() % ROSTER_BYTES, .l_len = 1 };

	assert_int_equal(fcntl(raw->roster, F_SETLK, &lock), 0);
	return (uint64_t)lock.l_start;
}

void raw_attach(struct raw *raw, const char *name, uint32_t flags, struct raw_segment *ret_segment)
{
	assert_int_equal(raw_open(raw, name, 0, flags, ret_segment), 0);
	if (ret_segment->opened.must_format)
		raw_format(raw, ret_segment, name);
	assert_int_equal(seg_map(ret_segment->fd, false, &ret_segment->seg), 0);
	assert_int_equal(slot_claim_client(ret_segment->seg, raw_lock_byte(raw), "raw", 0,
					   &ret_segment->client, &ret_segment->generation), 0);
	assert_int_equal(raw_say_attached(raw, ret_segment), 0);
}

void raw_forget(struct raw_segment *segment)
{
	if (segment->seg)
		segment->seg = seg_unmap(segment->seg);
	else
		close(segment->fd);
	segment->fd = -1;
}

uint8_t *raw_page(const struct raw_segment *segment)
{
	return segment->seg->base + segment->seg->size - 4096;
}

bool raw_is_swept(void *arg)
{
	const struct raw_segment *segment = arg;
	uint64_t word = slot_client_word(segment->seg, segment->client);

	return client_word_state(word) == SLOT_FREE ||
	       client_word_generation(word) != segment->generation;
}

/* The value behind "Name:\t" in /proc/PID/status. */
static uint64_t status_value(pid_t pid, const char *name)
{
	char path[40], line[256];
	unsigned long long value = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoull(line + strlen(name), NULL, 10);
	fclose(file);
	return value;
}

pid_t raw_parent_of(pid_t pid)
{
	return (pid_t)status_value(pid, "PPid:\t");
}

uint64_t raw_switches(pid_t pid)
{
	return status_value(pid, "voluntary_ctxt_switches:\t");
}

unsigned raw_fd_count(pid_t pid)
{
	unsigned count = 0;
	char path[40];
	DIR *all;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	all = opendir(path);
	assert_non_null(all);
	while (readdir(all))
		count++;
	closedir(all);
	return count;
}

unsigned raw_lasting_fd_count(pid_t pid)
{
	char path[40], target[PATH_MAX];
	struct dirent *entry;
	unsigned count = 0;
	DIR *all;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	all = opendir(path);
	assert_non_null(all);
	while ((entry = readdir(all)) != NULL) {
		ssize_t length = readlinkat(dirfd(all), entry->d_name, target, sizeof target - 1);

		target[length > 0 ? length : 0] = '\0';
		count += length > 0 && strcmp(target, "anon_inode:[pidfd]") != 0;
	}
	closedir(all);
	return count;
}

struct fd_limit {
	pid_t pid;
	unsigned count;
};

static bool has_no_more_fds(void *arg)
{
	const struct fd_limit *limit = arg;

	return raw_fd_count(limit->pid) <= limit->count;
}

void raw_expect_fds(pid_t pid, unsigned most)
{
	struct fd_limit limit = { pid, most };

	if (!harness_until(has_no_more_fds, &limit, PATIENCE_MS))
		fail_msg("%u descriptors, %u before", raw_fd_count(pid), most);
}

static bool has_endpoint(const char *pid)
{
	char path[300], text[1024];
	size_t length;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	length = fread(text, 1, sizeof text, file);
	fclose(file);
	return length > 4 && memcmp(text, "mpd", 4) == 0 &&
	       memmem(text, length, getenv("MP_ENDPOINT"), strlen(getenv("MP_ENDPOINT")));
}

unsigned raw_mpd_count(void)
{
	DIR *all = opendir("/proc");
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(all);
	while ((entry = readdir(all)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			count += has_endpoint(entry->d_name);
	closedir(all);
	return count;
}
