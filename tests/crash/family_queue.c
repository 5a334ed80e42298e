/* SPDX-License-Identifier: MIT
 *
 * Queues in the crash matrix. Knows: contexts, and which operation runs where. Does not know: what
 * operations do (queue_act.c), what must hold (queue_check.c).
 */
#include "family_queue.h"

#include "arena.h"
#include "layout.h"
#include "queue_act.h"
#include "queue_check.h"
#include "queue_expect.h"
#include "queue_keep.h"
#include "queue_message.h"
#include "queue_says.h"
#include "require.h"

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

static void has_one(struct scene *scene)
{
	fill_up_to(scene, 1);
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

static void is_closed(struct scene *scene)
{
	require(mp_queue_close_input(scene->parties[CHECKER].queue) == 0);
}

static void is_closed_on_some(struct scene *scene)
{
	fill_up_to(scene, 2);
	is_closed(scene);
}

/* Who claims it lets a getter wait: it may come back. */
static void is_closed_on_one(struct scene *scene)
{
	fill_up_to(scene, 1);
	is_closed(scene);
}

/* The next put is to the cell of a message whose block is still in use, and full it is then. */
static void has_leased_before(struct scene *scene)
{
	keep_leases(scene, 1);
	fill_up_to(scene, CAPACITY - 1);
}

/* The next lease needs another chunk of records. */
static void has_leased_many(struct scene *scene)
{
	keep_leases(scene, LEASES_PER_CHUNK);
	fill_up_to(scene, 2);
}

static void has_no_memory(struct scene *scene)
{
	fill_up_to(scene, 2);
	keep_memory(scene);
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
	{ .name = "closed, some messages", .begin = is_closed_on_some },
	{ .name = "closed and empty", .begin = is_closed },
	{ .name = "one message, a getter asleep", .begin = has_one, .has_sleeper = true },
	{ .name = "closed, a getter asleep", .begin = is_closed_on_one, .has_sleeper = true },
	{ .name = "a block of the last lap leased", .begin = has_leased_before },
	{ .name = "all records leased", .begin = has_leased_many },
	{ .name = "no memory left", .begin = has_no_memory },
};

uint32_t queue_context(const struct scene *scene)
{
	return UINT32_C(1) << (scene->context - contexts);
}

/* --- rows --- */

#define USUAL (SOME | WRAPPED | STANDS | DIED)
#define ROW(text, where, does) .name = text, .family = &queue_family, .contexts = where, .run = does
#define ADDS(text, where, does, bytes)                                                             \
	{ ROW(text, where, does), .variant = bytes, .arrange = act_write_before,                   \
	  .unblock = act_get_one, .sleep = act_get_one }
#define TAKES(text, where, does, bytes)                                                            \
	{ ROW(text, where, does), .variant = bytes, .unblock = act_put_one, .sleep = act_put_one }
#define CLAIMS(text, where, does, bytes)                                                           \
	{ ROW(text, where, does), .variant = bytes, .settle = act_settle_claim,                    \
	  .unblock = act_put_one, .sleep = act_put_one }
#define RESERVES(text, where, before, does)                                                        \
	{ ROW(text, where, does), .variant = BLOCK, .arrange = before,                             \
	  .settle = act_settle_commit, .unblock = act_get_one, .sleep = act_get_one }
#define ENDS(text, where, does, bytes)                                                             \
	{ ROW(text, where, does), .variant = bytes, .arrange = act_claim_before,                   \
	  .sleep = act_get_one }
#define CLOSES(text, where, other)                                                                 \
	{ ROW(text, where, act_close_input), .variant = INLINE, .sleep = other, .closes = true }
#define RECOVERS(what, bytes)                                                                      \
	{ ROW("recovery of " what, DIED, act_recover), .variant = bytes, .rival = what,            \
	  .recovers = true }

static const struct operation operations[] = {
	ADDS("put", EMPTY | FULL | GETTER_SLEEPS | CLOSED | USUAL, act_put, INLINE),
	ADDS("put of a block",
	     EMPTY | FULL | GETTER_SLEEPS | CLOSED | LEASED_BEFORE | NO_MEMORY | USUAL, act_put,
	     BLOCK),
	ADDS("put of nothing", EMPTY | WRAPPED, act_put, NOTHING),
	ADDS("put of the largest in a cell", EMPTY | WRAPPED, act_put, INLINE_MOST),
	ADDS("put of the smallest block", EMPTY | WRAPPED, act_put, BLOCK_LEAST),
	{ ROW("put in time", FULL, act_put_in_time), .variant = BLOCK,
	  .arrange = act_write_before },
	{ ROW("put beside a putter", PUTTER_SLEEPS, act_put), .variant = INLINE,
	  .arrange = act_write_before, .unblock = act_get_two, .sleep = act_put_one },
	{ ROW("put in time beside a putter", PUTTER_SLEEPS, act_put_in_time), .variant = INLINE,
	  .arrange = act_write_before, .sleep = act_put_one },
	TAKES("get", EMPTY | FULL | PUTTER_SLEEPS | RETURNED | CLOSED | DRAINED | USUAL, act_get,
	      INLINE),
	TAKES("get of a block", FULL | PUTTER_SLEEPS | RETURNED | USUAL, act_get, BLOCK),
	TAKES("get of nothing", WRAPPED | RETURNED, act_get, NOTHING),
	TAKES("get of the largest in a cell", WRAPPED, act_get, INLINE_MOST),
	TAKES("get of the smallest block", WRAPPED, act_get, BLOCK_LEAST),
	TAKES("get into too little", WRAPPED | RETURNED, act_get_too_small, BLOCK),
	{ ROW("get in time", EMPTY, act_get_in_time), .variant = INLINE },
	{ ROW("get beside a getter", GETTER_SLEEPS, act_get), .variant = INLINE,
	  .unblock = act_put_two, .sleep = act_get_one },
	{ ROW("get in time beside a getter", GETTER_SLEEPS, act_get_in_time), .variant = INLINE,
	  .sleep = act_get_one },
	{ ROW("reserve", EMPTY | SOME | CLOSED | NO_MEMORY | STANDS | DIED, act_reserve),
	  .variant = BLOCK, .settle = act_settle_reserve },
	RESERVES("commit", EMPTY | FULL | GETTER_SLEEPS | LEASED_BEFORE | USUAL,
		 act_reserve_before, act_commit),
	RESERVES("commit to a closed queue", WRAPPED, act_reserve_and_close_before, act_commit),
	RESERVES("abandon", SOME | STANDS | DIED, act_reserve_before, act_abandon),
	CLAIMS("claim", EMPTY | FULL | PUTTER_SLEEPS | RETURNED | LEASED_MANY | NO_MEMORY | USUAL,
	       act_claim, INLINE),
	CLAIMS("claim of a block", SOME | WRAPPED | STANDS | DIED, act_claim, BLOCK),
	CLAIMS("claim of nothing", RETURNED, act_claim, NOTHING),
	{ ROW("claim in time", EMPTY, act_claim_in_time), .variant = INLINE,
	  .settle = act_settle_claim },
	ENDS("ack", SOME | WRAPPED | FULL | CLOSED_GETTER_SLEEPS, act_ack, INLINE),
	ENDS("ack of a block", SOME | WRAPPED | FULL, act_ack, BLOCK),
	ENDS("return", SOME | FULL | ONE_LEASED_GETTER_SLEEPS | CLOSED_GETTER_SLEEPS, act_return,
	     INLINE),
	ENDS("return of a block", SOME | FULL, act_return, BLOCK),
	CLOSES("close input", EMPTY | SOME | GETTER_SLEEPS | STANDS | DIED, act_get_one),
	CLOSES("close input before a putter", PUTTER_SLEEPS, act_put_one),
	RECOVERS("put", INLINE),
	RECOVERS("put of a block", BLOCK),
	RECOVERS("get", INLINE),
	RECOVERS("get of a block", BLOCK),
	RECOVERS("reserve", BLOCK),
	RECOVERS("commit", BLOCK),
	RECOVERS("abandon", BLOCK),
	RECOVERS("claim", INLINE),
	RECOVERS("claim of a block", BLOCK),
	RECOVERS("ack", INLINE),
	RECOVERS("ack of a block", BLOCK),
	RECOVERS("return", INLINE),
	RECOVERS("close input", INLINE),
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
	.may_say = queue_may_say,
	.pair_contexts = SOME | DIED_IN_THE_MIDDLE,
};
