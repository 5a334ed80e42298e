/* SPDX-License-Identifier: MIT
 *
 * Read-write locks: making, opening, closing, the death of who reads or writes, and the sentences
 * that name them. Knows: the row of the table of kinds. Does not know: how they are taken
 * (rwlock.c).
 */
#include "rwlock_internal.h"

#include "clock.h"
#include "explain.h"
#include "handle.h"
#include "opts.h"
#include "slot.h"
#include "sweep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHO_BYTES (NAME_BYTES + 48)
/* Rings take longer than looks. */
#define LOOKS_OF_A_DEATH 4096
/* A writer admits it once; who forges words changes them for ever. */
#define SHARE_TRIES 16

static int make_rwlock(struct seg *seg, struct self *me, void *object, const void *opts)
{
	const struct mp_rwlock_opts *wish = opts;
	struct shm_rwlock *shared = object;

	(void)seg;
	(void)me;
	store_relaxed(&shared->on_owner_death,
		      wish->on_owner_death ? wish->on_owner_death : (uint32_t)MP_OWNER_REPORT);
	return 0;
}

static const char *after_death(uint32_t on_owner_death)
{
	return on_owner_death == MP_OWNER_POISON ? "poison" : "report";
}

static void compare_rwlock(void *object, const void *opts, struct opts_difference *difference)
{
	struct shm_rwlock *shared = object;
	const struct mp_rwlock_opts *wish = opts;

	opts_note_word(difference, "on_owner_death",
		       after_death(load_relaxed(&shared->on_owner_death)),
		       wish->on_owner_death ? after_death(wish->on_owner_death) : NULL);
}

/* --- the death of one that reads or writes --- */

/* One that was told of a death, and died before it left: the next one is told. */
static void take_back_told(struct shm_rwlock *shared, struct sweep *sweep)
{
	uint64_t word = load_seqcst(&shared->word);

	while (word & RWLOCK_TOLD) {
		uint32_t thread = rwlock_word_told_slot(word) % THREADS_MAX;
		uint64_t who = reader_word_who(load_seqcst(rwlock_reader(shared, thread)), thread);

		if (!rwlock_word_has_told(word, who) || !sweep_has_thread(sweep, who) ||
		    !sweep_is_current(sweep))
			return;
		if (cas_seqcst(&shared->word, &word, (word & ~RWLOCK_TOLD) | LOCK_DIED))
			return;
	}
}

static bool take_back_shares(struct seg *seg, struct shm_rwlock *shared, struct sweep *sweep)
{
	uint32_t high = seg_threads_high(seg);
	bool is_any = false;

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++) {
		atom64 *reader = rwlock_reader(shared, thread);
		uint64_t word = load_seqcst(reader);

		/* Again when a writer admits it just then. */
		for (unsigned i = 0; i < SHARE_TRIES && word &&
				     sweep_has_thread(sweep, reader_word_who(word, thread)) &&
				     sweep_is_current(sweep); i++)
			if (cas_seqcst(reader, &word, 0)) {
				is_any = true;
				break;
			}
	}
	return is_any;
}

/* Several recoverers store the same; before the CAS that says DIED. */
static void note_death(struct seg *seg, struct shm_rwlock *shared, const struct sweep *sweep,
		       uint64_t who)
{
	store_relaxed(&shared->died_who, who);
	store_relaxed(&shared->died_ns, sweep->died_ns);
	store_relaxed(&shared->died_pid,
		      client_word_pid(slot_client_word(seg, sweep->client)));
}

static bool free_word(struct seg *seg, struct shm_rwlock *shared, struct sweep *sweep)
{
	bool poison = load_relaxed(&shared->on_owner_death) == MP_OWNER_POISON;
	uint64_t word = load_seqcst(&shared->word);

	while (sweep_has_thread(sweep, lock_word_owner(word)) && sweep_is_current(sweep)) {
		uint64_t who = lock_word_owner(word);
		bool was_inside = load_seqcst(&shared->entered) == who;

		if (was_inside)
			note_death(seg, shared, sweep, who);
		if (!cas_seqcst(&shared->word, &word,
				rwlock_word_after_death(word, was_inside, poison)))
			continue;
		if (was_inside)
			add_relaxed(&shared->deaths, 1);
		return true;
	}
	return false;
}

static bool recover_rwlock(struct seg *seg, void *object, struct sweep *sweep)
{
	struct shm_rwlock *shared = object;
	bool is_changed;

	if (!turn_take(sweep->inside.turn, THREADS_MAX + LOOKS_OF_A_DEATH))
		return false;
	take_back_told(shared, sweep); /* first: without its share a writer comes in */
	is_changed = take_back_shares(seg, shared, sweep);
	is_changed |= free_word(seg, shared, sweep);
	if (!is_changed)
		return true;
	wait_wake_all(seg, NULL, &shared->draining);
	wait_wake_all(seg, NULL, &shared->readers);
	wait_wake_all(seg, NULL, &shared->writers);
	return true;
}

/* --- the row --- */

static struct shm_waiters *rwlock_waiters(void *object, unsigned condition)
{
	struct shm_rwlock *shared = object;

	switch (condition) {
	case WAIT_TO_READ: return &shared->readers;
	case WAIT_TO_WRITE: return &shared->writers;
	case WAIT_DRAINED: return &shared->draining;
	default: return NULL;
	}
}

/* Admitted, and perhaps asleep: whoever admitted it may have died before it rang. */
static bool has_share(struct seg *seg, struct shm_rwlock *shared, uint32_t client)
{
	uint32_t high = seg_threads_high(seg);

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++) {
		uint64_t word = load_seqcst(rwlock_reader(shared, thread));

		if (reader_word_count(word) && !(word & READER_WAITS) &&
		    slot_client_of_who(seg, reader_word_who(word, thread)) == client)
			return true;
	}
	return false;
}

static bool rwlock_is_ready(struct seg *seg, void *object, unsigned condition, uint32_t client)
{
	struct shm_rwlock *shared = object;

	if (condition == WAIT_DRAINED)
		return rwlock_any_reader(seg, shared) == SLOT_NONE;
	return rwlock_is_free(shared) ||
	       (condition == WAIT_TO_READ && has_share(seg, shared, client));
}

static uint64_t rwlock_progress(struct seg *seg, void *object, unsigned condition)
{
	struct shm_rwlock *shared = object;

	(void)seg;
	(void)condition;
	return load_relaxed(&shared->writes) + load_relaxed(&shared->word);
}

extern const struct object_type rwlock_type;
const struct object_type rwlock_type = {
	.kind = OBJECT_RWLOCK,
	.name = "rwlock",
	.bytes = sizeof(struct shm_rwlock),
	.recover = recover_rwlock,
	.waiters = rwlock_waiters,
	.is_ready = rwlock_is_ready,
	.progress = rwlock_progress,
};

/* --- handles --- */

static int check_opts(struct seg *seg, struct opts_of what, const void *opts)
{
	const struct mp_rwlock_opts *wish = opts;

	(void)seg;
	if (wish->on_owner_death > MP_OWNER_POISON)
		return explain(-EINVAL, "rwlock '%s': opts.on_owner_death is %u, no enum "
					"mp_owner_death", opts_name(what), wish->on_owner_death);
	return 0;
}

static int fill_handle(struct object_handle *handle)
{
	mp_rwlock *rwlock = (mp_rwlock *)handle;

	rwlock->seg = handle->seg;
	rwlock->shared = handle->object;
	return 0;
}

/* The last handle goes while threads of this process read or write: nobody could give that back any
 * more, and no sweep would look at it. It ends as if they had died. */
static void give_up(struct object_handle *handle)
{
	struct sweep sweep = { .seg = handle->seg,
			       .client = handle->seg->client,
			       .generation = handle->seg->client_generation,
			       .is_leaving = true,
			       .died_ns = (uint64_t)clock_now_ns() };

	if (sweep.client != SLOT_NONE)
		recover_rwlock(handle->seg, handle->object, &sweep);
}

static const struct handle_life life = {
	.type = &rwlock_type,
	.ret_name = "ret_rwlock",
	.handle_bytes = sizeof(mp_rwlock),
	.check = check_opts,
	.compare = compare_rwlock,
	.make = make_rwlock,
	.fill = fill_handle,
	.give_up = give_up,
};

int mp_rwlock_open(mp_segment *segment, const char *name, const struct mp_rwlock_opts *opts,
		   mp_rwlock **ret_rwlock)
{
	static const struct mp_rwlock_opts defaults;
	const struct mp_rwlock_opts *given = opts ? opts : &defaults;
	struct handle_wish wish = { .segment = segment,
				    .name = name,
				    .opts = given,
				    .ret = ret_rwlock,
				    .flags = given->flags,
				    .reserved = given->reserved,
				    .reserved_count = ARRAY_LEN(given->reserved) };
	struct object_handle *handle;
	int error = handle_open(&life, &wish, &handle);

	if (error == 0)
		*ret_rwlock = (mp_rwlock *)handle;
	return error;
}

int mp_rwlock_from_id(mp_segment *segment, uint64_t id, mp_rwlock **ret_rwlock)
{
	struct object_handle *handle;
	int error = handle_from_id(&life, segment, id, ret_rwlock, &handle);

	if (error == 0)
		*ret_rwlock = (mp_rwlock *)handle;
	return error;
}

mp_rwlock *mp_rwlock_close(mp_rwlock *rwlock)
{
	handle_close(&life, rwlock ? &rwlock->handle : NULL);
	return NULL;
}

int mp_rwlock_unlink(mp_segment *segment, const char *name)
{
	return handle_unlink(&life, segment, name);
}

uint64_t mp_rwlock_id(const mp_rwlock *rwlock)
{
	return rwlock ? rwlock->handle.id : 0;
}

/* --- who it is, for waiters and people --- */

static uint64_t writer(const mp_rwlock *rwlock)
{
	return lock_word_owner(load_acquire(&rwlock->shared->word));
}

static uint64_t reader(const mp_rwlock *rwlock)
{
	uint32_t thread = rwlock_any_reader(rwlock->seg, rwlock->shared);
	atom64 *word = rwlock_reader(rwlock->shared, thread);

	return thread == SLOT_NONE ? 0 : reader_word_who(load_relaxed(word), thread);
}

uint32_t rwlock_writer_client(const mp_rwlock *rwlock)
{
	return slot_client_of_who(rwlock->seg, writer(rwlock));
}

uint32_t rwlock_reader_client(const mp_rwlock *rwlock)
{
	return slot_client_of_who(rwlock->seg, reader(rwlock));
}

/* "worker[12] thread 13"; "" when it has just gone. */
static const char *name_thread(const mp_rwlock *rwlock, uint64_t who, char text[static WHO_BYTES])
{
	struct seg *seg = rwlock->seg;
	uint32_t client = slot_client_of_who(seg, who);

	text[0] = '\0';
	if (client == SLOT_NONE || client >= seg->at.max_clients)
		return text;
	if (slot_is_of_our_namespace(seg, client)) /* else the numbers name somebody else here */
		snprintf(text, WHO_BYTES, "%.*s[%u] thread %u", NAME_BYTES - 1,
			 seg->clients[client].name, client_word_pid(slot_client_word(seg, client)),
			 load_relaxed(&seg->threads[who_slot(who)].tid));
	else
		snprintf(text, WHO_BYTES, "%.*s in another PID namespace", NAME_BYTES - 1,
			 seg->clients[client].name);
	return text;
}

cold int rwlock_explain_written(const mp_rwlock *rwlock, int error)
{
	char text[WHO_BYTES];

	if (!name_thread(rwlock, writer(rwlock), text)[0])
		return explain(error, "the rwlock '%s' was just released; try again",
			       object_name(&rwlock->handle));
	return explain(error, "%s writes under the rwlock '%s', or waits to", text,
		       object_name(&rwlock->handle));
}

cold int rwlock_explain_read(const mp_rwlock *rwlock, int error)
{
	char text[WHO_BYTES];

	if (!name_thread(rwlock, reader(rwlock), text)[0])
		return explain(error, "the rwlock '%s' was just released; try again",
			       object_name(&rwlock->handle));
	return explain(error, "%s still reads under the rwlock '%s'", text,
		       object_name(&rwlock->handle));
}

cold int rwlock_refuse_poisoned(const mp_rwlock *rwlock)
{
	int64_t age_ns = clock_now_ns() - (int64_t)load_relaxed(&rwlock->shared->died_ns);

	return explain(-ENOTRECOVERABLE,
		       "process %u died %.1f s ago while it wrote under the rwlock '%s'; take it "
		       "with mp_rwlock_repair and mend what it guards",
		       load_relaxed(&rwlock->shared->died_pid), (double)age_ns / 1e9,
		       object_name(&rwlock->handle));
}

cold int rwlock_refuse_release(const mp_rwlock *rwlock)
{
	char text[WHO_BYTES];
	bool is_read;

	if (name_thread(rwlock, writer(rwlock), text)[0])
		return explain(-EPERM, "the rwlock '%s' is written by %s, only that thread "
				       "releases it", object_name(&rwlock->handle), text);
	is_read = name_thread(rwlock, reader(rwlock), text)[0];
	if (!is_read)
		return explain(-EOVERFLOW, "the rwlock '%s' is not held; it was released once too "
					   "often", object_name(&rwlock->handle));
	return explain(-EPERM, "the rwlock '%s' is read by %s, not by this thread",
		       object_name(&rwlock->handle), text);
}
