/* SPDX-License-Identifier: MIT
 *
 * An event's handle. Knows: what event.c and tests share. Does not know: anything else.
 */
#ifndef LIBSHM_EVENT_INTERNAL_H
#define LIBSHM_EVENT_INTERNAL_H

#include "object.h"

#include <libshm/event.h>

struct mp_event {
	struct object_handle handle;
	struct shm_event *shared;
};

#endif
