/* SPDX-License-Identifier: MIT
 *
 * See sync_worker.h.
 */
#include "sync_worker.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#define MEETING MP_MSEC(20)

const char *const sync_act_names[ACT_COUNT] = {
#define ACT(name, text) text,
	SYNC_ACTS
#undef ACT
};

struct worker {
	struct sync_field *field;
	struct sync_books *books;
	struct sync_desk *desk;
	uint64_t random;
};

static uint64_t next(struct worker *worker)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return worker->random;
}

static _Noreturn void wrong(struct worker *worker, const char *what, long number)
{
	fprintf(stderr, "worker %d, %s: %s (%ld): %s\n", (int)getpid(),
		sync_act_names[atomic_load(&worker->desk->act)], what, number, mp_explain());
	fflush(stderr);
	_exit(1);
}

static int must(struct worker *worker, const char *what, int result)
{
	if (result < 0)
		wrong(worker, what, result);
	return result;
}

/* Died between the two: whoever is told mends it. */
static void change(struct worker *worker, struct pair *pair, bool is_told)
{
	if (is_told) {
		atomic_fetch_add(&worker->books->deaths_told, 1);
		atomic_store(&pair->b, atomic_load(&pair->a));
	}
	if (atomic_load(&pair->a) != atomic_load(&pair->b))
		wrong(worker, "it is half done, and nobody was told", is_told);
	atomic_fetch_add(&pair->a, 1);
	atomic_fetch_add(&pair->b, 1);
}

static void use_lock(struct worker *worker, mp_lock *lock, struct pair *pair)
{
	int told = must(worker, "acquire", mp_lock_acquire(lock, SYNC_PATIENCE));

	change(worker, pair, told == MP_OWNER_DIED);
	must(worker, "release", mp_lock_release(lock));
}

/* Its own permit is among those that it finds. */
static void use_sem(struct worker *worker)
{
	must(worker, "release", mp_sem_release(worker->field->sem, 1));
	atomic_fetch_add(&worker->books->given, 1);
	must(worker, "acquire", mp_sem_acquire(worker->field->sem, SYNC_PATIENCE));
	atomic_fetch_add(&worker->books->taken, 1);
}

static void use_owned_sem(struct worker *worker)
{
	must(worker, "acquire", mp_sem_acquire(worker->field->owned_sem, SYNC_PATIENCE));
	if (next(worker) % 4 == 0)
		usleep(100);
	must(worker, "release", mp_sem_release(worker->field->owned_sem, 1));
}

int sync_has_things(void *field)
{
	struct sync_books *books = ((struct sync_field *)field)->books;

	return atomic_load(&books->things) > 0 || atomic_load(&books->is_over);
}

static void use_cond(struct worker *worker)
{
	struct sync_field *field = worker->field;
	int result;

	must(worker, "acquire", mp_lock_acquire(field->cond_lock, SYNC_PATIENCE));
	do
		result = mp_cond_wait_for(field->cond, sync_has_things, field, SYNC_PATIENCE);
	while (result == MP_OWNER_DIED); /* nothing is ever half done here */
	must(worker, "wait", result);
	if (atomic_load(&worker->books->things) > 0) {
		atomic_fetch_sub(&worker->books->things, 1);
		atomic_fetch_add(&worker->books->used, 1);
	}
	must(worker, "release", mp_lock_release(field->cond_lock));
}

static void read_pair(struct worker *worker)
{
	struct pair *pair = &worker->books->under_rwlock;
	int result = mp_rwlock_acquire_read(worker->field->rwlock, SYNC_PATIENCE);

	if (result == -ENOTRECOVERABLE)
		return;
	must(worker, "acquire", result);
	if (atomic_load(&pair->a) != atomic_load(&pair->b))
		wrong(worker, "it changes while somebody reads", 0);
	must(worker, "release", mp_rwlock_release(worker->field->rwlock));
}

/* It is poisoned by a death: who repairs it first is told, the others find it whole. */
static void write_pair(struct worker *worker)
{
	mp_rwlock *rwlock = worker->field->rwlock;
	int result = mp_rwlock_acquire_write(rwlock, SYNC_PATIENCE);

	if (result == -ENOTRECOVERABLE) {
		result = mp_rwlock_repair(rwlock);
		if (result == -EINVAL)
			return; /* another was first */
	}
	must(worker, "acquire", result);
	change(worker, &worker->books->under_rwlock, result == MP_OWNER_DIED);
	must(worker, "release", mp_rwlock_release(rwlock));
}

/* Two meet, or nobody comes. */
static void meet(struct worker *worker)
{
	mp_barrier *barrier = worker->field->barrier;
	int index, result = mp_barrier_wait(barrier, MEETING, &index);

	if (result == 0) {
		if (index != 0 && index != 1)
			wrong(worker, "an index of nobody", index);
		atomic_fetch_add(&worker->books->met, 1);
		return;
	}
	if (result != -ETIMEDOUT && result != -ENOTCONN)
		wrong(worker, "wait", result);
	atomic_fetch_add(&worker->books->broken, 1);
	must(worker, "reset", mp_barrier_reset(barrier));
}

static void act(struct worker *worker, enum sync_act act)
{
	struct sync_field *field = worker->field;

	switch (act) {
	case ACT_LOCK: use_lock(worker, field->lock, &worker->books->under_lock); break;
	case ACT_FAIR_LOCK:
		use_lock(worker, field->fair_lock, &worker->books->under_fair_lock);
		break;
	case ACT_SEM: use_sem(worker); break;
	case ACT_OWNED_SEM: use_owned_sem(worker); break;
	case ACT_EVENT: must(worker, "wait", mp_event_wait(field->event, SYNC_PATIENCE)); break;
	case ACT_COND: use_cond(worker); break;
	case ACT_READ: read_pair(worker); break;
	case ACT_WRITE: write_pair(worker); break;
	default: meet(worker); break;
	}
}

int sync_work(struct sync_field *field, unsigned number, uint64_t random)
{
	struct worker worker = { field, field->books, &field->books->desks[number], random };

	while (!atomic_load(&worker.books->is_over)) {
		enum sync_act what = (enum sync_act)(next(&worker) % ACT_COUNT);

		atomic_store(&worker.desk->act, what);
		act(&worker, what);
		atomic_fetch_add(&worker.books->acts[what], 1);
		atomic_fetch_add(&worker.desk->rounds, 1);
	}
	return 0;
}
