/* SPDX-License-Identifier: MIT
 *
 * Taking and putting, with waiting. Knows: the order of looks, what a closed queue still waits for,
 * where a payload is. Does not know: the cell's transitions (queue_ring.c), lease records' words.
 *
 * A take looks first for messages that came back behind the head. `rescan` grows after each such
 * return (and at the end of every sweep), `rescan_done` follows when a whole look found nothing:
 * a return that happens during the look has grown `rescan` beyond what the look began with.
 *
 * A closed queue is drained when the first empty cell is SEALED, nothing is behind, and no other
 * process holds a lease or is in the middle of a put or get: what they hold may still come back.
 * What this process itself holds is its own affair: it does not wait for that.
 */
#include "queue_internal.h"

#include "arena.h"
#include "clock.h"
#include "explain.h"
#include "object.h"
#include "wait.h"

#include <errno.h>
#include <string.h>

static bool may_be_behind(struct ring *ring)
{
	return load_seqcst(&ring->shared->rescan) != load_relaxed(&ring->shared->rescan_done);
}

/* Nothing was behind when `seen` was read: others need not look until it grows. */
static void look_was_fruitless(struct ring *ring, uint64_t seen)
{
	uint64_t done = load_relaxed(&ring->shared->rescan_done);

	/* Forwards only, but an impossible one (beyond rescan) is mended. */
	while ((done < seen || done > load_relaxed(&ring->shared->rescan)) &&
	       !cas_seqcst(&ring->shared->rescan_done, &done, seen))
		;
}

static noinline_ bool take_behind(struct ring *ring, uint32_t client, struct taken *ret_taken)
{
	uint64_t seen = load_seqcst(&ring->shared->rescan);

	if (lease_take_returned(ring, client, ret_taken) ||
	    ring_take_redelivered(ring, client, ret_taken))
		return true;
	look_was_fruitless(ring, seen);
	return false;
}

/* Cells before records: a claim moves its message from the one to the other, never back, so looked
 * at the other way round it could be in neither. */
static bool is_drained(struct ring *ring, uint32_t client)
{
	return ring_is_quiet(ring, client) && !lease_is_any_foreign(ring, client);
}

bool queue_is_readable(struct ring *ring, uint32_t client)
{
	if (may_be_behind(ring) || ring_has_ready(ring))
		return true;
	return load_seqcst(&ring->shared->closed) && ring_seal(ring) && is_drained(ring, client);
}

bool queue_is_writable(struct ring *ring)
{
	return load_seqcst(&ring->shared->closed) || ring_is_writable(ring);
}

/* A closed queue takes three looks at all of its cells and two at its records. */
bool queue_may_be_readable(struct ring *ring, uint32_t client)
{
	if (may_be_behind(ring) || !ring_has_surely_none(ring))
		return true;
	return load_seqcst(&ring->shared->closed) &&
	       (ring->capacity > QUEUE_NEAR || queue_is_readable(ring, client));
}

bool queue_may_be_writable(struct ring *ring)
{
	return load_seqcst(&ring->shared->closed) || !ring_is_surely_full(ring);
}

/* Nothing to take: is that for ever? */
static noinline_ int empty_or_drained(struct ring *ring, uint32_t client)
{
	if (!load_seqcst(&ring->shared->closed) || !ring_seal(ring) || may_be_behind(ring) ||
	    !is_drained(ring, client))
		return -EAGAIN;
	return may_be_behind(ring) ? -EAGAIN : -EPIPE;
}

static int take_now(struct mp_queue *queue, struct self *me, size_t cap, struct taken *ret_taken)
{
	struct ring *ring = &queue->ring;
	int result;

	if (unlikely(may_be_behind(ring)) && take_behind(ring, me->client, ret_taken)) {
		if (cell_meta_len(ret_taken->meta) <= cap)
			return 0;
		queue_put_back(queue, me, ret_taken);
		return -EMSGSIZE;
	}
	for (;;) {
		result = ring_find_ready(ring, ret_taken);
		if (result < 0)
			return result == -EBADMSG ? result : empty_or_drained(ring, me->client);
		if (likely(cell_meta_len(ret_taken->meta) <= cap)) {
			if (ring_take(ring, me->client, ret_taken))
				return 0;
		} else if (load_seqcst(&ret_taken->cell->word) == ret_taken->word) {
			return -EMSGSIZE; /* the length is that message's: it still is there */
		}
	}
}

/* --- waiting --- */

struct queue_wait {
	struct ring *ring;
	uint32_t client;
};

static bool wait_is_readable(void *arg)
{
	struct queue_wait *wait = arg;

	return queue_is_readable(wait->ring, wait->client);
}

static bool wait_is_writable(void *arg)
{
	struct queue_wait *wait = arg;

	return queue_is_writable(wait->ring);
}

/* On a closed queue everybody else who holds something is waited for. */
static uint32_t wait_head_blocker(void *arg)
{
	struct queue_wait *wait = arg;
	uint32_t blocker = ring_head_blocker(wait->ring);

	if (blocker == SLOT_NONE && load_relaxed(&wait->ring->shared->closed))
		blocker = lease_foreign_owner(wait->ring, wait->client);
	if (blocker == SLOT_NONE && load_relaxed(&wait->ring->shared->closed))
		blocker = ring_foreign_user(wait->ring, wait->client);
	return blocker;
}

static uint32_t wait_tail_blocker(void *arg)
{
	return ring_tail_blocker(((struct queue_wait *)arg)->ring);
}

static noinline_ int take_waiting(struct mp_queue *queue, struct self *me, size_t cap,
				  int64_t timeout, struct taken *ret_taken)
{
	struct shm_queue *shared = queue->ring.shared;
	struct queue_wait wait = { .ring = &queue->ring, .client = me->client };
	struct wait_point point = { .set = &shared->readable,
				    .record = queue->handle.offset | WAIT_READABLE,
				    .is_ready = wait_is_readable,
				    .blocker = wait_head_blocker,
				    .object = &wait };
	int64_t deadline_ns = clock_deadline_ns(timeout);
	int waited, result;

	add_relaxed(&shared->empty_waits, 1);
	do {
		waited = wait_until(me, &point, deadline_ns);
		result = take_now(queue, me, cap, ret_taken);
		if (waited == 0 && clock_is_past(deadline_ns))
			waited = -ETIMEDOUT;
	} while (result == -EAGAIN && waited == 0);
	/* A wake is for one message, but messages become ready out of order: the wake for the
	 * second is lost on who waits for the first. Whoever got one passes the word on; so does
	 * whoever leaves one that is too large for him. */
	if ((result == 0 || result == -EMSGSIZE) && queue_is_readable(&queue->ring, me->client))
		wait_wake_one(me->seg, me, &shared->readable);
	return result == -EAGAIN ? waited : result;
}

int queue_take(struct mp_queue *queue, struct self *me, size_t cap, int64_t timeout,
	       struct taken *ret_taken)
{
	int result = take_now(queue, me, cap, ret_taken);

	if (unlikely(result == -EAGAIN && timeout > 0))
		return take_waiting(queue, me, cap, timeout, ret_taken);
	return result;
}

static int place_now(struct mp_queue *queue, struct self *me, struct place *ret_place)
{
	if (unlikely(load_relaxed(&queue->ring.shared->closed)))
		return -EPIPE;
	return ring_claim_empty(&queue->ring, me->client, ret_place);
}

static noinline_ int place_waiting(struct mp_queue *queue, struct self *me, int64_t timeout,
				   struct place *ret_place)
{
	struct shm_queue *shared = queue->ring.shared;
	struct queue_wait wait = { .ring = &queue->ring, .client = me->client };
	struct wait_point point = { .set = &shared->writable,
				    .record = queue->handle.offset | WAIT_WRITABLE,
				    .is_ready = wait_is_writable,
				    .blocker = wait_tail_blocker,
				    .object = &wait };
	int64_t deadline_ns = clock_deadline_ns(timeout);
	int waited, result;

	add_relaxed(&shared->full_waits, 1);
	do {
		waited = wait_until(me, &point, deadline_ns);
		result = place_now(queue, me, ret_place);
		if (waited == 0 && clock_is_past(deadline_ns))
			waited = -ETIMEDOUT;
	} while (result == -EAGAIN && waited == 0);
	/* Places become free out of order, as messages become ready: pass the word on. */
	if (result == 0 && queue_is_writable(&queue->ring))
		wait_wake_one(me->seg, me, &shared->writable);
	return result == -EAGAIN ? waited : result;
}

int queue_claim_place(struct mp_queue *queue, struct self *me, int64_t timeout,
		      struct place *ret_place)
{
	int result = place_now(queue, me, ret_place);

	if (unlikely(result == -EAGAIN && timeout > 0))
		return place_waiting(queue, me, timeout, ret_place);
	return result;
}

/* --- payloads --- */

void queue_put_inline(struct mp_queue *queue, struct self *me, struct place *place,
		      const void *data, size_t len)
{
	struct shm_cell *cell = place->cell;

	/* meta first: recovery must not take an old lap's reference in the payload for ours. */
	store_release(&cell->meta, cell_meta(position_lap(place->position), PAYLOAD_INLINE,
					     (uint32_t)len));
	if (len > 0)
		memcpy(cell->payload.bytes, data, len);
	ring_publish(place);
	wait_wake_one(queue->ring.seg, me, &queue->ring.shared->readable);
}

void queue_put_block(struct mp_queue *queue, struct self *me, struct place *place,
		     const struct arena_fresh *block, size_t len)
{
	struct shm_cell *cell = place->cell;

	/* Reference, then meta that vouches for it, then LINKED: killed after any of them, the
	 * block is HELD by us or named by a cell that is WRITING by us. */
	store_relaxed(&cell->payload.block, block->reference);
	store_release(&cell->meta, cell_meta(position_lap(place->position), PAYLOAD_BLOCK,
					     (uint32_t)len));
	if (likely(block->word))
		arena_link_fresh(block);
	else
		arena_link(queue->ring.seg, me->client, block->reference);
	ring_publish(place);
	wait_wake_one(queue->ring.seg, me, &queue->ring.shared->readable);
}

static uint64_t block_of(const struct taken *taken)
{
	return taken->cell ? load_relaxed(&taken->cell->payload.block)
			   : load_relaxed(&taken->lease->payload.block);
}

static void *inline_payload(const struct taken *taken, size_t len)
{
	if (len > INLINE_BYTES)
		return NULL;
	return taken->cell ? taken->cell->payload.bytes : taken->lease->payload.bytes;
}

void *queue_payload(struct mp_queue *queue, const struct taken *taken, size_t *ret_len)
{
	uint64_t bytes;
	void *data;

	*ret_len = cell_meta_len(taken->meta);
	if (cell_meta_kind(taken->meta) == PAYLOAD_INLINE)
		return inline_payload(taken, *ret_len);
	data = arena_at(queue->ring.seg, block_of(taken), &bytes);
	return data && *ret_len <= bytes ? data : NULL;
}

void *queue_take_payload(struct mp_queue *queue, struct self *me, const struct taken *taken,
			 struct arena_block *ret_block, size_t *ret_len)
{
	void *data;

	ret_block->word = NULL;
	*ret_len = cell_meta_len(taken->meta);
	if (cell_meta_kind(taken->meta) == PAYLOAD_INLINE)
		return inline_payload(taken, *ret_len);
	data = arena_take_over(queue->ring.seg, me->client, block_of(taken), ret_block);
	return data && *ret_len <= ret_block->bytes ? data : NULL;
}

bool queue_finish(struct mp_queue *queue, struct self *me, struct taken *taken,
		  const struct arena_block *block)
{
	uint64_t reference = block_of(taken);

	/* HELD by us before the cell (record) lets go: then a kill frees it, and before it a kill
	 * links it again. */
	if (block->word)
		arena_keep(block, me->client, reference);
	if (taken->cell)
		ring_free_cell(taken);
	else if (!lease_end(&queue->ring, taken->lease, taken->word))
		return false;
	if (block->word)
		arena_give_back(queue->ring.seg, &me->cache, me->client, reference, block);
	if (taken->cell)
		wait_wake_one(queue->ring.seg, me, &queue->ring.shared->writable);
	if (unlikely(load_seqcst(&queue->ring.shared->closed)))
		queue_lease_ended(queue, me);
	return true;
}

void queue_lease_ended(struct mp_queue *queue, struct self *me)
{
	if (load_seqcst(&queue->ring.shared->closed))
		wait_wake_all(queue->ring.seg, me, &queue->ring.shared->readable);
}

void queue_return_all(struct mp_queue *queue, struct self *me)
{
	struct shm_queue *shared = queue->ring.shared;

	if (lease_return_all(&queue->ring, me->client) == 0)
		return;
	add_seqcst(&shared->rescan, 1);
	wait_wake_all(queue->ring.seg, me, &shared->readable);
}

bool queue_put_back(struct mp_queue *queue, struct self *me, struct taken *taken)
{
	struct shm_queue *shared = queue->ring.shared;

	if (taken->cell)
		swap_seqcst(&taken->cell->word, cell_word_redelivered(taken->word));
	else if (!lease_return(taken->lease, taken->word))
		return false;
	add_seqcst(&shared->rescan, 1);
	wait_wake_one(queue->ring.seg, me, &shared->readable);
	return true;
}
