/* SPDX-License-Identifier: MIT
 *
 * See queue_keep.h.
 */
#include "queue_keep.h"

#include "arena.h"
#include "queue_message.h"
#include "require.h"

#define LEASES_MAX 64
#define BLOCKS_MAX 4096
#define BYTES_MIN 64

static struct mp_slot leases[LEASES_MAX];
static uint64_t blocks[BLOCKS_MAX];
static unsigned lease_count, block_count;

void keep_leases(struct scene *scene, unsigned count)
{
	struct party *party = &scene->parties[CHECKER];

	for (unsigned i = 0; i < count; i++) {
		require(lease_count < LEASES_MAX && put_number(scene, party, 0) == 0);
		require(mp_queue_claim(party->queue, MP_NOW, &leases[lease_count++]) == 0);
	}
}

void keep_memory(struct scene *scene)
{
	struct party *party = &scene->parties[CHECKER];
	uint64_t bytes = arena_max_bytes(party->seg);
	void *data;

	while (bytes >= BYTES_MIN) {
		require(block_count < BLOCKS_MAX);
		if (arena_alloc(party->seg, NULL, party->client, bytes, &blocks[block_count],
				&data) == 0)
			block_count++;
		else
			bytes /= 2;
	}
}

static bool end_lease(struct scene *scene, struct mp_slot *slot)
{
	struct party *party = &scene->parties[CHECKER];
	const struct message *message = slot->data;
	size_t bytes = bytes_of(scene, 0);

	if (slot->len != bytes || message->number != 0 || !is_whole(message, bytes))
		return complain(scene, "a message that another leases is not whole");
	if (mp_queue_ack(party->queue, slot) < 0)
		return complain(scene, "a message that another leases is his no more");
	return true;
}

bool end_keeping(struct scene *scene)
{
	struct party *party = &scene->parties[CHECKER];
	bool is_good = true;

	for (; block_count > 0; block_count--)
		is_good &= arena_free(party->seg, NULL, party->client, blocks[block_count - 1]) ==
				   0 ||
			   complain(scene, "another's block is his no more");
	for (; lease_count > 0; lease_count--)
		is_good &= end_lease(scene, &leases[lease_count - 1]);
	return is_good;
}
