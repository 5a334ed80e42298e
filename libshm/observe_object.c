/* SPDX-License-Identifier: MIT
 *
 * Reads the objects of a segment. Knows: the directory, the bytes of locks and queues, how a
 * queue's depth is counted from its cells. Does not know: other kinds (observe_sync.c), cycles.
 *
 * Any of it may be nonsense: each offset and count is checked against the geometry before it is
 * followed, and an object must say itself what its directory entry says about it.
 */
#include "blockword.h"
#include "cellword.h"
#include "lock_internal.h"
#include "lockword.h"
#include "observe_internal.h"

#include <libshm/lock.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A larger ring is not read whole; its depth is then the distance of its hints. */
#define CELLS_PER_QUEUE UINT32_C(65536)
#define CELLS_AT_ONCE 256
#define READ_TRIES 3

union object_bytes {
	struct shm_object object;
	struct shm_lock lock;
	struct shm_queue queue;
	struct shm_event event;
	struct shm_cond cond;
	struct shm_sem sem;
	struct shm_barrier barrier;
	struct shm_rwlock rwlock;
};

static uint64_t bytes_of_kind(uint32_t kind)
{
	if (kind == OBJECT_LOCK)
		return sizeof(struct shm_lock);
	return kind == OBJECT_QUEUE ? sizeof(struct shm_queue) : observe_sync_bytes(kind);
}

static bool is_in_arena(const struct observe_copy *copy, uint64_t offset, uint64_t bytes)
{
	return offset % CACHE_LINE == 0 && offset >= copy->at.arena &&
	       bytes <= copy->at.size_bytes && offset <= copy->at.size_bytes - bytes;
}

static bool is_open_state(uint64_t word)
{
	return entry_word_state(word) == ENTRY_LIVE || entry_word_is_unnamed(word);
}

/* The object of entry `index` into `bytes`: 1 read, 0 not there (any more), -EBADMSG torn. */
static int read_object(struct observe_copy *copy, uint32_t index, union object_bytes *bytes)
{
	uint64_t at = copy->at.directory + (uint64_t)index * sizeof(struct shm_entry);
	struct shm_entry *entry = &copy->entries[index];

	for (unsigned try = 0; try < READ_TRIES; try++) {
		uint64_t word = load_relaxed(&entry->word);
		uint32_t kind = load_relaxed(&entry->kind);
		uint64_t offset = reference_offset(load_relaxed(&entry->object));
		uint64_t size = bytes_of_kind(kind);

		if (!is_open_state(word))
			return 0;
		if (size && is_in_arena(copy, offset, size) &&
		    observe_read(copy->fd, bytes, size, offset) == 0 &&
		    bytes->object.magic == OBJECT_MAGIC && bytes->object.kind == kind &&
		    bytes->object.id == object_id_make(index, entry_word_generation(word)))
			return 1;
		if (observe_read(copy->fd, entry, sizeof(*entry), at) < 0)
			return -EBADMSG;
	}
	/* One without a name may be freed at any time; its entry follows a little later. */
	return entry_word_is_unnamed(load_relaxed(&entry->word)) ? 0 : -EBADMSG;
}

uint32_t observe_count_waiting(struct observe_copy *copy, struct shm_waiters *set, uint64_t record)
{
	uint32_t waiting = 0;

	for (uint32_t slot = SLOT_FIRST; slot < copy->thread_count; slot++) {
		uint64_t leaf = load_relaxed(&set->leaf[slot / 64 % ARRAY_LEN(set->leaf)]);

		if (leaf >> (slot % 64) & 1)
			waiting += observe_is_waiting(&copy->threads[slot], record);
	}
	return waiting;
}

/* How long this grant is known: two looks at the same grant number mean no release in between. */
static int64_t held_since(const struct observe_copy *copy, struct observe_segment *segment,
			  uint32_t index, const struct observe_object *object, uint64_t grants)
{
	struct observe_grant *grant = &segment->grants[index];

	if (grant->id != object->id || grant->owner != object->owner || grant->grants != grants)
		*grant = (struct observe_grant){ object->id, object->owner, grants, copy->now_ns };
	return grant->since_ns;
}

/* An owner that waits for something else ran no code since, so it held the lock before. 0: the
 * owner runs, or has just been granted this lock. */
static int64_t owner_stopped_ns(const struct observe_copy *copy,
				const struct observe_object *object)
{
	const struct shm_thread *owner = observe_thread_of(copy, object->owner);
	int64_t since;

	if (!owner || !load_relaxed(&owner->record_count) ||
	    observe_is_waiting(owner, object->offset | WAIT_ACQUIRABLE))
		return 0;
	since = (int64_t)load_relaxed(&owner->waiting_since_ns);
	return since > 0 ? since : 0;
}

static int64_t held_ns(const struct observe_copy *copy, struct observe_segment *segment,
		       uint32_t index, const struct observe_object *object, uint64_t grants)
{
	int64_t since = held_since(copy, segment, index, object, grants);
	int64_t stopped = owner_stopped_ns(copy, object);

	if (!object->owner)
		return 0;
	return copy->now_ns - (stopped && stopped < since ? stopped : since);
}

/* The acquire address stands with the owner, in the entry of its held list. */
static uint64_t site_of(const struct shm_thread *thread, uint64_t offset)
{
	uint32_t count = load_relaxed(&thread->held_count);

	for (uint32_t i = 0; i < count && i < HELD_MAX; i++)
		if (load_relaxed(&thread->held[i].object) == offset)
			return load_relaxed(&thread->held[i].site);
	return 0;
}

static void fill_owner(struct observe_copy *copy, const struct observe_object *object,
		       struct mp_observed_lock *row)
{
	const struct shm_thread *owner = observe_thread_of(copy, object->owner);

	if (!object->owner)
		return;
	row->owner_thread = who_slot(object->owner);
	if (!owner) {
		/* Newer than the copied table, or never a thread: look again. */
		copy->is_torn = true;
		return;
	}
	row->owner_process = thread_word_client(load_relaxed(&owner->word));
	row->site = site_of(owner, object->offset);
}

static void fill_lock(struct observe_copy *copy, struct observe_segment *segment, uint32_t index,
		      struct shm_lock *lock, struct observe_object *object,
		      struct mp_observed_lock *row)
{
	uint64_t word = load_relaxed(&lock->word);

	object->owner = lock_word_owner(word);
	row->id = object->id;
	snprintf(row->kind, sizeof(row->kind), "%s", lock_kind_name(load_relaxed(&lock->kind)));
	row->waiters = observe_count_waiting(copy, &lock->waiters,
					     object->offset | WAIT_ACQUIRABLE);
	row->is_died = (word & LOCK_DIED) != 0;
	row->is_poisoned = (word & LOCK_POISON) != 0;
	row->depth = object->owner ? load_relaxed(&lock->depth) : 0;
	row->grants = load_relaxed(&lock->grants);
	row->contended = load_relaxed(&lock->contended);
	row->deaths = load_relaxed(&lock->deaths);
	row->wait_ns = load_relaxed(&lock->wait_ns);
	row->is_fair = load_relaxed(&lock->is_fair) != 0;
	row->heir_thread = lock_word_heir(word);
	row->overtaken_most = load_relaxed(&lock->overtaken_most);
	row->passed_over = load_relaxed(&lock->passed_over);
	fill_owner(copy, object, row);
	row->held_ns = held_ns(copy, segment, index, object, row->grants);
}

static uint64_t position_count(uint64_t position, uint32_t capacity)
{
	return position_lap(position) * capacity + position_index(position);
}

/* READY cells, counted; -EBADMSG when the ring is not where it should be. */
static int64_t count_ready(struct observe_copy *copy, uint64_t offset, uint32_t capacity)
{
	struct shm_cell cells[CELLS_AT_ONCE];
	int64_t ready = 0;

	for (uint32_t done = 0; done < capacity; done += CELLS_AT_ONCE) {
		uint32_t count = capacity - done < CELLS_AT_ONCE ? capacity - done : CELLS_AT_ONCE;

		if (observe_read(copy->fd, cells, count * sizeof(cells[0]),
				 offset + (uint64_t)done * sizeof(cells[0])) < 0)
			return -EBADMSG;
		for (uint32_t i = 0; i < count; i++)
			ready += cell_word_state(load_relaxed(&cells[i].word)) == CELL_READY;
	}
	copy->cells_left -= capacity;
	return ready;
}

static uint32_t queue_depth(struct observe_copy *copy, struct shm_queue *queue,
			    const struct mp_observed_queue *row)
{
	uint64_t offset = reference_offset(load_relaxed(&queue->cells));
	uint64_t bytes = (uint64_t)row->capacity * sizeof(struct shm_cell);
	uint64_t distance = row->puts - row->gets;
	int64_t ready = -EBADMSG;

	if (!is_in_arena(copy, offset, bytes))
		copy->is_torn = true;
	else if (row->capacity <= CELLS_PER_QUEUE && row->capacity <= copy->cells_left)
		ready = count_ready(copy, offset, row->capacity);
	if (ready >= 0)
		return (uint32_t)ready;
	/* Hints may cross while they are read; a huge distance is a negative one. */
	if (distance > INT64_MAX)
		return 0;
	return distance < row->capacity ? (uint32_t)distance : row->capacity;
}

/* Whoever dies while it ends a lease has not ended it. */
static bool is_leased(enum lease_state state)
{
	return state == LEASE_LEASED || state == LEASE_ENDING;
}

static void count_records(struct observe_copy *copy, struct shm_queue *queue,
			  struct mp_observed_queue *row)
{
	struct shm_lease leases[LEASES_PER_CHUNK];

	for (uint32_t i = 0; i < LEASE_CHUNKS_MAX; i++) {
		uint64_t offset = reference_offset(load_relaxed(&queue->lease_chunk[i]));

		if (!offset)
			break; /* chunks are added in order */
		if (!is_in_arena(copy, offset, sizeof(leases)) ||
		    observe_read(copy->fd, leases, sizeof(leases), offset) < 0)
			continue;
		for (unsigned j = 0; j < LEASES_PER_CHUNK; j++) {
			enum lease_state state = lease_word_state(load_relaxed(&leases[j].word));

			row->leased += is_leased(state);
			row->returned += state == LEASE_RETURNED;
		}
	}
}

static void fill_queue(struct observe_copy *copy, struct shm_queue *queue,
		       const struct observe_object *object, struct mp_observed_queue *row)
{
	uint32_t capacity = load_relaxed(&queue->capacity);
	uint64_t at = object->offset;

	row->id = object->id;
	row->capacity = capacity < QUEUE_CAPACITY_MAX ? capacity : QUEUE_CAPACITY_MAX;
	row->message_bytes = load_relaxed(&queue->message_bytes);
	row->is_closed = load_relaxed(&queue->closed) != 0;
	row->blocked_getters = observe_count_waiting(copy, &queue->readable, at | WAIT_READABLE);
	row->blocked_putters = observe_count_waiting(copy, &queue->writable, at | WAIT_WRITABLE);
	row->gets = position_count(load_relaxed(&queue->head), row->capacity);
	row->puts = position_count(load_relaxed(&queue->tail), row->capacity);
	row->depth = queue_depth(copy, queue, row);
	count_records(copy, queue, row);
	row->depth += row->returned;
	row->redelivered = load_relaxed(&queue->redelivered);
	row->skipped = load_relaxed(&queue->skipped);
	row->full_waits = load_relaxed(&queue->full_waits);
	row->empty_waits = load_relaxed(&queue->empty_waits);
}

static void take_object(struct observe_copy *copy, struct observe_segment *segment, uint32_t index,
			union object_bytes *bytes, struct mp_snapshot *snapshot)
{
	struct shm_entry *entry = &copy->entries[index];
	struct observe_object *object = &copy->objects[copy->object_count++];
	bool is_unlinked = entry_word_state(load_relaxed(&entry->word)) == ENTRY_REMOVED;

	object->offset = reference_offset(load_relaxed(&entry->object));
	object->id = bytes->object.id;
	object->kind = bytes->object.kind;
	if (object->kind == OBJECT_LOCK) {
		struct mp_observed_lock *row = &snapshot->locks[snapshot->lock_count++];

		observe_text(row->name, sizeof(row->name), entry->name, sizeof(entry->name));
		row->is_unlinked = is_unlinked;
		fill_lock(copy, segment, index, &bytes->lock, object, row);
	} else if (object->kind == OBJECT_QUEUE) {
		struct mp_observed_queue *row = &snapshot->queues[snapshot->queue_count++];

		observe_text(row->name, sizeof(row->name), entry->name, sizeof(entry->name));
		row->is_unlinked = is_unlinked;
		fill_queue(copy, &bytes->queue, object, row);
	} else {
		struct mp_observed_sync *row = &snapshot->syncs[snapshot->sync_count++];

		observe_text(row->name, sizeof(row->name), entry->name, sizeof(entry->name));
		row->is_unlinked = is_unlinked;
		row->id = object->id;
		observe_fill_sync(copy, &bytes->object, object->offset, row);
	}
}

static int by_offset(const void *a, const void *b)
{
	const struct observe_object *left = a, *right = b;

	return (left->offset > right->offset) - (left->offset < right->offset);
}

static int make_rows(const struct observe_copy *copy, struct observe_segment *segment,
		     struct mp_snapshot *snapshot)
{
	snapshot->locks = calloc(copy->entry_count + 1u, sizeof(*snapshot->locks));
	snapshot->queues = calloc(copy->entry_count + 1u, sizeof(*snapshot->queues));
	snapshot->syncs = calloc(copy->entry_count + 1u, sizeof(*snapshot->syncs));
	if (!segment->grants)
		segment->grants = calloc(OBJECTS_MAX, sizeof(*segment->grants));
	return snapshot->locks && snapshot->queues && snapshot->syncs && segment->grants ?
		0 : -ENOMEM;
}

int observe_objects(struct observe_copy *copy, struct observe_segment *segment,
		    struct mp_snapshot *snapshot)
{
	int result = make_rows(copy, segment, snapshot);
	union object_bytes bytes;

	if (result < 0)
		return result;
	for (uint32_t index = 0; index < copy->entry_count && index < OBJECTS_MAX; index++) {
		int got = read_object(copy, index, &bytes);

		if (got < 0)
			copy->is_torn = true;
		else if (got > 0)
			take_object(copy, segment, index, &bytes, snapshot);
	}
	qsort(copy->objects, copy->object_count, sizeof(*copy->objects), by_offset);
	return 0;
}
