/* SPDX-License-Identifier: MIT
 *
 * Semaphores: making, opening, closing. Knows: the options, the row of the table of kinds. Does not
 * know: how permits are taken and given (sem.c, sem_cells.c).
 */
#include "sem_internal.h"

#include "arena.h"
#include "clock.h"
#include "explain.h"
#include "opts.h"
#include "sweep.h"

#include <errno.h>
#include <string.h>

/* An audit looks at as many cells; beyond that it takes one as free. */
#define CELLS_PER_LOOK 512

static int make_cells(struct seg *seg, struct self *me, struct shm_sem *shared, uint32_t count)
{
	uint64_t reference;
	void *cells;
	int error;

	if (count == 0) /* who only attaches may leave it open */
		return explain(-EINVAL, "owned permits need opts.initial, 1 to %u", SEM_CELLS_MAX);
	error = arena_alloc(seg, NULL, me->client, count * sizeof(atom64), &reference, &cells);
	if (error == -ETIMEDOUT)
		return error;
	if (error < 0)
		return explain(error == -EMSGSIZE ? -ENOSPC : error,
			       "segment '%s' has no room for %u owned permits of a semaphore",
			       seg->name, count);
	memset(cells, 0, count * sizeof(atom64)); /* all are free */
	store_relaxed(&shared->cells, reference);
	return 0;
}

static int make_sem(struct seg *seg, struct self *me, void *object, const void *opts)
{
	const struct mp_sem_opts *wish = opts;
	struct shm_sem *shared = object;

	store_relaxed(&shared->initial, wish->initial);
	store_relaxed(&shared->maximum, wish->maximum);
	store_relaxed(&shared->owned, wish->owned);
	if (wish->owned)
		return make_cells(seg, me, shared, wish->initial);
	store_relaxed(&shared->word, wish->initial);
	return 0;
}

static void compare_sem(void *object, const void *opts, struct opts_difference *difference)
{
	struct shm_sem *shared = object;
	const struct mp_sem_opts *wish = opts;

	opts_note_number(difference, "initial", load_relaxed(&shared->initial), wish->initial);
	opts_note_number(difference, "maximum", load_relaxed(&shared->maximum), wish->maximum);
	opts_note_number(difference, "owned", load_relaxed(&shared->owned), wish->owned);
}

/* --- the row --- */

static struct shm_waiters *sem_waiters(void *object, unsigned condition)
{
	struct shm_sem *shared = object;

	return condition == WAIT_ACQUIRABLE ? &shared->waiters : NULL;
}

/* Who sleeps has seen WAIT in the word. A release that drops it looks once more for sleepers; if it
 * died before, the next one would ring nobody. */
static bool sem_is_ready(struct seg *seg, void *object, unsigned condition, uint32_t client)
{
	struct shm_sem *shared = object;
	uint64_t word = load_seqcst(&shared->word);
	struct sem_cells cells;

	(void)condition;
	(void)client;
	if (sem_word_value(word) > 0 || !(word & SEM_WAIT))
		return true;
	return sem_find_cells(seg, shared, &cells) && sem_cells_are_free(&cells, CELLS_PER_LOOK);
}

static uint64_t sem_progress(struct seg *seg, void *object, unsigned condition)
{
	struct shm_sem *shared = object;

	(void)seg;
	(void)condition;
	return load_relaxed(&shared->word) + load_relaxed(&shared->returned);
}

static bool sem_blocks(struct seg *seg, void *object, struct walk *walk, object_each each,
		       void *arg)
{
	struct shm_sem *shared = object;
	uint64_t reference = load_relaxed(&shared->cells);

	(void)seg;
	(void)walk;
	if (reference)
		each(arg, reference);
	return true;
}

extern const struct object_type sem_type;
const struct object_type sem_type = {
	.kind = OBJECT_SEMAPHORE,
	.name = "semaphore",
	.bytes = sizeof(struct shm_sem),
	.recover = sem_recover,
	.waiters = sem_waiters,
	.is_ready = sem_is_ready,
	.progress = sem_progress,
	.blocks = sem_blocks,
};

/* --- life --- */

static int check_owned(const char *name, const struct mp_sem_opts *opts)
{
	if (opts->owned > 1)
		return explain(-EINVAL, "semaphore '%s': opts.owned is %u, neither 0 nor 1", name,
			       opts->owned);
	if (opts->owned && opts->initial > SEM_CELLS_MAX)
		return explain(-EINVAL, "semaphore '%s': opts.initial is %u, owned permits are at "
					"most %u", name, opts->initial, SEM_CELLS_MAX);
	if (opts->owned && opts->maximum && opts->maximum != opts->initial)
		return explain(-EINVAL, "semaphore '%s': opts.maximum is %u and opts.initial %u, "
					"owned permits neither come nor go", name, opts->maximum,
			       opts->initial);
	return 0;
}

static int check_opts(struct seg *seg, struct opts_of what, const void *opts)
{
	const struct mp_sem_opts *wish = opts;
	uint32_t maximum = wish->maximum ? wish->maximum : SEM_VALUE_MAX;
	int error = opts_check_reserved(what, wish->reserved1, wish->reserved, 0);

	(void)seg;
	if (error < 0)
		return error;
	if (maximum > SEM_VALUE_MAX)
		return explain(-EINVAL, "semaphore '%s': opts.maximum is %u, at most %d",
			       opts_name(what), maximum, SEM_VALUE_MAX);
	if (wish->initial > maximum)
		return explain(-EINVAL, "semaphore '%s': opts.initial is %u, at most %u",
			       opts_name(what), wish->initial, maximum);
	return check_owned(opts_name(what), wish);
}

static int fill_handle(struct object_handle *handle)
{
	struct mp_sem *sem = (struct mp_sem *)handle;
	uint32_t maximum;

	sem->shared = handle->object;
	maximum = load_relaxed(&sem->shared->maximum);
	sem->maximum = maximum && maximum < SEM_VALUE_MAX ? maximum : SEM_VALUE_MAX;
	if (sem_find_cells(handle->seg, sem->shared, &sem->cells))
		return 0;
	return explain(-EBADMSG, "the references of semaphore '%s' are corrupt",
		       object_name(handle));
}

/* The last handle goes while this process holds permits: nobody could release them any more, and no
 * sweep would look at them. They come back as if it had died. */
static void give_up(struct object_handle *handle)
{
	struct seg *seg = handle->seg;
	struct sweep sweep = { .seg = seg,
			       .client = seg->client,
			       .who = load_relaxed(&seg->anchor),
			       .died_ns = (uint64_t)clock_now_ns() };

	if (sweep.who)
		sem_recover(seg, handle->object, &sweep);
}

static const struct handle_life life = {
	.type = &sem_type,
	.ret_name = "ret_sem",
	.handle_bytes = sizeof(mp_sem),
	.check = check_opts,
	.compare = compare_sem,
	.make = make_sem,
	.fill = fill_handle,
	.give_up = give_up,
};

int mp_sem_open(mp_segment *segment, const char *name, const struct mp_sem_opts *opts,
		mp_sem **ret_sem)
{
	static const struct mp_sem_opts defaults;
	const struct mp_sem_opts *given = opts ? opts : &defaults;
	struct handle_wish wish = HANDLE_WISH(segment, name, given, ret_sem);
	struct object_handle *handle;
	int error = handle_open(&life, &wish, &handle);

	if (error == 0)
		*ret_sem = (mp_sem *)handle;
	return error;
}

int mp_sem_from_id(mp_segment *segment, uint64_t id, mp_sem **ret_sem)
{
	struct object_handle *handle;
	int error = handle_from_id(&life, segment, id, ret_sem, &handle);

	if (error == 0)
		*ret_sem = (mp_sem *)handle;
	return error;
}

mp_sem *mp_sem_close(mp_sem *sem)
{
	handle_close(&life, sem ? &sem->handle : NULL);
	return NULL;
}

int mp_sem_unlink(mp_segment *segment, const char *name)
{
	return handle_unlink(&life, segment, name);
}

uint64_t mp_sem_id(const mp_sem *sem)
{
	return sem ? sem->handle.id : 0;
}
