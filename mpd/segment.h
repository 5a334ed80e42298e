/* SPDX-License-Identifier: MIT
 *
 * Living segments: descriptors, map, who keeps them alive. Knows: their beginning and end. Does not
 * know: sockets (ctl.h), how clients are watched (reaper.h), what another mpd left (adopt.h).
 *
 * A segment lives while a connection holds it (opened, not attached yet), a client slot is watched,
 * or it is kept and has its name.
 */
#ifndef MPD_SEGMENT_H
#define MPD_SEGMENT_H

#include "registry.h"
#include "store.h"

#include "libshm/proto.h"
#include "libshm/seg.h"

struct conn;
struct segment;

/* Those who look after a segment from above; serve.c introduces them. */
struct segment_keepers {
	int (*roster)(void);
	void (*begun)(struct segment *segment);
	void (*ending)(struct segment *segment); /* also one that was never begun */
	/* Watch every live client slot that nobody watches, sweep the dead; how many live. */
	unsigned (*watch_clients)(struct segment *segment);
	/* What happened while nobody looked; record->adoptions is 0 when it is done. */
	void (*repair)(struct segment *segment);
	void (*changed)(void); /* something that keeps mpd here may have gone */
};

struct segment {
	struct registry_record *record; /* NULL: this row is not used */
	int fd;
	int observer_fd;
	struct seg *seg;        /* mapped once it is formatted; NULL before, or if left as it is */
	bool is_waiting;        /* for adopt_now(): needed, whoever uses it */
	struct conn *formatter; /* who was told to format it */
	struct conn *waiters;   /* first in line for it meanwhile (requests.c) */
	unsigned holds;
	unsigned watches;
};

/* What a memory file says of itself: the only place left when the registry is lost. */
struct segment_rights {
	uint32_t uid;
	int32_t gid;
	uint32_t mode;
};

struct segment_maker {
	uint32_t uid; /* will own it */
	uint32_t pid; /* 0: unknown */
};

/* Mode and group as they shall be. */
int segment_create(const struct proto_open *open, const struct segment_maker *maker,
		   struct segment **ret_segment);
struct segment *segment_find(uint32_t uid, const char *name);
bool segment_is_named(const struct segment *segment, const char *name);
struct segment *segment_by_number(uint64_t number);
unsigned segment_index(const struct segment *segment);
struct segment *segment_at(unsigned index); /* NULL if that row is not used */

/* Its formatter says it is ready: map it and become its client. 0 or -errno of seg_map. */
int segment_accept(struct segment *segment);

/* Its formatter died: all zero again. */
int segment_reset(struct segment *segment);

void segment_unlink(struct segment *segment);
void segment_keep(struct segment *segment); /* MP_KEEP from now on */
bool segment_is_ready(const struct segment *segment);

/* End it if nobody needs it any more. Asked whenever a hold or a watch has gone. */
void segment_check_end(struct segment *segment);

/* Does any segment keep mpd here by itself? */
bool segment_any_kept(void);

/* The endpoint is part of the name that each descriptor has in /proc. */
void segment_configure(const char *endpoint, const struct segment_keepers *keepers);

/* For what another mpd's life left (adopt.c). */

/* What a registry that was lost had known, in the flags of mpd's own slot. */
enum { SEGMENT_MARK_NAMELESS = 1, SEGMENT_MARK_KEPT = 2 };

enum registry_state segment_state(const struct segment *segment);
void segment_store_name(uint64_t number, char ret_name[static STORE_NAME_BYTES]);
int segment_fill_record(struct registry_record *record, const struct proto_open *open,
			const struct segment_maker *maker);

/* The record's own place, without descriptors. */
struct segment *segment_place(unsigned index, struct registry_record *record);

/* Map it, become its client, sweep what mpd's former self left in it. 0 or -errno. */
int segment_map(struct segment *segment);

/* Of a mapped one: whoever died while no mpd looked is swept, the living are watched. */
void segment_catch_up(struct segment *segment);

/* Whoever needs it. */
void segment_end(struct segment *segment);

#endif
