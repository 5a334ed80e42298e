/* SPDX-License-Identifier: MIT
 *
 * A mapped segment. Knows: mapping, formatting, validating, committing, the private copy of the
 * header's geometry. Does not know: who is attached (slot.h), what stands in the arena (arena.h),
 * how the descriptor was had (client.h).
 *
 * The geometry is copied and checked once when the segment is mapped; afterwards nobody reads an
 * offset or a count from shared memory again.
 */
#ifndef LIBSHM_SEG_H
#define LIBSHM_SEG_H

#include "layout.h"
#include "own_fd.h"

#include <pthread.h>
#include <stdbool.h>

#define SEG_BYTES_MAX (UINT64_C(1) << 38) /* a reference holds offset / 64 in 32 bits */

struct self_node;
struct seg;

/* What higher layers lend to lower ones; NULL in tools that never sleep or recover. */
struct seg_hooks {
	/* A client is proven dead: repair everything it touched. */
	void (*client_died)(struct seg *seg, uint32_t client, uint32_t generation);
	/* This process is a forked child: make it a client of its own. Returns 0 or -errno. */
	int (*join_after_fork)(struct seg *seg);
	/* A thread of this process ends: release what it owns on its behalf. */
	void (*thread_ended)(struct seg *seg, uint32_t thread, uint64_t who);
};

struct seg_geometry {
	uint64_t size_bytes;
	uint32_t max_clients;
	uint32_t max_threads;
	uint32_t max_objects;
	uint32_t granule_count;
	uint64_t clients, touched, threads, tickets, directory, traces, granules, arena;
};

struct seg {
	uint8_t *base;
	uint64_t size;
	int fd; /* only if own_fd_is(fd, file): the program may have closed it */
	struct own_fd_file file;
	struct seg_geometry at;
	struct shm_header *header;
	struct shm_client *clients;
	atom64 *touched; /* max_objects / 64 words for each client */
	struct shm_thread *threads;
	atom32 *tickets;
	struct shm_entry *directory;
	atom64 *granules;
	atom64 *committed;    /* bitmap of steps this process knows to be committed; private */
	atom32 granules_seen; /* header->granules_high as last read, it only grows; private */

	/* This process as a client of the segment; changed by attach, fork and detach only. */
	uint32_t client;
	uint32_t client_generation;
	/* Changes in a forked child only, which claims a slot of its own: unshare and setns are
	 * about children. 0: unknown. */
	atom64 pid_namespace;
	atom64 fork_epoch; /* self.h: which process these belong to; stored last, with release */
	uint64_t roster_byte;
	atom64 anchor; /* self.h: the identity that stands for the whole process; 0: none yet */
	int roster_fd;        /* borrowed from the connection; -1: none */
	struct own_fd_file roster_file;
	int *pidfds;          /* by client slot, -1: none; private to this process */
	struct own_fd_file *pidfd_files;
	uint32_t *pidfd_generations;
	pthread_mutex_t mutex; /* private: pidfds, selves, open_counts */
	struct self_node *selves; /* threads of this process */
	uint32_t *open_counts;      /* handles of this process, by directory index */
	uint32_t *repair_counts;    /* its threads that hold an object for another reason */
	uint32_t *open_generations; /* which use of the entry they are of; 0: none */
	const struct seg_hooks *hooks;
	uint32_t usable_cpus;
	int64_t guard_patience_ns; /* how long a guard is waited for (slot.c) */
	bool is_interruptible;
	/* mpd: objects that nobody holds any more are freed by object_free_some, not at once. */
	bool frees_later, is_free_due;
	bool is_stale; /* a forked child whose parent's objects went before its first call */
	char name[NAME_BYTES];
};

/* The geometry of a segment of that size; 0 is the default everywhere. The size is rounded up to
 * whole granules: the file must get ret_geometry->size_bytes. -EINVAL: too small, too large. */
int seg_plan(uint64_t size_bytes, uint32_t max_clients, uint32_t max_threads,
	     struct seg_geometry *ret_geometry);

/* Write the header of an empty (all zero, or half formatted) memory file; `ready` last. Run by one
 * client only, the one mpd named. 0, -ENOSPC, -errno of mmap. */
int seg_format(int fd, const char *name, uint64_t generation, const struct seg_geometry *at);

/* Map and validate; does not attach. Takes the descriptor over when it succeeds.
 * 0, -EPROTO (another layout), -EBADMSG (geometry impossible), -ENOMEM, -errno of mmap. */
int seg_map(int fd, bool is_read_only, struct seg **ret_seg);
struct seg *seg_unmap(struct seg *seg);

/* Copy a header that is ready: `ready` is read before the rest. 0, -EAGAIN (not formatted yet),
 * -EBADMSG (too short), -errno of pread. */
int seg_read_header(int fd, struct shm_header *ret_copy);

/* Check a copied header against a size and give its geometry. 0, -EPROTO, -EBADMSG, -EAGAIN (not
 * formatted yet). For readers that do not map (observe). */
int seg_check_header(const struct shm_header *copy, uint64_t file_size,
		     struct seg_geometry *ret_geometry);

/* Commit memory before it is touched, so that a full machine is an error and not SIGBUS.
 * 0, -ENOSPC, -EINVAL (outside the segment), -errno of fallocate. */
int seg_commit(struct seg *seg, uint64_t offset, uint64_t bytes);

static inline atom64 *seg_touched(const struct seg *seg, uint32_t client)
{
	return seg->touched + (uint64_t)client * (seg->at.max_objects / 64);
}

/* High-water marks, copied once and never beyond the table. */
static inline uint32_t seg_bounded(atom32 *mark, uint32_t maximum)
{
	uint32_t copy = load_acquire(mark);

	return copy < maximum ? copy : maximum;
}

#define seg_clients_high(seg) seg_bounded(&(seg)->header->clients_high, (seg)->at.max_clients)
#define seg_threads_high(seg) seg_bounded(&(seg)->header->threads_high, (seg)->at.max_threads)
#define seg_objects_high(seg) seg_bounded(&(seg)->header->objects_high, (seg)->at.max_objects)
#define seg_granules_high(seg) seg_bounded(&(seg)->header->granules_high, (seg)->at.granule_count)

#endif
