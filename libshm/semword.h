/* SPDX-License-Identifier: MIT
 *
 * The words of a semaphore. Pure functions on a word. Knows: permits, flags, the holder of a cell.
 * Does not know: sleeping, processes, which of the two kinds a semaphore is.
 *
 *   word   63   60 59      53 52    41 40  37  36  35  32 31       0
 *         | turn  | reserved | reserved |  -  |WAIT|  -   | permits |
 *
 *   cell   63      49 48          37   36    35         12 11      0
 *         |    -     | thread     |MARKED| holder gen   | holder  |    holder 0: free
 *
 * An anonymous semaphore is its word alone. An owned one has a cell for each permit; its word has
 * no permits, only WAIT and the turn.
 *
 * WAIT: somebody sleeps or is about to, so a release must take the slow path. TURN counts releases,
 * and rounds: an observer that sees the same word twice knows more of what was in between.
 * MARKED: that thread of the holder releases several permits, this one among them unless it finds
 * too few.
 */
#ifndef LIBSHM_SEMWORD_H
#define LIBSHM_SEMWORD_H

#include "slotword.h"

#define SEM_VALUE_MAX INT32_MAX
#define SEM_CELLS_MAX 4096
#define SEM_WAIT (UINT64_C(1) << 36)
#define SEM_TURN (UINT64_C(1) << 60)
#define SEM_MARKED (UINT64_C(1) << 36)

static inline uint32_t sem_word_value(uint64_t word)
{
	return (uint32_t)word;
}

/* Is there room for n more? */
static inline bool sem_word_has_room(uint64_t word, uint32_t n, uint32_t maximum)
{
	return (uint64_t)sem_word_value(word) + n <= maximum;
}

/* The word after n more permits; there must be room for them. */
static inline uint64_t sem_word_given(uint64_t word, uint32_t n)
{
	return word + n + SEM_TURN;
}

static inline uint64_t sem_cell_holder(uint64_t cell)
{
	return cell & ((UINT64_C(1) << WHO_BITS) - 1);
}

static inline uint64_t sem_cell_giving(uint64_t who, uint32_t thread)
{
	return who | SEM_MARKED | bits_make(thread, 37, SLOT_BITS);
}

#endif
