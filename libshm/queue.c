/* SPDX-License-Identifier: MIT
 *
 * Queues: put, get, close, size. Knows: the public calls and their sentences. Does not know: cells.
 */
#include "queue_internal.h"

#include "arena.h"
#include "errno_kept.h"
#include "explain.h"
#include "memory_room.h"
#include "object.h"
#include "opts.h"
#include "slot.h"
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

int queue_explain(struct mp_queue *queue, int error, const char *what)
{
	return explain_later(error, "queue", object_raw_name(&queue->handle), what);
}

static int explain_no_memory(struct mp_queue *queue, int error)
{
	if (memory_room_was_refused())
		return explain(error, "queue '%s': the memory cgroup of this process has no room "
				      "for the message; raise its limit, or end what uses it up",
			       object_name(&queue->handle));
	return explain(error,
		       "queue '%s': segment '%s' has no memory for the message; take a larger "
		       "segment. What messages of one size have used stays for that size: queues "
		       "of very different messages fit better into segments of their own",
		       object_name(&queue->handle), queue->ring.seg->name);
}

/* Drained, closed, and yet not over: a message that another works on may come back. */
static int explain_no_message(struct mp_queue *queue, int error)
{
	struct seg *seg = queue->ring.seg;
	uint32_t owner = SLOT_NONE;

	if (load_relaxed(&queue->ring.shared->closed))
		owner = lease_foreign_owner(&queue->ring, seg->client);
	if (owner < SLOT_FIRST || owner >= seg->at.max_clients)
		return queue_explain(queue, error, "no message came; is a putter alive?");
	return explain(error,
		       "queue '%s' is closed; client %.*s[%u] still leases a message, which may "
		       "come back",
		       object_name(&queue->handle), NAME_BYTES - 1, seg->clients[owner].name,
		       client_word_pid(slot_client_word(seg, owner)));
}

int queue_put_failed(struct mp_queue *queue, int error)
{
	switch (error) {
	case -EAGAIN:
	case -ETIMEDOUT:
		return queue_explain(queue, error, "it is full; wait longer or add getters");
	case -EPIPE:
		return queue_explain(queue, error,
				     "its input was closed, no more messages can be put");
	case -ENOSPC:
		return explain_no_memory(queue, error);
	case -EBADMSG:
		return queue_explain(queue, error, "its shared data is corrupt");
	default:
		return queue_explain(queue, error, wait_trouble(error));
	}
}

int queue_block_failed(struct mp_queue *queue, int error)
{
	return error == -ETIMEDOUT ? error : queue_put_failed(queue, error);
}

int queue_get_failed(struct mp_queue *queue, int error)
{
	switch (error) {
	case -EAGAIN:
	case -ETIMEDOUT:
		return explain_no_message(queue, error);
	case -EPIPE:
		return queue_explain(queue, error, "its input was closed and it is drained");
	case -EBADMSG:
		return queue_explain(queue, error, "its shared data is corrupt");
	case -EMSGSIZE:
		return queue_explain(queue, error,
				     "the next message is larger than the buffer; it stays, "
				     "mp_queue_get_info tells its length");
	default:
		return queue_explain(queue, error, wait_trouble(error));
	}
}

int queue_check_len(struct mp_queue *queue, size_t len)
{
	if (len <= INT_MAX && (!queue->message_bytes || len <= queue->message_bytes) &&
	    (len <= INLINE_BYTES || len <= arena_max_bytes(queue->ring.seg)))
		return 0;
	return explain(-EMSGSIZE, "queue '%s' carries messages of at most %llu bytes, not %zu",
		       object_name(&queue->handle),
		       (unsigned long long)(queue->message_bytes
						    ? queue->message_bytes
						    : arena_max_bytes(queue->ring.seg)),
		       len);
}

/* The copy is made before a place is claimed: nobody waits for it. */
static noinline_ int put_large(struct mp_queue *queue, struct self *me, const void *data,
			       size_t len, int64_t timeout)
{
	KEEP_ERRNO;
	struct seg *seg = queue->ring.seg;
	struct arena_fresh block;
	struct place place;
	int result = arena_alloc_fresh(seg, &me->cache, me->client, len, &block);

	if (result < 0)
		return queue_block_failed(queue, result);
	memcpy(block.data, data, len);
	result = queue_claim_place(queue, me, timeout, &place);
	if (result < 0) {
		arena_free(seg, &me->cache, me->client, block.reference);
		return queue_put_failed(queue, result);
	}
	queue_put_block(queue, me, &place, &block, len);
	return 0;
}

int mp_queue_put(mp_queue *queue, const void *data, size_t len, int64_t timeout)
{
	struct place place;
	struct self *me;
	int result;

	if (unlikely(!queue))
		return opts_refuse_null(__func__, "queue");
	result = self_get(queue->ring.seg, &me);
	if (unlikely(result < 0))
		return result;
	if (unlikely(!data && len > 0))
		return queue_explain(queue, -EINVAL, "no data was given");
	if (unlikely(len > INLINE_BYTES || (queue->message_bytes && len > queue->message_bytes))) {
		result = queue_check_len(queue, len);
		return result < 0 || len <= INLINE_BYTES
			       ? result
			       : put_large(queue, me, data, len, timeout);
	}
	result = queue_claim_place(queue, me, timeout, &place);
	if (unlikely(result < 0))
		return queue_put_failed(queue, result);
	queue_put_inline(queue, me, &place, data, len);
	return 0;
}

static void fill_info(const struct taken *taken, struct mp_message_info *ret_info)
{
	*ret_info = (struct mp_message_info){ .len = cell_meta_len(taken->meta),
					      .flags = taken->is_redelivered ? MP_REDELIVERED : 0,
					      .id = taken->position };
}

/* Claimed, copied, done: killed before the end, the message goes back flagged. */
static inline int get(struct mp_queue *queue, void *buf, size_t cap, int64_t timeout,
		      struct taken *ret_taken)
{
	struct arena_block block;
	struct self *me;
	size_t len;
	void *data;
	int result;

	if (unlikely(!queue))
		return opts_refuse_null("mp_queue_get", "queue");
	result = self_get(queue->ring.seg, &me);
	if (unlikely(result < 0))
		return result;
	ret_taken->meta = 0;
	result = queue_take(queue, me, cap, timeout, ret_taken);
	if (unlikely(result < 0))
		return queue_get_failed(queue, result);
	data = queue_take_payload(queue, me, ret_taken, &block, &len);
	if (unlikely(len > cap))
		data = NULL; /* cannot be, but what we copy is decided here */
	if (likely(data != NULL) && len > 0)
		memcpy(buf, data, len);
	if (unlikely(ret_taken->is_redelivered)) {
		add_relaxed(&queue->ring.shared->redelivered, 1);
		add_relaxed(&me->seg->clients[me->client].redelivered, 1);
	}
	queue_finish(queue, me, ret_taken, &block);
	return likely(data != NULL) ? (int)len
				    : queue_explain(queue, -EBADMSG, "a message was corrupt");
}

int mp_queue_get(mp_queue *queue, void *buf, size_t cap, int64_t timeout)
{
	struct taken taken;

	return get(queue, buf, buf ? cap : 0, timeout, &taken);
}

int mp_queue_get_info(mp_queue *queue, void *buf, size_t cap, int64_t timeout,
		      struct mp_message_info *ret_info)
{
	struct taken taken;
	int result;

	if (unlikely(!queue))
		return opts_refuse_null(__func__, "queue");
	if (unlikely(!ret_info))
		return queue_explain(queue, -EINVAL, "ret_info must not be NULL");
	result = get(queue, buf, buf ? cap : 0, timeout, &taken);
	if (result >= 0)
		fill_info(&taken, ret_info);
	else if (result == -EMSGSIZE)
		ret_info->len = cell_meta_len(taken.meta);
	return result;
}

int mp_queue_close_input(mp_queue *queue)
{
	struct shm_queue *shared;
	struct self *me;
	int error;

	if (!queue)
		return opts_refuse_null(__func__, "queue");
	shared = queue->ring.shared;
	error = self_get(queue->ring.seg, &me);
	if (error < 0)
		return error;
	/* Each closer wakes: the first may be stopped before it did. */
	swap_seqcst(&shared->closed, 1);
	wait_wake_all(queue->ring.seg, me, &shared->readable);
	wait_wake_all(queue->ring.seg, me, &shared->writable);
	return 0;
}

int mp_queue_size(mp_queue *queue)
{
	struct ring *ring;
	int64_t size;

	if (unlikely(!queue))
		return opts_refuse_null(__func__, "queue");
	ring = &queue->ring;
	size = ring_size(ring) + lease_count(ring, LEASE_RETURNED);
	if (load_relaxed(&ring->shared->rescan) != load_relaxed(&ring->shared->rescan_done))
		size += ring_count_behind(ring);
	if (size < 0)
		return 0;
	return size > (int64_t)ring->capacity + INT_MAX / 2 ? INT_MAX : (int)size;
}

int mp_queue_is_empty(mp_queue *queue)
{
	int size = mp_queue_size(queue);

	return size < 0 ? size : size == 0;
}

int mp_queue_is_full(mp_queue *queue)
{
	return queue ? ring_is_full(&queue->ring) : opts_refuse_null(__func__, "queue");
}
