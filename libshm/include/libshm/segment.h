/* SPDX-License-Identifier: MIT
 *
 * Segments: named shared memory in which objects live. mpd hands them out; after the open no call
 * needs it again.
 */
#ifndef LIBSHM_SEGMENT_H
#define LIBSHM_SEGMENT_H

#include <libshm/base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct mp_segment mp_segment;

struct mp_segment_opts {
	uint64_t size_bytes;    /* largest size; 0: 1 GiB. Memory is committed as it is used. */
	/* Slots for threads that take part at once and for processes attached at once. Two of each
	 * are taken: slot 0 means nobody, slot 1 is mpd's. So 4 leaves two to use; 3 is the least.
	 * Each process that uses plain locks takes one more thread slot. */
	uint32_t max_sleepers;  /* 0: 512, the most */
	uint32_t max_clients;   /* 0: 256, at most 1024 */
	uint32_t mode;          /* rw for owner, group, others, at most 0777; 0: 0600. See below. */
	int32_t gid;            /* group of those bits, one the creator is in; 0: his first */
	uint32_t flags;         /* MP_EXISTING MP_EXCLUSIVE MP_KEEP MP_INTERRUPTIBLE MP_NO_SPAWN */
	uint32_t reserved0;
	const char *endpoint;   /* socket of mpd; NULL: $MP_ENDPOINT, the user's, the system's */
	const char *client_name; /* of this process in tools; NULL: the program's name */
	const char *owner;      /* whose segment: a user's name or number; NULL: see below */
	uint64_t reserved[9];   /* zero */
};

struct mp_segment_info {
	char name[64];
	uint64_t size_bytes;
	uint64_t committed_bytes; /* memory really in use; it is not given back */
	uint64_t used_bytes;      /* of the arena */
	/* Of the arena; counts what is kept for messages of one size (queue.h) and fits no other,
	 * so a put may be -ENOSPC while some is free. */
	uint64_t free_bytes;
	uint32_t clients;
	uint32_t threads;
	uint32_t objects;
	char engine[16]; /* how this process sleeps: "uring" or "futex" */
	/* Why not in io_uring, "" if it is; as long as the library is loaded. */
	const char *engine_reason;
	uint64_t reserved[7];
};

/* A segment belongs to the user who made it, and so does its name: two users may each have an
 * "app". That matters where one mpd serves several users (`mpd --system`). The bits of opts.mode
 * count as for a file: rw lets attach; r alone lets look with libshm/observe.h (a descriptor that
 * can never be written to), and an open is -EPERM; w alone and x give nothing. Only the owner and
 * root may remove it, and only their MP_KEEP counts. Who is given nothing cannot even see the name.
 * A name means: one's own segment; else the one that another user shares with a group one is in;
 * else, with MP_EXISTING, the one that a user has opened to everybody. opts.owner says whose it
 * must be, and root has to say so too.
 */

/* Attach to the segment `name`, or create it. A name, also of an object, is 1 to 63 bytes of UTF-8:
 * visible characters, no '/'. Starts a private mpd when none answers (unless MP_NO_SPAWN). One
 * process that opens a name twice gets the same segment, counted; its first open decides about
 * MP_INTERRUPTIBLE. The segment ends with its last client unless MP_KEEP. opts: NULL for defaults;
 * size, limits, mode and group that differ from what is there are -EPROTO.
 *
 * Blocks:  for the answer of mpd, at most 5 s; as long again when one has to be started.
 * Threads: any.
 * Crash:   a process that dies in it leaves nothing; a half-made segment is made anew by the next.
 * Errors:  -ECONNREFUSED -ETIMEDOUT (mpd is there and does not answer) -ENOENT -EEXIST
 *          -EINVAL -ENAMETOOLONG -EPERM -EACCES -EPROTO -EBADMSG -EDQUOT -ENOSPC -ENOMEM
 *          -EMFILE -ENOTSUP
 */
MP_MUST_USE int mp_segment_open(const char *name, const struct mp_segment_opts *opts,
				mp_segment **ret_segment);

/* Detach: locks still held are marked as by a death, leased messages go back. NULL is allowed.
 * Handles of its objects must not be used afterwards. Always NULL.
 *
 * Blocks:  for no other process, mpd among them; while another thread of this one opens, closes or
 *          unlinks a segment.
 * Threads: any, once no other thread of the process uses the segment.
 * Crash:   dying in it is the same as dying attached.
 * Errors:  none.
 */
mp_segment *mp_segment_close(mp_segment *segment);

/* Remove the name. Who is attached stays attached; the memory ends with the last of them. The next
 * open of the name makes another segment, also in a process that still has this one.
 *
 * Blocks:  for the answer of mpd, at most 5 s.
 * Threads: any.
 * Crash:   the name is removed or it is not.
 * Errors:  -ENOENT -ECONNREFUSED -ETIMEDOUT -EPERM -EACCES -EPROTO -EDQUOT (of connections)
 *          -EINVAL -ENAMETOOLONG -ENOMEM -EMFILE
 */
MP_MUST_USE int mp_segment_unlink(const char *name);

/* Figures of the segment as they are now.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is changed.
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_segment_info(mp_segment *segment, struct mp_segment_info *ret_info);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
