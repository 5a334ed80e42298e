/* SPDX-License-Identifier: MIT
 *
 * Semaphores: acquire and release. Knows: the transitions of the word (semword.h), who is rung.
 * Does not know: how to sleep, who is alive, how owned permits are held (sem_cells.c), how
 * semaphores are made (sem_object.c).
 *
 * Progress: acquire and release of a free permit are one CAS each. A waiter depends on a release
 * alone, of an owned permit also on its holder's death.
 *
 * Who waits sets its bit in `waiters`, then WAIT in the word, unless there is a permit. A release
 * finds WAIT in the very word that it changes (anonymous) or that it reads after its seq_cst CAS of
 * the cell (owned), so only then does it look at the waiters, and rings as many as there are new
 * permits. If nobody is there it drops WAIT and looks again: who announced himself before WAIT was
 * dropped is seen, who comes later finds it gone and sets it. Who takes a permit and leaves others
 * while WAIT is set rings the next: the one who should may be held up.
 *
 * | killed after              | the words say         | repair                                   |
 * | anonymous: CAS acquire    | one less              | none: nobody owned it                     |
 * | anonymous: CAS release    | n more                | the audit pays the rings                  |
 * | owned: CAS acquire        | his name in a cell    | CAS to free, once, then rings             |
 * | owned: release, some CASs | some free, some marked| the same for the rest                     |
 * | release: WAIT dropped     | no WAIT, maybe a bit  | the audit rings who sleeps without WAIT   |
 * | bit set, WAIT not set     | as it was             | the sweep takes the bit                   |
 * | recovery before a CAS     | his name in a cell    | the next recoverer                        |
 * | recovery before its rings | free                  | the audit                                 |
 *
 * Overlaps: every step changes one word by CAS; n permits of an anonymous semaphore are one CAS,
 * and so is the check of its maximum. Recovery changes exactly the dead holder's cells.
 */
#include "sem_internal.h"

#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "slot.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>

/* A question costs a microsecond. */
#define POLLS_BEFORE_ASKING 16

static bool is_owned(const struct mp_sem *sem)
{
	return sem->cells.count > 0;
}

static bool is_free(const struct mp_sem *sem)
{
	return is_owned(sem) ? sem_cells_are_free(&sem->cells, sem->cells.count)
			     : sem_word_value(load_seqcst(&sem->shared->word)) > 0;
}

/* --- rings --- */

static void ring(struct mp_sem *sem, struct self *me, uint32_t n)
{
	struct shm_waiters *set = &sem->shared->waiters;

	if (n >= THREADS_MAX)
		wait_wake_all(sem->handle.seg, me, set);
	else
		for (; n > 0 && wait_has_sleepers(set); n--)
			wait_wake_one_slow(sem->handle.seg, me, set);
}

/* n permits became free, and the word said WAIT. */
static noinline_ void ring_waiters(struct mp_sem *sem, struct self *me, uint32_t n)
{
	struct shm_sem *shared = sem->shared;

	if (wait_has_sleepers(&shared->waiters)) {
		ring(sem, me, n);
		return;
	}
	and_seqcst(&shared->word, ~SEM_WAIT);
	if (likely(!wait_has_sleepers(&shared->waiters)))
		return;
	/* Came in between, while releases saw no WAIT and rang nobody: each looks, and sets it. */
	wait_wake_all(sem->handle.seg, me, &shared->waiters);
}

/* --- acquire --- */

/* `word`: as it was found, with a permit. */
static inline bool take(struct mp_sem *sem, struct self *me, uint64_t *word)
{
	/* edge sem_given: acquire */
	if (unlikely(!cas_acquire(&sem->shared->word, word, *word - 1)))
		return false;
	sem_keep_guess(me, sem, *word - 1);
	if (unlikely(*word & SEM_WAIT) && sem_word_value(*word) > 1)
		ring_waiters(sem, me, 1);
	return true;
}

static int take_any(struct mp_sem *sem, struct self *me)
{
	uint64_t word = load_relaxed(&sem->shared->word);

	while (sem_word_value(word) > 0)
		if (take(sem, me, &word))
			return 0;
	return -EAGAIN;
}

/* 0 or -EAGAIN, without a sentence; -ENOSPC: this process has no place for what stands for it. */
static int try_acquire(struct mp_sem *sem, struct self *me)
{
	uint64_t who;
	int error;

	if (!is_owned(sem))
		return take_any(sem, me);
	error = self_anchor(sem->handle.seg, &who);
	return error < 0 ? error : sem_cells_take(sem, me, who);
}

struct sem_wait {
	struct mp_sem *sem;
	uint32_t looks; /* so that each look watches another holder */
};

static bool wait_is_ready(void *arg)
{
	struct sem_wait *wait = arg;

	return is_free(wait->sem);
}

/* S4 of wait.c: there is a permit, or WAIT is in the word, so that no release can miss us. One look
 * decides: a permit that it saw may be gone at the next, and WAIT not set. */
static bool wait_mark(void *arg)
{
	struct sem_wait *wait = arg;
	atom64 *shared_word = &wait->sem->shared->word;
	uint64_t word = load_seqcst(shared_word);

	while (sem_word_value(word) == 0 && !(word & SEM_WAIT))
		if (cas_seqcst(shared_word, &word, word | SEM_WAIT))
			break;
	return is_owned(wait->sem) ? is_free(wait->sem) : sem_word_value(word) > 0;
}

static uint32_t holder_client(const struct mp_sem *sem, uint32_t at)
{
	uint64_t cell = load_relaxed(&sem->cells.cell[at % sem->cells.count]);

	return slot_client_of_who(sem->handle.seg, sem_cell_holder(cell));
}

static uint32_t wait_blocker(void *arg)
{
	struct sem_wait *wait = arg;

	return holder_client(wait->sem, wait->looks++);
}

static const char *name_holder(const struct mp_sem *sem, char text[static NAME_BYTES + 32])
{
	struct seg *seg = sem->handle.seg;
	uint32_t client = holder_client(sem, 0);

	if (client == SLOT_NONE || client >= seg->at.max_clients)
		return NULL;
	if (slot_is_of_our_namespace(seg, client))
		snprintf(text, NAME_BYTES + 32, "%.*s[%u]", NAME_BYTES - 1,
			 seg->clients[client].name, client_word_pid(slot_client_word(seg, client)));
	else
		snprintf(text, NAME_BYTES + 32, "%.*s in another PID namespace", NAME_BYTES - 1,
			 seg->clients[client].name);
	return text;
}

/* The wait ended without a permit. */
static cold int explain_wait(const struct mp_sem *sem, int error)
{
	const char *name = object_name(&sem->handle);
	char text[NAME_BYTES + 32];
	const char *holder = is_owned(sem) ? name_holder(sem, text) : NULL;

	if (error != -ETIMEDOUT)
		return explain(error, "semaphore '%s': %s", name, wait_trouble(error));
	if (holder)
		return explain(error, "all %u permits of semaphore '%s' are held, the first by %s",
			       sem->cells.count, name, holder);
	return explain(error, "semaphore '%s': nobody has released a permit in that time", name);
}

static int wait_for_permit(struct mp_sem *sem, struct self *me, int64_t timeout)
{
	struct sem_wait wait = { .sem = sem };
	struct wait_point point = { .set = &sem->shared->waiters,
				    .record = sem->handle.offset | WAIT_ACQUIRABLE,
				    .is_ready = wait_is_ready,
				    .mark = wait_mark,
				    .blocker = is_owned(sem) ? wait_blocker : NULL,
				    .object = &wait };
	int64_t deadline_ns = clock_deadline_ns(timeout), began = clock_now_ns();
	int result, waited = 0;

	add_relaxed(&sem->shared->waits, 1);
	while ((result = try_acquire(sem, me)) == -EAGAIN && waited == 0) {
		waited = wait_until(me, &point, deadline_ns);
		if (waited == 0 && clock_is_past(deadline_ns))
			waited = -ETIMEDOUT;
	}
	add_relaxed(&sem->shared->wait_ns, (uint64_t)(clock_now_ns() - began));
	return result == -EAGAIN ? explain_wait(sem, waited) : result;
}

/* Who only polls never sleeps beside a holder's pidfd: ask for one of them now and then. */
static void ask_after_holder(const struct mp_sem *sem, struct self *me)
{
	struct seg *seg = sem->handle.seg;
	uint32_t client, generation;

	if (!is_owned(sem) || ++me->polls % POLLS_BEFORE_ASKING != 0)
		return;
	client = holder_client(sem, me->polls / POLLS_BEFORE_ASKING);
	generation = client_word_generation(slot_client_word(seg, client));
	if (seg->hooks && slot_is_dead(seg, client, generation))
		seg->hooks->client_died(seg, client, generation);
}

static noinline_ int acquire_slow(struct mp_sem *sem, struct self *me, int64_t timeout)
{
	KEEP_ERRNO;
	int result = try_acquire(sem, me);

	if (result != -EAGAIN)
		return result;
	if (timeout > 0)
		return wait_for_permit(sem, me, timeout);
	ask_after_holder(sem, me);
	return explain_later(result, "semaphore", object_raw_name(&sem->handle),
			     "it has no permit left");
}

int mp_sem_acquire(mp_sem *sem, int64_t timeout)
{
	struct self *me;
	uint64_t word;
	int error;

	if (unlikely(!sem))
		return opts_refuse_null(__func__, "sem");
	error = self_get(sem->handle.seg, &me);
	if (unlikely(error < 0))
		return error;
	if (likely(!is_owned(sem) && sem_has_guess(me, sem))) {
		word = me->guess;
		while (likely(sem_word_value(word) > 0))
			if (likely(take(sem, me, &word)))
				return 0;
	}
	return acquire_slow(sem, me, timeout);
}

/* --- release --- */

static cold int refuse_overflow(struct mp_sem *sem, uint32_t value, uint32_t n)
{
	return explain(-EOVERFLOW,
		       "semaphore '%s' has %u of at most %u permits, %u more is too many; it was "
		       "released more often than acquired",
		       object_name(&sem->handle), value, sem->maximum, n);
}

static cold int refuse_foreign(struct mp_sem *sem, uint64_t who, uint32_t n)
{
	return explain(-EPERM,
		       "this process holds %u permits of semaphore '%s' and cannot release %u; "
		       "they are owned, who acquired one releases it",
		       sem_cells_count_held(&sem->cells, who), object_name(&sem->handle), n);
}

static noinline_ int release_cells(struct mp_sem *sem, struct self *me, uint32_t n)
{
	uint64_t who;
	int error = self_anchor(sem->handle.seg, &who);

	if (unlikely(error < 0))
		return error;
	if (unlikely(sem_cells_give(sem, me, who, n) < 0))
		return refuse_foreign(sem, who, n);
	/* After the seq_cst CAS of the cells. */
	if (unlikely(load_seqcst(&sem->shared->word) & SEM_WAIT)) {
		add_relaxed(&sem->shared->word, SEM_TURN);
		ring_waiters(sem, me, n);
	}
	return 0;
}

/* `word`: a guess, or what was read. */
static inline int release_word(struct mp_sem *sem, struct self *me, uint64_t word, uint32_t n)
{
	/* edge sem_given: release -> the acquire of a permit; seq_cst as WAIT is asked for. */
	do {
		if (unlikely(!sem_word_has_room(word, n, sem->maximum)))
			return -EOVERFLOW;
	} while (unlikely(!cas_seqcst(&sem->shared->word, &word, sem_word_given(word, n))));
	sem_keep_guess(me, sem, sem_word_given(word, n));
	if (unlikely(word & SEM_WAIT))
		ring_waiters(sem, me, n);
	return 0;
}

/* Nothing was guessed, or the guess had no room. */
static noinline_ int release_slow(struct mp_sem *sem, struct self *me, uint32_t n)
{
	uint64_t word = load_relaxed(&sem->shared->word);

	return release_word(sem, me, word, n) == 0 ? 0
						   : refuse_overflow(sem, sem_word_value(word), n);
}

int mp_sem_release(mp_sem *sem, int n)
{
	struct self *me;
	int error;

	if (unlikely(!sem))
		return opts_refuse_null(__func__, "sem");
	if (unlikely(n < 1))
		return explain_later(-EINVAL, "semaphore", object_raw_name(&sem->handle),
				     "at least one permit must be released");
	error = self_get(sem->handle.seg, &me);
	if (unlikely(error < 0))
		return error;
	if (is_owned(sem))
		return release_cells(sem, me, (uint32_t)n);
	if (likely(sem_has_guess(me, sem)) &&
	    likely(release_word(sem, me, me->guess, (uint32_t)n) == 0))
		return 0;
	return release_slow(sem, me, (uint32_t)n);
}

int mp_sem_value(const mp_sem *sem)
{
	uint32_t value;

	if (unlikely(!sem))
		return opts_refuse_null(__func__, "sem");
	value = is_owned(sem) ? sem_cells_count_free(&sem->cells)
			      : sem_word_value(load_acquire(&sem->shared->word));
	return (int)(value < sem->maximum ? value : sem->maximum);
}
