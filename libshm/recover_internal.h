/* SPDX-License-Identifier: MIT
 *
 * Between the sweep (recover.c) and the audit (recover_audit.c). Knows: what a thread waits for.
 * Does not know: what either does with it.
 */
#ifndef LIBSHM_RECOVER_INTERNAL_H
#define LIBSHM_RECOVER_INTERNAL_H

#include "object.h"
#include "recover.h"

/* Finding the object of a record, and is it ready: as much as the directory is long, and two walks
 * near the hints of a queue. */
#define LOOKS_OF_WAITED 1024

/* What a thread waits for, held as its process holds it. */
struct waited {
	uint32_t index; /* in the directory */
	void *object;
	const struct object_type *type;
	unsigned condition;
	struct shm_waiters *set; /* NULL: it has no such condition */
};

/* Record i of the thread. Then object_let_go(seg, ret_waited->index). */
bool waited_hold(struct seg *seg, uint32_t thread, uint32_t client, uint32_t i,
		 struct waited *ret_waited);

#endif
