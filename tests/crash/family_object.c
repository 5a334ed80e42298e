/* SPDX-License-Identifier: MIT
 *
 * Objects in the crash matrix: making, opening, unlinking, closing. Knows: what a name promises.
 * Does not know: how anyone dies.
 *
 * After every death an object exists whole or not at all; what was acknowledged is so; an object
 * that nobody can reach any more has given its memory back.
 */
#include "arena.h"
#include "crash.h"
#include "judge.h"
#include "layout.h"
#include "object.h"
#include "require.h"
#include "slotword.h"

#include <errno.h>

enum { NOTHING = 1, EXISTS = 2, UNLINKED = 4, STANDS = 7 << 3, DIED = 7 << 6 };

static void object_begin(struct scene *scene)
{
	struct arena_usage usage;

	arena_measure(scene->parties[CHECKER].seg, &usage);
	scene->base_linked = usage.blocks_linked;
}

static int open_queue(struct party *party, uint32_t flags)
{
	struct mp_queue_opts opts = { .capacity = CAPACITY, .flags = flags };

	return mp_queue_open(&party->handle, "object", &opts, &party->queue);
}

/* Of VICTIM, who may open it once more. */
static mp_queue *first;

static void exists(struct scene *scene)
{
	require(open_queue(&scene->parties[VICTIM], 0) == 0);
	first = scene->parties[VICTIM].queue;
	scene->id = mp_queue_id(scene->parties[VICTIM].queue);
}

static void is_unlinked(struct scene *scene)
{
	exists(scene);
	require(mp_queue_unlink(&scene->parties[CHECKER].handle, "object") == 0);
}

#define THIRDS(text, what)                                                                         \
	{ .name = text " at its beginning", .earlier = what, .at = 0 },                            \
	{ .name = text " in its middle", .earlier = what, .at = 1 },                               \
	{ .name = text " near its end", .earlier = what, .at = 2 }

static const struct context contexts[] = {
	{ .name = "no such object" },
	{ .name = "it exists", .begin = exists },
	{ .name = "it is unlinked", .begin = is_unlinked },
	THIRDS("another", EARLIER_STANDS),
	THIRDS("unswept death", EARLIER_DIED),
};

/* --- operations --- */

static int make_queue(struct scene *scene, struct party *party)
{
	(void)scene;
	return open_queue(party, 0);
}

static int make_lock(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_lock_open(&party->handle, "lock object", NULL, &party->lock);
}

static int make_anonymous(struct scene *scene, struct party *party)
{
	struct mp_queue_opts opts = { .capacity = CAPACITY };

	(void)scene;
	return mp_queue_open(&party->handle, NULL, &opts, &party->queue);
}

static int unlink_it(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_queue_unlink(&party->handle, "object");
}

static int close_it(struct scene *scene, struct party *party)
{
	(void)scene;
	party->queue = mp_queue_close(party->queue);
	return 0;
}

static int open_by_id(struct scene *scene, struct party *party)
{
	return mp_queue_from_id(&party->handle, scene->id, &party->queue);
}

static void settle_open(struct scene *scene, struct party *party)
{
	(void)scene;
	party->queue = mp_queue_close(party->queue);
	party->lock = mp_lock_close(party->lock);
}

#define ROW(text, where, does)                                                                     \
	.name = text, .family = &object_family, .contexts = where, .run = does,                    \
	.settle = settle_open

static const struct operation operations[] = {
	{ ROW("queue open", NOTHING | EXISTS, make_queue) },
	{ ROW("lock open", NOTHING, make_lock) },
	{ ROW("anonymous queue open", NOTHING, make_anonymous) },
	{ ROW("queue unlink", EXISTS, unlink_it) },
	{ ROW("queue close", EXISTS | UNLINKED, close_it) },
	{ ROW("queue from id", EXISTS | UNLINKED, open_by_id) },
};

/* --- what must hold --- */

static bool is_usable(struct scene *scene, mp_queue *queue)
{
	char byte = 7;

	for (unsigned i = 0; i < 3 * CAPACITY; i++)
		if (mp_queue_put(queue, &byte, 1, MP_NOW) != 0 ||
		    mp_queue_get(queue, &byte, 1, MP_NOW) != 1)
			return complain(scene, "the object does not work");
	return true;
}

static bool must_exist(const struct scene *scene)
{
	const struct ledger *victim = scene->parties[VICTIM].ledger;
	bool is_done = atomic_load(&victim->is_done) && victim->result >= 0;

	if (scene->operation->run == make_queue || scene->operation->run == make_lock)
		return is_done || scene->context->begin == exists;
	return scene->context->begin == exists && scene->operation->run != unlink_it;
}

static bool must_be_gone(const struct scene *scene)
{
	return scene->operation->run == unlink_it && !scene->other &&
	       atomic_load(&scene->parties[VICTIM].ledger->is_done);
}

/* 0: there and working, and unlinked now; -ENOENT; anything else is a breach. */
static int look_and_unlink(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];
	struct mp_lock_opts existing = { .flags = MP_EXISTING };
	int result;

	if (scene->operation->run == make_lock) {
		result = mp_lock_open(&checker->handle, "lock object", &existing, &checker->lock);
		if (result < 0)
			return result;
		if (mp_lock_acquire(checker->lock, MP_NOW) || mp_lock_release(checker->lock))
			return -EBADMSG;
		checker->lock = mp_lock_close(checker->lock);
		return mp_lock_unlink(&checker->handle, "lock object");
	}
	result = open_queue(checker, MP_EXISTING);
	if (result < 0)
		return result;
	if (!is_usable(scene, checker->queue))
		return -EBADMSG;
	checker->queue = mp_queue_close(checker->queue);
	return mp_queue_unlink(&checker->handle, "object");
}

/* What a survivor has made. */
static void unlink_others(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];

	if (mp_queue_unlink(&checker->handle, "object") == 0 ||
	    mp_lock_unlink(&checker->handle, "lock object") == 0)
		unlink_others(scene);
}

static bool leaves_nothing(struct scene *scene)
{
	struct seg *seg = scene->parties[CHECKER].seg;
	uint32_t high = seg_objects_high(seg);
	struct arena_usage usage;

	object_free_unheld(seg);
	arena_measure(seg, &usage);
	if (usage.blocks_held != 0 || usage.blocks_linked != scene->base_linked)
		return complain(scene, "%d blocks held, %d in use, not %d", (int)usage.blocks_held,
				(int)usage.blocks_linked, (int)scene->base_linked);
	for (uint32_t i = 0; i < high; i++)
		if (entry_word_state(load_acquire(&seg->directory[i].word)) != ENTRY_FREE)
			return complain(scene, "directory entry %u is still in use", i);
	return true;
}

static bool object_check(struct scene *scene)
{
	int result = look_and_unlink(scene);

	if (result != 0 && result != -ENOENT)
		return complain(scene, "opening it afterwards says %d", result);
	if (result == -ENOENT && must_exist(scene) && !scene->other)
		return complain(scene, "it was made and is gone");
	if (result == 0 && must_be_gone(scene))
		return complain(scene, "it was unlinked and is there");
	if (scene->other)
		unlink_others(scene);
	if (scene->is_alive && first && scene->operation->run != close_it)
		first = mp_queue_close(first);
	return leaves_nothing(scene);
}

const struct family object_family = {
	.name = "object",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = object_begin,
	.check = object_check,
	.pair_contexts = NOTHING | EXISTS,
};
