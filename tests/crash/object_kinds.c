/* SPDX-License-Identifier: MIT
 *
 * See object_kinds.h.
 */
#include "object_kinds.h"

#include "cond_internal.h"
#include "require.h"

#include <errno.h>

/* --- queues --- */

static int open_queue(struct party *party, const char *name, uint32_t flags)
{
	struct mp_queue_opts opts = { .capacity = CAPACITY, .flags = flags };

	return mp_queue_open(&party->handle, name, &opts, &party->queue);
}

static int queue_from_id(struct party *party, uint64_t id)
{
	return mp_queue_from_id(&party->handle, id, &party->queue);
}

static uint64_t id_of_queue(const struct party *party)
{
	return mp_queue_id(party->queue);
}

static int unlink_queue(struct party *party, const char *name)
{
	return mp_queue_unlink(&party->handle, name);
}

static bool queue_works(struct party *party)
{
	char message[MESSAGE_BYTES] = { 0 };

	return mp_queue_put(party->queue, message, 1, MP_NOW) == 0 &&
	       mp_queue_get(party->queue, message, 1, MP_NOW) == 1;
}

static void leave_empty(struct party *party)
{
	(void)party;
}

static void put_byte(struct party *party)
{
	char byte = 7;

	require(mp_queue_put(party->queue, &byte, 1, MP_NOW) == 0);
}

static int get_byte(struct party *party)
{
	char byte;
	int result = (int)mp_queue_get(party->queue, &byte, 1, MP_FOREVER);

	return result == 1 ? 0 : result;
}

/* --- locks --- */

static int open_lock(struct party *party, const char *name, uint32_t flags)
{
	struct mp_lock_opts opts = { .flags = flags };

	return mp_lock_open(&party->handle, name, &opts, &party->lock);
}

static int lock_from_id(struct party *party, uint64_t id)
{
	return mp_lock_from_id(&party->handle, id, &party->lock);
}

static uint64_t id_of_lock(const struct party *party)
{
	return mp_lock_id(party->lock);
}

static int unlink_lock(struct party *party, const char *name)
{
	return mp_lock_unlink(&party->handle, name);
}

static bool lock_works(struct party *party)
{
	return mp_lock_acquire(party->lock, MP_NOW) == 0 && mp_lock_release(party->lock) == 0;
}

static void hold_lock(struct party *party)
{
	require(mp_lock_acquire(party->lock, MP_NOW) == 0);
}

static void release_lock(struct party *party)
{
	require(mp_lock_release(party->lock) == 0);
}

static int pass_lock(struct party *party)
{
	int result = mp_lock_acquire(party->lock, MP_FOREVER);

	if (result >= 0)
		release_lock(party);
	return result;
}

/* --- events --- */

static int open_event(struct party *party, const char *name, uint32_t flags)
{
	struct mp_event_opts opts = { .flags = flags };

	return mp_event_open(&party->handle, name, &opts, &party->event);
}

static int event_from_id(struct party *party, uint64_t id)
{
	return mp_event_from_id(&party->handle, id, &party->event);
}

static uint64_t id_of_event(const struct party *party)
{
	return mp_event_id(party->event);
}

static int unlink_event(struct party *party, const char *name)
{
	return mp_event_unlink(&party->handle, name);
}

static bool event_works(struct party *party)
{
	return mp_event_set(party->event) == 0 && mp_event_is_set(party->event) == 1 &&
	       mp_event_clear(party->event) == 0 && mp_event_is_set(party->event) == 0;
}

static void leave_clear(struct party *party)
{
	require(mp_event_is_set(party->event) == 0);
}

static void set_event(struct party *party)
{
	require(mp_event_set(party->event) == 0);
}

static int await_event(struct party *party)
{
	return mp_event_wait(party->event, MP_FOREVER);
}

/* --- semaphores whose permits are owned: they have a second block --- */

#define PERMITS 3

static int open_sem(struct party *party, const char *name, uint32_t flags)
{
	struct mp_sem_opts opts = { .initial = PERMITS, .owned = 1, .flags = flags };

	return mp_sem_open(&party->handle, name, &opts, &party->sem);
}

static int sem_from_id(struct party *party, uint64_t id)
{
	return mp_sem_from_id(&party->handle, id, &party->sem);
}

static uint64_t id_of_sem(const struct party *party)
{
	return mp_sem_id(party->sem);
}

static int unlink_sem(struct party *party, const char *name)
{
	return mp_sem_unlink(&party->handle, name);
}

static bool sem_works(struct party *party)
{
	return mp_sem_value(party->sem) == PERMITS && mp_sem_acquire(party->sem, MP_NOW) == 0 &&
	       mp_sem_release(party->sem, 1) == 0;
}

static void hold_permits(struct party *party)
{
	for (unsigned i = 0; i < PERMITS; i++)
		require(mp_sem_acquire(party->sem, MP_NOW) == 0);
}

static void release_permits(struct party *party)
{
	require(mp_sem_release(party->sem, PERMITS) == 0);
}

static int pass_permit(struct party *party)
{
	int result = mp_sem_acquire(party->sem, MP_FOREVER);

	return result < 0 ? result : mp_sem_release(party->sem, 1);
}

/* --- conditions --- */

/* With the lock they belong to, which has a name to the end. */
static int open_cond(struct party *party, const char *name, uint32_t flags)
{
	struct mp_cond_opts opts = { .flags = flags };
	int error = party->lock ? 0
				: mp_lock_open(&party->handle, "its lock", NULL, &party->lock);

	return error < 0 ? error
			 : mp_cond_open(&party->handle, name, party->lock, &opts, &party->cond);
}

static int cond_from_id(struct party *party, uint64_t id)
{
	return mp_cond_from_id(&party->handle, id, &party->cond);
}

static uint64_t id_of_cond(const struct party *party)
{
	return mp_cond_id(party->cond);
}

static int unlink_cond(struct party *party, const char *name)
{
	return mp_cond_unlink(&party->handle, name);
}

static bool cond_works(struct party *party)
{
	mp_lock *lock = &party->cond->lock;

	return mp_lock_acquire(lock, MP_NOW) == 0 && mp_cond_notify(party->cond, 1) == 0 &&
	       mp_cond_wait(party->cond, MP_NOW) == -EAGAIN && mp_lock_release(lock) == 0;
}

static void leave_unnotified(struct party *party)
{
	require(mp_cond_notify(party->cond, 1) == -EPERM);
}

static void notify_cond(struct party *party)
{
	mp_lock *lock = &party->cond->lock;

	require(mp_lock_acquire(lock, MP_FOREVER) == 0);
	require(mp_cond_notify(party->cond, 1) == 1);
	require(mp_lock_release(lock) == 0);
}

static int await_cond(struct party *party)
{
	mp_lock *lock = &party->cond->lock;
	int result = mp_lock_acquire(lock, MP_FOREVER);

	if (result < 0)
		return result;
	result = mp_cond_wait(party->cond, MP_FOREVER);
	require(mp_lock_release(lock) == 0);
	return result;
}

/* --- read-write locks --- */

static int open_rwlock(struct party *party, const char *name, uint32_t flags)
{
	struct mp_rwlock_opts opts = { .flags = flags };

	return mp_rwlock_open(&party->handle, name, &opts, &party->rwlock);
}

static int rwlock_from_id(struct party *party, uint64_t id)
{
	return mp_rwlock_from_id(&party->handle, id, &party->rwlock);
}

static uint64_t id_of_rwlock(const struct party *party)
{
	return mp_rwlock_id(party->rwlock);
}

static int unlink_rwlock(struct party *party, const char *name)
{
	return mp_rwlock_unlink(&party->handle, name);
}

static bool rwlock_works(struct party *party)
{
	return mp_rwlock_acquire_read(party->rwlock, MP_NOW) == 0 &&
	       mp_rwlock_release(party->rwlock) == 0 &&
	       mp_rwlock_acquire_write(party->rwlock, MP_NOW) == 0 &&
	       mp_rwlock_release(party->rwlock) == 0;
}

static void hold_rwlock(struct party *party)
{
	require(mp_rwlock_acquire_write(party->rwlock, MP_NOW) == 0);
}

static void release_rwlock(struct party *party)
{
	require(mp_rwlock_release(party->rwlock) == 0);
}

/* To write: who reads is in when the one before has left, awake or not. */
static int pass_rwlock(struct party *party)
{
	int result = mp_rwlock_acquire_write(party->rwlock, MP_FOREVER);

	if (result >= 0)
		release_rwlock(party);
	return result;
}

/* --- all --- */

static const struct object_verbs queues = {
	open_queue, queue_from_id, id_of_queue, unlink_queue, queue_works,
	leave_empty, put_byte, get_byte,
};
static const struct object_verbs locks = {
	open_lock, lock_from_id, id_of_lock, unlink_lock, lock_works,
	hold_lock, release_lock, pass_lock,
};
static const struct object_verbs events = {
	open_event, event_from_id, id_of_event, unlink_event, event_works,
	leave_clear, set_event, await_event,
};
static const struct object_verbs sems = {
	open_sem, sem_from_id, id_of_sem, unlink_sem, sem_works,
	hold_permits, release_permits, pass_permit,
};

static const struct object_verbs conditions = {
	open_cond, cond_from_id, id_of_cond, unlink_cond, cond_works,
	leave_unnotified, notify_cond, await_cond,
};

static const struct object_verbs rwlocks = {
	open_rwlock, rwlock_from_id, id_of_rwlock, unlink_rwlock, rwlock_works,
	hold_rwlock, release_rwlock, pass_rwlock,
};

const struct object_verbs *object_verbs_of(const struct scene *scene)
{
	static const struct object_verbs *const kinds[] = {
		[QUEUE] = &queues, [LOCK] = &locks, [FILLED] = &queues, [EVENT] = &events,
		[SEMAPHORE] = &sems, [CONDITION] = &conditions,
		[RWLOCK] = &rwlocks
	};

	return kinds[scene->operation->variant];
}

bool object_is_open(const struct party *party)
{
	return party->queue || party->lock || party->event || party->sem || party->cond ||
	       party->rwlock;
}

void object_close_handle(struct party *party)
{
	party->queue = mp_queue_close(party->queue);
	party->cond = mp_cond_close(party->cond);
	party->lock = mp_lock_close(party->lock);
	party->event = mp_event_close(party->event);
	party->sem = mp_sem_close(party->sem);
	party->rwlock = mp_rwlock_close(party->rwlock);
}
