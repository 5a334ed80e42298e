/* SPDX-License-Identifier: MIT
 *
 * See queue_keep.h. Knows: words of blocks and records. Does not know: what is promised.
 */
#include "queue_keep.h"

#include "blockword.h"
#include "queue_internal.h"
#include "queue_message.h"
#include "require.h"

#define LEASES_MAX 64
#define BLOCKS_MAX 4096
#define BYTES_MIN 64

static struct mp_slot leases[LEASES_MAX];
static uint64_t blocks[BLOCKS_MAX];
static unsigned leased, held;

void keep_leases(struct scene *scene, unsigned count)
{
	struct party *party = &scene->parties[SURVIVOR];

	for (unsigned i = 0; i < count; i++) {
		require(leased < LEASES_MAX && put_number(scene, party, 0) == 0);
		require(mp_queue_claim(party->queue, MP_NOW, &leases[leased++]) == 0);
	}
}

void keep_memory(struct scene *scene)
{
	struct party *party = &scene->parties[SURVIVOR];
	uint64_t bytes = arena_max_bytes(party->seg);
	void *data;

	while (bytes >= BYTES_MIN) {
		require(held < BLOCKS_MAX);
		if (arena_alloc(party->seg, NULL, party->client, bytes, &blocks[held],
				&data) == 0)
			held++;
		else
			bytes -= bytes / 8; /* no class of blocks is left out */
	}
}

/* Nothing else notices that it is not until somebody else is given it. */
static bool is_block_in_use(const struct party *party, const struct mp_slot *slot)
{
	struct shm_lease *lease = lease_at(&party->queue->ring, slot->private_[1]);
	uint64_t word = arena_word_of(party->seg, load_relaxed(&lease->payload.block));

	return slot->len <= INLINE_BYTES || block_word_state(word) == BLOCK_LINKED;
}

static bool end_lease(struct scene *scene, struct mp_slot *slot)
{
	struct party *party = &scene->parties[SURVIVOR];
	const struct message *message = slot->data;
	size_t bytes = bytes_of(scene, 0);

	if (slot->len != bytes || message->number != 0 || !is_whole(message, bytes))
		return complain(scene, "a message that another leases is not whole");
	if (!is_block_in_use(party, slot))
		return complain(scene, "the block of a message that another leases is free");
	if (mp_queue_ack(party->queue, slot) < 0)
		return complain(scene, "a message that another leases is his no more");
	return true;
}

bool end_keeping(struct scene *scene)
{
	struct party *party = &scene->parties[SURVIVOR];
	bool is_good = true;

	for (; held > 0; held--)
		is_good &= arena_free(party->seg, NULL, party->client, blocks[held - 1]) ==
				   0 ||
			   complain(scene, "another's block is his no more");
	for (; leased > 0; leased--)
		is_good &= end_lease(scene, &leases[leased - 1]);
	return is_good;
}
