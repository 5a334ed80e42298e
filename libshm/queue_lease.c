/* SPDX-License-Identifier: MIT
 *
 * Lease records: messages that a client works on, moved out of their cells. Knows: the lease word
 * (cellword.h), chunks of records. Does not know: payloads, sleeping.
 *
 * Records belong to the queue, in chunks made when first needed: a client that dies leaves its
 * records where every other client of the queue finds them, and a returned message needs no place
 * in a ring that may be full meanwhile.
 *
 * | killed after        | record says             | the message is in | repair                 |
 * | CAS CLAIMING        | CLAIMING, not filled    | the cell          | FREE                   |
 * | filled stored       | CLAIMING, cell READING  | the cell          | FREE, cell READY       |
 * | cell EMPTY (commit) | CLAIMING, cell moved on | the record        | RETURNED               |
 * | LEASED              | LEASED                  | the record        | RETURNED               |
 * | ack: ENDING         | ENDING, block LINKED    | the record        | RETURNED               |
 * | ack: block HELD     | ENDING                  | the record        | block LINKED, RETURNED |
 * | ack: FREE (commit)  | FREE                    | nowhere, done     | block swept            |
 *
 * The word is written by the owner's threads, by recoverers once it is dead, and in FREE and
 * RETURNED by whoever claims. Why ENDING: two threads have copies of one slot, and ack it, return
 * it, or one this and the other that.
 *
 *     acks                        returns                     another process
 *     block LINKED -> HELD(me)
 *                                 LEASED -> RETURNED
 *                                                             RETURNED -> LEASED(it)
 *     LEASED -> FREE fails                                    its block is HELD by a stranger
 *
 * So the block is taken over only by who has left LEASED first; the others fail at that CAS and
 * have changed nothing. A get has just made its record LEASED and tells nobody: it needs no ENDING.
 */
#include "arena.h"
#include "queue_internal.h"
#include "shmref.h"

#include <errno.h>
#include <string.h>

#define CHUNK_BYTES (LEASES_PER_CHUNK * sizeof(struct shm_lease))

static struct shm_lease *chunk_at(struct ring *ring, uint32_t chunk)
{
	uint64_t reference = load_acquire(&ring->shared->lease_chunk[chunk]);

	return reference ? shm_at_bytes(ring->seg, reference_offset(reference), CHUNK_BYTES) : NULL;
}

static uint32_t chunk_count(struct ring *ring)
{
	uint32_t count = 0;

	while (count < LEASE_CHUNKS_MAX && load_relaxed(&ring->shared->lease_chunk[count]))
		count++;
	return count;
}

struct shm_lease *lease_at(struct ring *ring, uint64_t index)
{
	struct shm_lease *chunk;

	if (index >= LEASE_CHUNKS_MAX * LEASES_PER_CHUNK)
		return NULL;
	chunk = chunk_at(ring, (uint32_t)(index / LEASES_PER_CHUNK));
	return chunk ? &chunk[index % LEASES_PER_CHUNK] : NULL;
}

uint64_t lease_index(struct ring *ring, const struct shm_lease *lease)
{
	uint32_t count = chunk_count(ring);

	for (uint32_t i = 0; i < count; i++) {
		struct shm_lease *chunk = chunk_at(ring, i);

		if (chunk && lease >= chunk && lease < chunk + LEASES_PER_CHUNK)
			return i * LEASES_PER_CHUNK + (uint64_t)(lease - chunk);
	}
	return UINT64_MAX;
}

/* CAS first, then LINKED: killed between, recovery links what the queue refers to. */
static int add_chunk(struct ring *ring, struct self *me, uint32_t place)
{
	uint64_t reference, none = 0;
	void *chunk;
	int error;

	if (place >= LEASE_CHUNKS_MAX)
		return -ENOSPC;
	error = arena_alloc(ring->seg, &me->cache, me->client, CHUNK_BYTES, &reference, &chunk);
	if (error < 0)
		return error;
	memset(chunk, 0, CHUNK_BYTES);
	if (!cas_seqcst(&ring->shared->lease_chunk[place], &none, reference)) {
		arena_free(ring->seg, &me->cache, me->client, reference);
		return 0; /* somebody else made it */
	}
	return arena_link(ring->seg, me->client, reference);
}

static struct shm_lease *claim_in_chunk(struct shm_lease *chunk, uint32_t client,
					uint64_t *ret_word)
{
	for (uint32_t i = 0; i < LEASES_PER_CHUNK; i++) {
		uint64_t word = load_relaxed(&chunk[i].word);
		uint64_t mine = lease_word(lease_word_seq(word) + 1, client, LEASE_CLAIMING);

		if (lease_word_state(word) == LEASE_FREE &&
		    cas_acquire(&chunk[i].word, &word, mine)) {
			*ret_word = mine;
			return &chunk[i];
		}
	}
	return NULL;
}

int lease_claim(struct ring *ring, struct self *me, struct shm_lease **ret_lease,
		uint64_t *ret_word)
{
	for (uint32_t i = 0; i < LEASE_CHUNKS_MAX; i++) {
		struct shm_lease *chunk;
		int error = 0;

		if (!load_acquire(&ring->shared->lease_chunk[i]))
			error = add_chunk(ring, me, i);
		if (error < 0)
			return error;
		chunk = chunk_at(ring, i);
		if (!chunk)
			return -EBADMSG;
		*ret_lease = claim_in_chunk(chunk, me->client, ret_word);
		if (*ret_lease)
			return 0;
	}
	return -ENOSPC;
}

static bool end_as(struct ring *ring, struct shm_lease *lease, uint64_t word)
{
	/* seq_cst: ended, then look whether the queue was closed (queue_finish). */
	return cas_seqcst(&lease->word, &word, lease_word(lease_word_seq(word), 0, LEASE_FREE));
}

uint64_t lease_keep(struct shm_lease *lease, uint64_t word)
{
	uint64_t kept = lease_word(lease_word_seq(word), lease_word_client(word), LEASE_LEASED);

	store_release(&lease->word, kept);
	return kept;
}

bool lease_begin_end(struct shm_lease *lease, uint64_t *word)
{
	uint64_t seen = *word;
	uint64_t ending = lease_word(lease_word_seq(seen), lease_word_client(seen), LEASE_ENDING);

	if (!cas_acquire(&lease->word, &seen, ending))
		return false;
	*word = ending;
	return true;
}

bool lease_end(struct ring *ring, struct shm_lease *lease, uint64_t word)
{
	return end_as(ring, lease, word);
}

bool lease_return(struct shm_lease *lease, uint64_t word)
{
	return cas_release(&lease->word, &word,
			   lease_word(lease_word_seq(word), 0, LEASE_RETURNED));
}

static bool take_returned(struct shm_lease *lease, uint32_t client, struct taken *ret_taken)
{
	uint64_t word = load_seqcst(&lease->word);
	uint64_t mine = lease_word(lease_word_seq(word) + 1, client, LEASE_LEASED);

	if (lease_word_state(word) != LEASE_RETURNED || !cas_acquire(&lease->word, &word, mine))
		return false;
	*ret_taken = (struct taken){ .lease = lease,
				     .word = mine,
				     .position = load_relaxed(&lease->from),
				     .meta = load_relaxed(&lease->meta),
				     .is_redelivered = true };
	return true;
}

/* Calls `each` on every record until it says true. */
static bool any_lease(struct ring *ring, bool (*each)(struct shm_lease *lease, void *arg),
		      void *arg)
{
	uint32_t count = chunk_count(ring);

	for (uint32_t i = 0; i < count; i++) {
		struct shm_lease *chunk = chunk_at(ring, i);

		for (uint32_t j = 0; chunk && j < LEASES_PER_CHUNK; j++)
			if (each(&chunk[j], arg))
				return true;
	}
	return false;
}

struct taking {
	uint32_t client;
	struct taken *taken;
};

static bool take_each(struct shm_lease *lease, void *arg)
{
	struct taking *taking = arg;

	return take_returned(lease, taking->client, taking->taken);
}

bool lease_take_returned(struct ring *ring, uint32_t client, struct taken *ret_taken)
{
	struct taking taking = { .client = client, .taken = ret_taken };

	return any_lease(ring, take_each, &taking);
}

struct foreign {
	uint32_t client;
	uint32_t owner;
};

static bool is_foreign(struct shm_lease *lease, void *arg)
{
	struct foreign *foreign = arg;
	uint64_t word = load_seqcst(&lease->word);

	foreign->owner = lease_word_client(word);
	return lease_word_state(word) != LEASE_FREE && foreign->owner != foreign->client;
}

bool lease_is_any_foreign(struct ring *ring, uint32_t client)
{
	struct foreign foreign = { .client = client };

	return any_lease(ring, is_foreign, &foreign);
}

uint32_t lease_foreign_owner(struct ring *ring, uint32_t client)
{
	struct foreign foreign = { .client = client };

	return any_lease(ring, is_foreign, &foreign) ? foreign.owner : SLOT_NONE;
}

struct returning {
	uint32_t client;
	unsigned count;
};

static bool return_each(struct shm_lease *lease, void *arg)
{
	struct returning *returning = arg;
	uint64_t word = load_relaxed(&lease->word);

	if (lease_word_state(word) == LEASE_LEASED && lease_word_client(word) == returning->client)
		returning->count += lease_return(lease, word);
	return false;
}

unsigned lease_return_all(struct ring *ring, uint32_t client)
{
	struct returning returning = { .client = client };

	any_lease(ring, return_each, &returning);
	return returning.count;
}

struct counting {
	enum lease_state state;
	uint32_t count;
};

static bool count_each(struct shm_lease *lease, void *arg)
{
	struct counting *counting = arg;

	counting->count += lease_word_state(load_relaxed(&lease->word)) == counting->state;
	return false;
}

uint32_t lease_count(struct ring *ring, enum lease_state state)
{
	struct counting counting = { .state = state };

	any_lease(ring, count_each, &counting);
	return counting.count;
}
