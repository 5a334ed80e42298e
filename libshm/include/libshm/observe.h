/* SPDX-License-Identifier: MIT
 *
 * A read-only view of segments for tools. Everything is copied out of shared memory, checked, then
 * handed over: any content of a segment is survived, nothing in it is ever changed, no page of it
 * is committed by looking.
 */
#ifndef LIBSHM_OBSERVE_H
#define LIBSHM_OBSERVE_H

#include <libshm/base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define MP_OBSERVE_NAME 64

typedef struct mp_observer mp_observer;

struct mp_observed_process {
	uint32_t slot;
	uint32_t pid;
	uint32_t parent_slot; /* 0: none */
	uint32_t is_dead;     /* died and not yet swept */
	char name[MP_OBSERVE_NAME];
	int64_t age_ns;  /* since it attached */
	int64_t dead_ns; /* since its death was noticed, 0 while it lives */
	uint64_t redelivered;
	uint64_t recovered;
	char state; /* R S T Z ... of /proc, X no such process, '?' not to be known from here */
	char reserved[7];
};

struct mp_observed_thread {
	uint32_t slot;
	uint32_t process_slot;
	uint32_t tid;
	uint32_t is_waiting;
	uint32_t is_asleep; /* in the kernel */
	uint32_t held_count;
	uint64_t waits_for[6]; /* object ids, 0 none */
	uint32_t waits_condition[6];
	int64_t waiting_ns;
	uint64_t holds[14]; /* object ids (a hint; mp_observed_lock.owner_thread is the truth) */
	uint64_t sleeps_uring, sleeps_futex, wakeups, spurious, rings, handed_on, spins_won;
	char name[16];
	char engine[8]; /* "uring", "futex", "" before its first sleep */
	const char *engine_reason; /* why not in io_uring, ""; as long as the library is loaded */
};

struct mp_observed_lock {
	uint64_t id;
	char name[MP_OBSERVE_NAME];
	char kind[16]; /* "checked" "plain" "recursive" */
	uint32_t owner_thread; /* slot, 0 free */
	uint32_t owner_process;
	uint32_t waiters;
	uint32_t is_died; /* the next acquirer will be told of a death */
	uint32_t is_poisoned;
	uint32_t depth;       /* of recursion; 0 unless held more than once */
	uint32_t is_unlinked; /* its name is gone, somebody still has it open */
	uint32_t is_fair;
	uint64_t grants, contended, deaths;
	uint64_t wait_ns; /* sum of the slow waits */
	int64_t held_ns;  /* at least: since this observer first saw this grant, or since its owner
			   * waits for something else; 0 when free */
	uint64_t site;    /* return address of the acquire, 0 unknown */
	uint32_t heir_thread;    /* slot of the one it is promised to, 0 nobody */
	uint32_t overtaken_most; /* how often others had it while one waited for it */
	uint32_t passed_over;    /* promises that nobody came for */
	uint32_t reserved;
};

struct mp_observed_queue {
	uint64_t id;
	char name[MP_OBSERVE_NAME];
	uint32_t capacity;
	uint32_t depth; /* messages that a getter could take now */
	uint32_t message_bytes;
	uint32_t is_closed;
	uint32_t blocked_putters;
	uint32_t blocked_getters;
	uint32_t leased;
	uint32_t is_unlinked;
	uint64_t puts, gets; /* since the queue was made */
	uint64_t redelivered, skipped, full_waits, empty_waits;
	uint32_t returned; /* of depth: given back, and in no place of the capacity */
	uint32_t reserved;
};

/* What threads meet at, besides locks and queues. */
struct mp_observed_sync {
	uint64_t id;
	char name[MP_OBSERVE_NAME];
	char kind[16];  /* "event" "condition" "semaphore" "barrier" */
	char state[16]; /* in a word: "set", "clear"; "waited", "idle"; permits "2/5";
			 * "2/4" have come, "action", "broken: died" */
	uint32_t waiters;
	uint32_t is_unlinked;
	uint64_t changes; /* since it was made: how often it became set, or notified somebody;
			   * of a semaphore: permits that came back from the dead; of a barrier:
			   * which turn it is */
	uint64_t waits;   /* how often somebody had to wait */
	uint64_t wait_ns; /* sum of those that are over */
	uint64_t lost;    /* of a condition: notifications while nobody waited */
	uint64_t lock;    /* the id of the lock it belongs to */
	char detail[192]; /* barrier: who has it open and does not wait, who acts or broke it; "" */
	uint32_t holders; /* of a semaphore: processes that hold owned permits */
	uint32_t reserved0;
	uint64_t reserved[1];
};

/* One step of a wait-for cycle: `thread` waits for `lock`, which the next step's thread holds; the
 * last waits for what the first holds. */
struct mp_observed_step {
	uint32_t thread;
	uint32_t process;
	uint64_t lock;
};

#define MP_CYCLE_MAX 16
struct mp_observed_cycle {
	uint32_t length;  /* steps given, at most MP_CYCLE_MAX */
	uint32_t members; /* threads in the cycle */
	int64_t age_ns; /* since its youngest wait began */
	struct mp_observed_step steps[MP_CYCLE_MAX];
};

struct mp_snapshot {
	char segment[MP_OBSERVE_NAME];
	uint64_t generation;
	int64_t taken_ns; /* monotonic */
	uint64_t size_bytes, committed_bytes, used_bytes, free_bytes;
	uint64_t sweeps, deaths, audits;
	struct mp_observed_process *processes;
	struct mp_observed_thread *threads;
	struct mp_observed_lock *locks;
	struct mp_observed_queue *queues;
	struct mp_observed_cycle *cycles;
	uint32_t process_count, thread_count, lock_count, queue_count, cycle_count;
	uint32_t is_torn; /* something changed at each of several reads, or makes no sense */
	uint32_t sync_count;
	uint32_t reserved;
	struct mp_observed_sync *syncs;
};

/* What mpd says about a segment, also about one that may not be read. */
struct mp_observed_segment {
	char name[MP_OBSERVE_NAME];
	uint64_t size_bytes; /* largest size */
	/* 1: mpd said all of this. 0: found without it; then `uid` is the file's, and what follows
	 * it is not known. */
	uint32_t is_listed;
	uint32_t uid; /* owner */
	uint32_t mode;
	uint32_t clients; /* processes that mpd watches in it */
	uint32_t is_kept; /* MP_KEEP: outlives its clients */
	int32_t error;    /* why it may not be read: -EACCES, ...; 0: it may */
	int64_t saved_ns; /* in a file of mp_observe_save: when, since 1970; else 0 */
	uint64_t reserved[5];
};

/* What is to be seen at an endpoint. */
struct mp_endpoint_info {
	char endpoint[108];
	uint32_t is_mpd_alive;
	uint32_t mpd_pid; /* also of one that answers no more; 0: none ever answered */
	char mpd_version[16];
	char mpd_engine[8]; /* of its event loop: "uring", "epoll" */
	int64_t mpd_age_ns;
	uint64_t mpd_restarts;
	int32_t mpd_error; /* why none was reached: -EACCES or -EPERM if we may not, -EPROTO if it
			    * is of another version (mpd_version tells which); 0: it was */
	uint32_t is_file; /* not an endpoint: `endpoint` is what mp_observe_file looks at */
	const char *mpd_engine_reason; /* why its loop is not in io_uring, "" */
};

/* Look at an endpoint (NULL: found as mp_segment_open does, but nothing is started). Works without
 * mpd: the segments are then found through the descriptors their clients hold (same user or root).
 *
 * Blocks:  for the answer of mpd, at most 1 s.
 * Threads: any.
 * Crash:   nothing is left behind.
 * Errors:  -ENOMEM -EMFILE -EINVAL; no mpd and no segment is no error
 */
MP_MUST_USE int mp_observe_open(const char *endpoint, mp_observer **ret_observer);

/* Release everything the observer gave out. NULL is allowed. Always NULL.
 *
 * Blocks:  never.
 * Threads: any, once nobody uses the observer.
 * Crash:   nothing is left behind.
 * Errors:  none.
 */
mp_observer *mp_observe_close(mp_observer *observer);

/* Look for segments and mpd again; returns how many segments there are.
 *
 * Blocks:  for the answer of mpd, at most 1 s.
 * Threads: one at a time for each observer.
 * Crash:   nothing is left behind.
 * Errors:  -ENOMEM -EMFILE
 */
MP_MUST_USE int mp_observe_refresh(mp_observer *observer);

/* How mpd is.
 *
 * Blocks:  never.
 * Threads: one at a time for each observer.
 * Crash:   -
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_observe_endpoint(mp_observer *observer, struct mp_endpoint_info *ret_info);

/* The name of segment `index`, also of one that cannot be read.
 *
 * Blocks:  never.
 * Threads: one at a time for each observer.
 * Crash:   -
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_observe_name(mp_observer *observer, unsigned index,
				char ret_name[MP_OBSERVE_NAME]);

/* What is known about segment `index` without reading it.
 *
 * Blocks:  never.
 * Threads: one at a time for each observer.
 * Crash:   -
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_observe_segment(mp_observer *observer, unsigned index,
				   struct mp_observed_segment *ret_segment);

/* Copy segment `index` (0 .. mp_observe_refresh() - 1). The observer owns the snapshot; it is good
 * until the next call for the same index, the next refresh or the close.
 *
 * Blocks:  never.
 * Threads: one at a time for each observer.
 * Crash:   -
 * Errors:  -EINVAL -ENOMEM -EBADMSG -EPROTO -EAGAIN (being made) -EACCES (may not be read)
 *          -EMFILE (no descriptor was left for it) -EIO (of a file)
 */
MP_MUST_USE int mp_observe_snapshot(mp_observer *observer, unsigned index,
				    const struct mp_snapshot **ret_snapshot);

/* Write segment `index`, messages and all, into the empty regular file `fd`, to be looked at with
 * mp_observe_file later and elsewhere. The file is sparse, as the segment is; one that is damaged
 * is written as it stands. Parts that changed meanwhile are written again, a bounded number of
 * times. 0: the file shows one moment. 1: the segment kept changing; each part of the file is of
 * some moment of the call.
 *
 * Blocks:  while it copies; for no other process.
 * Threads: one at a time for each observer.
 * Crash:   the file is half written; nothing shared is touched.
 * Errors:  -EINVAL (fd is no empty regular file) -EIO (it cannot be written) -ENOMEM -EACCES
 *          -EMFILE (no descriptor was left for the segment)
 */
MP_MUST_USE int mp_observe_save(mp_observer *observer, unsigned index, int fd);

/* Look at a file of mp_observe_save as at an endpoint with one segment. Ages are those of the
 * moment it was saved. Any content of the file is survived.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing is left behind.
 * Errors:  -EINVAL (no regular file) -ENOENT -EACCES -EIO -ENOMEM -EMFILE
 */
MP_MUST_USE int mp_observe_file(const char *path, mp_observer **ret_observer);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
