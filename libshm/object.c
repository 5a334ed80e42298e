/* SPDX-License-Identifier: MIT
 *
 * What all objects share: open by name or id, close, unlink. Knows: directory entries, holds,
 * intents of making and freeing. Does not know: what one kind does with its bytes.
 *
 *   make   blocks HELD(me) - fill - entry's fields - intent - entry LIVE (commit) - blocks LINKED -
 *          intent off. Killed before the commit: the blocks are swept. After it: the intent's redo
 *          links them.
 *   free   intent - blocks LINKED -> HELD(me) - entry FREE (commit) - blocks freed - intent off.
 *          Killed before the commit: redone. After it: the blocks are swept.
 *
 * Both run under the directory guard, which a dead owner keeps until his intent is finished. An
 * object is freed when it was unlinked and no living client holds it: each client writes its own
 * bitmap of objects it has open, so a death takes exactly its own holds away.
 */
#include "object.h"

#include "clock.h"
#include "explain.h"
#include "recover.h"
#include "shmref.h"
#include "slot.h"

#include <libshm/base.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

extern const struct object_type lock_type, queue_type;

static const struct object_type *const types[] = { &lock_type, &queue_type };

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

static uint64_t entry_offset(const struct seg *seg, const struct shm_entry *entry)
{
	return shm_offset(seg, entry);
}

static uint32_t entry_index(const struct seg *seg, const struct shm_entry *entry)
{
	return (uint32_t)(entry - seg->directory);
}

/* The object of an entry, if it is of that kind and lies inside the segment. */
static void *entry_object(struct seg *seg, struct shm_entry *entry, const struct object_type *type)
{
	const struct object_type *found;
	uint64_t offset = reference_offset(load_relaxed(&entry->object));
	void *object = object_at(seg, offset, &found);

	return object && found == type ? object : NULL;
}

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

static int check_name(const char *name)
{
	size_t length = strlen(name);

	if (length == 0)
		return explain(-EINVAL,
			       "an object's name must not be empty; NULL makes an anonymous one");
	if (length >= NAME_BYTES)
		return explain(-ENAMETOOLONG, "the name '%.20s...' has %zu bytes, at most %d", name,
			       length, NAME_BYTES - 1);
	for (const char *c = name; *c; c++)
		if (*c == '/' || (unsigned char)*c < ' ' || *c == 127)
			return explain(-EINVAL,
				       "a name must not contain '/' or control characters");
	return 0;
}

/* Holds: the first handle of this process sets the client's bit, the last clears it. */
static void hold(struct seg *seg, uint32_t client, uint32_t index)
{
	pthread_mutex_lock(&seg->mutex);
	if (seg->open_counts[index]++ == 0)
		or_seqcst(&seg_touched(seg, client)[index / 64], UINT64_C(1) << (index % 64));
	pthread_mutex_unlock(&seg->mutex);
}

static bool drop_hold(struct seg *seg, uint32_t client, uint32_t index)
{
	bool is_last;

	pthread_mutex_lock(&seg->mutex);
	is_last = seg->open_counts[index] > 0 && --seg->open_counts[index] == 0;
	if (is_last)
		seg->open_generations[index] = 0;
	if (is_last)
		and_seqcst(&seg_touched(seg, client)[index / 64], ~(UINT64_C(1) << (index % 64)));
	pthread_mutex_unlock(&seg->mutex);
	return is_last;
}

static bool is_held_by_anyone(struct seg *seg, uint32_t index)
{
	uint32_t high = seg_clients_high(seg);

	for (uint32_t client = SLOT_MPD; client < high; client++)
		if (client_word_state(slot_client_word(seg, client)) != SLOT_FREE &&
		    (load_seqcst(&seg_touched(seg, client)[index / 64]) >> (index % 64) & 1))
			return true;
	return false;
}

static void intend(struct shm_intent *intent, enum intent_kind kind, uint64_t address,
		   uint64_t before, uint64_t after)
{
	store_relaxed(&intent->address, address);
	store_relaxed(&intent->before, before);
	store_relaxed(&intent->after, after);
	store_release(&intent->kind, kind);
}

static void intent_done(struct shm_intent *intent)
{
	store_release(&intent->kind, INTENT_NONE);
}

/* Whose blocks are linked, unlinked or freed, and whether that still is his to have done. */
struct owner {
	struct seg *seg;
	uint32_t client;
	const struct sweep *sweep; /* NULL: the client itself does it */
};

/* The reference was read before this is asked: while the dead one's slot was not reused, it names
 * his use of the block, and a later use has another generation. */
static bool may_change(const struct owner *owner)
{
	return !owner->sweep || sweep_is_current(owner->sweep);
}

static void link_each(void *arg, uint64_t reference)
{
	const struct owner *owner = arg;

	if (may_change(owner))
		arena_link(owner->seg, owner->client, reference);
}

static void unlink_each(void *arg, uint64_t reference)
{
	const struct owner *owner = arg;

	if (may_change(owner))
		arena_unlink(owner->seg, owner->client, reference);
}

static void free_each(void *arg, uint64_t reference)
{
	const struct owner *owner = arg;

	arena_free(owner->seg, NULL, owner->client, reference);
}

/* Its own block and all that hang on it. */
static void for_each_block(struct shm_entry *entry, object_each each, struct owner *owner)
{
	const struct object_type *type = object_type(load_relaxed(&entry->kind));
	uint64_t reference = load_relaxed(&entry->object);
	void *object = type ? entry_object(owner->seg, entry, type) : NULL;

	if (object)
		type->blocks(owner->seg, object, each, owner);
	each(owner, reference);
}

/* The guard is held. */
static void free_object(struct seg *seg, struct shm_intent *intent, struct shm_entry *entry,
			uint64_t word)
{
	uint64_t freed = entry_word(ENTRY_FREE, entry_word_generation(word));
	struct owner me = { .seg = seg, .client = seg->client };

	intend(intent, INTENT_FREE_OBJECT, entry_offset(seg, entry), word, freed);
	for_each_block(entry, unlink_each, &me);
	store_release(&entry->word, freed);
	for_each_block(entry, free_each, &me);
	intent_done(intent);
}

void object_finish_intent(struct sweep *sweep, uint32_t thread)
{
	struct seg *seg = sweep->seg;
	struct shm_intent *intent = &seg->threads[thread].intent;
	uint64_t kind = load_acquire(&intent->kind);
	uint64_t before = load_relaxed(&intent->before), after = load_relaxed(&intent->after);
	struct shm_entry *entry = shm_at(seg, struct shm_entry, load_relaxed(&intent->address));
	struct owner dead = { .seg = seg, .client = sweep->client, .sweep = sweep };

	if (!entry || entry < seg->directory || entry >= seg->directory + seg->at.max_objects)
		return;
	if (kind == INTENT_CREATE_OBJECT && load_acquire(&entry->word) == after)
		for_each_block(entry, link_each, &dead);
	if (kind == INTENT_FREE_OBJECT && load_acquire(&entry->word) == before) {
		for_each_block(entry, unlink_each, &dead);
		if (sweep_is_current(sweep))
			cas_seqcst(&entry->word, &before, after);
	}
}

void *object_hold(struct seg *seg, uint32_t index, const struct object_type **ret_type)
{
	struct shm_entry *entry = &seg->directory[index];
	void *object = NULL;

	if (seg->client != SLOT_NONE)
		hold(seg, seg->client, index); /* before the look: whoever frees it looks after */
	if (entry_word_state(load_seqcst(&entry->word)) != ENTRY_FREE)
		object = object_at(seg, reference_offset(load_relaxed(&entry->object)), ret_type);
	if (!object)
		object_let_go(seg, index);
	return object;
}

void object_let_go(struct seg *seg, uint32_t index)
{
	if (seg->client != SLOT_NONE)
		drop_hold(seg, seg->client, index);
}

static void free_if_removed(struct seg *seg, struct shm_intent *intent, uint32_t index)
{
	struct shm_entry *entry = &seg->directory[index];
	uint64_t word = load_acquire(&entry->word);

	if (entry_word_state(word) == ENTRY_REMOVED && !is_held_by_anyone(seg, index))
		free_object(seg, intent, entry, word);
}

/* mpd has a thread slot of its own in each segment and no self: it never waits there. */
static struct shm_intent *own_intent(struct seg *seg)
{
	struct self *me;

	if (seg->client == SLOT_MPD)
		return &seg->threads[SLOT_MPD].intent;
	return self_get(seg, &me) < 0 ? NULL : &me->shared->intent;
}

void object_free_removed(struct seg *seg, bool may_wait)
{
	struct shm_guard *guard = &seg->header->directory_guard;
	struct shm_intent *intent = own_intent(seg);
	uint32_t high = seg_objects_high(seg);

	if (!intent)
		return;
	if (may_wait ? guard_acquire(seg, guard, seg->client, seg->client_generation) < 0
		     : !guard_try(guard, seg->client, seg->client_generation))
		return;
	for (uint32_t i = 0; i < high; i++)
		free_if_removed(seg, intent, i);
	guard_release(guard, seg->client, seg->client_generation);
}

static struct shm_entry *free_entry(struct seg *seg)
{
	for (uint32_t i = 0; i < seg->at.max_objects; i++) {
		struct shm_entry *entry = &seg->directory[i];

		if (seg_commit(seg, entry_offset(seg, entry), sizeof *entry) < 0)
			return NULL;
		if (entry_word_state(load_acquire(&entry->word)) == ENTRY_FREE)
			return entry;
	}
	return NULL;
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

/* The entry becomes the object: the store of LIVE is the commit. */
static void publish(struct seg *seg, struct self *me, struct shm_entry *entry, uint64_t live)
{
	uint32_t index = entry_index(seg, entry);
	uint32_t high = load_relaxed(&seg->header->objects_high);
	struct owner self = { .seg = seg, .client = me->client };

	intend(&me->shared->intent, INTENT_CREATE_OBJECT, entry_offset(seg, entry),
	       load_relaxed(&entry->word), live);
	if (high <= index)
		store_release(&seg->header->objects_high, index + 1);
	hold(seg, me->client, index);
	seg->open_generations[index] = entry_word_generation(live);
	store_release(&entry->word, live);
	for_each_block(entry, link_each, &self);
	intent_done(&me->shared->intent);
}

static int make_object(struct seg *seg, struct self *me, const struct object_request *request,
		       void **ret_object)
{
	struct shm_entry *entry = free_entry(seg);
	uint32_t generation;
	uint64_t reference;
	void *object;
	int error;

	if (!entry)
		return explain(-ENOSPC, "segment '%s' has no room for another object", seg->name);
	error = arena_alloc(seg, NULL, me->client, request->bytes, &reference, &object);
	if (error < 0)
		return explain(error, "no memory in segment '%s' for a %s", seg->name,
			       request->type->name);
	memset(object, 0, request->bytes);
	generation = generation_next(entry_word_generation(load_relaxed(&entry->word)));
	fill_header(object, request, object_id_make(entry_index(seg, entry), generation),
		    me->client);
	error = request->make(seg, me, object, request->opts);
	if (error < 0) {
		arena_free(seg, NULL, me->client, reference);
		return explain(error, "a %s could not be made in segment '%s'", request->type->name,
			       seg->name);
	}
	fill_entry(entry, request, reference, me->client);
	publish(seg, me, entry, entry_word(ENTRY_LIVE, generation));
	*ret_object = object;
	return 0;
}

static int attach_object(struct seg *seg, struct self *me, struct shm_entry *entry,
			 const struct object_request *request, void **ret_object)
{
	const struct object_type *found = object_type(load_relaxed(&entry->kind));
	void *object = entry_object(seg, entry, request->type);

	if (request->flags & MP_EXCLUSIVE)
		return explain(-EEXIST, "a %s '%s' exists in segment '%s'",
			       found ? found->name : "?", request->name, seg->name);
	if (!object)
		return explain(-EPROTO, "'%s' in segment '%s' is a %s, not a %s", request->name,
			       seg->name, found ? found->name : "corrupt object",
			       request->type->name);
	if (request->fits && !request->fits(object, request->opts))
		return explain(-EPROTO, "the %s '%s' in segment '%s' was made with other options",
			       request->type->name, request->name, seg->name);
	hold(seg, me->client, entry_index(seg, entry));
	seg->open_generations[entry_index(seg, entry)] =
		entry_word_generation(load_relaxed(&entry->word));
	*ret_object = object;
	return 0;
}

int object_open(struct seg *seg, const struct object_request *request, void **ret_object)
{
	struct shm_guard *guard = &seg->header->directory_guard;
	struct shm_entry *entry;
	struct self *me;
	int result = request->name ? check_name(request->name) : 0;

	if (result < 0)
		return result;
	result = self_get(seg, &me);
	if (result < 0)
		return explain(result, "this thread cannot take part in segment '%s'", seg->name);
	result = guard_acquire(seg, guard, me->client, me->client_generation);
	if (result < 0)
		return result;
	entry = request->name ? find_name(seg, request->name) : NULL;
	if (entry)
		result = attach_object(seg, me, entry, request, ret_object);
	else if (request->flags & MP_EXISTING)
		result = explain(-ENOENT, "no %s '%s' in segment '%s'", request->type->name,
				 request->name ? request->name : "", seg->name);
	else
		result = make_object(seg, me, request, ret_object);
	guard_release(guard, me->client, me->client_generation);
	return result;
}

int object_from_id(struct seg *seg, uint64_t id, const struct object_type *type, void **ret_object)
{
	uint32_t index = who_slot(id);
	struct shm_entry *entry = &seg->directory[index];
	struct self *me;
	void *object;
	int error = self_get(seg, &me);

	if (error < 0)
		return error;
	if (index >= seg_objects_high(seg))
		return explain(-ESTALE, "no object has the id %#llx", (unsigned long long)id);
	hold(seg, me->client, index); /* before the look: whoever frees it looks afterwards */
	object = entry_object(seg, entry, type);
	if (load_seqcst(&entry->word) == entry_word(ENTRY_LIVE, who_generation(id)) && object) {
		seg->open_generations[index] = who_generation(id);
		*ret_object = object;
		return 0;
	}
	error = load_seqcst(&entry->word) == entry_word(ENTRY_LIVE, who_generation(id)) ? -EPROTO
											: -ESTALE;
	if (drop_hold(seg, me->client, index))
		object_free_removed(seg, true);
	return explain(error, "the object with id %#llx is gone or is no %s",
		       (unsigned long long)id, type->name);
}

void object_close(struct seg *seg, void *object)
{
	uint32_t index = who_slot(((struct shm_object *)object)->id);
	struct self *me;

	if (index >= seg->at.max_objects || self_get(seg, &me) < 0)
		return;
	if (drop_hold(seg, me->client, index) &&
	    entry_word_state(load_seqcst(&seg->directory[index].word)) == ENTRY_REMOVED)
		object_free_removed(seg, true);
}

static int remove_entry(struct seg *seg, struct shm_entry *entry, const char *name,
			const struct object_type *type)
{
	uint64_t word;

	if (!entry)
		return explain(-ENOENT, "no %s '%s' in segment '%s'", type->name, name, seg->name);
	if (!entry_object(seg, entry, type))
		return explain(-EPROTO, "'%s' in segment '%s' is no %s", name, seg->name,
			       type->name);
	word = load_relaxed(&entry->word);
	store_release(&entry->word, entry_word(ENTRY_REMOVED, entry_word_generation(word)));
	return 0;
}

int object_unlink(struct seg *seg, const char *name, const struct object_type *type)
{
	struct shm_guard *guard = &seg->header->directory_guard;
	struct self *me;
	int result = check_name(name);

	if (result < 0 || (result = self_get(seg, &me)) < 0)
		return result;
	result = guard_acquire(seg, guard, me->client, me->client_generation);
	if (result < 0)
		return result;
	result = remove_entry(seg, find_name(seg, name), name, type);
	guard_release(guard, me->client, me->client_generation);
	if (result == 0)
		object_free_removed(seg, true);
	return result;
}

unsigned object_handles(struct seg *seg, const void *object)
{
	uint32_t index = who_slot(((const struct shm_object *)object)->id);

	return index < seg->at.max_objects ? seg->open_counts[index] : 0;
}

/* The public handle begins with its mapping (client.h). */
struct seg *object_seg(struct mp_segment *segment)
{
	return *(struct seg **)segment;
}

int object_hold_inherited(struct seg *seg)
{
	for (uint32_t i = 0; i < seg->at.max_objects; i++) {
		atom64 *bits = &seg_touched(seg, seg->client)[i / 64];
		uint64_t word;

		if (!seg->open_counts[i] || !seg->open_generations[i])
			continue;
		or_seqcst(bits, UINT64_C(1) << (i % 64));
		word = load_seqcst(&seg->directory[i].word);
		if (entry_word_state(word) == ENTRY_FREE ||
		    entry_word_generation(word) != seg->open_generations[i])
			return explain(-ESTALE, "an object of segment '%s' was freed between the "
						"fork and this child's first call",
				       seg->name);
	}
	return 0;
}

const char *object_name(struct seg *seg, const void *object)
{
	uint32_t index = who_slot(((const struct shm_object *)object)->id);
	const struct shm_entry *entry;

	if (index >= seg->at.max_objects)
		return "?";
	entry = &seg->directory[index];
	return entry->name[0] && memchr(entry->name, 0, NAME_BYTES) ? entry->name : "(anonymous)";
}
