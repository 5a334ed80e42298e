/* SPDX-License-Identifier: MIT
 *
 * Inside a queue. Knows: what the ring (queue_ring.c), the leases (queue_lease.c), the operations
 * (queue.c, queue_slot.c) and the object's life (queue_object.c) share. Does not know: the rest.
 */
#ifndef LIBSHM_QUEUE_INTERNAL_H
#define LIBSHM_QUEUE_INTERNAL_H

#include "arena.h"
#include "cellword.h"
#include "object.h"
#include "self.h"

#include <libshm/queue.h>

/* In so many cells one looks for whom one rings. */
#define QUEUE_NEAR 1024

/* A queue as this process sees it: everything that was checked once. */
struct ring {
	struct seg *seg;
	struct shm_queue *shared;
	struct shm_cell *cells;
	uint32_t capacity;
};

struct mp_queue {
	struct object_handle handle;
	struct ring ring;
	uint32_t message_bytes; /* 0: no limit of its own */
};

/* Where a message is while this thread takes it. */
struct taken {
	struct shm_cell *cell;   /* READING by us, or */
	struct shm_lease *lease; /* LEASED or ENDING by us */
	uint64_t word;           /* what that word says */
	uint64_t position;
	uint64_t meta;
	bool is_redelivered;
};

/* A put's place: a cell WRITING by us. */
struct place {
	struct shm_cell *cell;
	uint64_t position;
};

/* Resolve and check a queue's references; false if they are impossible. */
bool ring_from_object(struct seg *seg, void *object, struct ring *ret_ring);

/* Claim the cell at the tail: 0, -EAGAIN (full), -EPIPE (sealed), -EBADMSG. */
int ring_claim_empty(struct ring *ring, uint32_t client, struct place *ret_place);
/* READY: the message is in the queue. Nobody is woken. */
void ring_publish(struct place *place);

/* Look at the oldest message without taking it: 0 (its word, meta and cell are in *ret_found),
 * -EAGAIN, -EPIPE (sealed and reached), -EBADMSG. */
int ring_find_ready(struct ring *ring, struct taken *ret_found);
/* READY -> READING by us; false if somebody else was faster. */
bool ring_take(struct ring *ring, uint32_t client, struct taken *found);
/* READING -> EMPTY of the next lap. */
void ring_free_cell(struct taken *taken);

/* Messages came back behind the head: READY cells that were taken before. */
bool ring_take_redelivered(struct ring *ring, uint32_t client, struct taken *ret_taken);

/* No put ever passes the first empty cell: closed queues only. */
bool ring_seal(struct ring *ring);

/* The client, other than that, that is in the middle of a put or get; SLOT_NONE. */
uint32_t ring_foreign_user(struct ring *ring, uint32_t client);
/* Could messages still come back or appear from a process other than `client`? */
bool ring_is_quiet(struct ring *ring, uint32_t client);

/* The client that keeps the cell at the tail (head) busy just now, SLOT_NONE. */
uint32_t ring_tail_blocker(struct ring *ring);
uint32_t ring_head_blocker(struct ring *ring);

bool ring_is_writable(struct ring *ring);
bool ring_has_ready(struct ring *ring);
/* Is the cell that decides about a put (take) that near to its hint, and is it none or a busy one?
 * False also where it is farther away. */
bool ring_is_surely_full(struct ring *ring);
bool ring_has_surely_none(struct ring *ring);
int64_t ring_size(struct ring *ring);
/* READY cells behind the head: messages that came back. */
int64_t ring_count_behind(struct ring *ring);
/* Cells in use, including those being written or read: what a put has to fit beside. */
bool ring_is_full(struct ring *ring);

/* --- leases --- */

/* Take a record for a message that will move out of its cell: 0, -ENOSPC. */
int lease_claim(struct ring *ring, struct self *me, struct shm_lease **ret_lease,
		uint64_t *ret_word);
/* CLAIMING -> LEASED: the message left its cell. Returns the new word. */
uint64_t lease_keep(struct shm_lease *lease, uint64_t word);
/* A RETURNED record becomes ours. */
bool lease_take_returned(struct ring *ring, uint32_t client, struct taken *ret_taken);
/* LEASED -> ENDING, before the block of the message is touched: false if another thread was faster.
 * *word becomes what the record says. */
bool lease_begin_end(struct shm_lease *lease, uint64_t *word);
/* LEASED or ENDING -> FREE, LEASED -> RETURNED, exactly once: false if it is not ours any more. */
bool lease_end(struct ring *ring, struct shm_lease *lease, uint64_t word);
bool lease_return(struct shm_lease *lease, uint64_t word);
/* Its index in the queue, to be kept by the user, and back; NULL if impossible. */
uint64_t lease_index(struct ring *ring, const struct shm_lease *lease);
struct shm_lease *lease_at(struct ring *ring, uint64_t index);
/* Every record LEASED by that client goes back; how many. */
unsigned lease_return_all(struct ring *ring, uint32_t client);
/* The client, other than that, that has a record in use; SLOT_NONE. */
uint32_t lease_foreign_owner(struct ring *ring, uint32_t client);
/* Is a record in use by a client other than that? Are there RETURNED ones? */
bool lease_is_any_foreign(struct ring *ring, uint32_t client);
uint32_t lease_count(struct ring *ring, enum lease_state state);

/* --- taking and putting (queue_take.c) --- */

/* Take the oldest message of at most `cap` bytes: 0, -EAGAIN, -ETIMEDOUT, -EPIPE, -EINTR,
 * -EMSGSIZE (ret_taken->meta tells), -EBADMSG. */
int queue_take(struct mp_queue *queue, struct self *me, size_t cap, int64_t timeout,
	       struct taken *ret_taken);
/* Put what was taken back; the next getter has it, flagged. False if it was done already. */
bool queue_put_back(struct mp_queue *queue, struct self *me, struct taken *taken);
/* Its bytes; NULL if the reference is corrupt. */
void *queue_payload(struct mp_queue *queue, const struct taken *taken, size_t *ret_len);
/* The same for who finishes next: a block, *ret_block, is HELD by us from here on. Its word is NULL
 * if there is none. */
void *queue_take_payload(struct mp_queue *queue, struct self *me, const struct taken *taken,
			 struct arena_block *ret_block, size_t *ret_len);
/* The message is done with: its cell or record and its block are free again. False if it was done
 * already. `block` comes from queue_take_payload. */
bool queue_finish(struct mp_queue *queue, struct self *me, struct taken *taken,
		  const struct arena_block *block);
/* A lease of ours ended: on a closed queue others may be waiting for exactly that. */
void queue_lease_ended(struct mp_queue *queue, struct self *me);

/* Leave a sentence about the queue, `what` being constant; returns the error. */
int queue_explain(struct mp_queue *queue, int error, const char *what);
/* The same for what stopped a put (get). */
int queue_put_failed(struct mp_queue *queue, int error) cold;
int queue_get_failed(struct mp_queue *queue, int error) cold;
/* The same for a message that gets no block: a guard that is not given back was explained. */
int queue_block_failed(struct mp_queue *queue, int error) cold;

/* 0 or -EMSGSIZE: can the queue carry a message of that length? */
int queue_check_len(struct mp_queue *queue, size_t len);

/* Every message this process has leased goes back (its last handle closes). */
void queue_return_all(struct mp_queue *queue, struct self *me);

/* A place at the tail: 0, -EAGAIN, -ETIMEDOUT, -EPIPE, -EINTR, -EBADMSG. */
int queue_claim_place(struct mp_queue *queue, struct self *me, int64_t timeout,
		      struct place *ret_place);
/* Fill the claimed place and publish it; wakes a getter. */
void queue_put_inline(struct mp_queue *queue, struct self *me, struct place *place,
		      const void *data, size_t len);
void queue_put_block(struct mp_queue *queue, struct self *me, struct place *place,
		     const struct arena_fresh *block, size_t len);

bool queue_is_readable(struct ring *ring, uint32_t client);
bool queue_is_writable(struct ring *ring);
/* The same for who rings others in vain rather than look long: true where it would take more than
 * some looks. */
bool queue_may_be_readable(struct ring *ring, uint32_t client);
bool queue_may_be_writable(struct ring *ring);

extern const struct object_type queue_type;

#endif
