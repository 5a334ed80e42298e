/* SPDX-License-Identifier: MIT
 *
 * The table of kinds, and from an offset to a checked object. Knows: one row for each kind.
 * Does not know: names, what a kind does with its bytes.
 */
#include "object_internal.h"

extern const struct object_type lock_type, queue_type, event_type, sem_type, cond_type,
	barrier_type, rwlock_type;

static const struct object_type *const types[] = { &lock_type, &queue_type, &event_type,
						   &sem_type, &cond_type, &barrier_type,
						   &rwlock_type };

const struct object_type *object_type(uint32_t kind)
{
	for (unsigned i = 0; i < ARRAY_LEN(types); i++)
		if (types[i]->kind == kind)
			return types[i];
	return NULL;
}

void *object_at(struct seg *seg, uint64_t offset, const struct object_type **ret_type)
{
	struct shm_object *object = shm_at(seg, struct shm_object, offset);
	const struct object_type *type;

	if (!object || (offset & (CACHE_LINE - 1)) || object->magic != OBJECT_MAGIC)
		return NULL;
	type = object_type(object->kind);
	if (!type || !shm_at_bytes(seg, offset, type->bytes))
		return NULL;
	*ret_type = type;
	return object;
}

/* The object of an entry, if it is of that kind and lies inside the segment. */
void *object_of_entry(struct seg *seg, struct shm_entry *entry, const struct object_type *type)
{
	const struct object_type *found;
	uint64_t offset = reference_offset(load_relaxed(&entry->object));
	void *object = object_at(seg, offset, &found);

	return object && found == type ? object : NULL;
}
