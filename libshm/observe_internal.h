/* SPDX-License-Identifier: MIT
 *
 * What the files of observe share: the observer, its segments, one copy being taken. Knows: which
 * tables are copied in which order. Does not know: mappings; a segment is read by pread alone,
 * because a read through a map would commit the pages it looks at.
 *
 * Order of a copy, which makes a reported cycle exact (docs/observing.md): thread table, then lock
 * words, then the wait records of the cycle's members once more.
 */
#ifndef LIBSHM_OBSERVE_INTERNAL_H
#define LIBSHM_OBSERVE_INTERNAL_H

#include "seg.h"

#include <libshm/observe.h>
#include <sys/types.h>

/* Which grant of a lock was seen since when; by directory index. */
struct observe_grant {
	uint64_t id;
	uint64_t owner;
	uint64_t grants;
	int64_t since_ns;
};

struct observe_segment {
	int fd;    /* -1: found, but may not be read */
	int error; /* then why: -errno */
	bool is_found; /* by the refresh that runs */
	dev_t device;
	ino_t inode;
	uint64_t generation;
	char name[NAME_BYTES];
	struct mp_observed_segment listed; /* what mpd said at the last refresh, if it did */
	struct observe_grant *grants;
	struct mp_snapshot snapshot;
};

struct mp_observer {
	bool is_file;  /* one saved segment, for ever the same */
	bool is_given; /* the endpoint was named by the caller */
	char given[108];
	int socket; /* to mpd, -1: none */
	uint32_t serial;
	bool is_silent; /* mpd let a deadline pass: wait for it only briefly from now on */
	uint8_t *packet; /* PROTO_MESSAGE_MAX bytes */
	struct mp_endpoint_info info;
	uint64_t mpd_started_ns;
	struct observe_segment *segments;
	unsigned segment_count, segment_capacity;
};

/* One object of the directory that was found to be what its entry says. */
struct observe_object {
	uint64_t offset;
	uint64_t id;
	uint64_t owner; /* locks: the owner bits of the word, read after the thread table */
	uint32_t kind;
};

/* The tables of one segment, as they were when they were read. */
struct observe_copy {
	int fd;
	int64_t now_ns;
	struct seg_geometry at;
	struct shm_header header;
	struct shm_client *clients;
	struct shm_thread *threads;
	struct shm_entry *entries;
	struct observe_object *objects; /* by offset, once all are read */
	uint32_t client_count, thread_count, entry_count, object_count;
	uint64_t cells_left; /* of queues that may still be counted one by one */
	bool is_torn;
	bool is_saved; /* read from a file: what /proc says now is about others */
};

/* The end of a file of mp_observe_save, behind the bytes of the segment. */
#define TRAILER_MAGIC UINT64_C(0x315641532d50534d) /* "MSP-SAV1" */
struct observe_trailer {
	uint64_t magic; /* TRAILER_MAGIC */
	uint64_t size_bytes; /* of the segment: where this trailer is */
	int64_t taken_ns;    /* monotonic: what the segment's own times are held against */
	int64_t saved_ns;    /* since 1970 */
	uint32_t is_torn;
	uint32_t uid;
	char name[NAME_BYTES];
	uint64_t reserved[3];
};

/* All bytes or an error: -EBADMSG when the file ends before. */
int observe_read(int fd, void *buffer, uint64_t bytes, uint64_t offset);

/* `ret_text` becomes `name` up to its first NUL; what a terminal should not get is '?'. */
void observe_text(char *ret_text, size_t capacity, const char *name, size_t bytes);

/* observe_file.c: the trailer of a saved segment; false if the file has none. */
bool observe_read_trailer(int fd, struct observe_trailer *ret_trailer);

/* An observer of nothing yet; NULL: no memory. */
struct mp_observer *observe_new(void);

/* Why `index` was refused: -EINVAL with a sentence. */
int observe_refuse_index(const struct mp_observer *observer, unsigned index);

/* observe_find.c: bring info and segments up to date. 0 or -ENOMEM. */
int observe_find(struct mp_observer *observer);
void observe_forget_segment(struct observe_segment *segment);

/* observe_copy.c: header and tables; 0 or -errno. Release also after a failure. */
int observe_copy_tables(int fd, struct observe_copy *ret_copy);
void observe_copy_release(struct observe_copy *copy);

/* The object at that offset, NULL if the directory knows none. */
const struct observe_object *observe_object_at(const struct observe_copy *copy, uint64_t offset);

/* The thread that `who` names, if it is that use of the slot; else NULL. */
const struct shm_thread *observe_thread_of(const struct observe_copy *copy, uint64_t who);
bool observe_is_waiting(const struct shm_thread *thread, uint64_t record);

/* Threads that wait for that condition, and are in its set. */
uint32_t observe_count_waiting(struct observe_copy *copy, struct shm_waiters *set, uint64_t record);

/* observe_sync.c: whatever its kind says, besides name and id. */
uint64_t observe_sync_bytes(uint32_t kind); /* 0: none of these kinds */
void observe_fill_sync(struct observe_copy *copy, struct shm_object *bytes, uint64_t offset,
		       struct mp_observed_sync *row);

/* observe_barrier.c: its row of that. */
void observe_fill_barrier(struct observe_copy *copy, struct shm_object *bytes, uint64_t offset,
			  struct mp_observed_sync *row);

/* observe_object.c: read every object of the directory into its kind's rows. 0 or -ENOMEM. */
int observe_objects(struct observe_copy *copy, struct observe_segment *segment,
		    struct mp_snapshot *snapshot);

/* observe_cycle.c: the cycles among the copied threads; those that still stand. 0 or -ENOMEM. */
int observe_cycles(struct observe_copy *copy, struct mp_snapshot *snapshot);

#endif
