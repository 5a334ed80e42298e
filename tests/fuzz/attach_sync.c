/* SPDX-License-Identifier: MIT
 *
 * See attach_sync.h.
 */
#include "attach_sync.h"

#include "arena.h"
#include "slotword.h"

enum kind { SEM, OWNED, EVENT, COND, BARRIER, RWLOCK, KINDS };

static int act_on_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int is_never(void *arg)
{
	(void)arg;
	return 0;
}

static uint64_t id_of(const struct sync_stage *stage, enum kind kind)
{
	switch (kind) {
	case SEM: return mp_sem_id(stage->sem);
	case OWNED: return mp_sem_id(stage->owned);
	case EVENT: return mp_event_id(stage->event);
	case COND: return mp_cond_id(stage->cond);
	case BARRIER: return mp_barrier_id(stage->barrier);
	default: return mp_rwlock_id(stage->rwlock);
	}
}

static void close_one(struct sync_stage *stage, enum kind kind)
{
	switch (kind) {
	case SEM: stage->sem = mp_sem_close(stage->sem); break;
	case OWNED: stage->owned = mp_sem_close(stage->owned); break;
	case EVENT: stage->event = mp_event_close(stage->event); break;
	case COND: stage->cond = mp_cond_close(stage->cond); break;
	case BARRIER: stage->barrier = mp_barrier_close(stage->barrier); break;
	default: stage->rwlock = mp_rwlock_close(stage->rwlock);
	}
}

static int open_cond(struct sync_stage *stage)
{
	if (!stage->lock && mp_lock_open(stage->segment, "guard", NULL, &stage->lock) < 0)
		return -1;
	return mp_cond_open(stage->segment, "cond", stage->lock, NULL, &stage->cond);
}

static int open_one(struct sync_stage *stage, enum kind kind)
{
	static const struct mp_sem_opts owned = { .initial = 5, .owned = 1 };
	static const struct mp_sem_opts counted = { .initial = 2, .maximum = 9 };
	static const struct mp_barrier_opts two = { .parties = 2, .action = act_on_nothing };

	switch (kind) {
	case SEM: return mp_sem_open(stage->segment, "sem", &counted, &stage->sem);
	case OWNED: return mp_sem_open(stage->segment, "owned", &owned, &stage->owned);
	case EVENT: return mp_event_open(stage->segment, "event", NULL, &stage->event);
	case COND: return open_cond(stage);
	case BARRIER: return mp_barrier_open(stage->segment, "two", &two, &stage->barrier);
	default: return mp_rwlock_open(stage->segment, "rwlock", NULL, &stage->rwlock);
	}
}

void sync_open(struct sync_stage *stage, unsigned arg)
{
	enum kind kind = (enum kind)(arg % KINDS);

	if (id_of(stage, kind))
		close_one(stage, kind);
	else
		(void)!open_one(stage, kind);
}

static int use_sem(mp_sem *sem, unsigned how)
{
	switch (how % 4) {
	case 0: return mp_sem_acquire(sem, MP_NOW);
	case 1: return mp_sem_release(sem, 1);
	case 2: return mp_sem_release(sem, 3);
	default: return mp_sem_value(sem);
	}
}

static int use_event(mp_event *event, unsigned how)
{
	switch (how % 4) {
	case 0: return mp_event_set(event);
	case 1: return mp_event_clear(event);
	case 2: return mp_event_is_set(event);
	default: return mp_event_wait(event, MP_NOW);
	}
}

/* Nobody else runs: a lock that was had can be had again. */
static int use_cond(struct sync_stage *stage, unsigned how)
{
	int result;

	if (mp_lock_acquire(stage->lock, MP_NOW) < 0)
		return -1;
	switch (how % 4) {
	case 0: result = mp_cond_notify(stage->cond, 1); break;
	case 1: result = mp_cond_notify_all(stage->cond); break;
	case 2: result = mp_cond_wait(stage->cond, MP_NOW); break;
	default: result = mp_cond_wait_for(stage->cond, is_never, NULL, MP_NOW);
	}
	return mp_lock_release(stage->lock) < 0 ? -1 : result;
}

static int use_barrier(mp_barrier *barrier, unsigned how)
{
	int index;

	switch (how % 5) {
	case 0: return mp_barrier_wait(barrier, MP_NOW, &index);
	case 1: return mp_barrier_reset(barrier);
	case 2: return mp_barrier_abort(barrier);
	case 3: return mp_barrier_waiting(barrier);
	default: return mp_barrier_is_broken(barrier);
	}
}

static int use_rwlock(mp_rwlock *rwlock, unsigned how)
{
	switch (how % 4) {
	case 0: return mp_rwlock_acquire_read(rwlock, MP_NOW);
	case 1: return mp_rwlock_acquire_write(rwlock, MP_NOW);
	case 2: return mp_rwlock_release(rwlock);
	default: return mp_rwlock_repair(rwlock);
	}
}

int sync_use(struct sync_stage *stage, unsigned arg)
{
	enum kind kind = (enum kind)(arg % KINDS);
	unsigned how = arg / KINDS;

	if (!id_of(stage, kind))
		return 0;
	switch (kind) {
	case SEM: return use_sem(stage->sem, how);
	case OWNED: return use_sem(stage->owned, how);
	case EVENT: return use_event(stage->event, how);
	case COND: return use_cond(stage, how);
	case BARRIER: return use_barrier(stage->barrier, how);
	default: return use_rwlock(stage->rwlock, how);
	}
}

void sync_spoil(struct sync_stage *stage, struct seg *seg, struct input *input)
{
	unsigned which = input_u8(input), word = input_u8(input);
	uint64_t value = input_u64(input), id = id_of(stage, (enum kind)(which % KINDS));
	uint64_t offset;

	if (!id)
		return;
	offset = reference_offset(load_relaxed(&seg->directory[who_slot(id)].object)) +
		 sizeof(struct shm_object) + word % 64 * sizeof(value);
	if (offset + sizeof(value) <= seg->size && offset >= seg->at.arena)
		store_relaxed((atom64 *)(void *)(seg->base + offset), value);
}

void sync_close(struct sync_stage *stage)
{
	for (enum kind kind = 0; kind < KINDS; kind++)
		close_one(stage, kind);
	stage->lock = mp_lock_close(stage->lock);
}
