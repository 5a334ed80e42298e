/* SPDX-License-Identifier: MIT
 *
 * What all objects share: open by name or id, unlink. Knows: names, directory entries. Does not
 * know: what one kind does with its bytes (object_kind.c), who holds an object (object_hold.c), how
 * it ends (object_free.c).
 *
 *   make   blocks HELD(me) - fill - entry's fields - intent - entry LIVE (commit) - blocks LINKED -
 *          intent off. Killed before the commit: the blocks are swept. After it: the intent's redo
 *          links them (object_free.c).
 *
 * All of it runs under the directory guard, which a dead owner keeps until his intent is finished.
 */
#include "object_internal.h"

#include "clock.h"
#include "explain.h"
#include "name.h"
#include "slot.h"

#include <libshm/base.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct shm_entry *find_name(struct seg *seg, const char *name)
{
	uint32_t high = seg_objects_high(seg);

	for (uint32_t i = 0; i < high; i++) {
		struct shm_entry *entry = &seg->directory[i];

		if (entry_word_state(load_acquire(&entry->word)) == ENTRY_LIVE &&
		    strncmp(entry->name, name, NAME_BYTES) == 0)
			return entry;
	}
	return NULL;
}

static void fill_handle(struct seg *seg, struct shm_entry *entry, void *object,
			struct object_handle *ret_handle)
{
	uint32_t index = entry_index(seg, entry);

	*ret_handle = (struct object_handle){
		.seg = seg,
		.object = object,
		.offset = shm_offset(seg, object),
		.index = index,
		.id = object_id_make(index, entry_word_generation(load_relaxed(&entry->word))),
	};
}

static const char *name_of(const struct object_request *request)
{
	return request->name ? request->name : "(anonymous)";
}

static int free_entry(struct seg *seg, const struct object_request *request,
		      struct shm_entry **ret_entry)
{
	for (uint32_t i = 0; i < seg->at.max_objects; i++) {
		struct shm_entry *entry = &seg->directory[i];
		int error = seg_commit(seg, entry_offset(seg, entry), sizeof *entry);

		if (error < 0)
			return explain(error, "no memory in segment '%s' for the %s '%s'",
				       seg->name, request->type->name, name_of(request));
		*ret_entry = entry;
		if (entry_word_state(load_acquire(&entry->word)) == ENTRY_FREE)
			return 0;
	}
	return explain(-ENOSPC, "no room for the %s '%s': segment '%s' has %u objects, the most "
				"that any can have; close and unlink some (mptop shows them), or "
				"open another segment",
		       request->type->name, name_of(request), seg->name, seg->at.max_objects);
}

static void fill_header(struct shm_object *object, const struct object_request *request,
			uint64_t id, uint32_t client)
{
	object->kind = request->type->kind;
	object->id = id;
	object->bytes = request->bytes;
	object->created_ns = (uint64_t)clock_now_ns();
	store_relaxed(&object->creator, client);
	object->magic = OBJECT_MAGIC;
}

static void fill_entry(struct shm_entry *entry, const struct object_request *request,
		       uint64_t reference, uint32_t client)
{
	store_relaxed(&entry->object, reference);
	store_relaxed(&entry->kind, request->type->kind);
	store_relaxed(&entry->creator, client);
	store_relaxed(&entry->created_ns, (uint64_t)clock_now_ns());
	memset(entry->name, 0, sizeof entry->name);
	if (request->name)
		snprintf(entry->name, sizeof entry->name, "%s", request->name);
}

/* The entry becomes the object: the store of its word is the commit. */
static void publish(struct seg *seg, struct self *me, struct shm_entry *entry, uint64_t live)
{
	uint32_t index = entry_index(seg, entry);
	uint32_t high = load_relaxed(&seg->header->objects_high);

	intent_begin(&me->shared->intent, INTENT_CREATE_OBJECT, entry_offset(seg, entry),
	       load_relaxed(&entry->word), live);
	if (high <= index)
		store_release(&seg->header->objects_high, index + 1);
	object_take_handle(seg, index, entry_word_generation(live));
	store_release(&entry->word, live);
	object_link_blocks(seg, entry);
	intent_done(&me->shared->intent);
}

static int make_object(struct seg *seg, struct self *me, const struct object_request *request,
		       struct object_handle *ret_handle)
{
	struct shm_entry *entry = NULL;
	uint32_t generation;
	uint64_t reference;
	void *object;
	int error = free_entry(seg, request, &entry);

	if (error < 0)
		return error;
	error = arena_alloc(seg, NULL, me->client, request->bytes, &reference, &object);
	if (error == -ETIMEDOUT)
		return error;
	if (error < 0)
		return explain(error, "no memory in segment '%s' for the %s '%s'", seg->name,
			       request->type->name, name_of(request));
	memset(object, 0, request->bytes);
	generation = generation_next(entry_word_generation(load_relaxed(&entry->word)));
	fill_header(object, request, object_id_make(entry_index(seg, entry), generation),
		    me->client);
	if (request->make)
		error = request->make(seg, me, object, request->opts);
	if (error < 0) {
		arena_free(seg, NULL, me->client, reference);
		return error;
	}
	fill_entry(entry, request, reference, me->client);
	publish(seg, me, entry,
		entry_word(request->name ? ENTRY_LIVE : ENTRY_ANONYMOUS, generation));
	fill_handle(seg, entry, object, ret_handle);
	return 0;
}

static int attach_object(struct seg *seg, struct shm_entry *entry,
			 const struct object_request *request, struct object_handle *ret_handle)
{
	const struct object_type *found = object_type(load_relaxed(&entry->kind));
	void *object = object_of_entry(seg, entry, request->type);
	struct opts_difference difference = { .text = "" };

	if (request->flags & MP_EXCLUSIVE)
		return explain(-EEXIST, "a %s '%s' exists in segment '%s'",
			       found ? found->name : "?", request->name, seg->name);
	if (!object)
		return explain(-EPROTO, "'%s' in segment '%s' is a %s, not a %s", request->name,
			       seg->name, found ? found->name : "corrupt object",
			       request->type->name);
	if (request->compare)
		request->compare(object, request->opts, &difference);
	if (difference.text[0])
		return explain(-EPROTO, "the %s '%s' in segment '%s' is another than was asked for:"
					"%s; 0 takes what is there",
			       request->type->name, request->name, seg->name, difference.text);
	fill_handle(seg, entry, object, ret_handle);
	object_take_handle(seg, ret_handle->index, who_generation(ret_handle->id));
	return 0;
}

int object_open(struct seg *seg, const struct object_request *request,
		struct object_handle *ret_handle)
{
	struct shm_entry *entry;
	struct self *me;
	int result = request->name ? name_check("object", request->name) : 0;

	if (result < 0)
		return result;
	result = self_get(seg, &me);
	if (result < 0)
		return result;
	result = object_lock_directory(seg);
	if (result < 0)
		return result;
	entry = request->name ? find_name(seg, request->name) : NULL;
	if (entry)
		result = attach_object(seg, entry, request, ret_handle);
	else if (request->flags & MP_EXISTING)
		result = explain(-ENOENT, "no %s '%s' in segment '%s'", request->type->name,
				 name_of(request), seg->name);
	else
		result = make_object(seg, me, request, ret_handle);
	object_unlock_directory(seg);
	return result;
}

/* The guard is held: whoever has it open now has it until we hold it too. */
static int attach_by_id(struct seg *seg, uint64_t id, const struct object_type *type,
			struct object_handle *ret_handle)
{
	uint32_t index = who_slot(id), generation = who_generation(id);
	struct shm_entry *entry;
	uint64_t word;
	void *object;

	if (index >= seg_objects_high(seg))
		return -ESTALE;
	entry = &seg->directory[index];
	word = load_seqcst(&entry->word);
	if (word != entry_word(ENTRY_LIVE, generation) &&
	    (word != entry_word(ENTRY_ANONYMOUS, generation) || !object_is_held(seg, index)))
		return -ESTALE;
	object = object_of_entry(seg, entry, type);
	if (!object)
		return -EPROTO;
	fill_handle(seg, entry, object, ret_handle);
	object_take_handle(seg, index, generation);
	return 0;
}

int object_from_id(struct seg *seg, uint64_t id, const struct object_type *type,
		   struct object_handle *ret_handle)
{
	struct self *me;
	int result = self_get(seg, &me);

	if (result < 0 || (result = object_lock_directory(seg)) < 0)
		return result;
	result = attach_by_id(seg, id, type, ret_handle);
	object_unlock_directory(seg);
	if (result == -ESTALE)
		return explain(result, "the %s with id %#llx is gone from segment '%s': it was "
				       "unlinked, or its last holder closed it", type->name,
			       (unsigned long long)id, seg->name);
	return result < 0 ? explain(result, "the object with id %#llx in segment '%s' is no %s",
				    (unsigned long long)id, seg->name, type->name)
			  : 0;
}

static int remove_entry(struct seg *seg, struct shm_entry *entry, const char *name,
			const struct object_type *type)
{
	uint64_t word;

	if (!entry)
		return explain(-ENOENT, "no %s '%s' in segment '%s'", type->name, name, seg->name);
	if (!object_of_entry(seg, entry, type))
		return explain(-EPROTO, "'%s' in segment '%s' is no %s", name, seg->name,
			       type->name);
	word = load_relaxed(&entry->word);
	/* seq_cst: the name goes, then look who holds it. Who gives a hold up does so, then looks
	 * whether there is a name: one of the two frees. */
	swap_seqcst(&entry->word, entry_word(ENTRY_REMOVED, entry_word_generation(word)));
	return 0;
}

int object_unlink(struct seg *seg, const char *name, const struct object_type *type)
{
	struct self *me;
	int result = name_check("object", name);

	if (result < 0 || (result = self_get(seg, &me)) < 0)
		return result;
	result = object_lock_directory(seg);
	if (result < 0)
		return result;
	result = remove_entry(seg, find_name(seg, name), name, type);
	object_unlock_directory(seg);
	if (result == 0)
		object_free_unheld(seg);
	return result;
}

/* The public handle begins with its mapping (client.h). */
struct seg *object_seg(struct mp_segment *segment)
{
	return *(struct seg **)segment;
}

const char *object_name(const struct object_handle *handle)
{
	static _Thread_local char name[NAME_BYTES];

	memcpy(name, handle->seg->directory[handle->index].name, NAME_BYTES);
	name[NAME_BYTES - 1] = '\0';
	return name[0] ? name : "(anonymous)";
}
