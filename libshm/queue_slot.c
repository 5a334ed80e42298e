/* SPDX-License-Identifier: MIT
 *
 * Messages in place: reserve, commit, abandon; claim, ack, return. Knows: what a user's slot
 * remembers. Does not know: cells.
 *
 * No user code runs while a cell is WRITING or READING: a reserved block is outside the queue until
 * it is committed, a claimed message has moved into a lease record and its cell is free again.
 */
#include "queue_internal.h"

#include "arena.h"
#include "errno_kept.h"
#include "explain.h"
#include "object.h"
#include "opts.h"
#include "wait.h"

#include <errno.h>
#include <string.h>

/* mp_slot.private_. What decides is here: the fields that the user sees may hold anything when he
 * hands the slot back, but for the length of a reserved one, which he may make smaller. */
enum { SLOT_KIND = 0, SLOT_REFERENCE = 1, SLOT_TIMEOUT = 2, SLOT_LEN = 3, SLOT_LEASE = 1,
       SLOT_WORD = 2, SLOT_META = 3 };
enum { KIND_NONE = 0, KIND_RESERVED = 0x52, KIND_CLAIMED = 0x43 };

/* What a slot is, and of which queue: the records of two queues look alike. */
static uint64_t kind_of(const struct mp_queue *queue, unsigned kind)
{
	return queue->handle.id << 8 | kind;
}

static cold int refuse_null(struct mp_queue *queue, const char *call, const char *what)
{
	return queue ? queue_explain(queue, -EINVAL, what) : opts_refuse_null(call, "queue");
}

int mp_queue_reserve(mp_queue *queue, size_t len, int64_t timeout, struct mp_slot *ret_slot)
{
	KEEP_ERRNO;
	struct self *me;
	uint64_t reference;
	void *data;
	int result;

	if (unlikely(!queue || !ret_slot))
		return refuse_null(queue, __func__, "ret_slot must not be NULL");
	result = self_get(queue->ring.seg, &me);
	if (result < 0 || (result = queue_check_len(queue, len)) < 0)
		return result;
	if (load_relaxed(&queue->ring.shared->closed))
		return queue_put_failed(queue, -EPIPE);
	result = arena_alloc(queue->ring.seg, &me->cache, me->client, len ? len : 1, &reference,
			     &data);
	if (result < 0)
		return queue_block_failed(queue, result);
	*ret_slot = (struct mp_slot){ .data = data, .len = len };
	ret_slot->private_[SLOT_KIND] = kind_of(queue, KIND_RESERVED);
	ret_slot->private_[SLOT_REFERENCE] = reference;
	ret_slot->private_[SLOT_TIMEOUT] = (uint64_t)timeout;
	ret_slot->private_[SLOT_LEN] = len;
	return 0;
}

/* A slot that was made by reserve, on this queue, in this process, and not used up. */
static int check_reserved(struct mp_queue *queue, struct self *me, const struct mp_slot *slot)
{
	uint64_t word = arena_word_of(queue->ring.seg, slot->private_[SLOT_REFERENCE]);

	if (slot->private_[SLOT_KIND] == kind_of(queue, KIND_RESERVED) &&
	    block_word_state(word) == BLOCK_HELD && block_word_client(word) == me->client)
		return 0;
	return explain(-EINVAL, "the slot was not reserved on queue '%s' by this process, or is "
				"used up", object_name(&queue->handle));
}

int mp_queue_commit(mp_queue *queue, struct mp_slot *slot)
{
	struct arena_fresh block;
	struct place place;
	struct self *me;
	size_t len;
	int result;

	if (unlikely(!queue || !slot))
		return refuse_null(queue, __func__, "slot must not be NULL");
	/* Not fresh: the user has the slot, and may have given it to others. */
	block = (struct arena_fresh){ .reference = slot->private_[SLOT_REFERENCE] };
	len = slot->len;
	result = self_get(queue->ring.seg, &me);
	if (result < 0 || (result = check_reserved(queue, me, slot)) < 0)
		return result;
	if (len > slot->private_[SLOT_LEN])
		return explain(-EINVAL, "slot->len is %zu, but only %llu bytes were reserved on "
					"queue '%s'; the slot stays: make it smaller, or abandon "
					"and reserve more",
			       len, (unsigned long long)slot->private_[SLOT_LEN],
			       object_name(&queue->handle));
	result = queue_claim_place(queue, me, (int64_t)slot->private_[SLOT_TIMEOUT], &place);
	if (result < 0)
		return queue_put_failed(queue, result); /* the slot stays */
	queue_put_block(queue, me, &place, &block, len);
	*slot = (struct mp_slot){ .id = place.position };
	return 0;
}

int mp_queue_abandon(mp_queue *queue, struct mp_slot *slot)
{
	struct self *me;
	int result;

	if (unlikely(!queue || !slot))
		return refuse_null(queue, __func__, "slot must not be NULL");
	result = self_get(queue->ring.seg, &me);
	if (result < 0 || (result = check_reserved(queue, me, slot)) < 0)
		return result;
	result = arena_free(queue->ring.seg, &me->cache, me->client,
			    slot->private_[SLOT_REFERENCE]);
	*slot = (struct mp_slot){ .id = 0 };
	return result < 0 ? queue_explain(queue, result, "the reserved block is corrupt") : 0;
}

/* Out of the cell, into a record: the cell's EMPTY is the commit (queue_lease.c has the table). */
static int move_to_lease(struct mp_queue *queue, struct self *me, struct taken *taken)
{
	struct shm_lease *lease;
	uint64_t word;
	int result = lease_claim(&queue->ring, me, &lease, &word);

	if (result < 0)
		return result;
	store_relaxed(&lease->from, taken->position);
	store_relaxed(&lease->meta, taken->meta);
	memcpy(lease->payload.bytes, taken->cell->payload.bytes, INLINE_BYTES);
	store_release(&lease->filled, lease_word_seq(word));
	ring_free_cell(taken);
	taken->word = lease_keep(lease, word);
	taken->lease = lease;
	taken->cell = NULL;
	wait_wake_one(queue->ring.seg, me, &queue->ring.shared->writable);
	return 0;
}

static void fill_slot(struct mp_queue *queue, const struct taken *taken, void *data, size_t len,
		      struct mp_slot *ret_slot)
{
	*ret_slot = (struct mp_slot){ .data = data,
				      .len = len,
				      .flags = taken->is_redelivered ? MP_REDELIVERED : 0,
				      .id = taken->position };
	ret_slot->private_[SLOT_KIND] = kind_of(queue, KIND_CLAIMED);
	ret_slot->private_[SLOT_LEASE] = lease_index(&queue->ring, taken->lease);
	ret_slot->private_[SLOT_WORD] = taken->word;
	ret_slot->private_[SLOT_META] = taken->meta;
}

/* Its block stays LINKED while it is leased: it is taken over only now, by the one thread that ends
 * the lease (queue_lease.c). */
static bool finish(struct mp_queue *queue, struct self *me, struct taken *taken)
{
	struct arena_block block = { .word = NULL };
	size_t len;

	if (cell_meta_kind(taken->meta) != PAYLOAD_INLINE) {
		if (!lease_begin_end(taken->lease, &taken->word))
			return false;
		queue_take_payload(queue, me, taken, &block, &len);
	}
	return queue_finish(queue, me, taken, &block);
}

int mp_queue_claim(mp_queue *queue, int64_t timeout, struct mp_slot *ret_slot)
{
	struct taken taken;
	struct self *me;
	size_t len;
	void *data;
	int result;

	if (unlikely(!queue || !ret_slot))
		return refuse_null(queue, __func__, "ret_slot must not be NULL");
	result = self_get(queue->ring.seg, &me);
	if (result < 0)
		return result;
	result = queue_take(queue, me, SIZE_MAX, timeout, &taken);
	if (result < 0)
		return queue_get_failed(queue, result);
	if (taken.cell && (result = move_to_lease(queue, me, &taken)) < 0) {
		queue_put_back(queue, me, &taken);
		if (result == -ETIMEDOUT)
			return result;
		return explain(result, "queue '%s' has no room for another lease; ack some",
			       object_name(&queue->handle));
	}
	if (taken.is_redelivered) {
		add_relaxed(&queue->ring.shared->redelivered, 1);
		add_relaxed(&me->seg->clients[me->client].redelivered, 1);
	}
	data = queue_payload(queue, &taken, &len);
	if (!data) {
		finish(queue, me, &taken);
		return queue_explain(queue, -EBADMSG, "a message was corrupt");
	}
	fill_slot(queue, &taken, data, len, ret_slot);
	return 0;
}

/* The record behind a claimed slot, if it is still this process's. */
static int find_claimed(struct mp_queue *queue, struct self *me, const struct mp_slot *slot,
			struct taken *ret_taken)
{
	struct shm_lease *lease = lease_at(&queue->ring, slot->private_[SLOT_LEASE]);
	uint64_t word = slot->private_[SLOT_WORD];

	if (slot->private_[SLOT_KIND] != kind_of(queue, KIND_CLAIMED) || !lease ||
	    lease_word_client(word) != me->client || load_relaxed(&lease->word) != word)
		return explain(-EINVAL, "the slot was not claimed from queue '%s' by this process, "
					"or is done", object_name(&queue->handle));
	*ret_taken = (struct taken){ .lease = lease,
				     .word = word,
				     .meta = slot->private_[SLOT_META] };
	return 0;
}

int mp_queue_ack(mp_queue *queue, struct mp_slot *slot)
{
	struct taken taken;
	struct self *me;
	int result;

	if (unlikely(!queue || !slot))
		return refuse_null(queue, __func__, "slot must not be NULL");
	result = self_get(queue->ring.seg, &me);
	if (result < 0 || (result = find_claimed(queue, me, slot, &taken)) < 0)
		return result;
	if (!finish(queue, me, &taken))
		return queue_explain(queue, -EINVAL, "the message was already done");
	slot->private_[SLOT_KIND] = KIND_NONE;
	slot->data = NULL;
	return 0;
}

int mp_queue_return(mp_queue *queue, struct mp_slot *slot)
{
	struct taken taken;
	struct self *me;
	int result;

	if (unlikely(!queue || !slot))
		return refuse_null(queue, __func__, "slot must not be NULL");
	result = self_get(queue->ring.seg, &me);
	if (result < 0 || (result = find_claimed(queue, me, slot, &taken)) < 0)
		return result;
	if (!queue_put_back(queue, me, &taken))
		return queue_explain(queue, -EINVAL, "the message was already done");
	slot->private_[SLOT_KIND] = KIND_NONE;
	slot->data = NULL;
	return 0;
}
