/* SPDX-License-Identifier: MIT
 *
 * Offsets to checked pointers: the only place where an offset becomes a pointer.
 * Knows: the bounds of a mapping. Does not know: generations (arena.c checks them) or contents.
 *
 * An offset comes from shared memory and may be anything. shm_at() gives NULL unless the whole
 * object lies inside the mapping and is aligned to 8.
 */
#ifndef LIBSHM_SHMREF_H
#define LIBSHM_SHMREF_H

#include "seg.h"

#include <stddef.h>
#include <stdint.h>

static inline void *shm_at_bytes(const struct seg *seg, uint64_t offset, uint64_t bytes)
{
	if (unlikely(offset > seg->size || bytes > seg->size - offset || (offset & 7)))
		return NULL;
	return seg->base + offset;
}

#define shm_at(seg, type, offset) ((type *)shm_at_bytes((seg), (offset), sizeof(type)))

static inline uint64_t shm_offset(const struct seg *seg, const void *address)
{
	return (uint64_t)((const uint8_t *)address - seg->base);
}

#endif
