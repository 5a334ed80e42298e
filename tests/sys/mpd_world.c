/* SPDX-License-Identifier: MIT
 *
 * See mpd_world.h. Knows: /proc/PID/fd of the supervisor. Does not know: what is tested.
 */
#include "mpd_world.h"

#include "libshm/recover.h"
#include "libshm/slot.h"

#include <libshm/base.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REGISTRY_LINK "/memfd:mpd:registry"
#define SEGMENT_LINK "/memfd:libshm:"
#define REGISTRY_HEAD_BYTES 4096
#define REGISTRY_BYTES (REGISTRY_HEAD_BYTES + REGISTRY_RECORDS * sizeof(struct registry_record))
#define THE_THREE 3
#define FDS_A_SEGMENT 2
#define LIST_ROOM 8

/* --- the supervisor --- */

static void start_supervisor(struct world *world, const char *grace_ms)
{
	const char *path = getenv("MP_MPD"), *endpoint = getenv("MP_ENDPOINT");

	assert_non_null(path);
	world->is_supervisor_killed = false;
	world->supervisor = fork();
	assert_true(world->supervisor >= 0);
	if (world->supervisor != 0)
		return;
	close_range(3, ~0U, 0);
	execl(path, "mpd", "--supervise", "--endpoint", endpoint, "--grace", grace_ms, NULL);
	_exit(1);
}

static bool is_link_to(const char *target, ssize_t length, const char *beginning)
{
	size_t wanted = strlen(beginning);

	return length >= (ssize_t)wanted && memcmp(target, beginning, wanted) == 0;
}

/* The file has mode 0: its owner opens it for a moment, as mpd does in its last resort. */
static int open_registry(pid_t supervisor)
{
	char path[300], target[64];
	struct dirent *entry;
	DIR *folder;
	int fd = -1;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)supervisor);
	folder = opendir(path);
	assert_non_null(folder);
	while (fd < 0 && (entry = readdir(folder)) != NULL) {
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target);

		if (!is_link_to(target, length, REGISTRY_LINK) ||
		    fchmodat(dirfd(folder), entry->d_name, 0600, 0) < 0)
			continue;
		fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
		fchmodat(dirfd(folder), entry->d_name, 0, 0);
	}
	closedir(folder);
	return fd;
}

/* Of segments; the supervisor reads what mpd has told it when it gets to it. */
static unsigned count_stored(pid_t supervisor)
{
	char path[300], target[64];
	struct dirent *entry;
	unsigned count = 0;
	DIR *folder;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)supervisor);
	folder = opendir(path);
	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target);

		count += is_link_to(target, length, SEGMENT_LINK);
	}
	closedir(folder);
	return count;
}

static void close_registry(struct world *world)
{
	if (world->records)
		munmap((void *)((uintptr_t)world->records - REGISTRY_HEAD_BYTES), REGISTRY_BYTES);
	world->records = NULL;
}

static bool has_registry(void *arg)
{
	struct world *world = arg;

	world->registry_fd = open_registry(world->supervisor);
	return world->registry_fd >= 0;
}

static void look_at_registry(struct world *world)
{
	uint8_t *base;

	close_registry(world);
	assert_true(harness_until(has_registry, world, WORLD_PATIENCE_MS));
	base = mmap(NULL, REGISTRY_BYTES, PROT_READ, MAP_SHARED, world->registry_fd, 0);
	assert_true(base != MAP_FAILED);
	close(world->registry_fd);
	world->records = (const struct registry_record *)(void *)(base + REGISTRY_HEAD_BYTES);
}

void world_start(struct world *world, const char *grace_ms)
{
	start_supervisor(world, grace_ms);
	raw_connect(&world->watcher);
	look_at_registry(world);
}

int world_await_supervisor(struct world *world)
{
	int code = harness_wait(world->supervisor);

	world->supervisor = 0;
	close_registry(world);
	return code;
}

/* --- asking --- */

bool world_is_lost(int status)
{
	return status == -EPIPE || status == -ECONNRESET || status == -ENOTCONN;
}

void world_connect_again(struct world *world, struct raw *raw)
{
	if (world->is_supervisor_killed) {
		assert_int_equal(world_await_supervisor(world), -SIGKILL);
		start_supervisor(world, WORLD_GRACE);
		look_at_registry(world);
	}
	raw_close(raw);
	raw_connect(raw);
}

int world_ask(struct world *world, struct raw *raw, enum proto_type type, const void *request,
	      size_t request_bytes, void *answer, size_t answer_bytes, struct wire_fds *ret_fds)
{
	int status;

	while (world_is_lost(status = raw_ask(raw, type, request, request_bytes, answer,
					      answer_bytes, ret_fds)))
		world_connect_again(world, raw);
	return status;
}

void world_settle(struct world *world)
{
	struct proto_empty empty = { 0 };

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(world_ask(world, &world->watcher, PROTO_LIST, &empty,
					   sizeof empty, NULL, 0, NULL), 0);
}

/* --- the target --- */

void world_forget_target(struct world *world)
{
	if (world->target.fd >= 0)
		raw_forget(&world->target);
	world->target = (struct raw_segment){ .fd = -1 };
}

int world_open(struct world *world, struct raw *raw, uint32_t flags,
	       struct raw_segment *ret_segment)
{
	struct proto_open open = { .name = WORLD_TARGET, .flags = flags, .mode = 0600, .gid = -1 };
	struct wire_fds fds = { 0 };
	int status;

	*ret_segment = (struct raw_segment){ .fd = -1 };
	status = world_ask(world, raw, PROTO_OPEN, &open, sizeof open, &ret_segment->opened,
			   sizeof ret_segment->opened, &fds);
	assert_int_equal(fds.count, status == 0);
	if (status == 0)
		ret_segment->fd = fds.fd[0];
	return status;
}

int world_open_target(struct world *world, struct raw *raw, uint32_t flags)
{
	struct raw_segment opened;
	int status = world_open(world, raw, flags, &opened);

	if (status < 0)
		return status;
	world_forget_target(world);
	world->target = opened;
	return 0;
}

int world_format_target(struct world *world, struct raw *raw)
{
	struct proto_opened *opened = &world->target.opened;
	struct proto_segment formatted = { .segment = opened->segment };
	struct seg_geometry plan;

	assert_int_equal(seg_plan(opened->size_bytes, opened->max_clients, opened->max_threads,
				  &plan), 0);
	assert_int_equal(seg_format(world->target.fd, WORLD_TARGET, opened->generation, &plan), 0);
	return world_ask(world, raw, PROTO_FORMATTED, &formatted, sizeof formatted, NULL, 0, NULL);
}

void world_make_target(struct world *world, struct raw *raw, uint32_t flags)
{
	int status;

	do {
		assert_int_equal(world_open_target(world, raw, flags), 0);
		status = world->target.opened.must_format ? world_format_target(world, raw) : 0;
		assert_true(status == 0 || status == -ESTALE);
	} while (status < 0);
}

void world_enter_target(struct world *world, struct raw *raw)
{
	struct raw_segment *target = &world->target;

	if (!target->seg)
		assert_int_equal(seg_map(target->fd, false, &target->seg), 0);
	assert_int_equal(slot_claim_client(target->seg, raw_lock_byte(raw), "raw", 0,
					   &target->client, &target->generation), 0);
}

int world_say(struct world *world, struct raw *raw, enum proto_type type)
{
	struct proto_attached attached = { .segment = world->target.opened.segment,
					   .client = world->target.client,
					   .generation = world->target.generation };

	return world_ask(world, raw, type, &attached, sizeof attached, NULL, 0, NULL);
}

void world_leave_target(struct world *world)
{
	struct raw_segment *target = &world->target;

	recover_client(target->seg, target->client, target->generation);
}

int world_unlink_target(struct world *world, struct raw *raw)
{
	struct proto_open open = { .name = WORLD_TARGET };

	return world_ask(world, raw, PROTO_UNLINK, &open, sizeof open, NULL, 0, NULL);
}

/* --- a child --- */

struct acting {
	int ready;
	uint32_t flags;
};

static int attach_and_stay(void *arg)
{
	struct acting *acting = arg;
	struct raw_segment segment;
	struct raw raw;

	raw_connect(&raw);
	raw_attach(&raw, WORLD_TARGET, acting->flags, &segment);
	assert_int_equal(write(acting->ready, &segment, sizeof segment), sizeof segment);
	for (;;)
		pause();
	return 0;
}

void world_start_actor(struct world *world, uint32_t flags)
{
	struct acting acting = { .flags = flags };
	int channel[2];

	assert_int_equal(pipe2(channel, O_CLOEXEC), 0);
	acting.ready = channel[1];
	world->actor = harness_fork(attach_and_stay, &acting);
	close(channel[1]);
	assert_int_equal(read(channel[0], &world->actors, sizeof world->actors),
			 sizeof world->actors);
	close(channel[0]);
}

/* --- what there is to see --- */

struct expected {
	struct world *world;
	enum registry_state target;
	unsigned clients;
	char complaint[200];
};

static bool is_record_of(const struct registry_record *record, const struct raw_segment *segment,
			 enum registry_state state, bool is_kept)
{
	return record->generation == segment->opened.generation &&
	       load_acquire(&record->state) == (uint32_t)state &&
	       !!load_relaxed(&record->is_kept) == is_kept;
}

/* Each of those that ought to be there once, and nobody else. */
static bool is_registry_right(struct expected *expected)
{
	struct world *world = expected->world;
	unsigned found = 0, used = 0, target = 0;

	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		const struct registry_record *record = &world->records[i];

		used += load_acquire(&record->state) != REGISTRY_FREE;
		found += is_record_of(record, &world->kept, REGISTRY_READY, true) ||
			 is_record_of(record, &world->plain, REGISTRY_READY, false) ||
			 is_record_of(record, &world->nameless, REGISTRY_NAMELESS, false);
		target += expected->target != REGISTRY_FREE &&
			  record->generation == world->target.opened.generation &&
			  load_acquire(&record->state) == (uint32_t)expected->target;
	}
	if (found == THE_THREE && used == found + target &&
	    target == (expected->target != REGISTRY_FREE))
		return true;
	snprintf(expected->complaint, sizeof expected->complaint,
		 "%u records, of them %u of the three and %u of the target (wanted: %d)", used,
		 found, target, expected->target != REGISTRY_FREE);
	return false;
}

static bool is_store_right(struct expected *expected)
{
	struct world *world = expected->world;
	unsigned wanted = world->supervisor_fds +
			  (expected->target != REGISTRY_FREE ? FDS_A_SEGMENT : 0);
	unsigned fds = raw_fd_count(world->supervisor);

	if (fds == wanted)
		return true;
	snprintf(expected->complaint, sizeof expected->complaint,
		 "the supervisor has %u descriptors (wanted: %u)", fds, wanted);
	return false;
}

/* As many clients as mpd says it watches. */
static bool is_list_right(struct expected *expected)
{
	struct proto_listed rows[LIST_ROOM];
	struct world *world = expected->world;
	int count, wanted = THE_THREE + (expected->target != REGISTRY_FREE), right = 0;

	while (world_is_lost(count = raw_list(&world->watcher, rows, LIST_ROOM)))
		world_connect_again(world, &world->watcher);
	for (int i = 0; i < count && i < LIST_ROOM; i++) {
		bool is_target = strcmp(rows[i].name, WORLD_TARGET) == 0;

		right += rows[i].clients == (is_target ? expected->clients : 1);
	}
	if (count == wanted && right == wanted)
		return true;
	snprintf(expected->complaint, sizeof expected->complaint,
		 "mpd lists %d segments, %d with the right number of clients (wanted: %d)", count,
		 right, wanted);
	return false;
}

static bool is_right(void *arg)
{
	return is_registry_right(arg) && is_store_right(arg) && is_list_right(arg);
}

static void expect_alive(const struct raw_segment *segment)
{
	uint64_t word = slot_client_word(segment->seg, segment->client);

	assert_int_equal(client_word_state(word), SLOT_LIVE);
	assert_int_equal(client_word_generation(word), segment->generation);
}

void world_check(struct world *world, enum registry_state target, unsigned target_clients)
{
	struct expected expected = { world, target, target_clients, "" };

	if (!harness_until(is_right, &expected, WORLD_PATIENCE_MS))
		fail_msg("%s", expected.complaint);
	expect_alive(&world->kept);
	expect_alive(&world->plain);
	expect_alive(&world->nameless);
	if (target != REGISTRY_FREE && target_clients != 0)
		expect_alive(&world->target);
}

/* --- beginning and end --- */

static bool is_all_stored(void *arg)
{
	const struct world *world = arg;

	return count_stored(world->supervisor) == THE_THREE * FDS_A_SEGMENT;
}

void world_begin(struct world *world)
{
	*world = (struct world){ .target = { .fd = -1 } };
	world_start(world, WORLD_GRACE);
	raw_connect(&world->raw);
	raw_connect(&world->other);
	raw_attach(&world->raw, "kept", MP_KEEP, &world->kept);
	raw_attach(&world->raw, "plain", 0, &world->plain);
	raw_attach(&world->raw, "nameless", 0, &world->nameless);
	assert_int_equal(raw_unlink(&world->raw, "nameless"), 0);
	assert_true(harness_until(is_all_stored, world, WORLD_PATIENCE_MS));
	world->supervisor_fds = raw_fd_count(world->supervisor);
}

static void leave(struct raw_segment *segment)
{
	recover_client(segment->seg, segment->client, segment->generation);
	raw_forget(segment);
}

void world_end(struct world *world)
{
	assert_int_equal(raw_unlink(&world->watcher, "kept"), 0);
	leave(&world->kept);
	leave(&world->plain);
	leave(&world->nameless);
	raw_close(&world->raw);
	raw_close(&world->other);
	raw_close(&world->watcher);
	assert_int_equal(world_await_supervisor(world), 0);
}
