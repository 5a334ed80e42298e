/* SPDX-License-Identifier: MIT
 *
 * See queue_act.h.
 */
#include "queue_act.h"

#include "queue_message.h"
#include "recover.h"
#include "require.h"

static uint64_t number_of(const struct scene *scene, const struct party *party)
{
	return BY_VICTIM + (uint64_t)(party - scene->parties);
}

void act_write_before(struct scene *scene, struct party *party)
{
	struct message *message = (void *)party->message;

	make_message(message, number_of(scene, party), bytes_of(scene));
}

int act_put(struct scene *scene, struct party *party)
{
	party->ledger->adding = number_of(scene, party);
	return mp_queue_put(party->queue, party->message, bytes_of(scene), scene->timeout);
}

int act_get(struct scene *scene, struct party *party)
{
	struct mp_message_info info;

	party->ledger->is_taking = true;
	return mp_queue_get_info(party->queue, party->ledger->buffer, BUFFER_BYTES, scene->timeout,
				 &info);
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

int act_commit(struct scene *scene, struct party *party)
{
	party->ledger->adding = number_of(scene, party);
	return mp_queue_commit(party->queue, &party->slot);
}

int act_claim(struct scene *scene, struct party *party)
{
	int result = mp_queue_claim(party->queue, scene->timeout, &party->slot);

	if (result < 0)
		return result;
	memcpy(party->ledger->buffer, party->slot.data, party->slot.len);
	party->ledger->is_leasing = true;
	return result;
}

void act_claim_before(struct scene *scene, struct party *party)
{
	(void)scene;
	require(mp_queue_claim(party->queue, MP_NOW, &party->slot) == 0);
	memcpy(party->ledger->buffer, party->slot.data, party->slot.len);
	party->ledger->is_leasing = true;
}

int act_ack(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->is_taking = true;
	return mp_queue_ack(party->queue, &party->slot);
}

int act_give_back(struct scene *scene, struct party *party)
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
