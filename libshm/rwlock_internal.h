/* SPDX-License-Identifier: MIT
 *
 * A read-write lock's handle. Knows: what rwlock.c (operations) and rwlock_object.c (life, death,
 * sentences) share. Does not know: anything else.
 */
#ifndef LIBSHM_RWLOCK_INTERNAL_H
#define LIBSHM_RWLOCK_INTERNAL_H

#include "object.h"
#include "rwword.h"
#include "wait.h"

#include <libshm/rwlock.h>

struct mp_rwlock {
	struct object_handle handle;
	struct seg *seg;
	struct shm_rwlock *shared;
};

/* What a waiter's callbacks need. */
struct rwlock_wait {
	mp_rwlock *rwlock;
	atom64 *reader; /* its own word, of one that waits to read */
};

static inline bool rwlock_is_free(struct shm_rwlock *shared)
{
	return lock_word_is_free(load_seqcst(&shared->word));
}

/* A thread slot that keeps a writer out, SLOT_NONE: nobody reads. */
static inline uint32_t rwlock_any_reader(struct seg *seg, struct shm_rwlock *shared)
{
	/* seq_cst, after the CAS of the writer's word: who has a slot beyond the mark has raised it
	 * before he looked at that word. */
	uint32_t high = load_seqcst(&seg->header->threads_high);

	high = high < seg->at.max_threads ? high : seg->at.max_threads;
	for (uint32_t thread = SLOT_FIRST; thread < high; thread++)
		if (reader_word_count(load_seqcst(rwlock_reader(shared, thread))))
			return thread;
	return SLOT_NONE;
}

/* The client slot of who owns the writer's word, and of one that reads; SLOT_NONE: nobody. */
uint32_t rwlock_writer_client(const mp_rwlock *rwlock);
uint32_t rwlock_reader_client(const mp_rwlock *rwlock);

/* Who only polls never sleeps beside the pidfd of who is in: ask for it now and then. */
void rwlock_ask_after(mp_rwlock *rwlock, struct self *me, uint32_t client);

/* A reader has left, or does not count any more: the writer that waits for that looks again. */
void rwlock_ring_drainer(mp_rwlock *rwlock, struct self *me);

/* S4 of wait.c: the word is free, or the flag is in it, so that who lets go cannot miss us. */
bool rwlock_mark_word(struct shm_rwlock *shared, uint64_t flag);
/* wait_point.blocker of a struct rwlock_wait: the client that writes. */
uint32_t rwlock_writer_blocks(void *arg);
/* wait_until, but -ETIMEDOUT too when it is late. */
int rwlock_wait(struct self *me, struct wait_point *point, int64_t deadline_ns);

/* The word is ours, and we are not in (any more). False: somebody else wrote into it. */
bool rwlock_let_go(mp_rwlock *rwlock, struct self *me);

/* Sentences. Each returns `error`. */
int rwlock_refuse_poisoned(const mp_rwlock *rwlock);
int rwlock_refuse_release(const mp_rwlock *rwlock);
int rwlock_explain_written(const mp_rwlock *rwlock, int error);
int rwlock_explain_read(const mp_rwlock *rwlock, int error);
/* -EDEADLK: this thread `does` so already. */
int rwlock_refuse_again(const mp_rwlock *rwlock, const char *does, const char *advice);
/* The wait ended with `error`. */
int rwlock_explain_wait(const mp_rwlock *rwlock, int error,
			int (*explain_timeout)(const mp_rwlock *rwlock, int error));

#endif
