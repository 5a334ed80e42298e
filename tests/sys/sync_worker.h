/* SPDX-License-Identifier: MIT
 *
 * A worker that meets others at every kind of synchronisation object and is there to be killed, and
 * the books of what it did. Knows: what a worker may assert of each object. Does not know: when it
 * is killed.
 *
 * The books are kept in a plain mapping. What is written there before and after a call says within
 * one for each kill how often the call has taken effect.
 */
#ifndef TESTS_SYS_SYNC_WORKER_H
#define TESTS_SYS_SYNC_WORKER_H

#include <libshm.h>

#include <stdatomic.h>
#include <stdint.h>

#define SYNC_WORKERS 6
#define OWNED_PERMITS 3

#define SYNC_ACTS                                                                                  \
	ACT(LOCK, "lock")                                                                          \
	ACT(FAIR_LOCK, "fair lock")                                                                \
	ACT(SEM, "semaphore")                                                                      \
	ACT(OWNED_SEM, "owned semaphore")                                                          \
	ACT(EVENT, "event")                                                                        \
	ACT(COND, "condition")                                                                     \
	ACT(READ, "read-write lock, to read")                                                      \
	ACT(WRITE, "read-write lock, to write")                                                    \
	ACT(BARRIER, "barrier")

enum sync_act {
#define ACT(name, text) ACT_##name,
	SYNC_ACTS
#undef ACT
	ACT_COUNT
};

extern const char *const sync_act_names[ACT_COUNT];

/* Two that are equal whenever nobody is inside, unless somebody died there. */
struct pair {
	_Atomic uint64_t a, b;
};

struct sync_desk { /* one worker's: only it writes, the killer reads */
	_Atomic uint32_t act;
	_Atomic uint64_t rounds;
};

struct sync_books {
	_Atomic uint32_t is_over;
	_Atomic uint64_t deaths_told;
	_Atomic uint64_t given, taken; /* permits of the anonymous semaphore */
	_Atomic uint64_t made, used;   /* things that the condition is about */
	_Atomic uint64_t met, broken;  /* at the barrier */
	_Atomic uint64_t acts[ACT_COUNT];
	struct pair under_lock, under_fair_lock, under_rwlock;
	_Atomic int64_t things; /* under the condition's lock */
	struct sync_desk desks[SYNC_WORKERS];
};

struct sync_field {
	mp_segment *segment;
	mp_lock *lock, *fair_lock, *cond_lock;
	mp_sem *sem, *owned_sem;
	mp_event *event;
	mp_cond *cond;
	mp_rwlock *rwlock;
	mp_barrier *barrier;
	struct sync_books *books;
};

/* As long as nobody waits who is not rung. */
#define SYNC_PATIENCE MP_SEC(60)

/* Under its lock: is there something to use, or is all over? */
int sync_has_things(void *field);

/* Works until all is over: 0; 1 with a line on stderr if something is wrong. */
int sync_work(struct sync_field *field, unsigned number, uint64_t random);

#endif
