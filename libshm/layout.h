/* SPDX-License-Identifier: MIT
 *
 * Every byte that other processes see: the segment's header, its slots and its directory. The
 * arena's bytes are in layout_arena.h, the objects' in layout_objects.h; no other file defines any.
 * Knows: offsets, widths, who may write what. Does not know: how any word changes (slotword.h,
 * lockword.h, cellword.h, blockword.h hold the pure functions on words).
 *
 *   0         header            one page
 *   clients   client slots      256 B each: one attached process
 *   touched   object bitmaps    max_objects / 8 B for each client: what it holds open
 *   threads   thread slots      1 KiB each: one thread that owns locks or sleeps
 *   tickets   u32 for each thread, dense: who has waited longest
 *   directory directory entries 128 B each: name -> object
 *   traces    event rings       2 KiB for each thread (reserved, committed on first use)
 *   granules  block word for each 64 KiB of the arena
 *   arena     the rest, in granules of 64 KiB
 *
 * Nothing is committed until its owner commits it (seg_commit): tables are read up to their
 * high-water mark only. Slot 0 of both tables means nobody; slot 1 belongs to mpd.
 */
#ifndef LIBSHM_LAYOUT_H
#define LIBSHM_LAYOUT_H

#include "atom.h"
#include "cc.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define MP_FIELD(type, offset, bytes, field)                                                       \
	static_assert(offsetof(struct type, field) == (offset) &&                                  \
			      sizeof(((struct type *)0)->field) == (bytes),                        \
		      #type "." #field " moved: raise LAYOUT_MINOR")

#define LAYOUT_MAGIC UINT64_C(0x304d4853504d4c00) /* "\0LMPSHM0" */
#define LAYOUT_MAJOR 999                           /* a development tree */
#ifndef LAYOUT_MINOR /* tests build a libshm of another layout */
#define LAYOUT_MINOR 4
#endif

#define SLOT_NONE 0
#define SLOT_MPD 1
#define SLOT_FIRST 2
#define CLIENTS_MAX 1024
#define THREADS_MAX 512 /* 512 bits are one cache line of a wait set */
#define OBJECTS_MAX 4096
#define NAME_BYTES 64 /* with its closing NUL */

#define HEADER_BYTES 4096
#define TRACE_BYTES 2048

/* A lock of the segment's own machinery: owner client and generation, 0 is free. Nobody sleeps on
 * it; its dead owner is released on his behalf after his intent was finished. */
struct shm_guard {
	atom64 owner;
};

/* Page 0.
 *
 *   writer: the formatting client, before `ready`; afterwards only the words marked (any).
 *   after a crash: `ready` is still 0, mpd gives the segment to the next client to format anew.
 */
struct shm_header {
	uint64_t magic;      /* LAYOUT_MAGIC */
	uint32_t major;
	uint32_t minor;
	uint64_t signature;  /* layout_signature(): sizes, cache line, features */
	uint64_t generation; /* random, differs when a name is used again */
	uint64_t size_bytes;
	uint32_t max_clients;
	uint32_t max_threads;
	uint32_t max_objects;
	uint32_t granule_count;
	uint64_t reserved0;

	uint64_t clients_offset;
	uint64_t touched_offset;
	uint64_t threads_offset;
	uint64_t tickets_offset;
	uint64_t directory_offset;
	uint64_t traces_offset;
	uint64_t granules_offset;
	uint64_t arena_offset;

	atom64 ready; /* = signature, stored last with release; attach reads it first */
	char name[NAME_BYTES]; /* for people; mpd's registry is the authority */
	uint8_t reserved1[48];

	/* One line (any): rare changes. */
	aligned_to(CACHE_LINE) atom32 clients_high; /* one past the highest slot ever used */
	atom32 threads_high;
	atom32 objects_high;
	atom32 granules_high;
	struct shm_guard directory_guard; /* create, unlink, free of objects */
	struct shm_guard arena_guard;     /* cutting and joining granules */
	struct shm_guard graph_guard;     /* links between objects (reserved) */
	atom64 committed_bytes;           /* a hint for tools */
	atom64 takeovers;   /* +1 whenever a client takes a hold over from another */
	atom32 free_wanted; /* 1: who lets go of the directory guard frees what nobody holds */
	atom32 reserved2;

	/* One line (any): each sleep changes it. */
	aligned_to(CACHE_LINE) atom32 next_ticket;
	atom32 asleep;       /* hint: threads in the kernel; recounted by each sweep */
	atom32 threads_live; /* hint: slots in which a thread runs; recounted by each sweep */
	atom32 reserved3[13];

	/* One line (any, watched: mpd): what mpd looks at. */
	aligned_to(CACHE_LINE) atom32 attention; /* 1: mpd looks for unanswered rings each few ms */
	atom32 watched;     /* 1: mpd looks now and then by itself; 0: who falls asleep rings it */
	atom64 audits;      /* by mpd and peers */
	atom64 sweeps;      /* deaths repaired */
	atom64 death_count; /* clients that died without detaching */
	atom64 reserved5[4];

	/* Hints of the arena: a run of that class with room, as a granule index; 0 is none. */
	aligned_to(CACHE_LINE) atom32 class_run[32];
	atom32 granule_rover; /* below it is probably nothing free */
	atom32 granule_freed; /* the last one given back: warm, and committed */
	atom32 reserved6[14];
};
static_assert(sizeof(struct shm_header) <= HEADER_BYTES, "header outgrew its page");
MP_FIELD(shm_header, 0, 8, magic);
MP_FIELD(shm_header, 16, 8, signature);
MP_FIELD(shm_header, 32, 8, size_bytes);
MP_FIELD(shm_header, 64, 8, clients_offset);
MP_FIELD(shm_header, 128, 8, ready);
MP_FIELD(shm_header, 256, 4, clients_high);
MP_FIELD(shm_header, 320, 4, next_ticket);
MP_FIELD(shm_header, 384, 4, attention);
MP_FIELD(shm_header, 448, 128, class_run);

/* One attached process.
 *
 *   word   slotword.h: state, generation, pid in one CAS, so that whoever finds a half-made slot
 *          can ask whether its maker lives
 *   writer: the client itself, but: word DEAD and died_* by whoever proves its death, word FREE by
 *          the sweeper that finished.
 */
struct shm_client {
	atom64 word;
	atom64 pid_namespace;  /* inode; a pid means something only inside it */
	atom64 started_ticks;  /* start time since the machine's boot: tells a reused pid */
	atom64 roster_byte;    /* the byte it keeps locked in mpd's roster */
	atom64 attached_ns;
	atom64 died_ns;
	atom32 uid;
	atom32 exit_hint;      /* wait status where the parent knows it, else 0 */
	atom32 parent;         /* client slot that started it with mp_process_start, 0 none */
	atom32 flags;          /* slot 1: mpd's own marks; else 0 */
	char name[NAME_BYTES]; /* lineage name, "app" or "Worker-1:2" */
	atom64 verdict;        /* generation that mpd has declared dead */
	atom64 holds_table;    /* reserved: references held in place */
	atom64 deferred_free;  /* reserved: objects to be freed, continued by the sweep */
	atom64 cached_bytes;   /* hint: bytes in private arena caches */
	atom64 redelivered;    /* messages it got with MP_REDELIVERED */
	atom64 recovered;      /* dead clients it has swept */
	uint8_t reserved[80];
};
static_assert(sizeof(struct shm_client) == 256, "client slot");
MP_FIELD(shm_client, 0, 8, word);
MP_FIELD(shm_client, 64, 64, name);
MP_FIELD(shm_client, 128, 8, verdict);

/* An intent: a change of several words that the next owner of the guard finishes or undoes. */
struct shm_intent {
	atom64 kind;    /* enum intent_kind; stored last, cleared last */
	atom64 address; /* offset of the word that decides */
	atom64 before;
	atom64 after;
};
enum intent_kind { INTENT_NONE = 0, INTENT_CREATE_OBJECT = 1, INTENT_FREE_OBJECT = 2 };

#define HELD_MAX 14
#define WAIT_RECORDS_MAX 6
#define TRANSACTION_MAX 4
#define STACK_FRAMES_MAX 8

/* A lock held now; written by its thread alone, a hint for tools (lock words tell the truth). */
struct shm_held {
	atom64 object; /* offset */
	atom64 site;   /* return address of the acquire */
};

/* One thread that owns locks or sleeps.
 *
 *   bell    rings << 1 | ASLEEP. Ringers add 2; only the owner sets and clears ASLEEP (the slot's
 *           next owner clears a dead one's). The count is never reset, not even for a new owner.
 *   records what it waits for: object offset | condition; n stored last, zeroed last
 */
struct shm_thread {
	/* Two lines (any): the doorbell alone, so that adjacent-line prefetch disturbs nobody. */
	aligned_to(CACHE_LINE) atom32 bell;
	uint8_t reserved0[124];

	/* Identity (owner). */
	atom64 word; /* slotword.h: state, generation, client slot */
	atom32 tid;
	atom32 engine; /* enum wait_engine it sleeps with, NONE before its first sleep */
	char name[16];
	atom32 engine_reason; /* why not in io_uring: tbl/reasons.h */
	uint8_t reserved1[28];

	/* The wait record (owner; the next owner zeroes a dead one's). */
	atom32 record_count;
	atom32 epoch; /* +1 for each wait: tells two waits apart */
	atom64 records[WAIT_RECORDS_MAX];
	atom64 waiting_since_ns;

	/* Intents and transactions (owner; finished by the sweep). */
	struct shm_intent intent;
	atom64 busy; /* reserved: object whose sleepers it is about to ring */
	atom64 meeting, meeting_generation; /* at a barrier; the first stored last */
	atom64 passed_at; /* the grants of the lock that it waits for, when it began to */
	struct {
		atom64 address, before, after;
	} transaction[TRANSACTION_MAX]; /* reserved */
	atom64 transaction_state, transaction_more; /* reserved */
	atom64 cond_entry; /* condword.h: its wait in a condition (owner; notified: any) */
	atom64 cond_lock;  /* id of the condition's lock, while the entry is not FREE */

	/* Locks held (owner). */
	struct shm_held held[HELD_MAX];
	atom32 held_count;
	atom32 reserved4[7];

	/* Where it blocked (owner, slow path). */
	atom64 stack[STACK_FRAMES_MAX];

	/* Counters (owner). */
	atom64 sleeps[2]; /* by engine: uring, futex */
	atom64 wakeups;   /* returns from the kernel */
	atom64 spurious;  /* of them with nothing to take */
	atom64 rings;     /* doorbells it rang with a system call */
	atom64 handed_on; /* wakes it passed to the next */
	atom64 spins_won;
	atom64 deaths_seen;

	/* Reserved for the flight recorder and the vector clocks. */
	atom64 trace_head;
	atom64 clock_slot;
	uint8_t reserved6[176];
};
static_assert(sizeof(struct shm_thread) == 1024, "thread slot");
MP_FIELD(shm_thread, 0, 4, bell);
MP_FIELD(shm_thread, 128, 8, word);
MP_FIELD(shm_thread, 192, 4, record_count);
MP_FIELD(shm_thread, 256, 32, intent);
MP_FIELD(shm_thread, 296, 8, meeting);
MP_FIELD(shm_thread, 432, 8, cond_entry);
MP_FIELD(shm_thread, 448, 224, held);
MP_FIELD(shm_thread, 704, 64, stack);
MP_FIELD(shm_thread, 768, 16, sleeps);

/* A named (or, with an empty name, anonymous) object.
 *
 *   word   state FREE, LIVE, REMOVED, ANONYMOUS and generation; stored last (commit)
 *   writer: holder of directory_guard
 *   after a crash: the maker's intent tells whether the block became an object
 */
struct shm_entry {
	atom64 word;   /* slotword.h: state, generation */
	atom64 object; /* reference of its block */
	atom32 kind;   /* enum object_kind */
	atom32 creator;
	atom64 created_ns;
	char name[NAME_BYTES];
	uint8_t reserved[32];
};
static_assert(sizeof(struct shm_entry) == 128, "directory entry");

/* The set of threads that wait for one condition of one object: bit = thread slot. Whoever's
 * fetch_and finds a bit set has taken a token: a waker then owes one ring. */
struct shm_waiters {
	aligned_to(CACHE_LINE) atom64 leaf[THREADS_MAX / 64];
};
static_assert(sizeof(struct shm_waiters) == CACHE_LINE, "a wait set is one line");

#include "layout_arena.h"
#include "layout_objects.h"

/* Computed, so that two builds that disagree about a byte cannot meet. */
static inline uint64_t layout_signature(void)
{
	const uint64_t sizes[] = { LAYOUT_MAJOR, LAYOUT_MINOR, CACHE_LINE,
		sizeof(struct shm_header), sizeof(struct shm_cond),
		sizeof(struct shm_client), sizeof(struct shm_thread), sizeof(struct shm_entry),
		sizeof(struct shm_run), sizeof(struct shm_lock), sizeof(struct shm_queue),
		sizeof(struct shm_cell), sizeof(struct shm_lease), sizeof(struct shm_event),
		sizeof(struct shm_sem), sizeof(struct shm_barrier), sizeof(struct shm_rwlock),
		GRANULE_BYTES, OBJECTS_MAX, THREADS_MAX };
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
		hash = (hash ^ sizes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

#endif
