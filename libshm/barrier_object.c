/* SPDX-License-Identifier: MIT
 *
 * Barriers: making, opening, closing, and the death of a party. Knows: the row of the table of
 * kinds. Does not know: how one waits (barrier.c).
 *
 * Who dies outside of a wait was not expected by anybody in particular. Who dies inside, by the
 * `meeting` of one of his threads or because the word names him as the one who acts, breaks that
 * generation if it is not decided; one that is late finds it decided, or is not current any more:
 * then the slot may be another's, whose own `meeting` it would be.
 */
#include "barrier_internal.h"

#include "explain.h"
#include "handle.h"
#include "opts.h"
#include "shmref.h"
#include "slot.h"
#include "sweep.h"

#include <errno.h>

/* All threads, and the rings. */
#define LOOKS_OF_A_DEATH 4096

/* Is that thread, of whoever is swept, in the generation of the word? */
static bool is_inside(struct seg *seg, const struct sweep *sweep, uint64_t word, uint64_t offset,
		      uint32_t thread, uint64_t *ret_who)
{
	struct shm_thread *slot = &seg->threads[thread];
	uint64_t slot_word = load_acquire(&slot->word);
	uint64_t who = who_make(thread, thread_word_generation(slot_word));

	*ret_who = who;
	if (thread_word_state(slot_word) == SLOT_FREE || !sweep_has_thread(sweep, who))
		return false;
	if (barrier_word_state(word) == BARRIER_ACTION && barrier_word_is_by(word, who))
		return true;
	return load_acquire(&slot->meeting) == offset &&
	       load_relaxed(&slot->meeting_generation) == barrier_word_generation(word);
}

static bool find_inside(struct seg *seg, const struct sweep *sweep, uint64_t word, uint64_t offset,
			uint64_t *ret_who)
{
	uint32_t high = seg_threads_high(seg);

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++)
		if (is_inside(seg, sweep, word, offset, thread, ret_who))
			return true;
	return false;
}

static bool recover_barrier(struct seg *seg, void *object, struct sweep *sweep)
{
	struct shm_barrier *shared = object;
	uint64_t word = load_acquire(&shared->word), who;
	enum barrier_state why = sweep_is_own(sweep) ? BARRIER_LEFT : BARRIER_DIED;

	if (!turn_take(sweep->inside.turn, LOOKS_OF_A_DEATH))
		return false;
	while (!barrier_word_is_broken(word) &&
	       find_inside(seg, sweep, word, shm_offset(seg, shared), &who) &&
	       sweep_is_current(sweep)) {
		if (!barrier_break_for(seg, shared, &word, why, who))
			continue;
		barrier_ring_all(seg, NULL, shared);
		return true;
	}
	/* One who broke it may have died before he said so; his slot still tells. */
	if (barrier_word_is_broken(word))
		barrier_note_breaker(seg, shared, word);
	return true;
}

static struct shm_waiters *barrier_waiters(void *object, unsigned condition)
{
	(void)condition; /* any generation */
	return &((struct shm_barrier *)object)->waiters;
}

static bool barrier_is_ready(struct seg *seg, void *object, unsigned condition, uint32_t client)
{
	uint64_t word = load_seqcst(&((struct shm_barrier *)object)->word);

	(void)seg;
	(void)client;
	return barrier_word_is_broken(word) ||
	       barrier_word_generation(word) % BARRIER_CONDITIONS != condition;
}

static uint64_t barrier_progress(struct seg *seg, void *object, unsigned condition)
{
	(void)seg;
	(void)condition;
	return load_relaxed(&((struct shm_barrier *)object)->word);
}

const struct object_type barrier_type = {
	.kind = OBJECT_BARRIER,
	.name = "barrier",
	.bytes = sizeof(struct shm_barrier),
	.recover = recover_barrier,
	.waiters = barrier_waiters,
	.is_ready = barrier_is_ready,
	.progress = barrier_progress,
};

/* A thread waits in one place at a time. */
static uint32_t parties_max(const struct seg *seg)
{
	return seg->at.max_threads - SLOT_FIRST;
}

static int check_opts(struct seg *seg, struct opts_of what, const void *opts)
{
	const struct mp_barrier_opts *wish = opts;

	if (wish->parties <= parties_max(seg))
		return 0;
	return explain(-EINVAL, "barrier '%s': opts.parties is %u, the segment has room for %u "
				"threads; open it with more max_sleepers, or let fewer meet",
		       opts_name(what), wish->parties, parties_max(seg));
}

static int make_barrier(struct seg *seg, struct self *me, void *object, const void *opts)
{
	const struct mp_barrier_opts *wish = opts;
	struct shm_barrier *shared = object;

	(void)seg;
	(void)me;
	if (wish->parties == 0)
		return explain(-EINVAL, "a barrier is not there yet, and opts.parties does not say "
					"how many meet");
	store_relaxed(&shared->parties, wish->parties);
	return 0;
}

static void compare_barrier(void *object, const void *opts, struct opts_difference *difference)
{
	const struct mp_barrier_opts *wish = opts;

	opts_note_number(difference, "parties",
			 load_relaxed(&((struct shm_barrier *)object)->parties), wish->parties);
}

static int fill_handle(struct object_handle *handle)
{
	mp_barrier *barrier = (mp_barrier *)handle;

	barrier->shared = handle->object;
	barrier->parties = load_relaxed(&barrier->shared->parties);
	if (barrier->parties == 0 || barrier->parties > parties_max(handle->seg))
		return explain(-EBADMSG, "barrier '%s' is for %u threads, which cannot be: "
					 "something wrote over it", object_name(handle),
			       barrier->parties);
	return 0;
}

static const struct handle_life life = {
	.type = &barrier_type,
	.ret_name = "ret_barrier",
	.handle_bytes = sizeof(mp_barrier),
	.check = check_opts,
	.compare = compare_barrier,
	.make = make_barrier,
	.fill = fill_handle,
};

int mp_barrier_open(mp_segment *segment, const char *name, const struct mp_barrier_opts *opts,
		    mp_barrier **ret_barrier)
{
	static const struct mp_barrier_opts defaults;
	const struct mp_barrier_opts *given = opts ? opts : &defaults;
	struct handle_wish wish = { .segment = segment,
				    .name = name,
				    .opts = given,
				    .ret = ret_barrier,
				    .flags = given->flags,
				    .reserved = given->reserved,
				    .reserved_count = ARRAY_LEN(given->reserved) };
	struct object_handle *handle;
	int error = handle_open(&life, &wish, &handle);

	if (error < 0)
		return error;
	*ret_barrier = (mp_barrier *)handle;
	(*ret_barrier)->action = given->action;
	(*ret_barrier)->arg = given->arg;
	return 0;
}

int mp_barrier_from_id(mp_segment *segment, uint64_t id, mp_barrier **ret_barrier)
{
	struct object_handle *handle;
	int error = handle_from_id(&life, segment, id, ret_barrier, &handle);

	if (error == 0)
		*ret_barrier = (mp_barrier *)handle;
	return error;
}

mp_barrier *mp_barrier_close(mp_barrier *barrier)
{
	handle_close(&life, barrier ? &barrier->handle : NULL);
	return NULL;
}

int mp_barrier_unlink(mp_segment *segment, const char *name)
{
	return handle_unlink(&life, segment, name);
}

uint64_t mp_barrier_id(const mp_barrier *barrier)
{
	return barrier ? barrier->handle.id : 0;
}
