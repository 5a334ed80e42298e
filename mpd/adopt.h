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

struct segment;

/* Everything the registry and the store brought, checked. False: something the registry knows was
 * not in the store. Each is mapped and swept between other work of the loop, or by adopt_now() if
 * it is asked for before its turn. Grace: how long they then wait for clients; `changed` is called
 * when all have had their turn, and when those that nobody came for have ended. */
bool adopt_all(int64_t grace_ns, void (*changed)(void));

/* Nobody may be told of a segment, or use its map, before this. */
void adopt_now(struct segment *segment);
void adopt_rest(void);
bool adopt_is_done(void);

/* A segment that only its clients kept, unless it is known already. Takes both descriptors over.
 * 0 or -errno. */
int adopt_lost(int fd, int observer_fd);

#endif
