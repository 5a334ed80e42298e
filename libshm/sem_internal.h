/* SPDX-License-Identifier: MIT
 *
 * A semaphore's handle. Knows: what sem.c (acquire, release), sem_cells.c (owned permits) and
 * sem_object.c (life, row) share. Does not know: anything else.
 */
#ifndef LIBSHM_SEM_INTERNAL_H
#define LIBSHM_SEM_INTERNAL_H

#include "handle.h"
#include "semword.h"

#include <libshm/sem.h>

struct sweep;

/* The cells of an owned semaphore, checked; count 0: it is anonymous. */
struct sem_cells {
	atom64 *cell;
	uint32_t count;
};

struct mp_sem {
	struct object_handle handle;
	struct shm_sem *shared;
	struct sem_cells cells; /* constant: checked once at open */
	uint32_t maximum;       /* the same; SEM_VALUE_MAX where there is no other */
};

/* What this thread last saw of this semaphore, in private memory: a load right behind one's own
 * locked write waits for it. Only a guess, each use is a CAS or a first place to look. */
static inline bool sem_has_guess(const struct self *me, const struct mp_sem *sem)
{
	return me->guess_of == sem->shared;
}

static inline void sem_keep_guess(struct self *me, const struct mp_sem *sem, uint64_t guess)
{
	me->guess_of = sem->shared;
	me->guess = guess;
}

/* False: what the semaphore says of its cells cannot be. */
bool sem_find_cells(const struct seg *seg, struct shm_sem *shared, struct sem_cells *ret_cells);

/* Is one free? At most `looks` are looked at; true also if that was not enough to see. */
bool sem_cells_are_free(const struct sem_cells *cells, uint32_t looks);

uint32_t sem_cells_count_free(const struct sem_cells *cells);
uint32_t sem_cells_count_held(const struct sem_cells *cells, uint64_t who);

/* Take one for `who`: 0 or -EAGAIN. */
int sem_cells_take(struct mp_sem *sem, struct self *me, uint64_t who);
/* Give n of his back, or none: 0 or -EPERM. */
int sem_cells_give(struct mp_sem *sem, struct self *me, uint64_t who, uint32_t n);

/* See struct object_type. */
bool sem_recover(struct seg *seg, void *object, struct sweep *sweep);

#endif
