/* SPDX-License-Identifier: MIT
 *
 * Proves: observe tells what stands in a segment, finds cycles of locks and no others, finds
 * segments without mpd, survives any bytes, and commits no page by looking.
 * Knows: how a segment is laid out; writes its words by hand, so that each state can be made.
 * Does not know: the operations that make these states in real life.
 */
#include "blockword.h"
#include "cellword.h"
#include "harness.h"
#include "lockword.h"
#include "observe_internal.h"
#include "wire.h"

#include <libshm/lock.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENT_BYTES (UINT64_C(4) << 20)
#define GENERATION 7
#define CAPACITY 16

/* A memory file with the name mpd would give it, held by this process as a client would. */
struct world {
	char folder[64];
	char endpoint[96];
	struct seg *seg;
};

static int make_memory(const struct world *world, const char *name)
{
	struct seg_geometry plan;
	char label[128];
	int fd;

	snprintf(label, sizeof(label), "libshm:%s:%s", world->endpoint, name);
	fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(seg_plan(SEGMENT_BYTES, 0, 0, &plan), 0);
	assert_int_equal(ftruncate(fd, (off_t)plan.size_bytes), 0);
	assert_int_equal(seg_format(fd, name, 99, &plan), 0);
	return fd;
}

static void world_folder(struct world *world)
{
	strcpy(world->folder, "/tmp/observe-XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	snprintf(world->endpoint, sizeof(world->endpoint), "%s/mpd.sock", world->folder);
}

static void world_begin(struct world *world)
{
	world_folder(world);
	assert_int_equal(seg_map(make_memory(world, "books"), false, &world->seg), 0);
}

static void world_end(struct world *world)
{
	seg_unmap(world->seg);
	rmdir(world->folder);
}

static void add_client(struct world *world, uint32_t slot, const char *name)
{
	struct shm_client *client = &world->seg->clients[slot];

	store_relaxed(&client->word, client_word(SLOT_LIVE, 1, (uint32_t)getpid() + slot, 0));
	snprintf(client->name, sizeof(client->name), "%s", name);
	if (load_relaxed(&world->seg->header->clients_high) <= slot)
		store_relaxed(&world->seg->header->clients_high, slot + 1);
}

static void add_thread(struct world *world, uint32_t slot, uint32_t client)
{
	struct shm_thread *thread = &world->seg->threads[slot];

	store_relaxed(&thread->word, thread_word(SLOT_LIVE, GENERATION, client));
	store_relaxed(&thread->tid, 1000 + slot);
	store_relaxed(&thread->sleeps[0], 5);
	store_relaxed(&thread->sleeps[1], 2);
	if (load_relaxed(&world->seg->header->threads_high) <= slot)
		store_relaxed(&world->seg->header->threads_high, slot + 1);
}

static uint64_t object_offset(const struct world *world, uint32_t index)
{
	return world->seg->at.arena + (uint64_t)index * 8192;
}

static void *add_object(struct world *world, uint32_t index, enum object_kind kind,
			const char *name)
{
	struct shm_entry *entry = &world->seg->directory[index];
	uint64_t offset = object_offset(world, index);
	struct shm_object *object = (struct shm_object *)(void *)(world->seg->base + offset);

	object->magic = OBJECT_MAGIC;
	object->kind = kind;
	object->id = object_id_make(index, GENERATION);
	store_relaxed(&entry->object, reference_make(offset, 0));
	store_relaxed(&entry->kind, kind);
	strncpy(entry->name, name, sizeof(entry->name) - 1);
	store_relaxed(&entry->word, entry_word(ENTRY_LIVE, GENERATION));
	if (load_relaxed(&world->seg->header->objects_high) <= index)
		store_relaxed(&world->seg->header->objects_high, index + 1);
	return object;
}

static struct shm_lock *add_lock(struct world *world, uint32_t index, const char *name,
				 uint32_t owner)
{
	struct shm_lock *lock = add_object(world, index, OBJECT_LOCK, name);

	store_relaxed(&lock->kind, MP_LOCK_CHECKED);
	store_relaxed(&lock->grants, 10);
	store_relaxed(&lock->word, owner ? who_make(owner, GENERATION) : 0);
	return lock;
}

static void wait_for(struct world *world, uint32_t thread, struct shm_waiters *set,
		     uint64_t record)
{
	struct shm_thread *row = &world->seg->threads[thread];
	uint32_t count = load_relaxed(&row->record_count);

	or_relaxed(&set->leaf[thread / 64], UINT64_C(1) << thread % 64);
	store_relaxed(&row->records[count], record);
	store_relaxed(&row->record_count, count + 1);
	add_relaxed(&row->epoch, 1);
	store_relaxed(&row->waiting_since_ns, (uint64_t)harness_now_ns() - 5000000000);
	store_relaxed(&row->bell, 41);
}

static void wait_for_lock(struct world *world, uint32_t thread, uint32_t index)
{
	uint64_t offset = object_offset(world, index);
	struct shm_lock *lock = (struct shm_lock *)(void *)(world->seg->base + offset);

	wait_for(world, thread, &lock->waiters, offset | WAIT_ACQUIRABLE);
}

static struct shm_queue *add_queue(struct world *world, uint32_t index, const char *name)
{
	struct shm_queue *queue = add_object(world, index, OBJECT_QUEUE, name);

	store_relaxed(&queue->cells, reference_make(object_offset(world, index) + 1024, 0));
	store_relaxed(&queue->capacity, CAPACITY);
	return queue;
}

static void set_cell(struct world *world, uint32_t queue, uint32_t index, uint64_t word)
{
	uint64_t offset = object_offset(world, queue) + 1024 + index * sizeof(struct shm_cell);

	store_relaxed(&((struct shm_cell *)(void *)(world->seg->base + offset))->word, word);
}

/* The AB-BA of every textbook: loader holds cfg.lock and wants db.lock, writer the reverse. */
static void cross(struct world *world)
{
	add_client(world, 2, "loader");
	add_client(world, 3, "writer");
	add_thread(world, 2, 2);
	add_thread(world, 3, 3);
	add_lock(world, 0, "cfg.lock", 2);
	add_lock(world, 1, "db.lock", 3);
	wait_for_lock(world, 2, 1);
	wait_for_lock(world, 3, 0);
}

static const struct mp_snapshot *look(mp_observer *observer)
{
	const struct mp_snapshot *snapshot;

	assert_int_equal(mp_observe_refresh(observer), 1);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	return snapshot;
}

static mp_observer *open_observer(const struct world *world)
{
	mp_observer *observer;

	assert_int_equal(mp_observe_open(world->endpoint, &observer), 0);
	return observer;
}

static void owner_and_waiters_of_a_lock_are_named(void **state)
{
	const struct mp_snapshot *snapshot;
	struct world world;
	mp_observer *observer;

	world_begin(&world);
	add_client(&world, 2, "loader");
	add_client(&world, 3, "writer");
	add_thread(&world, 4, 2);
	add_thread(&world, 5, 3);
	add_thread(&world, 6, 3);
	add_lock(&world, 3, "cfg.lock", 4);
	wait_for_lock(&world, 5, 3);
	/* A bit without a record is what a cut-off wait leaves: it counts for nobody. */
	or_relaxed(&add_lock(&world, 3, "cfg.lock", 4)->waiters.leaf[0], UINT64_C(1) << 6);
	observer = open_observer(&world);
	snapshot = look(observer);
	assert_int_equal(snapshot->is_torn, 0);
	assert_string_equal(snapshot->segment, "books");
	assert_int_equal(snapshot->process_count, 2);
	assert_string_equal(snapshot->processes[0].name, "loader");
	assert_int_equal(snapshot->thread_count, 3);
	assert_int_equal(snapshot->lock_count, 1);
	assert_string_equal(snapshot->locks[0].name, "cfg.lock");
	assert_string_equal(snapshot->locks[0].kind, "checked");
	assert_int_equal(snapshot->locks[0].owner_thread, 4);
	assert_int_equal(snapshot->locks[0].owner_process, 2);
	assert_int_equal(snapshot->locks[0].waiters, 1);
	assert_int_equal(snapshot->threads[1].waits_for[0], snapshot->locks[0].id);
	assert_true(snapshot->threads[1].is_waiting && snapshot->threads[1].is_asleep);
	assert_in_range(snapshot->threads[1].waiting_ns, 4900000000, 60000000000);
	assert_int_equal(snapshot->threads[0].sleeps_uring, 5);
	assert_int_equal(snapshot->threads[0].sleeps_futex, 2);
	assert_int_equal(snapshot->cycle_count, 0);
	mp_observe_close(observer);
	world_end(&world);
}

static void locks_taken_crosswise_are_a_cycle(void **state)
{
	const struct mp_snapshot *snapshot;
	struct world world;
	mp_observer *observer;

	world_begin(&world);
	cross(&world);
	observer = open_observer(&world);
	snapshot = look(observer);
	assert_int_equal(snapshot->cycle_count, 1);
	assert_int_equal(snapshot->cycles[0].length, 2);
	assert_int_equal(snapshot->cycles[0].members, 2);
	assert_int_equal(snapshot->cycles[0].steps[0].process, 2);
	assert_int_equal(snapshot->cycles[0].steps[0].lock, object_id_make(1, GENERATION));
	assert_int_equal(snapshot->cycles[0].steps[1].process, 3);
	assert_int_equal(snapshot->cycles[0].steps[1].lock, object_id_make(0, GENERATION));
	assert_in_range(snapshot->cycles[0].age_ns, 4900000000, 60000000000);
	/* Its owner has slept for five seconds: it holds the lock no shorter. */
	assert_in_range(snapshot->locks[0].held_ns, 4900000000, 60000000000);
	mp_observe_close(observer);
	world_end(&world);
}

static uint32_t cycles_now(struct world *world)
{
	mp_observer *observer = open_observer(world);
	uint32_t count = look(observer)->cycle_count;

	mp_observe_close(observer);
	return count;
}

static void what_is_no_cycle_is_not_reported(void **state)
{
	struct world world;
	struct shm_lock *lock;

	world_begin(&world);
	cross(&world);
	assert_int_equal(cycles_now(&world), 1);
	/* Just granted: owner of what its record still names. */
	lock = add_lock(&world, 1, "db.lock", 2);
	assert_int_equal(cycles_now(&world), 0);
	/* The owner's slot is used by a later thread. */
	store_relaxed(&lock->word, who_make(3, GENERATION + 1));
	assert_int_equal(cycles_now(&world), 0);
	store_relaxed(&lock->word, who_make(3, GENERATION));
	assert_int_equal(cycles_now(&world), 1);
	/* Dead: its locks are about to be released on its behalf. */
	store_relaxed(&world.seg->clients[3].word, client_word(SLOT_DEAD, 1, 77, 0));
	assert_int_equal(cycles_now(&world), 0);
	store_relaxed(&world.seg->clients[3].word, client_word(SLOT_LIVE, 1, 77, 0));
	/* Whoever waits for two things is freed by either. */
	add_lock(&world, 2, "log.lock", 0);
	wait_for_lock(&world, 2, 2);
	assert_int_equal(cycles_now(&world), 0);
	world_end(&world);
}

/* Copy, then let one member move before its second look. */
static void a_member_that_moves_between_the_looks_dissolves_the_cycle(void **state)
{
	struct observe_segment segment = { .fd = -1 };
	struct observe_copy copy;
	struct world world;

	world_begin(&world);
	cross(&world);
	for (int moves = 0; moves <= 1; moves++) {
		struct mp_snapshot *snapshot = &segment.snapshot;

		assert_int_equal(observe_copy_tables(world.seg->fd, &copy), 0);
		assert_int_equal(observe_objects(&copy, &segment, snapshot), 0);
		if (moves)
			add_relaxed(&world.seg->threads[3].epoch, 1);
		assert_int_equal(observe_cycles(&copy, snapshot), 0);
		assert_int_equal(snapshot->cycle_count, !moves);
		free(snapshot->locks);
		free(snapshot->queues);
		free(snapshot->syncs);
		free(snapshot->cycles);
		memset(snapshot, 0, sizeof(*snapshot));
		observe_copy_release(&copy);
	}
	observe_forget_segment(&segment);
	world_end(&world);
}

static void a_ring_longer_than_the_report_is_still_found(void **state)
{
	const struct mp_snapshot *snapshot;
	const uint32_t members = MP_CYCLE_MAX + 4;
	struct world world;
	mp_observer *observer;

	world_begin(&world);
	for (uint32_t i = 0; i < members; i++) {
		add_client(&world, 2 + i, "philosopher");
		add_thread(&world, 2 + i, 2 + i);
		add_lock(&world, i, "fork", 2 + i);
	}
	for (uint32_t i = 0; i < members; i++)
		wait_for_lock(&world, 2 + i, (i + 1) % members);
	observer = open_observer(&world);
	snapshot = look(observer);
	assert_int_equal(snapshot->cycle_count, 1);
	assert_int_equal(snapshot->cycles[0].length, MP_CYCLE_MAX);
	assert_int_equal(snapshot->cycles[0].members, members);
	mp_observe_close(observer);
	world_end(&world);
}

static void a_queue_is_counted_from_its_cells(void **state)
{
	const struct mp_observed_queue *row;
	struct shm_queue *queue;
	struct shm_lease *lease;
	struct world world;
	mp_observer *observer;

	world_begin(&world);
	add_client(&world, 2, "feeder");
	add_thread(&world, 2, 2);
	queue = add_queue(&world, 0, "jobs");
	/* Two laps done, the hints lag behind the cells. */
	store_relaxed(&queue->tail, position_make(2, 3));
	store_relaxed(&queue->head, position_make(2, 1));
	set_cell(&world, 0, 1, cell_word(2, 0, 0, CELL_READY));
	set_cell(&world, 0, 2, cell_word(2, 1, 0, CELL_READY));
	set_cell(&world, 0, 3, cell_word(2, 0, 0, CELL_READY));
	set_cell(&world, 0, 4, cell_word(2, 0, 2, CELL_WRITING));
	lease = (struct shm_lease *)(void *)(world.seg->base + object_offset(&world, 5));
	store_relaxed(&lease[3].word, lease_word(1, 2, LEASE_LEASED));
	store_relaxed(&lease[4].word, lease_word(1, 2, LEASE_RETURNED));
	store_relaxed(&queue->lease_chunk[0], reference_make(object_offset(&world, 5), 0));
	wait_for(&world, 2, &queue->writable, object_offset(&world, 0) | WAIT_WRITABLE);
	observer = open_observer(&world);
	row = look(observer)->queues;
	assert_string_equal(row->name, "jobs");
	assert_int_equal(row->depth, 4); /* with the one that was given back */
	assert_int_equal(row->returned, 1);
	assert_int_equal(row->capacity, CAPACITY);
	assert_int_equal(row->puts, 2 * CAPACITY + 3);
	assert_int_equal(row->gets, 2 * CAPACITY + 1);
	assert_int_equal(row->leased, 1);
	assert_int_equal(row->blocked_putters, 1);
	assert_int_equal(row->blocked_getters, 0);
	mp_observe_close(observer);
	world_end(&world);
}

static void held_for_grows_only_while_the_grant_is_the_same(void **state)
{
	struct shm_lock *lock;
	struct world world;
	mp_observer *observer;

	world_begin(&world);
	add_client(&world, 2, "loader");
	add_thread(&world, 2, 2);
	lock = add_lock(&world, 0, "cfg.lock", 2);
	observer = open_observer(&world);
	assert_int_equal(look(observer)->locks[0].held_ns, 0);
	harness_sleep_ms(20);
	assert_in_range(look(observer)->locks[0].held_ns, 20000000, 20000000000);
	store_relaxed(&lock->grants, 11);
	assert_int_equal(look(observer)->locks[0].held_ns, 0);
	store_relaxed(&lock->word, 0);
	harness_sleep_ms(2);
	assert_int_equal(look(observer)->locks[0].held_ns, 0);
	mp_observe_close(observer);
	world_end(&world);
}

static void used_bytes_are_the_granules_that_are_not_free(void **state)
{
	const struct mp_snapshot *snapshot;
	struct world world;
	mp_observer *observer;

	world_begin(&world);
	store_relaxed(&world.seg->granules[0], block_word(3, 0, 2, BLOCK_HELD));
	store_relaxed(&world.seg->granules[3], block_word(2, 0, 0, BLOCK_FREE));
	store_relaxed(&world.seg->granules[5], block_word(1, 0, 0, BLOCK_RUN));
	store_relaxed(&world.seg->header->granules_high, 6);
	observer = open_observer(&world);
	snapshot = look(observer);
	assert_int_equal(snapshot->used_bytes, 4 * GRANULE_BYTES);
	assert_int_equal(snapshot->used_bytes + snapshot->free_bytes,
			 world.seg->at.granule_count * GRANULE_BYTES);
	assert_int_equal(snapshot->size_bytes, SEGMENT_BYTES);
	mp_observe_close(observer);
	world_end(&world);
}

static uint64_t pages_of(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return (uint64_t)status.st_blocks;
}

static void looking_commits_no_page(void **state)
{
	struct world world;
	mp_observer *observer;
	uint64_t before;

	world_begin(&world);
	cross(&world);
	/* Tables and a ring that nobody ever touched, within every bound. */
	store_relaxed(&world.seg->header->clients_high, world.seg->at.max_clients);
	store_relaxed(&world.seg->header->threads_high, world.seg->at.max_threads);
	store_relaxed(&world.seg->header->objects_high, world.seg->at.max_objects);
	store_relaxed(&world.seg->header->granules_high, world.seg->at.granule_count);
	store_relaxed(&add_queue(&world, 4, "wide")->capacity, 8192);
	before = pages_of(world.seg->fd);
	observer = open_observer(&world);
	assert_int_equal(look(observer)->cycle_count, 1);
	assert_int_equal(pages_of(world.seg->fd), before);
	mp_observe_close(observer);
	world_end(&world);
}

static void names_hold_nothing_a_terminal_should_not_get(void **state)
{
	const struct mp_snapshot *snapshot;
	struct world world;
	mp_observer *observer;

	world_begin(&world);
	add_lock(&world, 0, "a\033[2Jb\x7f", 0);
	add_lock(&world, 1, "gr\xc3\xbc\xc3\x9f", 0);
	add_lock(&world, 2, "x\xe2\x80\xaey\xff\xc3", 0);
	memset(world.seg->directory[2].name + 8, 'z', NAME_BYTES - 8);
	add_lock(&world, 3, "", 0);
	memset(world.seg->directory[3].name, 'n', NAME_BYTES);
	observer = open_observer(&world);
	snapshot = look(observer);
	assert_string_equal(snapshot->locks[0].name, "a?[2Jb?");
	assert_string_equal(snapshot->locks[1].name, "gr\xc3\xbc\xc3\x9f");
	assert_string_equal(snapshot->locks[2].name, "x???y??");
	assert_int_equal(strlen(snapshot->locks[3].name), NAME_BYTES - 1);
	mp_observe_close(observer);
	world_end(&world);
}

static int snapshot_result(mp_observer *observer)
{
	const struct mp_snapshot *snapshot;

	return mp_observe_snapshot(observer, 0, &snapshot);
}

static void a_header_that_is_wrong_is_refused(void **state)
{
	struct shm_header *header;
	struct world world;
	mp_observer *observer;
	uint64_t ready;

	world_begin(&world);
	header = world.seg->header;
	observer = open_observer(&world);
	assert_int_equal(snapshot_result(observer), 0);
	ready = load_relaxed(&header->ready);
	store_relaxed(&header->ready, 0);
	assert_int_equal(snapshot_result(observer), -EAGAIN);
	store_relaxed(&header->ready, ready);
	header->threads_offset += 4096;
	assert_int_equal(snapshot_result(observer), -EBADMSG);
	header->threads_offset -= 4096;
	header->minor++;
	assert_int_equal(snapshot_result(observer), -EPROTO);
	header->minor--;
	assert_int_equal(snapshot_result(observer), 0);
	assert_int_equal(snapshot_result(NULL), -EINVAL);
	mp_observe_close(observer);
	world_end(&world);
}

static uint64_t random_state = 1;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static bool is_clean_text(const char *text, size_t capacity)
{
	size_t length = strnlen(text, capacity);

	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return length < capacity;
}

static void check_snapshot(const struct world *world, const struct mp_snapshot *snapshot)
{
	assert_true(snapshot->process_count <= world->seg->at.max_clients);
	assert_true(snapshot->thread_count <= world->seg->at.max_threads);
	assert_true(snapshot->lock_count + snapshot->queue_count <= world->seg->at.max_objects);
	assert_true(snapshot->used_bytes + snapshot->free_bytes <= SEGMENT_BYTES);
	for (uint32_t i = 0; i < snapshot->process_count; i++)
		assert_true(is_clean_text(snapshot->processes[i].name, MP_OBSERVE_NAME));
	for (uint32_t i = 0; i < snapshot->thread_count; i++)
		assert_true(snapshot->threads[i].held_count <= HELD_MAX);
	for (uint32_t i = 0; i < snapshot->lock_count; i++) {
		assert_true(is_clean_text(snapshot->locks[i].name, MP_OBSERVE_NAME));
		assert_true(snapshot->locks[i].waiters <= snapshot->thread_count);
	}
	for (uint32_t i = 0; i < snapshot->queue_count; i++)
		assert_true(snapshot->queues[i].depth - snapshot->queues[i].returned <=
			    snapshot->queues[i].capacity);
	for (uint32_t i = 0; i < snapshot->cycle_count; i++)
		assert_true(snapshot->cycles[i].length <= MP_CYCLE_MAX);
}

/* Where bytes matter: header, the slots in use, directory, granules, both kinds of objects. */
static uint64_t random_offset(const struct world *world)
{
	const struct seg_geometry *at = &world->seg->at;
	const struct { uint64_t offset, bytes; } places[] = {
		{ 0, sizeof(struct shm_header) },
		{ at->clients, 5 * sizeof(struct shm_client) },
		{ at->threads, 6 * sizeof(struct shm_thread) },
		{ at->directory, 6 * sizeof(struct shm_entry) },
		{ at->granules, 64 * sizeof(uint64_t) },
		{ at->arena, 5 * 8192 },
	};
	unsigned place = (unsigned)(random_number() % ARRAY_LEN(places));

	return places[place].offset + random_number() % places[place].bytes;
}

static void mutate(struct world *world, uint64_t offset)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint8_t *byte = world->seg->base + offset;

	if (random_number() % 2)
		*byte = values[random_number() % ARRAY_LEN(values)];
	else
		*byte ^= (uint8_t)(1u << random_number() % 8);
}

static void mutated_bytes_are_survived(void **state)
{
	const unsigned rounds = 20000 * harness_scale();
	const uint64_t kept_bytes = 5 * 8192;
	unsigned readable = 0;
	struct world world;
	mp_observer *observer;
	uint8_t *kept;

	world_begin(&world);
	cross(&world);
	add_queue(&world, 3, "jobs");
	observer = open_observer(&world);
	assert_int_equal(look(observer)->cycle_count, 1);
	kept = malloc(world.seg->at.arena + kept_bytes);
	memcpy(kept, world.seg->base, world.seg->at.arena + kept_bytes);
	for (unsigned i = 0; i < rounds; i++) {
		const struct mp_snapshot *snapshot;

		/* Damage adds up for a while, then everything is whole again. */
		if (i % 16 == 0)
			memcpy(world.seg->base, kept, world.seg->at.arena + kept_bytes);
		mutate(&world, random_offset(&world));
		if (mp_observe_snapshot(observer, 0, &snapshot) < 0)
			continue;
		readable++;
		check_snapshot(&world, snapshot);
	}
	/* Both kinds of damage were met: refused and read. */
	assert_in_range(readable, rounds / 10, rounds - 1);
	free(kept);
	mp_observe_close(observer);
	world_end(&world);
}

static void without_mpd_segments_are_found_through_their_holders(void **state)
{
	struct mp_endpoint_info info;
	char name[MP_OBSERVE_NAME];
	struct world world, other;
	mp_observer *observer;
	int second;

	world_begin(&world);
	world_begin(&other);
	second = make_memory(&world, "films");
	observer = open_observer(&world);
	assert_int_equal(mp_observe_refresh(observer), 2);
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	assert_int_equal(info.is_mpd_alive, 0);
	assert_string_equal(info.endpoint, world.endpoint);
	assert_int_equal(mp_observe_name(observer, 1, name), 0);
	assert_int_equal(mp_observe_name(observer, 2, name), -EINVAL);
	/* Its last holder is gone; the observer's own descriptor does not keep it. */
	close(second);
	assert_int_equal(mp_observe_refresh(observer), 1);
	assert_int_equal(mp_observe_name(observer, 0, name), 0);
	assert_string_equal(name, "books");
	mp_observe_close(observer);
	world_end(&other);
	world_end(&world);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(wire_address(path, &address), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void a_silent_mpd_delays_the_look_and_does_not_prevent_it(void **state)
{
	struct mp_endpoint_info info;
	struct world world;
	mp_observer *observer;
	int64_t started;
	int fd;

	world_begin(&world);
	fd = listen_at(world.endpoint);
	started = harness_now_ns();
	observer = open_observer(&world);
	assert_in_range(harness_now_ns() - started, 900000000, 3000000000);
	started = harness_now_ns();
	assert_int_equal(look(observer)->process_count, 0);
	/* The second time it is not waited for as long. */
	assert_true(harness_now_ns() - started < 900000000);
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	assert_int_equal(info.is_mpd_alive, 0);
	mp_observe_close(observer);
	close(fd);
	unlink(world.endpoint);
	world_end(&world);
}

/* Answers each request with a packet that is wrong in one way. */
static int answer_nonsense(void *arg)
{
	int listening = *(int *)arg;

	for (unsigned way = 0; way < 8; way++) {
		struct { struct proto_head head; struct proto_welcome welcome; } answer;
		struct wire_fds fds = { 0 };
		int fd = accept(listening, NULL, NULL);

		memset(&answer, (int)way, sizeof(answer));
		if (wire_receive(fd, &answer, sizeof(answer), &fds) <= 0)
			return 1;
		answer.head.magic ^= way == 1;
		answer.head.version += way == 2;
		answer.head.serial += way == 3;
		answer.head.status = way == 4 ? -EPERM : way == 5;
		answer.head.bytes = sizeof(answer) - (way == 6 ? 8 : 0);
		if (wire_send(fd, &answer, way == 7 ? 4 : sizeof(answer), NULL) < 0)
			return 2;
		/* 0 is a fair welcome; the list after it is not answered. */
		close(fd);
	}
	return 0;
}

static void an_mpd_that_answers_nonsense_counts_as_none(void **state)
{
	struct mp_endpoint_info info;
	struct world world;
	mp_observer *observer;
	pid_t child;
	int fd;

	world_begin(&world);
	fd = listen_at(world.endpoint);
	child = harness_fork(answer_nonsense, &fd);
	observer = open_observer(&world);
	for (unsigned way = 1; way < 8; way++) {
		assert_int_equal(look(observer)->process_count, 0);
		assert_int_equal(mp_observe_endpoint(observer, &info), 0);
		assert_int_equal(info.is_mpd_alive, 0);
	}
	harness_join(child);
	mp_observe_close(observer);
	close(fd);
	unlink(world.endpoint);
	world_end(&world);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(owner_and_waiters_of_a_lock_are_named),
	HARNESS_TEST(locks_taken_crosswise_are_a_cycle),
	HARNESS_TEST(what_is_no_cycle_is_not_reported),
	HARNESS_TEST(a_member_that_moves_between_the_looks_dissolves_the_cycle),
	HARNESS_TEST(a_ring_longer_than_the_report_is_still_found),
	HARNESS_TEST(a_queue_is_counted_from_its_cells),
	HARNESS_TEST(held_for_grows_only_while_the_grant_is_the_same),
	HARNESS_TEST(used_bytes_are_the_granules_that_are_not_free),
	HARNESS_TEST(looking_commits_no_page),
	HARNESS_TEST(names_hold_nothing_a_terminal_should_not_get),
	HARNESS_TEST(a_header_that_is_wrong_is_refused),
	HARNESS_TEST(mutated_bytes_are_survived),
	HARNESS_TEST(without_mpd_segments_are_found_through_their_holders),
	HARNESS_TEST(a_silent_mpd_delays_the_look_and_does_not_prevent_it),
	HARNESS_TEST(an_mpd_that_answers_nonsense_counts_as_none),
};

HARNESS_MAIN(tests)
