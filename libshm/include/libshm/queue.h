/* SPDX-License-Identifier: MIT
 *
 * Queues of messages between any processes. A put that returned is delivered at least once while
 * the segment lives: a getter that dies inside mp_queue_get, or between mp_queue_claim and
 * mp_queue_ack, gives its message back, flagged MP_REDELIVERED.
 *
 * Memory that was once cut for messages of one size (rounded up; up to 16 KiB) serves messages of
 * that size until the segment ends. A program whose messages change from many small ones to many of
 * another size needs a larger segment, or a segment for each kind.
 */
#ifndef LIBSHM_QUEUE_H
#define LIBSHM_QUEUE_H

#include <libshm/segment.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct mp_queue mp_queue;

struct mp_queue_opts {
	uint32_t capacity;      /* messages; 0: 1024, or whatever is there; at most 2^24 */
	uint32_t message_bytes; /* largest message; 0: as large as the segment's memory allows, and
				   more than that is -EINVAL */
	uint32_t flags;         /* MP_EXISTING MP_EXCLUSIVE */
	uint32_t reserved0;
	uint64_t reserved[14]; /* zero */
};

struct mp_message_info {
	size_t len;
	unsigned flags;  /* MP_REDELIVERED */
	unsigned sender; /* reserved: 0 */
	uint64_t id;     /* position in the queue, the same at each delivery */
	uint64_t reserved[4];
};

/* A message in place: from mp_queue_reserve to _commit or _abandon, from mp_queue_claim to _ack or
 * _return, on the same queue. Of what you write into it, only a smaller len counts. */
struct mp_slot {
	void *data; /* 64-byte aligned when reserved */
	size_t len;
	unsigned flags; /* MP_REDELIVERED */
	unsigned reserved0;
	uint64_t id;
	uint64_t private_[4];
};

/* Attach to the queue `name`, or create it; NULL makes an anonymous one, which lives as long as
 * some process has it open. opts: NULL for defaults. Children of mp_process_start have open what
 * their parent has; a child of a bare fork() only from its first call on: keep yours open until
 * then. A segment has room for 1024 objects.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the queue exists whole or not at all.
 * Errors:  -ENOENT -EEXIST -EPROTO -EINVAL -ENAMETOOLONG -ENOSPC -ENOMEM -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_queue_open(mp_segment *segment, const char *name,
			      const struct mp_queue_opts *opts, mp_queue **ret_queue);

/* Release the handle; a queue with a name stays, one without ends with the last handle of the last
 * process. NULL is allowed. Always NULL.
 *
 * Blocks:  never.
 * Threads: any, once no other thread of the process uses the handle.
 * Crash:   nothing is left behind.
 * Errors:  none.
 */
mp_queue *mp_queue_close(mp_queue *queue);

/* Remove the name; who has the queue open keeps it, the memory ends with the last handle.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the name is removed or it is not.
 * Errors:  -ENOENT -EPROTO -EINVAL -ENAMETOOLONG -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_queue_unlink(mp_segment *segment, const char *name);

/* The number that mp_queue_from_id turns back into a handle in any process of the segment.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is touched.
 * Errors:  none.
 */
uint64_t mp_queue_id(const mp_queue *queue);

/* A handle from mp_queue_id: while the queue has its name or, an anonymous one, while some process
 * has it open. -ESTALE: it is gone, or its name is.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing is left behind.
 * Errors:  -ESTALE -EPROTO -EINVAL -ENOMEM -ETIMEDOUT
 */
MP_MUST_USE int mp_queue_from_id(mp_segment *segment, uint64_t id, mp_queue **ret_queue);

/* Put one message at the tail; waits while the queue is full. `data` is copied; NULL if len is 0.
 * Up to 48 bytes travel in the cell itself, more in a block of the segment.
 *
 * Blocks:  until space or timeout; MP_NOW never blocks. Fast path: no system call.
 * Threads: any thread of any attached process, at once.
 * Crash:   a putter that dies leaves its message whole or absent; a dead getter's place comes back.
 * Errors:  -EAGAIN -ETIMEDOUT -EPIPE -EMSGSIZE -ENOSPC -EINTR -EINVAL -EBADMSG
 */
MP_MUST_USE int mp_queue_put(mp_queue *queue, const void *data, size_t len, int64_t timeout);

/* Take the oldest message into `buf`; returns its length. A message larger than `cap` stays in the
 * queue (-EMSGSIZE; mp_queue_get_info tells the length).
 *
 * Blocks:  until a message or timeout; MP_NOW never blocks. Fast path: no system call.
 * Threads: any thread of any attached process, at once.
 * Crash:   a getter that dies inside gives the message back, flagged.
 * Errors:  -EAGAIN -ETIMEDOUT -EPIPE -EMSGSIZE -EINTR -EINVAL -EBADMSG
 */
MP_MUST_USE int mp_queue_get(mp_queue *queue, void *buf, size_t cap, int64_t timeout);

/* As mp_queue_get, and tell about the message. info.len is set on -EMSGSIZE too.
 *
 * Blocks:  until a message or timeout; MP_NOW never blocks. Fast path: no system call.
 * Threads: any thread of any attached process, at once.
 * Crash:   a getter that dies inside gives the message back, flagged.
 * Errors:  -EAGAIN -ETIMEDOUT -EPIPE -EMSGSIZE -EINTR -EINVAL -EBADMSG
 */
MP_MUST_USE int mp_queue_get_info(mp_queue *queue, void *buf, size_t cap, int64_t timeout,
				  struct mp_message_info *ret_info);

/* Zero-copy put: a block to write `len` bytes into. It occupies no place in the queue and holds
 * nobody up until mp_queue_commit. The slot is yours until _commit or _abandon.
 *
 * Blocks:  never.
 * Threads: any; another thread of the process may commit.
 * Crash:   the block is freed.
 * Errors:  -EMSGSIZE -ENOSPC -EPIPE -EINVAL -ETIMEDOUT (a stopped process is taking memory)
 */
MP_MUST_USE int mp_queue_reserve(mp_queue *queue, size_t len, int64_t timeout,
				 struct mp_slot *ret_slot);

/* Put the reserved block at the tail; waits while the queue is full, as the timeout given to
 * mp_queue_reserve allows. slot->len may have been made smaller; larger than what was reserved is
 * -EINVAL. On failure the slot stays yours.
 *
 * Blocks:  until space or the reserve's timeout. Fast path: no system call.
 * Threads: any thread of the process that reserved.
 * Crash:   the message is whole or absent.
 * Errors:  -EAGAIN -ETIMEDOUT -EPIPE -EINTR -EINVAL
 */
MP_MUST_USE int mp_queue_commit(mp_queue *queue, struct mp_slot *slot);

/* Give a reserved block back unused.
 *
 * Blocks:  never.
 * Threads: any thread of the process that reserved.
 * Crash:   the block is freed.
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_queue_abandon(mp_queue *queue, struct mp_slot *slot);

/* Take the oldest message as a lease: read it in place, then mp_queue_ack it. Its place in the
 * queue is free at once.
 *
 * Blocks:  until a message or timeout; MP_NOW never blocks. Fast path: no system call.
 * Threads: any thread of any attached process, at once; another thread may ack.
 * Crash:   a holder that dies gives the message back, flagged MP_REDELIVERED.
 * Errors:  -EAGAIN -ETIMEDOUT -EPIPE -ENOSPC -EINTR -EINVAL -EBADMSG
 */
MP_MUST_USE int mp_queue_claim(mp_queue *queue, int64_t timeout, struct mp_slot *ret_slot);

/* The leased message is done; its memory is freed, slot->data must not be used again.
 *
 * Blocks:  never.
 * Threads: any thread of the process that claimed; of several at once one has done it.
 * Crash:   done or given back.
 * Errors:  -EINVAL (not leased by this process, or already done)
 */
MP_MUST_USE int mp_queue_ack(mp_queue *queue, struct mp_slot *slot);

/* Give a leased message back; the next getter has it, flagged MP_REDELIVERED.
 *
 * Blocks:  never.
 * Threads: any thread of the process that claimed; of several at once one has done it.
 * Crash:   given back.
 * Errors:  -EINVAL (not leased by this process, or already done)
 */
MP_MUST_USE int mp_queue_return(mp_queue *queue, struct mp_slot *slot);

/* No more puts (they get -EPIPE); getters drain what is left, wait until other processes have
 * acked or returned what they lease (it may come back), then get -EPIPE. So ack or return your own
 * leases before you wait for more. Repeating it is harmless.
 *
 * Blocks:  never.
 * Threads: any thread of any attached process.
 * Crash:   closed or not.
 * Errors:  -EBADMSG -EINVAL
 */
MP_MUST_USE int mp_queue_close_input(mp_queue *queue);

/* Messages that a getter could take now; agrees with the puts and gets that have returned.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is changed.
 * Errors:  -EBADMSG -EINVAL
 */
MP_MUST_USE int mp_queue_size(mp_queue *queue);

/* 1 if mp_queue_size is 0, else 0.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is changed.
 * Errors:  -EBADMSG -EINVAL
 */
MP_MUST_USE int mp_queue_is_empty(mp_queue *queue);

/* 1 if a put would have to wait, else 0.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is changed.
 * Errors:  -EBADMSG -EINVAL
 */
MP_MUST_USE int mp_queue_is_full(mp_queue *queue);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
