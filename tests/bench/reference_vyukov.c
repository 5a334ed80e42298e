/* SPDX-License-Identifier: MIT
 *
 * A reference: Dmitry Vyukov's bounded queue. See reference_vyukov.h.
 *
 * A cell is one cache line for messages up to 48 bytes, like the product's; above, the bytes begin
 * in a line of their own. Knows: the cells' sequence numbers. Does not know: the product's queues,
 * what is measured.
 */
#include "reference_vyukov.h"

#include <stdatomic.h>
#include <string.h>

#define LINE 64
#define INLINE_MAX 48

struct cell {
	_Atomic uint64_t sequence;
	uint32_t len;
	uint32_t reserved;
	unsigned char bytes[INLINE_MAX];
};

struct vyukov {
	_Alignas(LINE) uint64_t mask;
	uint64_t cell_bytes;
	_Alignas(LINE) _Atomic uint64_t tail;
	_Alignas(LINE) _Atomic uint64_t head;
	_Alignas(LINE) unsigned char cells[];
};

static uint64_t cell_bytes(uint32_t message_bytes)
{
	if (message_bytes <= INLINE_MAX)
		return LINE;
	return LINE + ((uint64_t)message_bytes + LINE - 1) / LINE * LINE;
}

static struct cell *cell_at(struct vyukov *ring, uint64_t position)
{
	return (void *)(ring->cells + (position & ring->mask) * ring->cell_bytes);
}

static unsigned char *payload(struct vyukov *ring, struct cell *cell)
{
	return ring->cell_bytes == LINE ? cell->bytes : (unsigned char *)cell + LINE;
}

size_t vyukov_bytes(uint32_t capacity, uint32_t message_bytes)
{
	return sizeof(struct vyukov) + capacity * cell_bytes(message_bytes);
}

void vyukov_init(struct vyukov *ring, uint32_t capacity, uint32_t message_bytes)
{
	ring->mask = capacity - 1;
	ring->cell_bytes = cell_bytes(message_bytes);
	atomic_store(&ring->tail, 0);
	atomic_store(&ring->head, 0);
	for (uint64_t i = 0; i < capacity; i++)
		atomic_store(&cell_at(ring, i)->sequence, i);
}

/* Claim the position at `end` once its cell has reached that sequence; NULL if it has not. */
static struct cell *claim(struct vyukov *ring, _Atomic uint64_t *end, uint64_t ahead,
			  uint64_t *ret_position)
{
	uint64_t position = atomic_load_explicit(end, memory_order_relaxed);

	for (;;) {
		struct cell *cell = cell_at(ring, position);
		uint64_t sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);
		int64_t difference = (int64_t)(sequence - (position + ahead));

		*ret_position = position;
		if (difference < 0)
			return NULL;
		if (difference > 0)
			position = atomic_load_explicit(end, memory_order_relaxed);
		else if (atomic_compare_exchange_weak_explicit(end, &position, position + 1,
							       memory_order_relaxed,
							       memory_order_relaxed))
			return cell;
	}
}

bool vyukov_try_put(struct vyukov *ring, const void *data, uint32_t len)
{
	uint64_t position;
	struct cell *cell = claim(ring, &ring->tail, 0, &position);

	if (!cell)
		return false;
	cell->len = len;
	memcpy(payload(ring, cell), data, len);
	atomic_store_explicit(&cell->sequence, position + 1, memory_order_release);
	return true;
}

bool vyukov_try_get(struct vyukov *ring, void *buf, uint32_t *ret_len)
{
	uint64_t position;
	struct cell *cell = claim(ring, &ring->head, 1, &position);

	if (!cell)
		return false;
	*ret_len = cell->len;
	memcpy(buf, payload(ring, cell), cell->len);
	atomic_store_explicit(&cell->sequence, position + ring->mask + 1, memory_order_release);
	return true;
}
