/* SPDX-License-Identifier: MIT
 *
 * Objects in the crash matrix: making, opening, unlinking, closing. Knows: contexts, operations.
 * Does not know: what a name promises (object_check.c), how anyone dies.
 *
 * Who closes or unlinks has the object open before; else EARLIER has, who does nothing. So VICTIM
 * or SURVIVOR is the last holder where it closes.
 */
#include "family_object.h"

#include "arena.h"
#include "object.h"
#include "require.h"
#include "scene.h"

enum { NOTHING = 1, EXISTS = 2, UNLINKED = 4, ANONYMOUS = 8, REUSED = 16, REPLACED = 32,
       WAITED_IN = 64, UNLINKED_WAITED_IN = 128, DIED = 256 };

/* --- handles --- */

static int open_as(struct scene *scene, struct party *party, const char *name, uint32_t flags)
{
	return object_verbs_of(scene)->open(party, name, flags);
}

int object_open_it(struct scene *scene, struct party *party, uint32_t flags)
{
	return open_as(scene, party, OBJECT_NAME, flags);
}

static void fill(struct party *party)
{
	uint8_t message[MESSAGE_BYTES] = { 0 };

	for (unsigned i = 0; i < CAPACITY; i++)
		require(mp_queue_put(party->queue, message, i % 2 ? sizeof message : 1, MP_NOW) ==
			0);
}

/* The first makes it, the others come to it. */
static void open_before(struct scene *scene, enum role role, const char *name)
{
	struct party *party = &scene->parties[role];

	if (scene->id) {
		require(object_open_by_id(scene, party) == 0);
		return;
	}
	require(open_as(scene, party, name, 0) == 0);
	if (scene->operation->variant == FILLED)
		fill(party);
	scene->id = object_verbs_of(scene)->id(party);
}

/* --- contexts --- */

static bool needs_it(const struct scene *scene, enum role role)
{
	const struct operation *operation = role == VICTIM ? scene->operation : scene->other;

	return operation && (operation->run == object_close_it ||
			     operation->run == object_close_pinned ||
			     operation->run == object_unlink_it);
}

static void exists_as(struct scene *scene, const char *name)
{
	for (enum role role = VICTIM; role <= SURVIVOR; role++)
		if (needs_it(scene, role))
			open_before(scene, role, name);
	if (!scene->id)
		open_before(scene, EARLIER, name);
}

static void exists(struct scene *scene)
{
	exists_as(scene, OBJECT_NAME);
}

static void unlink_before(struct scene *scene)
{
	require(object_unlink_it(scene, &scene->parties[CHECKER]) == 0);
}

static void is_unlinked(struct scene *scene)
{
	exists(scene);
	unlink_before(scene);
}

static void is_anonymous(struct scene *scene)
{
	exists_as(scene, NULL);
}

/* Its directory entry and its memory were others' before; the id is of the last of them. */
static void was_there(struct scene *scene)
{
	for (unsigned turn = 0; turn < 2; turn++) {
		scene->id = 0;
		open_before(scene, EARLIER, OBJECT_NAME);
		unlink_before(scene);
		object_close_handle(&scene->parties[EARLIER]);
	}
}

/* By one that nobody has open. */
static void is_replaced(struct scene *scene)
{
	uint64_t stale;

	was_there(scene);
	stale = scene->id;
	scene->id = 0;
	open_before(scene, EARLIER, OBJECT_NAME);
	object_close_handle(&scene->parties[EARLIER]);
	require(scene->id != stale);
	scene->id = stale;
}

/* SLEEPER waits in it until SURVIVOR does something. */
static void is_waited_in(struct scene *scene)
{
	exists(scene);
	open_before(scene, SURVIVOR, OBJECT_NAME);
	open_before(scene, SLEEPER, OBJECT_NAME);
	object_verbs_of(scene)->hinder(&scene->parties[SURVIVOR]);
}

static void is_unlinked_and_waited_in(struct scene *scene)
{
	is_waited_in(scene);
	unlink_before(scene);
}

static const struct context contexts[] = {
	{ .name = "no such object" },
	{ .name = "it exists", .begin = exists },
	{ .name = "it is unlinked", .begin = is_unlinked },
	{ .name = "it is anonymous", .begin = is_anonymous },
	{ .name = "its place was used", .begin = was_there },
	{ .name = "another in its place", .begin = is_replaced },
	{ .name = "somebody waits in it", .begin = is_waited_in, .has_sleeper = true },
	{ .name = "unlinked and somebody waits in it", .begin = is_unlinked_and_waited_in,
	  .has_sleeper = true },
	{ .name = "unswept death in its middle", .earlier = EARLIER_DIED, .at = 1 },
};

bool object_has_name(const struct scene *scene)
{
	return scene->context->begin == exists || scene->context->begin == is_replaced ||
	       scene->context->begin == is_waited_in;
}

bool object_is_anonymous(const struct scene *scene)
{
	return scene->context->begin == is_anonymous;
}

bool object_is_id_stale(const struct scene *scene)
{
	return scene->id && scene->context->begin != exists &&
	       scene->context->begin != is_waited_in && scene->context->begin != is_anonymous;
}

static void object_begin(struct scene *scene)
{
	struct arena_usage usage;

	arena_measure(scene->parties[CHECKER].seg, &usage);
	require(usage.blocks_linked == 0);
}

/* --- operations --- */

int object_make(struct scene *scene, struct party *party)
{
	return object_open_it(scene, party, 0);
}

int object_make_exclusive(struct scene *scene, struct party *party)
{
	return object_open_it(scene, party, MP_EXCLUSIVE);
}

int object_make_anonymous(struct scene *scene, struct party *party)
{
	return open_as(scene, party, NULL, 0);
}

int object_unlink_it(struct scene *scene, struct party *party)
{
	return object_verbs_of(scene)->unlink(party, OBJECT_NAME);
}

int object_close_it(struct scene *scene, struct party *party)
{
	(void)scene;
	object_close_handle(party);
	return 0;
}

int object_close_pinned(struct scene *scene, struct party *party)
{
	struct object_pins pins;

	(void)scene;
	object_pin(party->seg, &pins);
	object_close_handle(party);
	object_unpin(party->seg, &pins);
	return 0;
}

int object_open_by_id(struct scene *scene, struct party *party)
{
	return object_verbs_of(scene)->from_id(party, scene->id);
}

/* --- before and after --- */

static void settle_open(struct scene *scene, struct party *party)
{
	if (party->ledger->result >= 0)
		require(object_verbs_of(scene)->works(party));
	object_close_handle(party);
}

static void settle_close(struct scene *scene, struct party *party)
{
	(void)scene;
	object_close_handle(party);
}

static void wait_in_it(struct scene *scene, struct party *party)
{
	party->ledger->result = object_verbs_of(scene)->wait(party);
}

#define ROW(text, kind, where, does)                                                               \
	.name = text, .family = &object_family, .contexts = where, .variant = kind, .run = does,   \
	.sleep = wait_in_it
#define OPENS(text, kind, where, does) { ROW(text, kind, where, does), .settle = settle_open }
#define CLOSES(text, kind, where, does) { ROW(text, kind, where, does), .settle = settle_close }

static const struct operation operations[] = {
	OPENS("queue open", QUEUE, NOTHING | EXISTS | REUSED | DIED, object_make),
	OPENS("exclusive queue open", QUEUE, NOTHING, object_make_exclusive),
	OPENS("anonymous queue open", QUEUE, NOTHING, object_make_anonymous),
	OPENS("queue from id", QUEUE, EXISTS | UNLINKED | ANONYMOUS | REPLACED, object_open_by_id),
	CLOSES("queue unlink", QUEUE, EXISTS | REPLACED | WAITED_IN, object_unlink_it),
	CLOSES("queue close", QUEUE,
	       EXISTS | UNLINKED | ANONYMOUS | WAITED_IN | UNLINKED_WAITED_IN, object_close_it),
	CLOSES("queue close while a child starts", QUEUE, ANONYMOUS, object_close_pinned),
	CLOSES("filled queue unlink", FILLED, EXISTS, object_unlink_it),
	CLOSES("filled queue close", FILLED, UNLINKED | ANONYMOUS, object_close_it),
	OPENS("lock open", LOCK, NOTHING | REUSED, object_make),
	OPENS("lock from id", LOCK, ANONYMOUS, object_open_by_id),
	CLOSES("unheld lock unlink", LOCK, EXISTS | WAITED_IN, object_unlink_it),
	OPENS("event open", EVENT, NOTHING | REUSED, object_make),
	OPENS("event from id", EVENT, ANONYMOUS, object_open_by_id),
	CLOSES("event unlink", EVENT, EXISTS | WAITED_IN, object_unlink_it),
	CLOSES("event close", EVENT, UNLINKED | UNLINKED_WAITED_IN, object_close_it),
	OPENS("owned sem open", SEMAPHORE, NOTHING | EXISTS | REUSED | DIED, object_make),
	OPENS("owned sem from id", SEMAPHORE, ANONYMOUS, object_open_by_id),
	CLOSES("owned sem unlink", SEMAPHORE, EXISTS | WAITED_IN, object_unlink_it),
	CLOSES("unheld sem close", SEMAPHORE, UNLINKED | UNLINKED_WAITED_IN, object_close_it),
	OPENS("condition open", CONDITION, NOTHING | REUSED, object_make),
	OPENS("condition from id", CONDITION, ANONYMOUS, object_open_by_id),
	CLOSES("condition unlink", CONDITION, EXISTS | WAITED_IN, object_unlink_it),
	CLOSES("condition close", CONDITION, UNLINKED | UNLINKED_WAITED_IN, object_close_it),
	OPENS("rwlock open", RWLOCK, NOTHING | REUSED, object_make),
	OPENS("rwlock from id", RWLOCK, ANONYMOUS, object_open_by_id),
	CLOSES("rwlock unlink", RWLOCK, EXISTS | WAITED_IN, object_unlink_it),
	CLOSES("unheld rwlock close", RWLOCK, UNLINKED | UNLINKED_WAITED_IN, object_close_it),
	CLOSES("unheld lock close", LOCK, UNLINKED | UNLINKED_WAITED_IN, object_close_it),
};

const struct family object_family = {
	.name = "object",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = object_begin,
	.check = object_check,
	.may_say = object_may_say,
	.pair_contexts = NOTHING | EXISTS | UNLINKED | ANONYMOUS,
};
