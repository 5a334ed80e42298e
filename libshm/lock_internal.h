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

/* --- for conditions --- */

/* A handle inside another one, on a lock that this process has open; on the lock of that id (0 or
 * -errno with a sentence); and its end. */
void lock_share(const struct mp_lock *lock, struct mp_lock *ret_lock);
int lock_join(struct seg *seg, uint64_t id, struct mp_lock *ret_lock);
void lock_leave(struct mp_lock *lock);

bool lock_is_held_by(const struct mp_lock *lock, const struct self *me);
/* All levels at once, by who holds it; *ret_levels is to be taken again. 0, or -errno with a
 * sentence: of a plain lock, which another may release. */
int lock_release_levels(struct mp_lock *lock, uint32_t *ret_levels);
/* As mp_lock_acquire for ever, whatever signals come: 0, MP_OWNER_DIED, -ENOTRECOVERABLE. */
int lock_take_levels(struct mp_lock *lock, struct self *me, uint32_t levels, uint64_t site);

/* For people: "checked"; "?" when it is none. */
const char *lock_kind_name(uint32_t kind);

#endif
