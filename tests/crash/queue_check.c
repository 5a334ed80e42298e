/* SPDX-License-Identifier: MIT
 *
 * See queue_check.h.
 *
 * After every death: a message that was acknowledged is there once, or was taken whole by somebody;
 * one whose put had not returned is whole or absent; what a dead one held comes back flagged; the
 * rest is in order; the queue takes and gives three laps at full capacity; nothing leaks.
 */
#include "queue_check.h"

#include "arena.h"
#include "judge.h"
#include "queue_act.h"
#include "queue_internal.h"
#include "queue_message.h"
#include "require.h"

#define LAPS 3

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
	return scene->context->has_sleeper && scene->operation->sleep == act_put_one &&
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
	bool is_getter = scene->operation->sleep == act_get_one;
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
		checker->ledger->result = act_get(scene, checker);
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

	if (scene->other && scene->other->arrange == act_claim_before && survivor->slot.data &&
	    !atomic_load(&survivor->ledger->is_done))
		require(mp_queue_return(survivor->queue, &survivor->slot) == 0);
}

bool queue_check(struct scene *scene)
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
