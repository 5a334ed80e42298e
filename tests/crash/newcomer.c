/* SPDX-License-Identifier: MIT
 *
 * See newcomer.h. Knows: that the lowest free slots are taken first, so that two get those of
 * VICTIM and EARLIER. Does not know: what was recovered.
 *
 * They have objects of their own, and take part in the scene's: a lease of its queue, and its lock.
 * What they take there for good is noted in SLEEPER's ledger, which nobody else uses in a pair.
 */
#include "newcomer.h"

#include "arena.h"
#include "clock.h"
#include "judge.h"
#include "recover.h"
#include "require.h"
#include "scene.h"
#include "self.h"
#include "slot.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#define NEWCOMERS 2
#define COME_NS INT64_C(20000000)
#define GO_MS 10000
#define BLOCK 500

struct newcomer {
	struct party party;
	char name[16];
	mp_queue *shared_queue;
	mp_lock *shared_lock;
	struct mp_slot shared_slot;
	int shared_told; /* by the scene's lock */
};

static void attach(struct scene *scene, struct party *party)
{
	struct seg *model = scene->parties[CHECKER].seg;
	int fd = fcntl(model->fd, F_DUPFD_CLOEXEC, 3);
	struct self *me;

	require(fd >= 0 && seg_map(fd, false, &party->seg) == 0);
	party->seg->hooks = model->hooks;
	party->seg->roster_fd = -1;
	party->seg->fork_epoch = self_fork_epoch();
	party->seg->usable_cpus = 1;
	party->handle = (struct mp_segment){ .seg = party->seg, .users = 1 };
	require(slot_claim_client(party->seg, 0, "newcomer", SLOT_NONE, &party->seg->client,
				  &party->seg->client_generation) == 0);
	require(self_get(party->seg, &me) == 0);
}

static void take_own(struct newcomer *newcomer)
{
	struct party *party = &newcomer->party;
	struct mp_queue_opts opts = { .capacity = CAPACITY };
	void *data;

	require(arena_alloc(party->seg, NULL, party->seg->client, BLOCK, &party->reference,
			    &data) == 0);
	require(mp_lock_open(&party->handle, newcomer->name, NULL, &party->lock) == 0);
	require(mp_lock_acquire(party->lock, MP_NOW) == 0);
	newcomer->name[0] = 'q';
	require(mp_queue_open(&party->handle, newcomer->name, &opts, &party->queue) == 0);
	for (unsigned lap = 0; lap < 2 * CAPACITY; lap++) {
		require(mp_queue_put(party->queue, "xyz", 3, MP_NOW) == 0);
		require(mp_queue_claim(party->queue, MP_NOW, &party->slot) >= 0);
		if (lap + 1 < 2 * CAPACITY)
			require(mp_queue_ack(party->queue, &party->slot) == 0);
	}
}

static void take_shared(struct newcomer *newcomer)
{
	struct mp_queue_opts a_queue = { .flags = MP_EXISTING };
	struct mp_lock_opts a_lock = { .flags = MP_EXISTING };
	struct party *party = &newcomer->party;

	newcomer->shared_told = -ENOENT;
	if (mp_queue_open(&party->handle, "queue", &a_queue, &newcomer->shared_queue) == 0 &&
	    mp_queue_claim(newcomer->shared_queue, MP_NOW, &newcomer->shared_slot) < 0)
		newcomer->shared_slot.data = NULL; /* it is empty, or closed */
	if (mp_lock_open(&party->handle, "lock", &a_lock, &newcomer->shared_lock) == 0)
		newcomer->shared_told = mp_lock_acquire(newcomer->shared_lock, MP_NOW);
}

/* Each is asked, so that one that fails does not hide the others. */
static bool has_own(struct scene *scene, struct newcomer *newcomer)
{
	struct party *party = &newcomer->party;
	bool is_good = party->slot.len == 3 && memcmp(party->slot.data, "xyz", 3) == 0;

	is_good &= mp_queue_ack(party->queue, &party->slot) == 0;
	is_good &= mp_queue_is_empty(party->queue);
	if (!is_good)
		complain(scene, "a newcomer's lease is not as it was");
	if (mp_lock_release(party->lock) != 0 || mp_lock_acquire(party->lock, MP_NOW) != 0 ||
	    mp_lock_release(party->lock) != 0)
		is_good = complain(scene, "a newcomer's lock is not as it was");
	if (arena_free(party->seg, NULL, party->seg->client, party->reference) != 0)
		is_good = complain(scene, "a newcomer's block is not as it was");
	return is_good;
}

static bool has_shared(struct scene *scene, struct newcomer *newcomer)
{
	struct ledger *ledger = &scene->ledgers[SLEEPER];
	bool is_good = true;

	if (newcomer->shared_slot.data) {
		require(newcomer->shared_slot.len <= BUFFER_BYTES);
		memcpy(ledger->buffer, newcomer->shared_slot.data, newcomer->shared_slot.len);
		ledger->is_taking = true;
		ledger->result = mp_queue_ack(newcomer->shared_queue, &newcomer->shared_slot);
		atomic_store(&ledger->is_done, 1);
		if (ledger->result != 0)
			is_good = complain(scene, "a newcomer's lease is not its own: %d",
					   ledger->result);
	}
	/* Who was told of a death and closes what he has hands that on. */
	if (newcomer->shared_told == 0 && mp_lock_release(newcomer->shared_lock) != 0)
		is_good = complain(scene, "a newcomer has lost the lock");
	return is_good;
}

static void leave(struct newcomer *newcomer)
{
	struct party *party = &newcomer->party;

	require(mp_queue_unlink(&party->handle, newcomer->name) == 0);
	newcomer->name[0] = 'l';
	require(mp_lock_unlink(&party->handle, newcomer->name) == 0);
	mp_queue_close(party->queue);
	mp_lock_close(party->lock);
	mp_queue_close(newcomer->shared_queue);
	mp_lock_close(newcomer->shared_lock);
	self_forget_all(party->seg);
	recover_own_exit(party->seg);
}

/* In a clone of its own. */
static void play(struct scene *scene)
{
	static struct newcomer newcomers[NEWCOMERS] = { { .name = "l1" }, { .name = "l2" } };
	struct ledger *ledger = &scene->ledgers[SLEEPER];
	struct timespec nap = { .tv_nsec = 30000 };
	bool is_good = true;

	for (unsigned i = 0; i < NEWCOMERS; i++)
		attach(scene, &newcomers[i].party);
	for (unsigned i = 0; i < NEWCOMERS; i++)
		take_own(&newcomers[i]);
	take_shared(&newcomers[NEWCOMERS - 1]);
	atomic_store(&ledger->is_stopped, 1);
	while (!atomic_load(&ledger->may_go_on))
		nanosleep(&nap, NULL);
	for (unsigned i = 0; i < NEWCOMERS; i++)
		is_good &= has_own(scene, &newcomers[i]);
	is_good &= has_shared(scene, &newcomers[NEWCOMERS - 1]);
	for (unsigned i = 0; i < NEWCOMERS; i++)
		leave(&newcomers[i]);
	_exit(is_good ? 0 : 1);
}

void newcomers_come(struct scene *scene)
{
	struct ledger *ledger = &scene->ledgers[SLEEPER];
	int64_t until = clock_now_ns() + COME_NS;
	struct timespec nap = { .tv_nsec = 30000 };

	scene_clone(scene, EARLIER, play);
	while (!atomic_load(&ledger->is_stopped) && clock_now_ns() < until)
		nanosleep(&nap, NULL);
}

bool newcomers_go(struct scene *scene)
{
	int status;

	atomic_store(&scene->ledgers[SLEEPER].may_go_on, 1);
	status = scene_wait(scene, EARLIER, GO_MS);
	return status == 0 ||
	       complain(scene, "the newcomers do not end well: %#x", (unsigned)status);
}

bool newcomers_took(const struct scene *scene)
{
	const struct ledger *ledger = &scene->ledgers[SLEEPER];

	return ledger->is_taking && atomic_load(&ledger->is_done) && ledger->result == 0;
}
