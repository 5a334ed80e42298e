/* SPDX-License-Identifier: MIT
 *
 * What all objects share: the common header, open by name or id, close, unlink, the table of kinds.
 * Knows: directory entries, holds (touched bitmaps), intents of creation. Does not know: what one
 * kind does with its bytes.
 */
#ifndef LIBSHM_OBJECT_H
#define LIBSHM_OBJECT_H

#include "opts.h"
#include "self.h"
#include "turn.h"

struct sweep; /* recover.c: one dead client being swept */

/* Called for each block of an object. */
typedef void (*object_each)(void *arg, uint64_t reference);

/* One row for each kind. Functions get an object that was checked against the segment's bounds. */
struct object_type {
	enum object_kind kind;
	const char *name;
	uint64_t bytes; /* smallest block it can live in */
	/* Finish or undo what a dead client left; NULL: a death leaves nothing. False: it goes on
	 * with sweep->inside. */
	bool (*recover)(struct seg *seg, void *object, struct sweep *sweep);
	/* The wait set of a condition, NULL if there is none. */
	struct shm_waiters *(*waiters)(void *object, unsigned condition);
	/* Could a thread of that client get ahead now? True also where that takes long to see. */
	bool (*is_ready)(struct seg *seg, void *object, unsigned condition, uint32_t client);
	/* A word that changes whenever somebody gets ahead. */
	uint64_t (*progress)(struct seg *seg, void *object, unsigned condition);
	/* Every block that hangs on it, besides its own; NULL: none does. False: it goes on with
	 * the walk. */
	bool (*blocks)(struct seg *seg, void *object, struct walk *walk, object_each each,
		       void *arg);
};

const struct object_type *object_type(uint32_t kind);

/* The checked object of a directory entry or of a wait record; NULL if it is none. */
void *object_at(struct seg *seg, uint64_t offset, const struct object_type **ret_type);

struct object_request {
	const char *name; /* NULL: anonymous */
	unsigned flags;   /* MP_EXISTING, MP_EXCLUSIVE */
	const struct object_type *type;
	uint64_t bytes;
	/* What the options of one who attaches want otherwise than it is; NULL: nothing can
	 * differ. */
	void (*compare)(void *object, const void *opts, struct opts_difference *difference);
	/* Fill a fresh, zeroed object; 0 or -errno; NULL: zeroes will do. Blocks it allocates stay
	 * HELD by me: the type's `blocks` names them and object_open links them. Leaves a
	 * sentence. */
	int (*make)(struct seg *seg, struct self *me, void *object, const void *opts);
	const void *opts;
};

/* What a handle keeps in private memory: nothing shared is asked again who it is. */
struct object_handle {
	struct seg *seg;
	void *object;
	uint64_t offset;
	uint64_t id;
	uint32_t index; /* in the directory */
};

/* Attach to the object or make it. Sets this client's hold. */
int object_open(struct seg *seg, const struct object_request *request,
		struct object_handle *ret_handle);
int object_from_id(struct seg *seg, uint64_t id, const struct object_type *type,
		   struct object_handle *ret_handle);
/* A handle goes. True: it was the last of this process, which still holds the object; what it owns
 * there can be given up now, then object_let_go. */
bool object_drop_handle(const struct object_handle *handle);
int object_unlink(struct seg *seg, const char *name, const struct object_type *type);

/* The mapping behind a public handle. */
struct mp_segment;
struct seg *object_seg(struct mp_segment *segment);

/* In a forked child: hold what the parent's handles refer to. -ESTALE: something of it was freed
 * between the fork and now. */
int object_hold_inherited(struct seg *seg);
/* What a parent holds for a child that it starts, until the child has its own holds. */
struct object_pins {
	const struct seg *seg;
	uint64_t bits[OBJECTS_MAX / 64];
};
/* Before the fork, in the thread that forks; and when the child is attached. */
void object_pin(struct seg *seg, struct object_pins *ret_pins);
void object_unpin(struct seg *seg, const struct object_pins *pins);

/* This process leaves: all its handles are over. What it owned there was given up before. */
void object_let_all_go(struct seg *seg);

/* The name for messages to people. */
const char *object_name(const struct object_handle *handle);
/* The name as it is in the directory, NAME_BYTES long; an anonymous object's is empty. */
static inline const char *object_raw_name(const struct object_handle *handle)
{
	return handle->seg->directory[handle->index].name;
}

/* Recovery: finish what a dead thread of `client` was making or freeing. False: it goes on with
 * sweep->inside. */
bool object_finish_intent(struct sweep *sweep, uint32_t thread);

/* A recoverer takes over what the swept one holds: another may finish the sweep meanwhile, and the
 * object would be freed under it. NULL: it is gone, or no object, or was swept by another. */
void *object_hold(struct sweep *sweep, uint32_t index, const struct object_type **ret_type);
/* The object at `offset` that a thread of that client waits for: its process holds it. NULL: not
 * (any more). */
void *object_hold_waited(struct seg *seg, uint32_t client, uint64_t offset, uint32_t *ret_index,
			 const struct object_type **ret_type);
void object_let_go(struct seg *seg, uint32_t index);
/* Free what has no name and is not held by any client. Waits for nobody (its caller may hold the
 * guard): if the guard is taken, its holder does it when he lets go. */
void object_free_unheld(struct seg *seg);

/* Where freeing goes on. Between two pieces of one object mpd has the guard of the directory; if it
 * dies there, its successor finishes the intent. */
struct object_freeing {
	struct walk walk;   /* over the directory, */
	struct walk inside; /* and over the blocks of one object */
	enum { FREEING_NONE, FREEING_UNLINKS, FREEING_FREES } stage;
	bool is_wanted_again; /* somebody else wished for it while we had the guard */
	unsigned passes;
};
/* mpd: as much of object_free_unheld as the walks' turn allows; false: it goes on with them. */
bool object_free_some(struct seg *seg, struct object_freeing *freeing);

#endif
