/* SPDX-License-Identifier: MIT
 *
 * What the conversation with mpd and the scan without it share. Knows: the observer's list of
 * segments. Does not know: how one is found.
 */
#ifndef LIBSHM_OBSERVE_FIND_H
#define LIBSHM_OBSERVE_FIND_H

#include "observe_internal.h"

/* A new empty row, NULL: no memory. */
struct observe_segment *observe_find_add(struct mp_observer *observer);
struct observe_segment *observe_find_inode(struct mp_observer *observer, dev_t device, ino_t inode);

/* Takes the descriptor over: a new segment, or one that is there already. 0 or -ENOMEM. */
int observe_find_adopt(struct mp_observer *observer, int fd, const char *name);

/* observe_scan.c: segments of that endpoint among the descriptors of all processes. How many, or
 * -ENOMEM. */
int observe_scan(struct mp_observer *observer, const char *endpoint);

#endif
