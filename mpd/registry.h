/* SPDX-License-Identifier: MIT
 *
 * What mpd must still know after kill -9: names and shapes of segments, in a memory file of its
 * own. Knows: records and how they are committed. Does not know: descriptors, clients.
 *
 *   record   FREE -> NEW -> READY -> NAMELESS -> FREE    (any state may go to FREE)
 *
 * A record is filled while it is FREE and then committed by one store of its state, so a kill at
 * any instruction leaves it absent or whole.
 */
#ifndef MPD_REGISTRY_H
#define MPD_REGISTRY_H

#include "libshm/layout.h"

#include <stdbool.h>

#define REGISTRY_RECORDS 1024
#define REGISTRY_MODE_DEFAULT 0600u

enum registry_state {
	REGISTRY_FREE = 0,
	REGISTRY_NEW = 1,      /* being formatted by the client that was named */
	REGISTRY_READY = 2,
	REGISTRY_NAMELESS = 3, /* unlinked, still in use */
};

struct registry_record {
	atom32 state;
	atom32 is_kept;  /* MP_KEEP: outlives its clients */
	uint64_t number; /* never used twice */
	uint64_t generation;
	uint64_t size_bytes;
	uint32_t max_clients;
	uint32_t max_threads;
	uint32_t mode;
	int32_t gid;
	uint32_t uid;
	atom32 adoptions; /* begun and not finished: more than one means that it kills mpd */
	char name[NAME_BYTES];
	uint32_t maker_pid; /* whose share it is too, while that process lives; 0: nobody's */
	uint32_t maker_started; /* its start time, the low half */
};
static_assert(sizeof(struct registry_record) == 128, "registry record");

/* Map the registry handed down, or make an empty one and store it. 0 or -errno. */
int registry_open(int inherited_fd);

/* How often mpd was started with this registry before. */
uint64_t registry_restarts(void);

struct registry_record *registry_at(unsigned index);

/* A number for a new segment; 0: all records are in use (*ret_index untouched). */
uint64_t registry_reserve(unsigned *ret_index);

/* A good name (libshm/name.h), then zeros to the end. */
bool registry_is_name(const char name[static NAME_BYTES]);

void registry_commit(struct registry_record *record, enum registry_state state);

#endif
