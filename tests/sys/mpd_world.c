/* SPDX-License-Identifier: MIT
 *
 * See mpd_world.h. Knows: what of mpd's can be seen from outside. Does not know: what is tested.
 */
#include "mpd_world.h"

#include "libshm/recover.h"
#include "libshm/slot.h"

#include <libshm/base.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define THE_THREE 3
#define FDS_A_SEGMENT 2
#define LIST_ROOM 8

/* --- asking --- */

bool world_is_lost(int status)
{
	return status == -EPIPE || status == -ECONNRESET || status == -ENOTCONN;
}

/* A number is this mpd's: where the registry was lost, the same segment has another. */
static bool renumber_target(struct world *world, struct raw *raw)
{
	struct proto_listed rows[LIST_ROOM];
	int count = raw_list(raw, rows, LIST_ROOM);

	for (int i = 0; i < count && i < LIST_ROOM; i++)
		if (rows[i].generation == world->target.opened.generation)
			world->target.opened.segment = rows[i].segment;
	return count >= 0;
}

/* Nobody serves any more, and who needs it starts the next pair. One that was killed beside an mpd
 * that lives on is not replaced: there is no need. */
static bool is_greeted(struct world *world, struct raw *raw, bool is_observer)
{
	if (raw_try_connect(raw, is_observer))
		return true;
	if (!mpd_pair_is_kept(&world->pair) && world->pair.gate < 0) {
		mpd_pair_start(&world->pair, WORLD_GRACE);
		world->pairs++;
		world->is_registry_lost = true;
	}
	return false;
}

static void await_greeting(struct world *world, struct raw *raw, bool is_observer)
{
	int64_t deadline_ns = harness_now_ns() + WORLD_PATIENCE_MS * INT64_C(1000000);

	while (!is_greeted(world, raw, is_observer)) {
		assert_true(harness_now_ns() < deadline_ns);
		harness_sleep_ms(1);
	}
}

void world_connect_again(struct world *world, struct raw *raw)
{
	raw_close(raw);
	await_greeting(world, raw, false);
	if (world->is_registry_lost && renumber_target(world, raw)) {
		world->is_registry_lost = false;
		mpd_pair_look_at_registry(&world->pair);
	}
}

void world_connect_observer(struct world *world, struct raw *raw)
{
	await_greeting(world, raw, true);
}

static int ask_about_target(struct world *world, struct raw *raw, enum proto_type type,
			    void *answer, size_t answer_bytes, struct wire_fds *ret_fds)
{
	struct proto_segment about = { .segment = world->target.opened.segment };

	return raw_ask(raw, type, &about, sizeof about, answer, answer_bytes, ret_fds);
}

int world_ask_about_target(struct world *world, struct raw *raw, enum proto_type type,
			   void *answer, size_t answer_bytes, struct wire_fds *ret_fds)
{
	int status;

	while (world_is_lost(status = ask_about_target(world, raw, type, answer, answer_bytes,
						       ret_fds)))
		world_connect_again(world, raw);
	return status;
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
	struct seg_geometry plan;

	assert_int_equal(seg_plan(opened->size_bytes, opened->max_clients, opened->max_threads,
				  &plan), 0);
	assert_int_equal(seg_format(world->target.fd, WORLD_TARGET, opened->generation, &plan), 0);
	return world_ask_about_target(world, raw, PROTO_FORMATTED, NULL, 0, NULL);
}

/* A pair that found it knows nothing of the wish to keep it: who wants that asks anew. */
void world_make_target(struct world *world, struct raw *raw, uint32_t flags)
{
	unsigned pairs;
	int status;

	do {
		pairs = world->pairs;
		assert_int_equal(world_open_target(world, raw, flags), 0);
		status = world->target.opened.must_format ? world_format_target(world, raw) : 0;
		assert_true(status == 0 || status == -ESTALE);
	} while (status < 0 || pairs != world->pairs);
}

void world_enter_target(struct world *world, struct raw *raw)
{
	struct raw_segment *target = &world->target;

	if (!target->seg)
		assert_int_equal(seg_map(target->fd, false, &target->seg), 0);
	assert_int_equal(slot_claim_client(target->seg, raw_lock_byte(raw), "raw", 0,
					   &target->client, &target->generation), 0);
}

static int say(struct world *world, struct raw *raw, enum proto_type type)
{
	struct proto_attached attached = { .segment = world->target.opened.segment,
					   .client = world->target.client,
					   .generation = world->target.generation };

	return raw_ask(raw, type, &attached, sizeof attached, NULL, 0, NULL);
}

int world_say(struct world *world, struct raw *raw, enum proto_type type)
{
	int status;

	while (world_is_lost(status = say(world, raw, type)))
		world_connect_again(world, raw);
	return status;
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
	return segment->seg && record->generation == segment->opened.generation &&
	       load_acquire(&record->state) == (uint32_t)state &&
	       !!load_relaxed(&record->is_kept) == is_kept;
}

static unsigned count_of_three(const struct world *world)
{
	return world->is_empty ? 0 : THE_THREE;
}

/* Each of those that ought to be there once, and nobody else. */
static bool is_registry_right(struct expected *expected)
{
	struct world *world = expected->world;
	unsigned found = 0, used = 0, target = 0;

	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		const struct registry_record *record = &world->pair.records[i];

		used += load_acquire(&record->state) != REGISTRY_FREE;
		found += is_record_of(record, &world->kept, REGISTRY_READY, true) ||
			 is_record_of(record, &world->plain, REGISTRY_READY, false) ||
			 is_record_of(record, &world->nameless, REGISTRY_NAMELESS, false);
		target += expected->target != REGISTRY_FREE &&
			  record->generation == world->target.opened.generation &&
			  load_acquire(&record->state) == (uint32_t)expected->target;
	}
	if (found == count_of_three(world) && used == found + target &&
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
	unsigned segments = count_of_three(world) + (expected->target != REGISTRY_FREE);
	unsigned wanted = world->supervisor_fds + segments * FDS_A_SEGMENT;
	unsigned fds = raw_fd_count(world->pair.supervisor);

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
	int count, right = 0;
	int wanted = (int)count_of_three(world) + (expected->target != REGISTRY_FREE);

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

/* One pair, or one whose supervisor was killed. */
static bool is_pair_right(struct expected *expected, bool is_kept)
{
	unsigned count = raw_mpd_count();

	if (count == (is_kept ? 2 : 1))
		return true;
	snprintf(expected->complaint, sizeof expected->complaint,
		 "%u processes are mpd or its supervisor", count);
	return false;
}

/* Without a supervisor nobody else has what mpd has. */
static bool is_right(void *arg)
{
	struct expected *expected = arg;
	bool is_kept = mpd_pair_is_kept(&expected->world->pair);

	return is_list_right(expected) && is_pair_right(expected, is_kept) &&
	       (!is_kept || (is_registry_right(expected) && is_store_right(expected)));
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
	if (!world->is_empty) {
		expect_alive(&world->kept);
		expect_alive(&world->plain);
		expect_alive(&world->nameless);
	}
	if (target != REGISTRY_FREE && target_clients != 0)
		expect_alive(&world->target);
}

/* --- beginning and end --- */

static bool is_all_stored(void *arg)
{
	const struct world *world = arg;

	return mpd_pair_count_stored(&world->pair) == THE_THREE * FDS_A_SEGMENT;
}

void world_furnish(struct world *world)
{
	raw_attach(&world->raw, "kept", MP_KEEP, &world->kept);
	raw_attach(&world->raw, "plain", 0, &world->plain);
	raw_attach(&world->raw, "nameless", 0, &world->nameless);
	assert_int_equal(raw_unlink(&world->raw, "nameless"), 0);
	assert_true(harness_until(is_all_stored, world, WORLD_PATIENCE_MS));
	world->is_empty = false;
}

void world_begin(struct world *world)
{
	*world = (struct world){ .target = { .fd = -1 }, .pair = { .gate = -1 } };
	mpd_pair_start(&world->pair, WORLD_GRACE);
	raw_connect(&world->watcher);
	assert_true(mpd_pair_look_at_registry(&world->pair));
	raw_connect(&world->raw);
	raw_connect(&world->other);
	world_furnish(world);
	world->supervisor_fds = raw_fd_count(world->pair.supervisor) - THE_THREE * FDS_A_SEGMENT;
}

static void leave(struct raw_segment *segment)
{
	recover_client(segment->seg, segment->client, segment->generation);
	raw_forget(segment);
}

void world_empty(struct world *world)
{
	assert_int_equal(raw_unlink(&world->watcher, "kept"), 0);
	leave(&world->kept);
	leave(&world->plain);
	leave(&world->nameless);
	world->is_empty = true;
}

void world_hang_up(struct world *world)
{
	raw_close(&world->raw);
	raw_close(&world->other);
	raw_close(&world->watcher);
}

void world_hold_next(struct world *world)
{
	mpd_pair_forget_registry(&world->pair);
	world->is_registry_lost = true;
	mpd_pair_hold(&world->pair, WORLD_GRACE);
}

void world_end(struct world *world)
{
	world_empty(world);
	world_hang_up(world);
	assert_int_equal(mpd_pair_await(&world->pair), 0);
	mpd_pair_reap();
}
