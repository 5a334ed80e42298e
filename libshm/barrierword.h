/* SPDX-License-Identifier: MIT
 *
 * The barrier word: one 64-bit word is the whole truth about a barrier. Pure functions on a word.
 * Knows: generation, how many have come, who acts or broke it and why. Does not know: how many are
 * to come, sleeping, processes.
 *
 *   63        40 39     34 33   30 29     20 19      12 11       0
 *  | generation | history | state | arrived | slot gen | thread   |  the last two: who acts, or
 *                                                                     broke it; else 0
 *
 *     FILLING g, k ---- arrive ----> FILLING g, k + 1              its index is k
 *     FILLING g, last - arrive ----> FILLING g + 1, 0              all pass
 *     FILLING g, last - arrive ----> ACTION g, me ---- done -----> FILLING g + 1, 0
 *     FILLING g, ACTION g - timeout, abort, reset, failed action, death in g -> broken g, why, who
 *     broken g ---- reset ---------> FILLING g + 1, 0              history says that g was broken
 *
 * Every arrow is one CAS of exactly the word that was seen, so all that happens to a generation is
 * decided by one of them. history: bit i says that generation - 1 - i ended broken: who leaves late
 * finds the outcome of his own there, while the others may have met again.
 */
#ifndef LIBSHM_BARRIERWORD_H
#define LIBSHM_BARRIERWORD_H

#include "slotword.h"

enum barrier_state {
	BARRIER_FILLING = 0,
	BARRIER_ACTION = 1,
	BARRIER_TIMEOUT = 2, /* from here on broken, and why */
	BARRIER_ABORT = 3,
	BARRIER_RESET = 4,
	BARRIER_FAILED = 5, /* its action */
	BARRIER_DIED = 6,
	BARRIER_LEFT = 7 /* a signal, an error of its sleep, the end of its thread */
};

#define BARRIER_HISTORY_BITS 6
#define BARRIER_CONDITIONS 64 /* of a wait record, which tell generations apart */

static inline uint32_t barrier_word_generation(uint64_t word)
{
	return (uint32_t)bits_get(word, 40, GENERATION_BITS);
}

static inline uint32_t barrier_word_state(uint64_t word)
{
	return (uint32_t)bits_get(word, 30, 4);
}

static inline uint32_t barrier_word_arrived(uint64_t word)
{
	return (uint32_t)bits_get(word, 20, 10);
}

static inline uint32_t barrier_word_thread(uint64_t word)
{
	return (uint32_t)bits_get(word, 0, SLOT_BITS);
}

static inline bool barrier_word_is_broken(uint64_t word)
{
	return barrier_word_state(word) > BARRIER_ACTION;
}

/* Is that generation decided? */
static inline bool barrier_word_is_over(uint64_t word, uint32_t generation)
{
	return barrier_word_generation(word) != generation || barrier_word_is_broken(word);
}

static inline bool barrier_word_is_by(uint64_t word, uint64_t who)
{
	return barrier_word_thread(word) == who_slot(who) &&
	       bits_get(word, 12, 8) == (who_generation(who) & 255);
}

/* One more has come. */
static inline uint64_t barrier_word_joined(uint64_t word)
{
	return word + (UINT64_C(1) << 20);
}

/* The same generation in another state, by that thread. */
static inline uint64_t barrier_word_with(uint64_t word, enum barrier_state state, uint64_t who)
{
	return bits_make(who_slot(who), 0, SLOT_BITS) | bits_make(who_generation(who), 12, 8) |
	       bits_make(barrier_word_arrived(word), 20, 10) | bits_make(state, 30, 4) |
	       bits_make(bits_get(word, 34, BARRIER_HISTORY_BITS), 34, BARRIER_HISTORY_BITS) |
	       bits_make(barrier_word_generation(word), 40, GENERATION_BITS);
}

/* The next generation, empty. */
static inline uint64_t barrier_word_next(uint64_t word)
{
	uint64_t history = bits_get(word, 34, BARRIER_HISTORY_BITS) << 1 |
			   (uint64_t)barrier_word_is_broken(word);

	return bits_make(history, 34, BARRIER_HISTORY_BITS) |
	       bits_make((barrier_word_generation(word) + UINT64_C(1)) & GENERATION_MASK, 40,
			 GENERATION_BITS);
}

/* How many generations have ended since that one. */
static inline uint32_t barrier_word_age(uint64_t word, uint32_t generation)
{
	return (barrier_word_generation(word) - generation) & GENERATION_MASK;
}

/* Did the one `age` generations ago, 1 to BARRIER_HISTORY_BITS, end broken? */
static inline bool barrier_word_was_broken(uint64_t word, uint32_t age)
{
	return bits_get(word, 33 + age, 1);
}

/* Who broke it, beside the word: generation 24, reason 4, pid 22. 0 is nobody. */
static inline uint64_t barrier_note(uint64_t word, uint32_t pid)
{
	return bits_make(barrier_word_generation(word), 26, GENERATION_BITS) |
	       bits_make(barrier_word_state(word), 22, 4) | bits_make(pid, 0, 22);
}

static inline uint32_t barrier_note_state(uint64_t note)
{
	return (uint32_t)bits_get(note, 22, 4);
}

static inline uint32_t barrier_note_pid(uint64_t note)
{
	return (uint32_t)bits_get(note, 0, 22);
}

static inline bool barrier_note_is_of(uint64_t note, uint32_t generation)
{
	return bits_get(note, 26, GENERATION_BITS) == generation && barrier_note_state(note) != 0;
}

#endif
