/* SPDX-License-Identifier: MIT
 *
 * References: finding a block, linking it, taking it over. Knows: how a reference is checked, who
 * may change the owner of a block in use. Does not know: where free blocks are (arena.c), what
 * refers to blocks.
 *
 *   operation   steps, the commit in capitals          killed after it      repaired by
 *   link        CAS HELD(me) -> LINKED                 the object's block   the object's recovery
 *   link fresh  STORE HELD(me) -> LINKED               the object's block   the object's recovery
 *   unlink      touched bit, CAS LINKED -> HELD(me)    HELD by the dead     sweep: FREE, hint
 *   take over   the same                               HELD by the dead     as unlink; LINKED again
 *                                                                           if a queue names it
 *   keep        CAS LINKED -> HELD(me)                 the same             the same
 *
 * Taking is a CAS, because two may want the same. What is given may be given by a plain store where
 * nobody else can change the word: a fresh block's reference was told to nobody, and a block that
 * was taken over is named by nothing any more when it is given back. Recoverers of a former owner
 * of our slot that come late only ever make HELD(us) LINKED again, by a CAS, and sweepers ask
 * whether the slot is still the dead one's after they have read a word: such a store overwrites
 * what the former do, and makes their CAS fail if it comes first.
 */
#include "arena_internal.h"

#include <errno.h>

static bool is_in_use(uint64_t word)
{
	return block_word_state(word) == BLOCK_HELD || block_word_state(word) == BLOCK_LINKED;
}

static bool locate_in_run(const struct seg *seg, uint32_t granule, uint64_t word, uint64_t offset,
			  struct arena_block *ret_block)
{
	const struct size_class *class = granule_run_class(word);
	uint64_t start = granule_offset(seg, granule);
	uint64_t inside = offset - start, index;

	if (unlikely(!class || inside < class->first_offset ||
		     inside >= class->granules * GRANULE_BYTES))
		return false;
	inside -= class->first_offset;
	index = inside * class->reciprocal >> 32;
	if (unlikely(index >= class->block_count || index * class->block_bytes != inside))
		return false;
	ret_block->run = shm_at_bytes(seg, start, class->granules * GRANULE_BYTES);
	if (unlikely(!ret_block->run))
		return false;
	ret_block->word = (atom64 *)(ret_block->run + 1) + index;
	ret_block->index = (uint32_t)index;
	ret_block->offset = offset;
	ret_block->bytes = class->block_bytes;
	return true;
}

static bool locate_granules(const struct seg *seg, uint32_t granule, uint64_t word, uint64_t offset,
			    struct arena_block *ret_block)
{
	uint32_t len = block_word_len(word);

	if (offset != granule_offset(seg, granule) || len == 0 ||
	    len > seg->at.granule_count - granule)
		return false;
	ret_block->run = NULL;
	ret_block->word = &seg->granules[granule];
	ret_block->index = granule;
	ret_block->offset = offset;
	ret_block->bytes = len * GRANULE_BYTES;
	return true;
}

bool arena_locate(const struct seg *seg, uint64_t reference, struct arena_block *ret_block)
{
	uint64_t offset = reference_offset(reference);
	uint64_t number = (offset - seg->at.arena) / GRANULE_BYTES;
	uint32_t granule = (uint32_t)number;
	uint64_t word;

	if (unlikely(offset < seg->at.arena || number >= seg->at.granule_count ||
		     !granule_exists(seg, granule)))
		return false;
	/* edge run_made, granule_head: acquire <- arena_run_make(), cover() */
	word = load_acquire(&seg->granules[granule]);
	if (block_word_state(word) == BLOCK_CONT) {
		if (block_word_len(word) > granule)
			return false;
		granule -= block_word_len(word);
		word = load_acquire(&seg->granules[granule]);
	}
	if (likely(block_word_state(word) == BLOCK_RUN))
		return locate_in_run(seg, granule, word, offset, ret_block);
	return locate_granules(seg, granule, word, offset, ret_block);
}

uint64_t arena_word_of(const struct seg *seg, uint64_t reference)
{
	struct arena_block block;

	return arena_locate(seg, reference, &block) ? load_acquire(block.word) : 0;
}

void *arena_at(const struct seg *seg, uint64_t reference, uint64_t *ret_bytes)
{
	struct arena_block block;
	uint64_t word;
	void *data;

	if (unlikely(!arena_locate(seg, reference, &block)))
		return NULL;
	word = load_acquire(block.word);
	if (unlikely(!reference_matches(reference, word) || !is_in_use(word)))
		return NULL;
	data = shm_at_bytes(seg, block.offset, block.bytes);
	if (data && ret_bytes)
		*ret_bytes = block.bytes;
	return data;
}

static int change_word(atom64 *block_word, uint64_t reference, uint32_t from_client,
		       enum block_state from, uint32_t to_client, enum block_state to)
{
	uint64_t word = load_relaxed(block_word); /* the CAS decides */

	for (;;) {
		if (!reference_matches(reference, word))
			return -ESTALE;
		if (block_word_state(word) == to && block_word_client(word) == to_client)
			return 0;
		if (block_word_state(word) != from || block_word_client(word) != from_client)
			return -EINVAL;
		/* Relaxed: the payload is published by the object that refers to it. */
		if (cas_relaxed(block_word, &word, block_word_to(word, to_client, to)))
			return 0;
	}
}

static int change_owner(struct seg *seg, uint64_t reference, uint32_t from_client,
			enum block_state from, uint32_t to_client, enum block_state to)
{
	struct arena_block block;

	if (!arena_locate(seg, reference, &block))
		return -ESTALE;
	if (block.run)
		run_note_client(block.run, from_client | to_client);
	return change_word(block.word, reference, from_client, from, to_client, to);
}

int arena_link(struct seg *seg, uint32_t client, uint64_t reference)
{
	return change_owner(seg, reference, client, BLOCK_HELD, 0, BLOCK_LINKED);
}

int arena_unlink(struct seg *seg, uint32_t client, uint64_t reference)
{
	return change_owner(seg, reference, 0, BLOCK_LINKED, client, BLOCK_HELD);
}

void *arena_take_over(struct seg *seg, uint32_t client, uint64_t reference,
		      struct arena_block *ret_block)
{
	void *data = NULL;

	if (likely(arena_locate(seg, reference, ret_block)))
		data = shm_at_bytes(seg, ret_block->offset, ret_block->bytes);
	if (likely(data)) {
		if (ret_block->run)
			run_note_client(ret_block->run, client);
		if (change_word(ret_block->word, reference, 0, BLOCK_LINKED, client,
				BLOCK_HELD) == 0)
			return data;
	}
	ret_block->word = NULL;
	return NULL;
}

void arena_keep(const struct arena_block *block, uint32_t client, uint64_t reference)
{
	if (unlikely(block_word_state(load_relaxed(block->word)) == BLOCK_LINKED))
		change_word(block->word, reference, 0, BLOCK_LINKED, client, BLOCK_HELD);
}
