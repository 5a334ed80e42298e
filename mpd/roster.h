/* SPDX-License-Identifier: MIT
 *
 * The roster: a file without content in which each client keeps a byte locked while it lives.
 * Knows: file locks. Does not know: processes, what a free byte means (reaper.h).
 */
#ifndef MPD_ROSTER_H
#define MPD_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

/* The former mpd's, -1: none. 0 or -errno. */
int roster_open(int inherited_fd);

/* Handed out to clients. */
int roster_fd(void);

/* Does nobody hold that byte, or another than `pid`? Any client may lock any byte: held by another
 * it is no sign of this one's life. */
bool roster_is_free(uint64_t byte, uint32_t pid);

#endif
