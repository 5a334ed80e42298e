/* SPDX-License-Identifier: MIT
 *
 * See queue_act.h. Knows: libshm's calls and what the ledger notes of each. Does not know:
 * who dies, or what must hold afterwards.
 */
#include "queue_act.h"

#include "queue_internal.h"
#include "queue_message.h"
#include "recover.h"
#include "require.h"
#include "scene.h"

#include <errno.h>
#include <time.h>

#define SHORT MP_USEC(300)
#define LOOKS 20

static uint64_t number_of(const struct scene *scene, const struct party *party)
{
	return BY_VICTIM + (uint64_t)(party - scene->parties);
}

void act_write_before(struct scene *scene, struct party *party)
{
	uint64_t number = number_of(scene, party);

	make_message((void *)party->message, number, bytes_of(scene, number));
}

static int put(struct scene *scene, struct party *party, int64_t timeout)
{
	uint64_t number = number_of(scene, party);

	party->ledger->adding = UINT64_C(1) << number;
	return mp_queue_put(party->queue, party->message, bytes_of(scene, number), timeout);
}

int act_put(struct scene *scene, struct party *party)
{
	return put(scene, party, scene->timeout);
}

int act_put_in_time(struct scene *scene, struct party *party)
{
	return put(scene, party, SHORT);
}

/* One without bytes cannot tell which it is. */
static void expect_nothing(struct scene *scene, struct party *party)
{
	if (scene->operation->variant == NOTHING)
		make_message((void *)party->ledger->buffer, number_of_nothing(scene), 8);
}

static int get(struct scene *scene, struct party *party, int64_t timeout)
{
	struct mp_message_info info;

	expect_nothing(scene, party);
	party->ledger->is_taking = true;
	return mp_queue_get_info(party->queue, party->ledger->buffer, BUFFER_BYTES, timeout, &info);
}

int act_get(struct scene *scene, struct party *party)
{
	return get(scene, party, scene->timeout);
}

int act_get_in_time(struct scene *scene, struct party *party)
{
	return get(scene, party, SHORT);
}

/* It stays where it is, and is told how large it is. */
int act_get_too_small(struct scene *scene, struct party *party)
{
	struct mp_message_info info = { .len = 0 };
	int result = mp_queue_get_info(party->queue, party->ledger->buffer, 1, scene->timeout,
				       &info);

	return result == -EMSGSIZE && info.len != bytes_of(scene, 1) ? 1 : result;
}

int act_reserve(struct scene *scene, struct party *party)
{
	return mp_queue_reserve(party->queue, BLOCK, scene->timeout, &party->slot);
}

int act_abandon(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_queue_abandon(party->queue, &party->slot);
}

void act_reserve_before(struct scene *scene, struct party *party)
{
	require(mp_queue_reserve(party->queue, BLOCK, scene->timeout, &party->slot) == 0);
	make_message(party->slot.data, number_of(scene, party), BLOCK);
}

void act_reserve_and_close_before(struct scene *scene, struct party *party)
{
	act_reserve_before(scene, party);
	require(mp_queue_close_input(party->queue) == 0);
}

int act_commit(struct scene *scene, struct party *party)
{
	party->ledger->adding = UINT64_C(1) << number_of(scene, party);
	return mp_queue_commit(party->queue, &party->slot);
}

static int claim(struct scene *scene, struct party *party, int64_t timeout)
{
	int result;

	expect_nothing(scene, party);
	result = mp_queue_claim(party->queue, timeout, &party->slot);
	if (result < 0)
		return result;
	memcpy(party->ledger->buffer, party->slot.data, party->slot.len);
	party->ledger->is_leasing = true;
	return result;
}

int act_claim(struct scene *scene, struct party *party)
{
	return claim(scene, party, scene->timeout);
}

int act_claim_in_time(struct scene *scene, struct party *party)
{
	return claim(scene, party, SHORT);
}

void act_claim_before(struct scene *scene, struct party *party)
{
	require(claim(scene, party, MP_NOW) == 0);
}

int act_ack(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->is_taking = true;
	return mp_queue_ack(party->queue, &party->slot);
}

int act_return(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_queue_return(party->queue, &party->slot);
}

int act_close_input(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_queue_close_input(party->queue);
}

/* The recovery of EARLIER, who died in the middle of the rival. */
int act_recover(struct scene *scene, struct party *party)
{
	struct party *dead = &scene->parties[EARLIER];

	recover_client(party->seg, dead->client, dead->generation);
	return 0;
}

/* --- what the others do --- */

void act_settle_claim(struct scene *scene, struct party *party)
{
	(void)scene;
	if (party->ledger->result >= 0)
		require(mp_queue_return(party->queue, &party->slot) == 0);
}

void act_settle_reserve(struct scene *scene, struct party *party)
{
	(void)scene;
	if (party->ledger->result >= 0)
		require(mp_queue_abandon(party->queue, &party->slot) == 0);
}

void act_settle_commit(struct scene *scene, struct party *party)
{
	(void)scene;
	if (party->ledger->result < 0)
		require(mp_queue_abandon(party->queue, &party->slot) == 0);
}

void act_put_one(struct scene *scene, struct party *party)
{
	act_write_before(scene, party);
	party->ledger->result = act_put(scene, party);
}

void act_get_one(struct scene *scene, struct party *party)
{
	party->ledger->result = act_get(scene, party);
}

/* --- for two who wait: one wake each, but out of order --- */

/* Whoever is woken in vain sleeps again; one that is stopped is not waited for. */
static void let_sleeper_look(struct scene *scene)
{
	struct timespec nap = { .tv_nsec = 100000 };

	for (unsigned i = 0; i < LOOKS; i++)
		nanosleep(&nap, NULL);
	for (unsigned i = 0; i < LOOKS && !scene_is_asleep(scene, SLEEPER); i++)
		nanosleep(&nap, NULL);
}

/* The second message is there before the first: both wakes may go to one. */
void act_put_two(struct scene *scene, struct party *party)
{
	uint64_t number = number_of(scene, party);
	struct place place;
	struct self *me;

	act_write_before(scene, party);
	party->ledger->adding = UINT64_C(1) << number | UINT64_C(1) << BY_SECOND;
	require(self_get(party->seg, &me) == 0);
	require(ring_claim_empty(&party->queue->ring, party->client, &place) == 0);
	require(put_number(scene, party, BY_SECOND) == 0);
	let_sleeper_look(scene);
	queue_put_inline(party->queue, me, &place, party->message, bytes_of(scene, number));
}

/* The second place is free before the first. */
void act_get_two(struct scene *scene, struct party *party)
{
	struct ledger *second = scene->parties[CHECKER].ledger;
	struct arena_block none = { .word = NULL };
	struct taken first;
	struct self *me;

	require(self_get(party->seg, &me) == 0);
	require(ring_find_ready(&party->queue->ring, &first) == 0);
	require(ring_take(&party->queue->ring, party->client, &first));
	second->is_taking = true;
	second->result = mp_queue_get(party->queue, second->buffer, BUFFER_BYTES, MP_NOW);
	require(second->result >= 0);
	atomic_store(&second->is_done, 1);
	let_sleeper_look(scene);
	memcpy(party->ledger->buffer, first.cell->payload.bytes, INLINE_BYTES);
	party->ledger->result = (int)bytes_of(scene, 1);
	party->ledger->is_taking = true;
	require(queue_finish(party->queue, me, &first, &none));
}
