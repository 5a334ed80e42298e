/* SPDX-License-Identifier: MIT
 *
 * A lock's handle. Knows: what lock.c (operations) and lock_object.c (life, death) share.
 * Does not know: anything else.
 */
#ifndef LIBSHM_LOCK_INTERNAL_H
#define LIBSHM_LOCK_INTERNAL_H

#include "object.h"

#include <libshm/lock.h>

struct mp_lock {
	struct object_handle handle;
	struct seg *seg;
	struct shm_lock *shared;
	uint32_t kind; /* constant: checked once at open */
};

/* For people: "checked"; "?" when it is none. */
const char *lock_kind_name(uint32_t kind);

#endif
