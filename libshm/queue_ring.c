/* SPDX-License-Identifier: MIT
 *
 * The ring of cells. Knows: cell words, positions, hints, how a cell is found, claimed and freed.
 * Does not know: payloads, sleeping, leases.
 *
 * Cells tell the truth, head and tail are hints that lag and are never ahead: each is stored after
 * its cell was claimed. One CAS claims a cell and names its owner, so there is no moment in which a
 * message or a place belongs to nobody.
 *
 * Progress: lock-free; a put fails over to the next cell when another won its cell. A cell that is
 * WRITING holds up the getters (the order is strict), one that is READING holds up the putter a lap
 * later: both for the time of one copy, or until the dead owner is swept.
 *
 * | killed           | the cell says  | repair (queue_object.c) | outcome              |
 * | put before CAS   | EMPTY          | none                    | nothing happened     |
 * | put after CAS    | WRITING(dead)  | SKIP                    | never put, counted   |
 * | put after READY  | READY          | audit rings             | put                  |
 * | take before CAS  | READY          | none                    | nothing happened     |
 * | take after CAS   | READING(dead)  | READY, tries + 1        | redelivered, flagged |
 * | take after EMPTY | EMPTY, lap + 1 | audit rings             | taken                |
 *
 * Overlaps: put/put and take/take: one CAS wins. put/take of one cell: states are disjoint. A hint
 * stored late by a slow thread goes back a little: others then walk over cells of a later lap.
 *
 *   edge cell_ready:  ring_publish swap (seq_cst) -> ring_find_ready load (acquire): the payload
 *   edge cell_empty:  ring_free_cell swap (seq_cst) -> ring_claim_empty CAS (acquire): the copy out
 */
#include "arena.h"
#include "queue_internal.h"
#include "shmref.h"

#include <errno.h>

/* A walk sees each cell at most twice; more means that the words change under it. */
#define WALK_MAX(capacity) (2 * (capacity) + 64)
/* Hints are that near, unless they were forged. All of a queue of the default capacity. */
#define WALK_NEAR WALK_MAX(QUEUE_NEAR)

bool ring_from_object(struct seg *seg, void *object, struct ring *ret_ring)
{
	struct shm_queue *shared = object;
	uint32_t capacity = load_relaxed(&shared->capacity);
	uint64_t bytes = 0;
	struct shm_cell *cells = arena_at(seg, load_relaxed(&shared->cells), &bytes);

	*ret_ring = (struct ring){ .seg = seg, .shared = shared, .cells = cells,
				   .capacity = capacity };
	return cells && capacity > 0 && capacity <= QUEUE_CAPACITY_MAX &&
	       capacity * sizeof(struct shm_cell) <= bytes;
}

/* A hint from shared memory: an impossible index starts at the lap's beginning. */
static uint64_t checked_position(const struct ring *ring, uint64_t position)
{
	return likely(position_index(position) < ring->capacity)
		       ? position
		       : position_make(position_lap(position), 0);
}

/* The cell at `position` is a lap ahead: the message of its last lap is gone, so everything up to
 * there was claimed. If the cell is taken again, that holds for the lap it is in. */
static uint64_t jump(const struct ring *ring, uint64_t position, uint64_t word, bool is_put)
{
	uint64_t lap = cell_word_lap(word);

	if (!is_put || cell_word_state(word) == CELL_EMPTY)
		lap--;
	return position_next(position_make(lap, position_index(position)), ring->capacity);
}

/* SKIP -> EMPTY of the next lap: the place of a put that died. */
static void reclaim_skip(struct shm_cell *cell, uint64_t word)
{
	cas_seqcst(&cell->word, &word, cell_word(cell_word_lap(word) + 1, 0, 0, CELL_EMPTY));
}

/* Where a walk ended. On the way of each put and get it stays in registers (the walks are inlined
 * there): a compiler that reads two of its words at once from memory, just after they were stored
 * one by one, makes the CPU wait until both have left the store buffer. */
struct look {
	struct shm_cell *cell;
	uint64_t position;
	uint64_t word;
};

/* Walk to the cell that decides about a put: 0 EMPTY at this lap, -EAGAIN full, -EPIPE sealed,
 * -EBUSY if it is farther away. */
static always_inline int find_tail(struct ring *ring, uint32_t most, struct look *look)
{
	uint64_t position = checked_position(ring, load_relaxed(&ring->shared->tail));

	for (uint32_t steps = 0; steps < most; steps++) {
		struct shm_cell *cell = &ring->cells[position_index(position)];
		uint64_t word = load_seqcst(&cell->word);
		int64_t ahead = lap_difference(cell_word_lap(word), position_lap(position));

		*look = (struct look){ .cell = cell, .position = position, .word = word };
		if (ahead == 0 && cell_word_state(word) == CELL_EMPTY)
			return 0;
		if (ahead >= 0 && cell_word_state(word) == CELL_SEALED)
			return -EPIPE;
		if (ahead < 0 && cell_word_state(word) != CELL_SKIP)
			return -EAGAIN;
		if (ahead < 0)
			reclaim_skip(cell, word);
		else if (ahead == 0)
			position = position_next(position, ring->capacity);
		else
			position = jump(ring, position, word, true);
	}
	return -EBUSY;
}

/* A walk over all cells sees words that change under it: others are at work, there is no room. */
static always_inline int find_tail_anywhere(struct ring *ring, struct look *look)
{
	int result = find_tail(ring, WALK_MAX(ring->capacity), look);

	return unlikely(result == -EBUSY) ? -EAGAIN : result;
}

static noinline_ int walk_to_tail(struct ring *ring, struct look *look)
{
	return find_tail_anywhere(ring, look);
}

int ring_claim_empty(struct ring *ring, uint32_t client, struct place *ret_place)
{
	struct look look;

	for (;;) {
		int result = find_tail_anywhere(ring, &look);
		uint64_t lap = position_lap(look.position), word = look.word;

		if (result < 0)
			return result;
		if (cas_acquire(&look.cell->word, &word,
				cell_word(lap, 0, client, CELL_WRITING)))
			break;
	}
	/* A hint: stored after the claim, so it is never ahead of it. */
	store_relaxed(&ring->shared->tail, position_next(look.position, ring->capacity));
	*ret_place = (struct place){ .cell = look.cell, .position = look.position };
	return 0;
}

void ring_publish(struct place *place)
{
	/* seq_cst: publish, then look at the sleepers (wait.c). */
	swap_seqcst(&place->cell->word,
		    cell_word(position_lap(place->position), 0, 0, CELL_READY));
}

/* Walk to the cell that decides about a take: 0 READY, -EAGAIN, -EPIPE sealed, -EBUSY as above. */
static always_inline int find_head(struct ring *ring, uint32_t most, struct look *look)
{
	uint64_t position = checked_position(ring, load_relaxed(&ring->shared->head));

	for (uint32_t steps = 0; steps < most; steps++) {
		struct shm_cell *cell = &ring->cells[position_index(position)];
		uint64_t word = load_seqcst(&cell->word);
		int64_t ahead = lap_difference(cell_word_lap(word), position_lap(position));

		*look = (struct look){ .cell = cell, .position = position, .word = word };
		if (likely(ahead == 0 && cell_word_state(word) == CELL_READY))
			return 0;
		if (ahead < 0)
			return -EAGAIN;
		if (ahead > 0) {
			position = jump(ring, position, word, false);
			continue;
		}
		switch (cell_word_state(word)) {
		case CELL_SEALED:
			return -EPIPE;
		case CELL_EMPTY:
		case CELL_WRITING:
			return -EAGAIN;
		case CELL_SKIP:
			reclaim_skip(cell, word);
			break;
		default:
			position = position_next(position, ring->capacity);
		}
	}
	return -EBUSY;
}

static always_inline int find_head_anywhere(struct ring *ring, struct look *look)
{
	int result = find_head(ring, WALK_MAX(ring->capacity), look);

	return unlikely(result == -EBUSY) ? -EAGAIN : result;
}

static noinline_ int walk_to_head(struct ring *ring, struct look *look)
{
	return find_head_anywhere(ring, look);
}

int ring_find_ready(struct ring *ring, struct taken *ret_found)
{
	struct look look;
	int result = find_head_anywhere(ring, &look);

	if (result < 0)
		return result;
	*ret_found = (struct taken){ .cell = look.cell,
				     .word = look.word,
				     .position = look.position,
				     .meta = load_relaxed(&look.cell->meta),
				     .is_redelivered = cell_word_tries(look.word) > 0 };
	return 0;
}

/* READY -> READING. The meta that was read before belongs to this message if the CAS succeeds. */
static bool take_cell(uint32_t client, struct taken *found)
{
	uint64_t word = found->word;

	found->word = cell_word(cell_word_lap(word), cell_word_tries(word), client, CELL_READING);
	return cas_acquire(&found->cell->word, &word, found->word);
}

bool ring_take(struct ring *ring, uint32_t client, struct taken *found)
{
	if (!take_cell(client, found))
		return false;
	store_relaxed(&ring->shared->head, position_next(found->position, ring->capacity));
	return true;
}

void ring_free_cell(struct taken *taken)
{
	/* seq_cst: free, then look at the waiting putters. */
	swap_seqcst(&taken->cell->word,
		    cell_word(cell_word_lap(taken->word) + 1, 0, 0, CELL_EMPTY));
}

bool ring_take_redelivered(struct ring *ring, uint32_t client, struct taken *ret_taken)
{
	for (uint32_t i = 0; i < ring->capacity; i++) {
		struct shm_cell *cell = &ring->cells[i];
		uint64_t word = load_seqcst(&cell->word);

		if (cell_word_state(word) != CELL_READY || cell_word_tries(word) == 0)
			continue;
		*ret_taken = (struct taken){ .cell = cell,
					     .word = word,
					     .position = position_make(cell_word_lap(word), i),
					     .meta = load_relaxed(&cell->meta),
					     .is_redelivered = true };
		if (take_cell(client, ret_taken))
			return true;
	}
	return false;
}

bool ring_seal(struct ring *ring)
{
	struct look look;
	int result = walk_to_head(ring, &look);

	if (result == -EPIPE)
		return true;
	if (result == 0 || cell_word_state(look.word) != CELL_EMPTY ||
	    cell_word_lap(look.word) != position_lap(look.position))
		return false;
	return cas_seqcst(&look.cell->word, &look.word,
			  cell_word(position_lap(look.position), 0, 0, CELL_SEALED));
}

bool ring_is_quiet(struct ring *ring, uint32_t client)
{
	for (uint32_t i = 0; i < ring->capacity; i++) {
		uint64_t word = load_seqcst(&ring->cells[i].word);
		enum cell_state state = cell_word_state(word);

		if (state == CELL_WRITING || (state == CELL_READY && cell_word_tries(word) > 0) ||
		    (state == CELL_READING && cell_word_client(word) != client))
			return false;
	}
	return true;
}

int64_t ring_count_behind(struct ring *ring)
{
	struct look head;
	int64_t count = 0;

	walk_to_head(ring, &head);
	for (uint32_t i = 0; i < ring->capacity; i++) {
		uint64_t word = load_relaxed(&ring->cells[i].word);
		int64_t laps = lap_difference(cell_word_lap(word), position_lap(head.position));

		count += cell_word_state(word) == CELL_READY && cell_word_tries(word) > 0 &&
			 (laps < 0 || (laps == 0 && i < position_index(head.position)));
	}
	return count;
}

static uint32_t busy_client(uint64_t word)
{
	enum cell_state state = cell_word_state(word);

	return state == CELL_WRITING || state == CELL_READING ? cell_word_client(word) : SLOT_NONE;
}

uint32_t ring_foreign_user(struct ring *ring, uint32_t client)
{
	for (uint32_t i = 0; i < ring->capacity; i++) {
		uint32_t user = busy_client(load_relaxed(&ring->cells[i].word));

		if (user != SLOT_NONE && user != client)
			return user;
	}
	return SLOT_NONE;
}

uint32_t ring_tail_blocker(struct ring *ring)
{
	struct look look;

	return walk_to_tail(ring, &look) == -EAGAIN ? busy_client(look.word) : SLOT_NONE;
}

uint32_t ring_head_blocker(struct ring *ring)
{
	struct look look;

	return walk_to_head(ring, &look) == -EAGAIN ? busy_client(look.word) : SLOT_NONE;
}

bool ring_is_writable(struct ring *ring)
{
	struct look look;

	return walk_to_tail(ring, &look) != -EAGAIN;
}

bool ring_has_ready(struct ring *ring)
{
	struct look look;

	return walk_to_head(ring, &look) == 0;
}

bool ring_is_surely_full(struct ring *ring)
{
	struct look look;

	return find_tail(ring, WALK_NEAR, &look) == -EAGAIN;
}

bool ring_has_surely_none(struct ring *ring)
{
	struct look look;
	int result = find_head(ring, WALK_NEAR, &look);

	return result == -EAGAIN || result == -EPIPE;
}

bool ring_is_full(struct ring *ring)
{
	struct look look;

	return walk_to_tail(ring, &look) == -EAGAIN;
}

int64_t ring_size(struct ring *ring)
{
	struct look head, tail;
	int64_t laps;

	walk_to_tail(ring, &tail);
	walk_to_head(ring, &head);
	laps = lap_difference(position_lap(tail.position), position_lap(head.position));
	return laps * ring->capacity + position_index(tail.position) -
	       (int64_t)position_index(head.position);
}
