/* SPDX-License-Identifier: MIT
 *
 * The words of a queue: positions, cells and lease records. Pure functions on a word.
 * Knows: laps, owners, states. Does not know: payloads, hints, sleeping.
 *
 *   cell    63      24 23    16 15      4 3    0
 *          |  lap:40  | tries  | client  | state |
 *
 *      EMPTY(lap) --put: CAS--> WRITING(lap, me) --exchange--> READY(lap)
 *      READY(lap) --get: CAS--> READING(lap, me) --exchange--> EMPTY(lap + 1)
 *      WRITING(dead) --recovery--> SKIP(lap) --getter or putter--> EMPTY(lap + 1)
 *      READING(dead) --recovery--> READY(lap), tries + 1            (redelivered when tries > 0)
 *      EMPTY(lap) --close: CAS--> SEALED(lap)                       (no put ever passes it)
 *
 * The owner needs no generation: a slot is reused only after it was swept, and a late sweeper's CAS
 * fails because every way back to the same state changes the lap or the tries.
 *
 *   position  63      24 23     0      the next position needs no division
 *            |  lap:40  | index  |
 *
 *   lease   63      40 39    16 15      4 3    0
 *          |  seq:24  |   -    | client  | state |
 *
 *      FREE --CAS--> CLAIMING(me) --store--> LEASED(me) --ack: CAS--> FREE
 *      LEASED(me) --ack of a message with a block: CAS--> ENDING(me) --CAS--> FREE
 *      LEASED(me) --return: CAS--> RETURNED --CAS--> LEASED(me)
 *      CLAIMING(dead), LEASED(dead), ENDING(dead) --recovery: CAS--> RETURNED
 *      CLAIMING(dead) while the cell still has the message --recovery: CAS--> FREE
 *
 * LEASED is every thread's of its client, which all may have copies of the slot: one CAS out of it
 * decides who acks or returns. CLAIMING and ENDING are one thread's, who alone may touch the block.
 *
 * seq grows whenever the record leaves FREE or changes its owner.
 */
#ifndef LIBSHM_CELLWORD_H
#define LIBSHM_CELLWORD_H

#include "bits.h"

enum cell_state {
	CELL_EMPTY = 0,
	CELL_WRITING = 1,
	CELL_READY = 2,
	CELL_READING = 3,
	CELL_SKIP = 4,
	CELL_SEALED = 5
};

enum lease_state {
	LEASE_FREE = 0,
	LEASE_CLAIMING = 1,
	LEASE_LEASED = 2,
	LEASE_RETURNED = 3,
	LEASE_ENDING = 4
};

#define LAP_SHIFT 24
#define LAP_MASK ((UINT64_C(1) << 40) - 1)

static inline uint64_t cell_word(uint64_t lap, uint32_t tries, uint32_t client,
				 enum cell_state state)
{
	return bits_make(lap, LAP_SHIFT, 40) | bits_make(tries, 16, 8) | bits_make(client, 4, 12) |
	       (uint64_t)state;
}

static inline enum cell_state cell_word_state(uint64_t word)
{
	return (enum cell_state)(word & 15);
}

static inline uint32_t cell_word_client(uint64_t word)
{
	return (uint32_t)bits_get(word, 4, 12);
}

static inline uint32_t cell_word_tries(uint64_t word)
{
	return (uint32_t)bits_get(word, 16, 8);
}

static inline uint64_t cell_word_lap(uint64_t word)
{
	return word >> LAP_SHIFT;
}

/* The same message, still there, taken once more: tries never wraps to "first time". */
static inline uint64_t cell_word_redelivered(uint64_t word)
{
	uint32_t tries = cell_word_tries(word);

	return cell_word(cell_word_lap(word), tries < 255 ? tries + 1 : 1, 0, CELL_READY);
}

static inline uint64_t position_make(uint64_t lap, uint32_t index)
{
	return bits_make(lap, LAP_SHIFT, 40) | index;
}

static inline uint64_t position_lap(uint64_t position)
{
	return position >> LAP_SHIFT;
}

static inline uint32_t position_index(uint64_t position)
{
	return (uint32_t)(position & ((UINT32_C(1) << LAP_SHIFT) - 1));
}

static inline uint64_t position_next(uint64_t position, uint32_t capacity)
{
	uint32_t index = position_index(position) + 1;

	return index < capacity ? position + 1 : position_make(position_lap(position) + 1, 0);
}

/* Which of two laps is later; laps wrap after 2^40, so they compare as differences. */
static inline int64_t lap_difference(uint64_t a, uint64_t b)
{
	return (int64_t)((a - b) << 24) >> 24;
}

/* meta: length, payload kind, and the low bits of the lap it was written in. */
static inline uint64_t cell_meta(uint64_t lap, uint32_t payload_kind, uint32_t len)
{
	return bits_make(lap, 40, 24) | bits_make(payload_kind, 32, 8) | len;
}

static inline uint32_t cell_meta_len(uint64_t meta)
{
	return (uint32_t)meta;
}

static inline uint32_t cell_meta_kind(uint64_t meta)
{
	return (uint32_t)bits_get(meta, 32, 8);
}

static inline bool cell_meta_is_of_lap(uint64_t meta, uint64_t lap)
{
	return bits_get(meta, 40, 24) == (lap & 0xffffff);
}

static inline uint64_t lease_word(uint32_t seq, uint32_t client, enum lease_state state)
{
	return bits_make(seq, 40, 24) | bits_make(client, 4, 12) | (uint64_t)state;
}

static inline enum lease_state lease_word_state(uint64_t word)
{
	return (enum lease_state)(word & 15);
}

static inline uint32_t lease_word_client(uint64_t word)
{
	return (uint32_t)bits_get(word, 4, 12);
}

static inline uint32_t lease_word_seq(uint64_t word)
{
	return (uint32_t)(word >> 40);
}

#endif
