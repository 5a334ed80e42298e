/* SPDX-License-Identifier: MIT
 *
 * Queues in the crash matrix. Knows: what a queue promises about messages. Does not know: how
 * anyone dies.
 *
 * After every death: a message that was acknowledged is there once, or was taken whole by somebody;
 * one whose put had not returned is whole or absent; what a dead one held comes back flagged; the
 * rest is in order; the queue takes and gives three laps at full capacity; nothing leaks.
 */
#include "arena.h"
#include "crash.h"
#include "judge.h"
#include "queue_internal.h"
#include "recover.h"
#include "require.h"
#include "slot.h"

#include <errno.h>

#define INLINE 24
#define BLOCK 200
#define LAPS 3
#define NUMBERS_MAX 32

/* Numbers of messages: 1..initial were there, then by who puts them. */
enum { BY_VICTIM = 16, BY_PROBE = 24 };

enum { EMPTY = 1, SOME = 2, WRAPPED = 4, FULL = 8, GETTER_SLEEPS = 16, PUTTER_SLEEPS = 32,
       STANDS = 7 << 6, DIED = 7 << 9, DIED_IN_THE_MIDDLE = 1 << 10, RETURNED = 1 << 12 };

struct message {
	uint64_t number;
	uint8_t fill[BUFFER_BYTES - 8];
};

static uint8_t fill_of(uint64_t number, size_t i)
{
	return (uint8_t)(number * 31 + i + 1);
}

static void make_message(struct message *message, uint64_t number, size_t bytes)
{
	message->number = number;
	for (size_t i = 0; i < bytes - 8; i++)
		message->fill[i] = fill_of(number, i);
}

static bool is_whole(const void *data, size_t bytes)
{
	const struct message *message = data;

	for (size_t i = 0; i < bytes - 8; i++)
		if (message->fill[i] != fill_of(message->number, i))
			return false;
	return true;
}

static size_t bytes_of(const struct scene *scene)
{
	return scene->operation->variant ? scene->operation->variant : INLINE;
}

static int put_number(mp_queue *queue, uint64_t number, size_t bytes, int64_t timeout)
{
	struct message message;

	make_message(&message, number, bytes);
	return mp_queue_put(queue, &message, bytes, timeout);
}

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
		require(put_number(scene->parties[CHECKER].queue, ++scene->initial,
				   bytes_of(scene), MP_NOW) == 0);
}

static void has_some(struct scene *scene)
{
	fill_up_to(scene, 2);
}

static void has_wrapped(struct scene *scene)
{
	mp_queue *queue = scene->parties[CHECKER].queue;
	struct message message;

	for (unsigned i = 0; i < CAPACITY * 2 - 1; i++)
		require(put_number(queue, i, bytes_of(scene), MP_NOW) == 0 &&
			mp_queue_get(queue, &message, sizeof message, MP_NOW) > 0);
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

/* --- operations --- */

static uint64_t number_of(const struct scene *scene, const struct party *party)
{
	return BY_VICTIM + (uint64_t)(party - scene->parties);
}

static void write_before(struct scene *scene, struct party *party)
{
	struct message *message = (void *)party->message;

	make_message(message, number_of(scene, party), bytes_of(scene));
}

static int put(struct scene *scene, struct party *party)
{
	party->ledger->adding = number_of(scene, party);
	return mp_queue_put(party->queue, party->message, bytes_of(scene), scene->timeout);
}

static int get(struct scene *scene, struct party *party)
{
	struct mp_message_info info;

	party->ledger->is_taking = true;
	return mp_queue_get_info(party->queue, party->ledger->buffer, BUFFER_BYTES, scene->timeout,
				 &info);
}

static int reserve(struct scene *scene, struct party *party)
{
	return mp_queue_reserve(party->queue, BLOCK, scene->timeout, &party->slot);
}

static int abandon(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_queue_abandon(party->queue, &party->slot);
}

static void reserve_before(struct scene *scene, struct party *party)
{
	require(mp_queue_reserve(party->queue, BLOCK, scene->timeout, &party->slot) == 0);
	make_message(party->slot.data, number_of(scene, party), BLOCK);
}

static int commit(struct scene *scene, struct party *party)
{
	party->ledger->adding = number_of(scene, party);
	return mp_queue_commit(party->queue, &party->slot);
}

static int claim(struct scene *scene, struct party *party)
{
	int result = mp_queue_claim(party->queue, scene->timeout, &party->slot);

	if (result < 0)
		return result;
	memcpy(party->ledger->buffer, party->slot.data, party->slot.len);
	party->ledger->is_leasing = true;
	return result;
}

static void claim_before(struct scene *scene, struct party *party)
{
	(void)scene;
	require(mp_queue_claim(party->queue, MP_NOW, &party->slot) == 0);
	memcpy(party->ledger->buffer, party->slot.data, party->slot.len);
	party->ledger->is_leasing = true;
}

static int ack(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->is_taking = true;
	return mp_queue_ack(party->queue, &party->slot);
}

static int give_back(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_queue_return(party->queue, &party->slot);
}

static int close_input(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_queue_close_input(party->queue);
}

/* The recovery of EARLIER, who died in the middle of the rival. */
static int recover(struct scene *scene, struct party *party)
{
	struct party *dead = &scene->parties[EARLIER];

	recover_client(party->seg, dead->client, dead->generation);
	return 0;
}

/* --- what the others do --- */

static void settle_claim(struct scene *scene, struct party *party)
{
	(void)scene;
	if (party->ledger->result >= 0)
		require(mp_queue_return(party->queue, &party->slot) == 0);
}

static void settle_reserve(struct scene *scene, struct party *party)
{
	(void)scene;
	if (party->ledger->result >= 0)
		require(mp_queue_abandon(party->queue, &party->slot) == 0);
}

static void settle_commit(struct scene *scene, struct party *party)
{
	(void)scene;
	if (party->ledger->result < 0)
		require(mp_queue_abandon(party->queue, &party->slot) == 0);
}

static void put_one(struct scene *scene, struct party *party)
{
	write_before(scene, party);
	party->ledger->result = put(scene, party);
}

static void get_one(struct scene *scene, struct party *party)
{
	party->ledger->result = get(scene, party);
}

/* --- rows --- */

#define USUAL (SOME | WRAPPED | STANDS | DIED)
#define ROW(text, where, does) .name = text, .family = &queue_family, .contexts = where, .run = does
#define ADDS(text, where, bytes)                                                                   \
	{ ROW(text, where, put), .variant = bytes, .arrange = write_before, .unblock = get_one,    \
	  .sleep = get_one }
#define TAKES(text, where, does, bytes)                                                            \
	{ ROW(text, where, does), .variant = bytes, .unblock = put_one, .sleep = put_one }
#define RECOVERS(text, what, bytes)                                                                \
	{ ROW("recovery of a " text, DIED, recover), .variant = bytes, .rival = what }

static const struct operation operations[] = {
	ADDS("put", EMPTY | FULL | GETTER_SLEEPS | USUAL, INLINE),
	ADDS("put of a block", EMPTY | FULL | GETTER_SLEEPS | USUAL, BLOCK),
	TAKES("get", EMPTY | FULL | PUTTER_SLEEPS | RETURNED | USUAL, get, INLINE),
	TAKES("get of a block", FULL | PUTTER_SLEEPS | RETURNED | USUAL, get, BLOCK),
	{ ROW("reserve", EMPTY | SOME | STANDS | DIED, reserve), .variant = BLOCK,
	  .settle = settle_reserve },
	{ ROW("commit", EMPTY | FULL | GETTER_SLEEPS | USUAL, commit), .variant = BLOCK,
	  .arrange = reserve_before, .settle = settle_commit, .unblock = get_one,
	  .sleep = get_one },
	{ ROW("abandon", SOME | STANDS | DIED, abandon), .variant = BLOCK,
	  .arrange = reserve_before },
	{ ROW("claim", EMPTY | FULL | PUTTER_SLEEPS | RETURNED | USUAL, claim), .variant = INLINE,
	  .settle = settle_claim, .unblock = put_one, .sleep = put_one },
	{ ROW("claim of a block", SOME | WRAPPED | STANDS | DIED, claim), .variant = BLOCK,
	  .settle = settle_claim },
	{ ROW("ack", SOME | WRAPPED | FULL, ack), .variant = INLINE, .arrange = claim_before },
	{ ROW("ack of a block", SOME | WRAPPED | FULL, ack), .variant = BLOCK,
	  .arrange = claim_before },
	{ ROW("return", SOME | FULL, give_back), .variant = INLINE, .arrange = claim_before },
	{ ROW("return of a block", SOME | FULL, give_back), .variant = BLOCK,
	  .arrange = claim_before },
	{ ROW("close input", EMPTY | SOME | GETTER_SLEEPS | STANDS | DIED, close_input),
	  .variant = INLINE, .sleep = get_one, .closes = true },
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

/* --- what must hold --- */

struct found {
	unsigned times[NUMBERS_MAX];
	bool is_flagged[NUMBERS_MAX];
	uint64_t last; /* unflagged, of the initial ones */
};

static bool note_found(struct scene *scene, struct found *found, const struct message *message,
		       int len, unsigned flags)
{
	uint64_t number = message->number;

	if (number >= NUMBERS_MAX || (len != INLINE && len != BLOCK) ||
	    !is_whole(message, (size_t)len))
		return complain(scene, "a message of %d bytes is not whole", len);
	found->is_flagged[number] = flags & MP_REDELIVERED;
	if (found->times[number]++)
		return complain(scene, "message %d is there twice", (int)number);
	if (flags & MP_REDELIVERED || number > scene->initial)
		return true;
	if (number < found->last)
		return complain(scene, "message %d is out of order", (int)number);
	found->last = number;
	return true;
}

static bool drain(struct scene *scene, struct found *found, int *ret_end)
{
	mp_queue *queue = scene->parties[CHECKER].queue;
	struct mp_message_info info;
	struct message message;
	bool is_good = true;
	int len;

	while ((len = mp_queue_get_info(queue, &message, sizeof message, MP_NOW, &info)) >= 0)
		is_good &= note_found(scene, found, &message, len, info.flags);
	*ret_end = len;
	return is_good;
}

/* How many parties have it in their hands, and may one that died have had it? */
static void count_taken(struct scene *scene, uint64_t number, unsigned *ret_surely,
			unsigned *ret_perhaps)
{
	*ret_surely = *ret_perhaps = 0;
	for (enum role role = 0; role < ROLES; role++) {
		const struct ledger *ledger = &scene->ledgers[role];
		const struct message *message = (const void *)ledger->buffer;

		if (!ledger->is_taking || message->number != number ||
		    !is_whole(message, bytes_of(scene)))
			continue;
		*ret_perhaps += 1;
		*ret_surely += atomic_load(&ledger->is_done) && ledger->result >= 0;
	}
}

/* Was its put acknowledged, or at least begun? */
static void find_put(struct scene *scene, uint64_t number, bool *ret_is_put, bool *ret_is_begun)
{
	*ret_is_put = *ret_is_begun = number >= 1 && number <= scene->initial;
	for (enum role role = 0; role < ROLES; role++) {
		const struct ledger *ledger = &scene->ledgers[role];

		if (ledger->adding != number || number == 0)
			continue;
		*ret_is_begun = true;
		*ret_is_put = atomic_load(&ledger->is_done) && ledger->result >= 0;
	}
}

static bool check_number(struct scene *scene, const struct found *found, uint64_t number)
{
	unsigned surely, perhaps;
	bool is_put, is_begun;

	count_taken(scene, number, &surely, &perhaps);
	find_put(scene, number, &is_put, &is_begun);
	if (found->times[number] && !is_begun)
		return complain(scene, "message %d was never put", (int)number);
	if (surely + found->times[number] > 1)
		return complain(scene, "message %d was received twice", (int)number);
	if (is_put && !found->times[number] && !perhaps)
		return complain(scene, "message %d is lost", (int)number);
	if (perhaps > surely && found->times[number] && !found->is_flagged[number])
		return complain(scene, "message %d comes once more and does not say so",
				(int)number);
	return true;
}

/* What the victim had leased and not done is there again and says so. */
static bool check_lease(struct scene *scene, const struct found *found)
{
	const struct ledger *victim = &scene->ledgers[VICTIM];
	const struct message *message = (const void *)victim->buffer;

	if (!victim->is_leasing || victim->is_taking)
		return true;
	if (scene->other || found->is_flagged[message->number])
		return true;
	return complain(scene, "leased message %d came back unflagged", (int)message->number);
}

static bool check_messages(struct scene *scene, int *ret_end)
{
	struct found found = { .last = 0 };
	bool is_good = drain(scene, &found, ret_end);

	for (uint64_t number = 0; number < NUMBERS_MAX && is_good; number++)
		is_good = check_number(scene, &found, number);
	return is_good && check_lease(scene, &found);
}

static bool passes_lap(struct scene *scene, mp_queue *queue, unsigned lap)
{
	size_t bytes = bytes_of(scene);
	struct message message;

	for (unsigned i = 0; i < CAPACITY; i++)
		if (put_number(queue, i, bytes, MP_NOW) != 0)
			return complain(scene, "lap %u: only %u of %d fit", lap, i, CAPACITY);
	if (put_number(queue, 0, bytes, MP_NOW) != -EAGAIN || !mp_queue_is_full(queue))
		return complain(scene, "lap %u: more than %d fit", lap, CAPACITY);
	for (unsigned i = 0; i < CAPACITY; i++)
		if (mp_queue_get(queue, &message, sizeof message, MP_NOW) != (int)bytes ||
		    message.number != i || !is_whole(&message, bytes))
			return complain(scene, "lap %u: message %u does not come back", lap, i);
	if (!mp_queue_is_empty(queue))
		return complain(scene, "lap %u: not empty afterwards", lap);
	return true;
}

static uint64_t lease_chunks(const struct ring *ring)
{
	uint64_t count = 0;

	while (count < LEASE_CHUNKS_MAX && load_relaxed(&ring->shared->lease_chunk[count]))
		count++;
	return count;
}

/* A sleeping putter of a block has it in its hands. */
static bool is_sleeper_holding(const struct scene *scene)
{
	return scene->context->has_sleeper && scene->operation->sleep == put_one &&
	       bytes_of(scene) > INLINE_BYTES &&
	       !atomic_load(&scene->parties[SLEEPER].ledger->is_done);
}

static bool leaks_nothing(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];
	uint64_t linked = scene->base_linked + lease_chunks(&checker->queue->ring);
	struct arena_usage usage;

	arena_measure(checker->seg, &usage);
	if (usage.blocks_held > (is_sleeper_holding(scene) ? 1 : 0))
		return complain(scene, "%d blocks are held by nobody", (int)usage.blocks_held);
	if (usage.blocks_linked != linked)
		return complain(scene, "%d blocks are in use, not %d", (int)usage.blocks_linked,
				(int)linked);
	if (lease_count(&checker->queue->ring, LEASE_FREE) !=
	    lease_chunks(&checker->queue->ring) * LEASES_PER_CHUNK)
		return complain(scene, "a lease record is in use by nobody");
	return true;
}

static bool is_closed(mp_queue *queue)
{
	return load_seqcst(&queue->ring.shared->closed);
}

/* The sleeper has what it waits for, or goes on as soon as there is some. */
static bool check_sleeper(struct scene *scene)
{
	struct party *checker = &scene->parties[CHECKER];
	bool is_getter = scene->operation->sleep == get_one;
	bool is_ready = is_getter ? mp_queue_size(checker->queue) > 0 || is_closed(checker->queue)
				  : !mp_queue_is_full(checker->queue);

	if (is_ready && !judge_sleeper_woke(scene))
		return complain(scene, "a sleeper is not woken though it could go on");
	if (scene->is_copy || atomic_load(&scene->parties[SLEEPER].ledger->is_done))
		return true;
	if (is_getter) {
		checker->ledger->adding = BY_PROBE;
		checker->ledger->result = put_number(checker->queue, BY_PROBE, bytes_of(scene),
						     MP_NOW);
		atomic_store(&checker->ledger->is_done, 1);
	} else {
		checker->ledger->result = get(scene, checker);
		atomic_store(&checker->ledger->is_done, 1);
	}
	return judge_sleeper_woke(scene) || complain(scene, "a sleeper sleeps on");
}

static bool check_closed(struct scene *scene, int end)
{
	mp_queue *queue = scene->parties[CHECKER].queue;

	return (end == -EPIPE && put_number(queue, 1, INLINE, MP_NOW) == -EPIPE) ||
	       complain(scene, "a closed queue says %d", end);
}

/* Whoever was told that it is closed was told the truth. */
static bool is_closed_as_told(struct scene *scene)
{
	const struct ledger *victim = &scene->ledgers[VICTIM];

	return !scene->operation->closes || !atomic_load(&victim->is_done) ||
	       is_closed(scene->parties[CHECKER].queue) ||
	       complain(scene, "a closed queue is not closed");
}

/* What the survivor arranged and never came to do. */
static void settle_survivor(struct scene *scene)
{
	struct party *survivor = &scene->parties[SURVIVOR];

	if (scene->other && scene->other->arrange == claim_before && survivor->slot.data &&
	    !atomic_load(&survivor->ledger->is_done))
		require(mp_queue_return(survivor->queue, &survivor->slot) == 0);
}

static bool queue_check(struct scene *scene)
{
	mp_queue *queue = scene->parties[CHECKER].queue;
	bool is_good = true;
	int end;

	settle_survivor(scene);
	if (scene->context->has_sleeper)
		is_good = check_sleeper(scene);
	is_good &= check_messages(scene, &end) && is_closed_as_told(scene);
	if (is_closed(queue))
		is_good &= check_closed(scene, end);
	else if (end != -EAGAIN)
		return complain(scene, "draining it ends with %d", end);
	for (unsigned lap = 0; lap < LAPS && is_good && end == -EAGAIN; lap++)
		is_good = passes_lap(scene, queue, lap);
	return is_good && leaks_nothing(scene);
}

const struct family queue_family = {
	.name = "queue",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = queue_begin,
	.check = queue_check,
	.pair_contexts = SOME | DIED_IN_THE_MIDDLE,
};
