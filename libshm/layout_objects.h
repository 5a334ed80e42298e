/* SPDX-License-Identifier: MIT
 *
 * The shared bytes of every object; of those that threads only meet at: layout_sync.h. Included by
 * layout.h only. Knows: where each word is and who writes it. Does not know: the transitions
 * (lockword.h, cellword.h) or the operations.
 */
#ifndef LIBSHM_LAYOUT_OBJECTS_H
#define LIBSHM_LAYOUT_OBJECTS_H

enum object_kind {
#define OBJECT(number, name, text) OBJECT_##name = number,
#include "tbl/objects.h"
#undef OBJECT
};

#define OBJECT_MAGIC UINT32_C(0x4a424f4d)

/* The first line of every object: a tool can walk a segment without knowing the kinds.
 *   writer: the maker, before the directory says LIVE; `links` reserved for containers. */
struct shm_object {
	uint32_t magic; /* OBJECT_MAGIC */
	uint32_t kind;  /* enum object_kind */
	uint64_t id;    /* generation << 12 | directory index */
	uint64_t bytes; /* of the whole block */
	atom64 links;
	atom64 shape;   /* reserved: a hash of what openers must agree about */
	atom32 creator; /* client slot */
	atom32 state;   /* reserved */
	uint64_t created_ns;
	uint64_t reserved;
};
static_assert(sizeof(struct shm_object) == CACHE_LINE, "object header");

/* A lock.
 *
 *   word     lockword.h: owner thread and generation, flags. Nobody sleeps on it.
 *   depth    owner only: recursion - 1; reset by the next taker after a death, never by recovery
 *   grants   owner only: how often it was acquired; an observer that sees the same number twice
 *            knows that nobody released it in between
 *   died_*   several recoverers may write it, all the same values, before the CAS that sets DIED
 *   promised_ns, overtaken_most, passed_over  lock_heir.c; owner, or who changes a promise: hints
 */
struct shm_lock {
	struct shm_object object;
	aligned_to(CACHE_LINE) atom64 word;
	atom32 kind; /* enum mp_lock_kind */
	atom32 on_owner_death;
	atom32 depth;
	atom32 class_id; /* reserved: lock order */
	atom64 grants;
	atom64 contended; /* slow acquires */
	atom64 died_who;  /* thread slot and generation */
	atom64 died_ns;
	atom64 died_site; /* where it had acquired */
	struct shm_waiters waiters;
	atom64 wait_ns; /* sum of the slow waits */
	atom64 deaths;
	atom64 conditions; /* 1: a condition was made that belongs to this lock */
	atom32 died_pid;   /* of its client: the slot may be another's meanwhile */
	atom32 is_fair;    /* constant: nobody is overtaken */
	atom64 promised_ns;
	atom32 overtaken_most; /* how often others had it while somebody waited */
	atom32 passed_over;    /* promises taken back: their threads did not come */
	uint8_t reserved[16];
};
static_assert(sizeof(struct shm_lock) == 256, "lock");
MP_FIELD(shm_lock, 64, 8, word);
MP_FIELD(shm_lock, 128, 64, waiters);

#define INLINE_BYTES 48
#define CELL_INDEX_BITS 24
#define QUEUE_CAPACITY_MAX (UINT32_C(1) << CELL_INDEX_BITS)

enum payload_kind { PAYLOAD_NONE = 0, PAYLOAD_INLINE = 1, PAYLOAD_BLOCK = 2 };

/* One message's place: one line, one transfer between CPUs.
 *
 *   word     cellword.h: lap, redeliveries, owner, state. The CAS that claims it names the owner.
 *   meta     cellword.h: length, payload kind, low bits of the lap (an old lap's meta is not
 *            believed); the claimer's while WRITING, constant while READY
 *   payload  up to 48 bytes, or the block's reference in its first word
 */
struct shm_cell {
	aligned_to(CACHE_LINE) atom64 word;
	atom64 meta;
	union {
		uint8_t bytes[INLINE_BYTES];
		atom64 block;
	} payload;
};
static_assert(sizeof(struct shm_cell) == CACHE_LINE, "cell");

/* A message that a client works on (claim .. ack), moved out of its cell.
 *
 *   word  cellword.h: FREE, CLAIMING, LEASED, ENDING, RETURNED, with owner and sequence
 *   from  position of the cell it came from
 *   filled  the sequence for which from, meta and payload are valid; stored after them: tells
 *         recovery whether the record or the cell holds the message when the owner died between
 */
struct shm_lease {
	aligned_to(CACHE_LINE) atom64 word;
	atom64 from;
	atom64 meta; /* length and payload kind, as in the cell */
	atom64 filled;
	atom64 since_ns;
	atom64 reserved1;
	union {
		uint8_t bytes[INLINE_BYTES];
		atom64 block;
	} payload;
	uint8_t reserved2[32];
};
static_assert(sizeof(struct shm_lease) == 128, "lease record");

#define LEASES_PER_CHUNK 64
#define LEASE_CHUNKS_MAX 32

/* A queue.
 *
 *   head, tail   hints: never ahead of the cells, may lag, plain stores by anyone
 *   rescan       +1 whenever a message came back behind the head; rescan_done follows it when a
 *                full look found nothing left (getters look again while the two differ)
 *   cells        reference of the ring, so that it can be exchanged for a larger one
 *   leases       references of chunks of lease records, made when first needed
 */
struct shm_queue {
	struct shm_object object;
	/* Line 1: read by all, written rarely. */
	aligned_to(CACHE_LINE) atom64 cells;
	atom32 capacity;
	atom32 message_bytes; /* largest message; 0 is the arena's limit */
	atom32 ordering;      /* reserved: FIFO */
	atom32 closed;        /* 1: no more puts */
	atom64 rescan;
	atom64 rescan_done;
	atom32 flags;
	atom32 reserved0;
	uint64_t reserved1;
	/* Line 2: putters. */
	aligned_to(CACHE_LINE) atom64 tail;
	atom64 full_waits;
	atom64 skipped; /* puts that died unfinished */
	uint64_t reserved2[5];
	/* Line 3: getters. */
	aligned_to(CACHE_LINE) atom64 head;
	atom64 empty_waits;
	atom64 redelivered;
	uint64_t reserved3[5];
	struct shm_waiters readable;
	struct shm_waiters writable;
	/* Lines 6..9. */
	atom64 lease_chunk[LEASE_CHUNKS_MAX];
};
static_assert(sizeof(struct shm_queue) == 640, "queue");
MP_FIELD(shm_queue, 64, 8, cells);
MP_FIELD(shm_queue, 128, 8, tail);
MP_FIELD(shm_queue, 192, 8, head);
MP_FIELD(shm_queue, 256, 64, readable);
MP_FIELD(shm_queue, 320, 64, writable);

#include "layout_sync.h"

/* Conditions of an object that a thread can wait for: the low six bits of a wait record. */
enum wait_condition {
	WAIT_ACQUIRABLE = 0,
	WAIT_READABLE = 0,
	WAIT_SET = 0,
	WAIT_NOTIFIED = 0,
	WAIT_TO_READ = 0,
	WAIT_WRITABLE = 1,
	WAIT_TO_WRITE = 1,
	WAIT_DRAINED = 2
};

#endif
