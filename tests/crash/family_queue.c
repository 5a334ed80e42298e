/* SPDX-License-Identifier: MIT
 *
 * Queues in the crash matrix. Knows: contexts, and which operation runs where. Does not know: what
 * operations do (queue_act.c), what must hold (queue_check.c).
 */
#include "arena.h"
#include "crash.h"
#include "queue_act.h"
#include "queue_check.h"
#include "queue_expect.h"
#include "queue_message.h"
#include "require.h"

enum { EMPTY = 1, SOME = 2, WRAPPED = 4, FULL = 8, GETTER_SLEEPS = 16, PUTTER_SLEEPS = 32,
       STANDS = 7 << 6, DIED = 7 << 9, DIED_IN_THE_MIDDLE = 1 << 10, RETURNED = 1 << 12 };

/* --- contexts --- */

static void queue_begin(struct scene *scene)
{
	struct mp_queue_opts opts = { .capacity = CAPACITY };
	struct arena_usage usage;

	for (enum role role = 0; role < ROLES; role++)
		require(mp_queue_open(&scene->parties[role].handle, "queue", &opts,
				      &scene->parties[role].queue) == 0);
	arena_measure(scene->parties[CHECKER].seg, &usage);
	scene->base_linked = usage.blocks_linked;
}

static void fill_up_to(struct scene *scene, unsigned count)
{
	while (scene->initial < count)
		require(put_number(scene, &scene->parties[CHECKER], ++scene->initial) == 0);
}

static void has_some(struct scene *scene)
{
	fill_up_to(scene, 2);
}

static void has_wrapped(struct scene *scene)
{
	struct party *party = &scene->parties[CHECKER];
	struct message message;

	for (unsigned i = 0; i < CAPACITY * 2 - 1; i++)
		require(put_number(scene, party, i) == 0 &&
			mp_queue_get(party->queue, &message, sizeof message, MP_NOW) >= 0);
	fill_up_to(scene, 3);
}

static void is_full(struct scene *scene)
{
	fill_up_to(scene, CAPACITY);
}

/* The oldest was leased once and came back: it stands in a record, behind the head. */
static void has_returned(struct scene *scene)
{
	struct party *party = &scene->parties[CHECKER];

	fill_up_to(scene, 2);
	require(mp_queue_claim(party->queue, MP_NOW, &party->slot) == 0);
	require(mp_queue_return(party->queue, &party->slot) == 0);
}

#define THIRDS(text, what)                                                                         \
	{ .name = text " at its beginning", .begin = has_some, .earlier = what, .at = 0,          \
	  .is_tight = true },                                                                      \
	{ .name = text " in its middle", .begin = has_some, .earlier = what, .at = 1,             \
	  .is_tight = true },                                                                      \
	{ .name = text " near its end", .begin = has_some, .earlier = what, .at = 2,              \
	  .is_tight = true }

static const struct context contexts[] = {
	{ .name = "empty" },
	{ .name = "some messages", .begin = has_some },
	{ .name = "wrapped around", .begin = has_wrapped },
	{ .name = "full", .begin = is_full },
	{ .name = "a getter asleep", .has_sleeper = true },
	{ .name = "a putter asleep", .begin = is_full, .has_sleeper = true },
	THIRDS("another", EARLIER_STANDS),
	THIRDS("unswept death", EARLIER_DIED),
	{ .name = "a message returned", .begin = has_returned },
};

/* --- rows --- */

#define USUAL (SOME | WRAPPED | STANDS | DIED)
#define ROW(text, where, does) .name = text, .family = &queue_family, .contexts = where, .run = does
#define ADDS(text, where, bytes)                                                                   \
	{ ROW(text, where, act_put), .variant = bytes, .arrange = act_write_before,                \
	  .unblock = act_get_one, .sleep = act_get_one }
#define TAKES(text, where, does, bytes)                                                            \
	{ ROW(text, where, does), .variant = bytes, .unblock = act_put_one, .sleep = act_put_one }
#define RECOVERS(text, what, bytes)                                                                \
	{ ROW("recovery of a " text, DIED, act_recover), .variant = bytes, .rival = what,  \
	  .recovers = true }

static const struct operation operations[] = {
	ADDS("put", EMPTY | FULL | GETTER_SLEEPS | USUAL, INLINE),
	ADDS("put of a block", EMPTY | FULL | GETTER_SLEEPS | USUAL, BLOCK),
	TAKES("get", EMPTY | FULL | PUTTER_SLEEPS | RETURNED | USUAL, act_get, INLINE),
	TAKES("get of a block", FULL | PUTTER_SLEEPS | RETURNED | USUAL, act_get, BLOCK),
	{ ROW("reserve", EMPTY | SOME | STANDS | DIED, act_reserve), .variant = BLOCK,
	  .settle = act_settle_reserve },
	{ ROW("commit", EMPTY | FULL | GETTER_SLEEPS | USUAL, act_commit), .variant = BLOCK,
	  .arrange = act_reserve_before, .settle = act_settle_commit, .unblock = act_get_one,
	  .sleep = act_get_one },
	{ ROW("abandon", SOME | STANDS | DIED, act_abandon), .variant = BLOCK,
	  .arrange = act_reserve_before },
	{ ROW("claim", EMPTY | FULL | PUTTER_SLEEPS | RETURNED | USUAL, act_claim),
	  .variant = INLINE, .settle = act_settle_claim, .unblock = act_put_one,
	  .sleep = act_put_one },
	{ ROW("claim of a block", SOME | WRAPPED | STANDS | DIED, act_claim), .variant = BLOCK,
	  .settle = act_settle_claim },
	{ ROW("ack", SOME | WRAPPED | FULL, act_ack), .variant = INLINE,
	  .arrange = act_claim_before },
	{ ROW("ack of a block", SOME | WRAPPED | FULL, act_ack), .variant = BLOCK,
	  .arrange = act_claim_before },
	{ ROW("return", SOME | FULL, act_return), .variant = INLINE,
	  .arrange = act_claim_before },
	{ ROW("return of a block", SOME | FULL, act_return), .variant = BLOCK,
	  .arrange = act_claim_before },
	{ ROW("close input", EMPTY | SOME | GETTER_SLEEPS | STANDS | DIED, act_close_input),
	  .variant = INLINE, .sleep = act_get_one, .closes = true },
	RECOVERS("put", "put", INLINE),
	RECOVERS("put of a block", "put of a block", BLOCK),
	RECOVERS("get", "get", INLINE),
	RECOVERS("get of a block", "get of a block", BLOCK),
	RECOVERS("reserve", "reserve", BLOCK),
	RECOVERS("commit", "commit", BLOCK),
	RECOVERS("claim", "claim", INLINE),
	RECOVERS("claim of a block", "claim of a block", BLOCK),
	RECOVERS("closing of the input", "close input", INLINE),
};

const struct family queue_family = {
	.name = "queue",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = queue_begin,
	.look = queue_look,
	.check = queue_check,
	.pair_contexts = SOME | DIED_IN_THE_MIDDLE,
};
