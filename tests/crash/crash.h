/* SPDX-License-Identifier: MIT
 *
 * The crash matrix. Knows: what an operation, a context, a party and a scene are. Does not know:
 * any operation (family_*.c), how one dies (mode_*.c).
 *
 * An operation on shared memory is run by a VICTIM that dies after exactly k instructions, for
 * every k. Then a CHECKER recovers and asks what the family of the operation promises. A scene is
 * one operation in one context; everything that happens to it begins with the same bytes.
 *
 *   parties   VICTIM dies. SURVIVOR lives, and does its own operation in pairs. SLEEPER is asleep
 *             in the kernel. EARLIER stands, or died unswept, in the middle of an operation.
 *   modes     snapshot  after each instruction that changed the segment a copy of it is judged
 *             kill      SIGKILL at each recorded instruction, in the segment itself
 *             live      VICTIM runs to its end, nobody dies, nothing is recovered
 *             pair      VICTIM stopped at i, SURVIVOR stopped at j, VICTIM killed, recovered, then
 *                       SURVIVOR goes on
 *
 * To add an operation: a function that runs it, a row in its family's table, and what it may add or
 * take away. To add a family: its `begin`, its contexts and its `check`.
 */
#ifndef TESTS_CRASH_CRASH_H
#define TESTS_CRASH_CRASH_H

#include "client.h"
#include "seg.h"

#include <libshm/barrier.h>
#include <libshm/cond.h>
#include <libshm/event.h>
#include <libshm/lock.h>
#include <libshm/queue.h>
#include <libshm/rwlock.h>
#include <libshm/sem.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum role { VICTIM, SURVIVOR, SLEEPER, EARLIER, CHECKER, ROLES };

#define CAPACITY 4
#define BUFFER_BYTES 512

/* What outlives a party: shared by all clones, never part of the segment. */
struct ledger {
	atomic_int is_done;    /* its operation returned */
	atomic_int is_stopped; /* at its breakpoint, in pairs */
	atomic_int may_go_on;
	int result;
	uint64_t adding; /* which messages it puts: bits */
	bool is_taking;  /* the message in `buffer` may be gone */
	bool is_leasing; /* and comes back when it dies */
	unsigned holds;  /* how often it has the lock, besides by its operation */
	uint8_t buffer[BUFFER_BYTES];
};

/* A client of the segment. Its private memory is copied into each clone. */
struct party {
	struct mp_segment handle;
	struct seg *seg;
	uint32_t client, generation;
	mp_queue *queue;
	mp_lock *lock;
	mp_event *event;
	mp_sem *sem;
	mp_barrier *barrier;
	mp_cond *cond;
	mp_rwlock *rwlock;
	struct mp_slot slot;
	uint64_t reference;
	uint64_t message[BUFFER_BYTES / 8]; /* what it will put */
	struct ledger *ledger;
};

struct scene;

struct operation {
	const char *name;
	const struct family *family;
	uint32_t contexts; /* bits of the family's contexts */
	uint32_t variant;  /* what the family makes of it: bytes of a message, kind of a lock */
	void (*arrange)(struct scene *scene, struct party *party); /* before, by who will run */
	int (*run)(struct scene *scene, struct party *party);
	void (*settle)(struct scene *scene, struct party *party); /* ends what SURVIVOR began */
	void (*unblock)(struct scene *scene, struct party *party); /* when the victim has slept */
	void (*sleep)(struct scene *scene, struct party *party);   /* what SLEEPER waits in */
	const char *rival; /* what EARLIER does, of any family; NULL: the same */
	const char *rivals_context;
	const char *beside; /* what SURVIVOR does in pairs, of any family, besides its own one's */
	bool closes;       /* nothing can be put afterwards */
	bool is_exclusive; /* only one party can have arranged it */
	bool recovers;     /* EARLIER, wholly */
	bool leaves;       /* it is no client afterwards */
};

struct context {
	const char *name;
	void (*begin)(struct scene *scene);
	bool has_sleeper;
	enum { NO_EARLIER, EARLIER_STANDS, EARLIER_DIED } earlier;
	unsigned at; /* which third of its operation EARLIER has reached */
	bool is_tight; /* the operation may find nothing to do: it does not wait */
};

struct family {
	const char *name;
	const struct operation *operations;
	unsigned operation_count;
	const struct context *contexts;
	unsigned context_count;
	void (*begin)(struct scene *scene); /* the object, opened by every party */
	void (*look)(struct scene *scene);  /* by CHECKER, before recovery; or NULL */
	bool (*check)(struct scene *scene); /* by CHECKER, after recovery; complains itself */
	/* Of a party whose operation returned, whatever happened to others; complains itself. */
	bool (*may_say)(struct scene *scene, enum role role, int result);
	uint32_t pair_contexts;             /* in which two operations are paired */
	bool victim_attaches;               /* VICTIM is no client before its operation */
};

struct scene {
	const struct operation *operation;
	const struct context *context;
	struct party parties[ROLES];
	pid_t pids[ROLES]; /* of clones that run now */
	pid_t victim_pid;  /* of the last one */
	struct ledger *ledgers;
	struct image *image;   /* as it begins */
	struct image *current; /* as the stepped party has made it */
	int copy_fd; /* what is judged in snapshots */
	uint8_t *copy;
	int64_t timeout;       /* for operations that may wait */
	uint32_t sleeper_bell; /* its bell when it had fallen asleep */
	bool is_copy;          /* the segment is a copy: SLEEPER cannot run */
	uint64_t base_linked;  /* blocks in use before anything happened */
	uint64_t id;           /* of the object, where a family wants it */
	uint64_t initial;      /* messages 1..initial are in the queue */
	const struct operation *other; /* SURVIVOR's, in a pair */
	bool is_dead[ROLES];           /* to be recovered; VICTIM, unless */
	bool is_alive;                 /* it has ended its operation and settled */
	bool is_swept[ROLES];          /* dead or gone, and nothing is left to recover */
	const char *at;                /* for complaints */
	unsigned step, other_step;
};

struct totals {
	atomic_ulong operations, instructions, states, kills, pairs, failures;
	atomic_ulong missed;  /* kills that came too late: the victim went another way */
	atomic_ulong held_up; /* pairs of which one was held up by the other before its point */
};

struct limits {
	unsigned kills;  /* at most so many in a scene, 0: every instruction */
	unsigned points; /* of each party in a pair of operations */
	bool stops_at_first;
};

extern const struct family lock_family, event_family, sem_family, barrier_family, cond_family,
	rwlock_family, queue_family, object_family, arena_family, attach_family, recovery_family;
extern const struct family *const families[];
extern const unsigned family_count;
extern struct totals *totals;
extern struct limits limits;

/* Every breach is printed here, once each line, and counted. Always false. */
bool complain(struct scene *scene, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
