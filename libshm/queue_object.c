/* SPDX-License-Identifier: MIT
 *
 * Queues: making, opening, closing, and the death of a participant. Knows: the row of the table of
 * kinds. Does not know: how messages are put and taken.
 *
 * Recovery of client d, each step a CAS on the word seen while d was still DEAD:
 *   1 chunks of lease records that d was adding are linked
 *   2 records of d: decided while the cells still bear d's name, for a cell that is READING by d
 *     at the record's lap still holds the message
 *   3 cells of d: WRITING -> SKIP (its block is HELD by d again, to be swept), READING -> READY
 *   4 rescan + 1, always: a recoverer that died before this is repeated, because d stays DEAD
 */
#include "queue_internal.h"

#include "arena.h"
#include "explain.h"
#include "handle.h"
#include "memory_room.h"
#include "object.h"
#include "opts.h"
#include "shmref.h"
#include "sweep.h"

#include <errno.h>
#include <string.h>

#define CAPACITY_DEFAULT 1024
#define LOOKS_OF_ALL_LEASES (LEASE_CHUNKS_MAX * (LEASES_PER_CHUNK + 1))
static_assert(LOOKS_OF_ALL_LEASES < TURN_STEP_MAX, "a turn has to have room for them");

/* What a queue is made from, and its name for sentences. */
struct queue_wish {
	const struct mp_queue_opts *opts;
	const char *name;
};

static int explain_no_room(struct seg *seg, int error, const struct queue_wish *wish,
			   uint32_t capacity)
{
	struct arena_usage usage;

	if (memory_room_was_refused())
		return explain(error, "queue '%s' of %u messages: the memory cgroup of this process"
				      " has no room for it; raise its limit, or end what takes it",
			       wish->name ? wish->name : "(anonymous)", capacity);
	arena_measure(seg, &usage);
	return explain(error == -EMSGSIZE ? -ENOSPC : error,
		       "queue '%s' of %u messages needs %llu bytes in one piece, segment '%s' has "
		       "%llu free; make the queue smaller or the segment larger",
		       wish->name ? wish->name : "(anonymous)", capacity,
		       (unsigned long long)capacity * sizeof(struct shm_cell), seg->name,
		       (unsigned long long)usage.free_bytes);
}

static int make_queue(struct seg *seg, struct self *me, void *object, const void *opts)
{
	const struct mp_queue_opts *wish = ((const struct queue_wish *)opts)->opts;
	uint32_t capacity = wish->capacity ? wish->capacity : CAPACITY_DEFAULT;
	struct shm_queue *shared = object;
	uint64_t reference;
	void *cells;
	int error = arena_alloc(seg, NULL, me->client, capacity * sizeof(struct shm_cell),
				&reference, &cells);

	if (error == -ETIMEDOUT)
		return error;
	if (error < 0)
		return explain_no_room(seg, error, opts, capacity);
	memset(cells, 0, capacity * sizeof(struct shm_cell)); /* EMPTY of lap 0 */
	store_relaxed(&shared->capacity, capacity);
	store_relaxed(&shared->message_bytes, wish->message_bytes);
	store_relaxed(&shared->cells, reference);
	return 0;
}

static void compare_queue(void *object, const void *opts, struct opts_difference *difference)
{
	struct shm_queue *shared = object;
	const struct mp_queue_opts *wish = ((const struct queue_wish *)opts)->opts;

	opts_note_number(difference, "capacity", load_relaxed(&shared->capacity), wish->capacity);
	opts_note_number(difference, "message_bytes", load_relaxed(&shared->message_bytes),
			 wish->message_bytes);
}

/* --- recovery --- */

/* The payload's block goes back to where the word says it belongs. */
static void relink(struct seg *seg, const struct sweep *sweep, uint64_t meta, uint64_t block)
{
	if (cell_meta_kind(meta) == PAYLOAD_BLOCK)
		arena_link(seg, sweep->client, block);
}

static bool cell_still_has_it(struct ring *ring, const struct shm_lease *lease, uint32_t client)
{
	uint64_t from = load_relaxed(&((struct shm_lease *)lease)->from);
	uint64_t word;

	if (position_index(from) >= ring->capacity)
		return false;
	word = load_acquire(&ring->cells[position_index(from)].word);
	return cell_word_state(word) == CELL_READING && cell_word_client(word) == client &&
	       cell_word_lap(word) == position_lap(from);
}

static void recover_lease(struct ring *ring, struct sweep *sweep, struct shm_lease *lease)
{
	uint64_t word = load_acquire(&lease->word);
	uint64_t meta = load_relaxed(&lease->meta), block = load_acquire(&lease->payload.block);
	uint32_t seq = lease_word_seq(word);
	bool is_claiming = lease_word_state(word) == LEASE_CLAIMING;
	enum lease_state next = LEASE_RETURNED;

	if (lease_word_client(word) != sweep->client || lease_word_state(word) == LEASE_FREE)
		return;
	if (is_claiming && (load_acquire(&lease->filled) != seq ||
			    cell_still_has_it(ring, lease, sweep->client)))
		next = LEASE_FREE;
	if (!sweep_is_current(sweep))
		return;
	if (next == LEASE_RETURNED)
		relink(ring->seg, sweep, meta, block);
	cas_seqcst(&lease->word, &word, lease_word(seq, 0, next));
}

static void recover_leases(struct ring *ring, struct sweep *sweep)
{
	for (uint32_t chunk = 0; chunk < LEASE_CHUNKS_MAX; chunk++) {
		uint64_t reference = load_acquire(&ring->shared->lease_chunk[chunk]);

		if (!reference)
			return;
		arena_link(ring->seg, sweep->client, reference);
		for (uint32_t i = 0; i < LEASES_PER_CHUNK; i++) {
			struct shm_lease *lease =
				lease_at(ring, chunk * LEASES_PER_CHUNK + (uint64_t)i);

			if (lease)
				recover_lease(ring, sweep, lease);
		}
	}
}

static void recover_cell(struct ring *ring, struct sweep *sweep, struct shm_cell *cell)
{
	uint64_t word = load_acquire(&cell->word);
	enum cell_state state = cell_word_state(word);
	uint64_t meta, block, next;

	if ((state != CELL_WRITING && state != CELL_READING) ||
	    cell_word_client(word) != sweep->client)
		return;
	meta = load_acquire(&cell->meta);
	block = load_acquire(&cell->payload.block);
	if (!sweep_is_current(sweep))
		return;
	if (state == CELL_READING) {
		relink(ring->seg, sweep, meta, block);
		next = cell_word_redelivered(word);
	} else {
		if (cell_meta_kind(meta) == PAYLOAD_BLOCK &&
		    cell_meta_is_of_lap(meta, cell_word_lap(word)))
			arena_unlink(ring->seg, sweep->client, block);
		next = cell_word(cell_word_lap(word), 0, 0, CELL_SKIP);
	}
	if (cas_seqcst(&cell->word, &word, next) && state == CELL_WRITING)
		add_relaxed(&ring->shared->skipped, 1);
}

/* While the dead one's slot is DEAD its own hold keeps the queue: between two pieces it stays this
 * queue. The records are decided before the first cell, and not again once cells were. */
static bool recover_queue(struct seg *seg, void *object, struct sweep *sweep)
{
	struct walk *walk = &sweep->inside;
	struct ring ring;

	if (sweep->who || !ring_from_object(seg, object, &ring))
		return true; /* cells and leases belong to processes, not to threads */
	if (walk->at == 0) {
		if (!turn_take(walk->turn, LOOKS_OF_ALL_LEASES))
			return false;
		recover_leases(&ring, sweep);
	}
	for (; walk->at < ring.capacity; walk->at++) {
		if (!turn_take(walk->turn, 1))
			return false;
		recover_cell(&ring, sweep, &ring.cells[walk->at]);
	}
	/* The recoverer holds the queue (object_hold): it is still this queue. */
	add_seqcst(&ring.shared->rescan, 1);
	return true;
}

/* --- the row --- */

static struct shm_waiters *queue_waiters(void *object, unsigned condition)
{
	struct shm_queue *shared = object;

	if (condition == WAIT_READABLE)
		return &shared->readable;
	return condition == WAIT_WRITABLE ? &shared->writable : NULL;
}

static bool queue_is_ready(struct seg *seg, void *object, unsigned condition, uint32_t client)
{
	struct ring ring;

	if (!ring_from_object(seg, object, &ring))
		return false;
	return condition == WAIT_READABLE ? queue_may_be_readable(&ring, client)
					  : queue_may_be_writable(&ring);
}

static uint64_t queue_progress(struct seg *seg, void *object, unsigned condition)
{
	struct shm_queue *shared = object;

	(void)seg;
	return load_relaxed(condition == WAIT_READABLE ? &shared->head : &shared->tail);
}

static void cell_block(struct shm_cell *cell, object_each each, void *arg)
{
	uint64_t word = load_relaxed(&cell->word);

	if (cell_word_state(word) == CELL_READY &&
	    cell_meta_kind(load_relaxed(&cell->meta)) == PAYLOAD_BLOCK)
		each(arg, load_relaxed(&cell->payload.block));
}

static void lease_block(struct shm_lease *lease, object_each each, void *arg)
{
	if (lease_word_state(load_relaxed(&lease->word)) != LEASE_FREE &&
	    cell_meta_kind(load_relaxed(&lease->meta)) == PAYLOAD_BLOCK)
		each(arg, load_relaxed(&lease->payload.block));
}

static void chunk_blocks(struct ring *ring, uint32_t chunk, object_each each, void *arg)
{
	uint64_t reference = load_relaxed(&ring->shared->lease_chunk[chunk]);

	if (!reference)
		return;
	for (uint32_t i = 0; i < LEASES_PER_CHUNK; i++) {
		struct shm_lease *lease = lease_at(ring, chunk * LEASES_PER_CHUNK + (uint64_t)i);

		if (lease)
			lease_block(lease, each, arg);
	}
	each(arg, reference);
}

static bool queue_blocks(struct seg *seg, void *object, struct walk *walk, object_each each,
			 void *arg)
{
	struct ring ring;

	if (!ring_from_object(seg, object, &ring))
		return true;
	for (; walk->at < ring.capacity; walk->at++) {
		if (!turn_take(walk->turn, 1))
			return false;
		cell_block(&ring.cells[walk->at], each, arg);
	}
	if (!turn_take(walk->turn, LOOKS_OF_ALL_LEASES))
		return false;
	for (uint32_t chunk = 0; chunk < LEASE_CHUNKS_MAX; chunk++)
		chunk_blocks(&ring, chunk, each, arg);
	each(arg, load_relaxed(&ring.shared->cells));
	return true;
}

const struct object_type queue_type = {
	.kind = OBJECT_QUEUE,
	.name = "queue",
	.bytes = sizeof(struct shm_queue),
	.recover = recover_queue,
	.waiters = queue_waiters,
	.is_ready = queue_is_ready,
	.progress = queue_progress,
	.blocks = queue_blocks,
};

/* --- life --- */

static int fill_handle(struct object_handle *handle)
{
	mp_queue *queue = (mp_queue *)handle;

	if (!ring_from_object(handle->seg, handle->object, &queue->ring))
		return explain(-EBADMSG, "the references of queue '%s' are corrupt",
			       object_name(handle));
	queue->message_bytes = load_relaxed(&queue->ring.shared->message_bytes);
	return 0;
}

static int check_opts(struct seg *seg, struct opts_of what, const void *wish)
{
	const struct mp_queue_opts *opts = ((const struct queue_wish *)wish)->opts;
	uint64_t most = arena_max_bytes(seg);

	if (opts->capacity > QUEUE_CAPACITY_MAX)
		return explain(-EINVAL, "queue '%s': opts.capacity is %u, at most %u",
			       opts_name(what), opts->capacity, QUEUE_CAPACITY_MAX);
	if (opts->message_bytes <= INLINE_BYTES || opts->message_bytes <= most)
		return 0;
	return explain(-EINVAL,
		       "queue '%s': opts.message_bytes is %u, segment '%s' carries at most %llu",
		       opts_name(what), opts->message_bytes, seg->name, (unsigned long long)most);
}

/* Without a hold no sweep would look here: what is still leased goes back. */
static void give_up(struct object_handle *handle)
{
	struct self *me;

	if (self_get(handle->seg, &me) == 0)
		queue_return_all((mp_queue *)handle, me);
}

static const struct handle_life life = {
	.type = &queue_type,
	.ret_name = "ret_queue",
	.handle_bytes = sizeof(mp_queue),
	.check = check_opts,
	.compare = compare_queue,
	.make = make_queue,
	.fill = fill_handle,
	.give_up = give_up,
};

int mp_queue_open(mp_segment *segment, const char *name, const struct mp_queue_opts *opts,
		  mp_queue **ret_queue)
{
	static const struct mp_queue_opts defaults;
	struct queue_wish given = { opts ? opts : &defaults, name };
	struct handle_wish wish = HANDLE_WISH(segment, name, given.opts, ret_queue);
	struct object_handle *handle;
	int error;

	wish.opts = &given;
	error = handle_open(&life, &wish, &handle);
	if (error == 0)
		*ret_queue = (mp_queue *)handle;
	return error;
}

int mp_queue_from_id(mp_segment *segment, uint64_t id, mp_queue **ret_queue)
{
	struct object_handle *handle;
	int error = handle_from_id(&life, segment, id, ret_queue, &handle);

	if (error == 0)
		*ret_queue = (mp_queue *)handle;
	return error;
}

mp_queue *mp_queue_close(mp_queue *queue)
{
	handle_close(&life, queue ? &queue->handle : NULL);
	return NULL;
}

int mp_queue_unlink(mp_segment *segment, const char *name)
{
	return handle_unlink(&life, segment, name);
}

uint64_t mp_queue_id(const mp_queue *queue)
{
	return queue ? queue->handle.id : 0;
}
