/* SPDX-License-Identifier: MIT
 *
 * See queue_check.h. Knows: how a queue is emptied and filled again. Does not know: what
 * stood in its cells (queue_expect.c).
 *
 * After every death: a message that was acknowledged is there once, or was taken whole by somebody;
 * one whose put had not returned is whole or absent; what a dead one held comes back flagged; the
 * rest is in order; the queue takes and gives three laps at full capacity; nothing leaks. Where one
 * alone has died, what it left tells for each message which of the two it must be.
 */
#include "queue_check.h"

#include "arena.h"
#include "family_queue.h"
#include "judge.h"
#include "queue_act.h"
#include "queue_expect.h"
#include "queue_internal.h"
#include "queue_keep.h"
#include "queue_laps.h"
#include "queue_message.h"
#include "queue_says.h"
#include "recover.h"
#include "require.h"
#include "teardown.h"

#include <errno.h>

struct found {
	unsigned times[NUMBERS_MAX];
	bool is_flagged[NUMBERS_MAX];
	uint64_t last; /* unflagged: its rank */
	int end;       /* what the last get said */
};

/* --- what is there --- */

/* The initial ones were put one after the other, then each party's, then a second or a probe. */
static uint64_t rank_of(const struct scene *scene, uint64_t number)
{
	if (number <= scene->initial)
		return number;
	return scene->initial + (number < BY_PROBE ? 1 : 2);
}

static bool note_found(struct scene *scene, struct found *found, const struct message *message,
		       int len, unsigned flags)
{
	uint64_t number = len == 0 ? number_of_nothing(scene) : message->number;

	if (number >= NUMBERS_MAX || (size_t)len != bytes_of(scene, number) ||
	    !is_whole(message, (size_t)len))
		return complain(scene, "a message of %d bytes is not whole", len);
	found->is_flagged[number] = flags & MP_REDELIVERED;
	if (found->times[number]++)
		return complain(scene, "message %d is there twice", (int)number);
	if (flags & MP_REDELIVERED)
		return true;
	if (rank_of(scene, number) < found->last)
		return complain(scene, "message %d is out of order", (int)number);
	found->last = rank_of(scene, number);
	return true;
}

static bool drain(struct scene *scene, struct found *found)
{
	mp_queue *queue = scene->parties[CHECKER].queue;
	struct mp_message_info info;
	struct message message = { .number = NUMBERS_MAX };
	bool is_good = true;
	int len;

	while ((len = mp_queue_get_info(queue, &message, sizeof message, MP_NOW, &info)) >= 0)
		is_good &= note_found(scene, found, &message, len, info.flags);
	found->end = len;
	return is_good;
}

/* --- each message --- */

/* How many parties have it in their hands, and may one that died have had it? */
static void count_taken(struct scene *scene, uint64_t number, unsigned *ret_surely,
			unsigned *ret_perhaps)
{
	*ret_surely = *ret_perhaps = 0;
	for (enum role role = 0; role < ROLES; role++) {
		const struct ledger *ledger = &scene->ledgers[role];
		const struct message *message = (const void *)ledger->buffer;

		if (!ledger->is_taking || message->number != number ||
		    !is_whole(message, bytes_of(scene, number)))
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

		if (!(ledger->adding >> number & 1))
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
	if (perhaps > surely && found->times[number] && !found->is_flagged[number] &&
	    !queue_expects_exactly(scene))
		return complain(scene, "message %d comes once more and does not say so",
				(int)number);
	return true;
}

/* What was there is there, what was gone is gone, and who had it in between is told. */
static bool check_fate(struct scene *scene, const struct found *found, uint64_t number)
{
	enum fate fate = queue_fate(number);

	if (!queue_expects_exactly(scene) || number == BY_PROBE)
		return true;
	if (!found->times[number] && fate != FATE_ABSENT)
		return complain(scene, "message %d was there, and does not come", (int)number);
	if (found->times[number] && fate == FATE_ABSENT)
		return complain(scene, "message %d was gone, and comes", (int)number);
	if (found->times[number] && found->is_flagged[number] != (fate == FATE_FLAGGED))
		return complain(scene, "message %d comes %sflagged", (int)number,
				fate == FATE_FLAGGED ? "un" : "");
	return true;
}

/* What the victim had leased and not done is there again and says so. */
static bool check_lease(struct scene *scene, const struct found *found)
{
	const struct ledger *victim = &scene->ledgers[VICTIM];
	const struct message *message = (const void *)victim->buffer;

	if (!victim->is_leasing || victim->is_taking)
		return true;
	if (scene->other || scene->context->has_sleeper || found->is_flagged[message->number])
		return true;
	return complain(scene, "leased message %d came back unflagged", (int)message->number);
}

/* Among the living nobody's hands let go of one but by giving it back. */
static bool check_flag(struct scene *scene, const struct found *found, uint64_t number)
{
	const struct ledger *victim = &scene->ledgers[VICTIM];
	const struct message *had = (const void *)victim->buffer;
	bool is_returned = victim->is_leasing && !victim->is_taking && had->number == number;
	bool is_refused = queue_context(scene) == NO_MEMORY && number == 1;

	if (!scene->is_alive || scene->context->earlier != NO_EARLIER)
		return true;
	return !found->is_flagged[number] || is_returned || is_refused ||
	       (queue_context(scene) == RETURNED && number == 1) ||
	       complain(scene, "message %d is flagged, and nobody gave it back", (int)number);
}

static bool check_messages(struct scene *scene, const struct found *found)
{
	bool is_good = queue_has_no_double(scene);

	for (uint64_t number = 0; number < NUMBERS_MAX && is_good; number++)
		is_good = check_number(scene, found, number) &&
			  check_fate(scene, found, number) && check_flag(scene, found, number);
	return is_good && check_lease(scene, found);
}

/* --- the sleeper --- */

static bool is_closed(mp_queue *queue)
{
	return load_seqcst(&queue->ring.shared->closed);
}

static bool is_getter_asleep(const struct scene *scene)
{
	return scene->operation->sleep == act_get_one;
}

/* If it could go on, it does. */
static bool is_sleeper_served(struct scene *scene)
{
	mp_queue *queue = scene->parties[CHECKER].queue;
	bool is_ready = is_getter_asleep(scene) ? mp_queue_size(queue) > 0
						: !mp_queue_is_full(queue);

	return !(is_ready || is_closed(queue)) || judge_sleeper_woke(scene) ||
	       complain(scene, "a sleeper is not woken though it could go on");
}

static bool can_sleeper_leave(const struct scene *scene)
{
	return scene->context->has_sleeper && !scene->is_copy;
}

/* The queue was drained: a getter is given one more, a putter can put. One that has left may have
 * been in the middle of its put when its turn to be drained came. */
static bool serve_sleeper(struct scene *scene, struct found *found)
{
	struct party *checker = &scene->parties[CHECKER];

	if (!can_sleeper_leave(scene))
		return true;
	if (atomic_load(&scene->parties[SLEEPER].ledger->is_done))
		return drain(scene, found);
	if (is_getter_asleep(scene)) {
		checker->ledger->adding |= UINT64_C(1) << BY_PROBE;
		checker->ledger->result = put_number(scene, checker, BY_PROBE);
		atomic_store(&checker->ledger->is_done, 1);
	}
	return (judge_sleeper_woke(scene) || complain(scene, "a sleeper sleeps on")) &&
	       drain(scene, found);
}

/* --- the queue --- */

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
	return scene->context->has_sleeper && !is_getter_asleep(scene) &&
	       bytes_of(scene, BY_VICTIM) > INLINE_BYTES &&
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

static bool says_that_it_is_closed(struct scene *scene, const struct found *found)
{
	struct party *checker = &scene->parties[CHECKER];
	struct mp_slot slot;

	return (found->end == -EPIPE && put_number(scene, checker, 1) == -EPIPE &&
		mp_queue_reserve(checker->queue, BLOCK, MP_NOW, &slot) == -EPIPE &&
		mp_queue_claim(checker->queue, MP_NOW, &slot) == -EPIPE) ||
	       complain(scene, "a closed queue says %d", found->end);
}

/* Whoever was told that it is closed was told the truth, and it stays so. */
static bool is_closed_as_told(struct scene *scene)
{
	const struct ledger *victim = &scene->ledgers[VICTIM];
	bool is_told = scene->operation->closes && atomic_load(&victim->is_done);

	return !(is_told || queue_was_closed()) || is_closed(scene->parties[CHECKER].queue) ||
	       complain(scene, "a closed queue is not closed");
}

static bool is_usable(struct scene *scene, const struct found *found)
{
	if (is_closed(scene->parties[CHECKER].queue))
		return says_that_it_is_closed(scene, found);
	if (found->end != -EAGAIN)
		return complain(scene, "draining it ends with %d", found->end);
	return passes_laps(scene);
}

/* What the survivor arranged and never came to do. */
static void settle_survivor(struct scene *scene)
{
	struct party *survivor = &scene->parties[SURVIVOR];

	if (scene->other && scene->other->arrange == act_claim_before && survivor->slot.data &&
	    !atomic_load(&survivor->ledger->is_done))
		require(mp_queue_return(survivor->queue, &survivor->slot) == 0);
}

static bool is_sleeper_told_right(struct scene *scene)
{
	const struct ledger *sleeper = &scene->ledgers[SLEEPER];

	return !scene->context->has_sleeper || !atomic_load(&sleeper->is_done) ||
	       queue_may_say(scene, SLEEPER, sleeper->result);
}

/* In a copy nobody can wake it: it dies asleep, with what it has. */
static void end_sleeper(struct scene *scene)
{
	struct party *sleeper = &scene->parties[SLEEPER];

	if (!scene->is_copy || !scene->context->has_sleeper)
		return;
	scene->is_dead[SLEEPER] = true;
	recover_client(scene->parties[CHECKER].seg, sleeper->client, sleeper->generation);
}

bool queue_check(struct scene *scene)
{
	struct found found = { .last = 0 };
	bool is_good;

	settle_survivor(scene);
	is_good = !scene->context->has_sleeper || is_sleeper_served(scene);
	is_good &= drain(scene, &found) && serve_sleeper(scene, &found) &&
		   check_messages(scene, &found);
	is_good &= is_sleeper_told_right(scene) && is_closed_as_told(scene) && end_keeping(scene);
	is_good = is_good && is_usable(scene, &found) && leaks_nothing(scene);
	end_sleeper(scene);
	return teardown(scene) && is_good;
}
