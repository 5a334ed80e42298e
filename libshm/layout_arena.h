/* SPDX-License-Identifier: MIT
 *
 * The arena's shared bytes. Included by layout.h only. Knows: granules, runs, block words' places.
 * Does not know: how a block is found, taken or given back (arena.c).
 *
 * Each granule has a word (blockword.h). A *head* (HELD, LINKED, RUN) covers `len` granules; the
 * words of the others behind it are CONT with the distance back. A granule that no head covers is
 * free, whatever its word says (FREE, or a CONT left from making a block). So there is nothing to
 * cut and nothing to join: taking granules is one store of a head, giving them back is one CAS.
 *
 *   | RUN class k len 4 | CONT 1 | CONT 2 | CONT 3 | FREE | HELD(client) len 2 | CONT 1 | ...
 *
 * At and above header->granules_high no granule was ever covered: their words are not committed.
 *
 * A RUN is cut into blocks of one size; the client field of its granule word is the size class.
 * Its block words stand in a table at its head, out of reach of a payload that is overrun; they are
 * the truth, the bitmap is a hint. A run stays a run as long as the segment lives: a process that
 * was stopped between finding a block's word and changing it may do so at any later time.
 */
#ifndef LIBSHM_LAYOUT_ARENA_H
#define LIBSHM_LAYOUT_ARENA_H

#define GRANULE_BYTES UINT64_C(65536)
#define RUN_BLOCKS_MAX 1024
#define RUN_MAGIC UINT32_C(0x4e55524d)

/* The head of a run. Its geometry follows from the class in the granule word; the copy here is for
 * people and for arena_check.
 *
 *   writer: the maker before the granule word says RUN; afterwards map and touched (any, hints)
 *   after a crash in making: the granules are HELD by the dead client and swept as a whole
 */
struct shm_run {
	uint32_t magic; /* RUN_MAGIC */
	uint16_t size_class;
	uint16_t block_count;
	uint32_t block_bytes;
	uint32_t first_offset; /* of block 0, from the run's start; 64-byte aligned */
	uint32_t granules;
	uint32_t reserved0;
	atom64 reserved1;
	atom64 reserved3;
	uint8_t reserved2[24];
	/* Hint: a 1 says the block's word may be FREE. A missing 1 is set again by the sweep. */
	aligned_to(CACHE_LINE) atom64 map[RUN_BLOCKS_MAX / 64];
	/* Filter: clients that ever owned a block here (bit = slot % 64). */
	atom64 touched;
	uint8_t reserved4[56];
	/* Followed by atom64 word[block_count], blockword.h. */
};
static_assert(sizeof(struct shm_run) == 256, "run header");
MP_FIELD(shm_run, 64, 128, map);
MP_FIELD(shm_run, 192, 8, touched);

#endif
