/* SPDX-License-Identifier: MIT
 *
 * What another mpd's life left: segments out of the registry and the store, and those that only
 * clients still have. Knows: how the two are put together, whose repair has to be given up. Does
 * not know: where lost ones are looked for (rescue.h), what a segment is afterwards (segment.h).
 */
#ifndef MPD_ADOPT_H
#define MPD_ADOPT_H

#include <stdbool.h>
#include <stdint.h>

/* Everything the registry and the store brought. False: something the registry knows was not in
 * the store. Grace: how long an adopted segment waits for its clients; `changed` is called when
 * those that nobody came for have ended. */
bool adopt_all(int64_t grace_ns, void (*changed)(void));

/* A segment that only its clients kept, unless it is known already. Takes both descriptors over.
 * 0 or -errno. */
int adopt_lost(int fd, int observer_fd);

#endif
