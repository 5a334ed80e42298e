/* SPDX-License-Identifier: MIT
 *
 * Owned permits: a cell for each, which names the process that holds it. Knows: the transitions of
 * a cell (semword.h), what a dead holder leaves. Does not know: sleeping, the semaphore's word.
 *
 *      0 -- CAS take --> who -- CAS give ------------------------------> 0
 *                        who -- CAS --> who, marked -- CAS, enough ---> 0
 *                                       who, marked -- CAS, too few --> who
 *      who, marked or not (dead) -- recovery, CAS on exactly this --> 0
 *
 * "Taken" and "whose" are one step, so a permit is never in between: what a dead process held comes
 * back once, however many recover it. A release of several permits marks each before it gives the
 * first, so that it gives all or none; the mark names the thread, so that sibling threads that
 * release at once leave each other's alone.
 *
 * A cell that is free is found by a walk, and others take and give meanwhile: who finds none has
 * seen each of them held, though not at one moment.
 */
#include "sem_internal.h"

#include "arena.h"
#include "sweep.h"
#include "wait.h"

#include <errno.h>

/* Rings take longer than looks. */
#define LOOKS_OF_A_DEATH 4096

bool sem_find_cells(const struct seg *seg, struct shm_sem *shared, struct sem_cells *ret_cells)
{
	uint64_t reference = load_relaxed(&shared->cells), bytes;
	uint32_t count = load_relaxed(&shared->initial);

	*ret_cells = (struct sem_cells){ 0 };
	if (!load_relaxed(&shared->owned))
		return true;
	ret_cells->cell = arena_at(seg, reference, &bytes);
	if (!ret_cells->cell || count < 1 || count > SEM_CELLS_MAX ||
	    bytes < count * sizeof(atom64))
		return false;
	ret_cells->count = count;
	return true;
}

bool sem_cells_are_free(const struct sem_cells *cells, uint32_t looks)
{
	for (uint32_t i = 0; i < cells->count; i++) {
		/* seq_cst: the look of who has announced himself. Who frees it later sees him. */
		if (i == looks || load_seqcst(&cells->cell[i]) == 0)
			return true;
	}
	return false;
}

uint32_t sem_cells_count_free(const struct sem_cells *cells)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < cells->count; i++)
		count += load_acquire(&cells->cell[i]) == 0;
	return count;
}

uint32_t sem_cells_count_held(const struct sem_cells *cells, uint64_t who)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < cells->count; i++)
		count += sem_cell_holder(load_relaxed(&cells->cell[i])) == who;
	return count;
}

/* The one this thread took or gave last; at first, threads begin at different ones. */
static uint32_t first_look(const struct self *me, const struct mp_sem *sem)
{
	uint64_t guess = sem_has_guess(me, sem) ? me->guess : me->thread;

	return (uint32_t)(guess % sem->cells.count);
}

static inline bool take_cell(struct mp_sem *sem, struct self *me, uint32_t at, uint64_t who)
{
	uint64_t found = 0;

	/* edge sem_cell: acquire */
	if (!cas_acquire(&sem->cells.cell[at], &found, who))
		return false;
	sem_keep_guess(me, sem, at);
	return true;
}

int sem_cells_take(struct mp_sem *sem, struct self *me, uint64_t who)
{
	uint32_t count = sem->cells.count, at;

	/* Without a look: a load right behind one's own locked write waits for it. */
	if (likely(sem_has_guess(me, sem) && me->guess < count) &&
	    likely(take_cell(sem, me, (uint32_t)me->guess, who)))
		return 0;
	at = first_look(me, sem);
	for (uint32_t i = 0; i < count; i++) {
		if (load_relaxed(&sem->cells.cell[at]) == 0 && take_cell(sem, me, at, who))
			return 0;
		at = at + 1 < count ? at + 1 : 0;
	}
	return -EAGAIN;
}

/* From cell `at` on downwards, n cells that say `from` are made to say `to`: how many were. */
static uint32_t change_cells(const struct sem_cells *cells, uint32_t at, uint32_t n, uint64_t from,
			     uint64_t to)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < cells->count && done < n; i++) {
		uint64_t found = load_relaxed(&cells->cell[at]);

		/* edge sem_cell: release -> the acquire of a cell. seq_cst: before the look for
		 * waiters. */
		if (found == from && cas_seqcst(&cells->cell[at], &found, to))
			done++;
		at = at > 0 ? at - 1 : cells->count - 1;
	}
	return done;
}

/* All or none. What bears this thread's mark is changed by nobody else while its process lives. */
static int give_many(const struct sem_cells *cells, uint32_t at, uint64_t who, uint64_t mark,
		     uint32_t n)
{
	uint32_t marked = n > cells->count ? 0 : change_cells(cells, at, n, who, mark);

	change_cells(cells, at, marked, mark, marked == n ? 0 : who);
	return marked == n ? 0 : -EPERM;
}

int sem_cells_give(struct mp_sem *sem, struct self *me, uint64_t who, uint32_t n)
{
	uint64_t found = who;
	uint32_t at;

	if (likely(n == 1 && sem_has_guess(me, sem) && me->guess < sem->cells.count) &&
	    likely(cas_seqcst(&sem->cells.cell[me->guess], &found, 0)))
		return 0;
	at = first_look(me, sem);
	if (n == 1)
		return change_cells(&sem->cells, at, 1, who, 0) == 1 ? 0 : -EPERM;
	return give_many(&sem->cells, at, who, sem_cell_giving(who, me->thread), n);
}

/* His permit, if it is one, comes back; found as `held`. */
static bool free_cell(struct shm_sem *shared, struct sweep *sweep, atom64 *cell, uint64_t held)
{
	if (!sweep_is_current(sweep) || !cas_seqcst(cell, &held, 0))
		return false;
	add_relaxed(&shared->returned, 1);
	return true;
}

static bool recover_cells(const struct sem_cells *cells, struct shm_sem *shared,
			  struct sweep *sweep, bool *ret_is_any_freed)
{
	struct walk *walk = &sweep->inside;

	for (; walk->at < cells->count; walk->at++) {
		uint64_t held = load_acquire(&cells->cell[walk->at]);
		bool is_his = sweep_has_thread(sweep, sem_cell_holder(held));

		if (!turn_take(walk->turn, is_his && !*ret_is_any_freed ? LOOKS_OF_A_DEATH : 1))
			return false;
		if (is_his && free_cell(shared, sweep, &cells->cell[walk->at], held))
			*ret_is_any_freed = true;
	}
	return true;
}

/* After a death, or for a process whose last handle goes. */
bool sem_recover(struct seg *seg, void *object, struct sweep *sweep)
{
	struct shm_sem *shared = object;
	struct sem_cells cells;
	bool is_any_freed = false, is_done;

	if (sweep->who && sweep->who != load_relaxed(&seg->anchor))
		return true; /* permits belong to processes, not to threads */
	if (!sem_find_cells(seg, shared, &cells))
		return true;
	is_done = recover_cells(&cells, shared, sweep, &is_any_freed);
	if (is_any_freed)
		wait_wake_all(seg, NULL, &shared->waiters);
	return is_done;
}
