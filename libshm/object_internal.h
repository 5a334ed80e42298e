/* SPDX-License-Identifier: MIT
 *
 * Inside the directory. Knows: what object.c (open, unlink), object_hold.c (holds) and
 * object_free.c (intents, freeing) share. Does not know: anything else.
 */
#ifndef LIBSHM_OBJECT_INTERNAL_H
#define LIBSHM_OBJECT_INTERNAL_H

#include "object.h"
#include "shmref.h"

static inline uint64_t entry_offset(const struct seg *seg, const struct shm_entry *entry)
{
	return shm_offset(seg, entry);
}

static inline uint32_t entry_index(const struct seg *seg, const struct shm_entry *entry)
{
	return (uint32_t)(entry - seg->directory);
}

/* The object of an entry, if it is of that kind and lies inside the segment. */
void *object_of_entry(struct seg *seg, struct shm_entry *entry, const struct object_type *type);

/* One more handle of this process on entry `index`, of that generation. */
void object_take_handle(struct seg *seg, uint32_t index, uint32_t generation);

/* Does any client that is alive or not yet swept hold the object? Under the guard, "no" stays. */
bool object_is_held(struct seg *seg, uint32_t index);

/* object_free_unheld, if it is this one. */
void object_free_if_unheld(struct seg *seg, uint32_t index);

/* The guard of the directory. Who lets go of it frees what others wished freed meanwhile. */
int object_lock_directory(struct seg *seg);
void object_unlock_directory(struct seg *seg);

void intent_begin(struct shm_intent *intent, enum intent_kind kind, uint64_t address,
		  uint64_t before, uint64_t after);
void intent_done(struct shm_intent *intent);

/* HELD -> LINKED for the entry's block and all that hang on it, in this client's own name. */
void object_link_blocks(struct seg *seg, struct shm_entry *entry);

#endif
