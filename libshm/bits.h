/* SPDX-License-Identifier: MIT
 *
 * Arithmetic on words. Knows: powers of two, alignment, bit fields of a 64-bit word.
 * Does not know: shared memory.
 */
#ifndef LIBSHM_BITS_H
#define LIBSHM_BITS_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t align_up(uint64_t value, uint64_t power_of_two)
{
	return (value + power_of_two - 1) & ~(power_of_two - 1);
}

static inline bool is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* A field of `width` bits that begins at bit `shift`. */
static inline uint64_t bits_get(uint64_t word, unsigned shift, unsigned width)
{
	return (word >> shift) & ((UINT64_C(1) << width) - 1);
}

static inline uint64_t bits_make(uint64_t value, unsigned shift, unsigned width)
{
	return (value & ((UINT64_C(1) << width) - 1)) << shift;
}

static inline unsigned lowest_bit(uint64_t word)
{
	return (unsigned)__builtin_ctzll(word);
}

/* Ages compare as differences, so that a wrapping counter is harmless. */
static inline bool is_before_u32(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

#endif
