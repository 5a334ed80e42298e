/* SPDX-License-Identifier: MIT
 *
 * A condition's handle. Knows: what cond.c (operations), cond_object.c (life, death) and tests
 * share. Does not know: anything else.
 */
#ifndef LIBSHM_COND_INTERNAL_H
#define LIBSHM_COND_INTERNAL_H

#include "lock_internal.h"

#include <libshm/cond.h>

struct mp_cond {
	struct object_handle handle;
	struct shm_cond *shared;
	struct mp_lock lock; /* a hold of its own */
};

#endif
