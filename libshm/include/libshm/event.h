/* SPDX-License-Identifier: MIT
 *
 * Events: a flag that any number of threads of any processes can wait for.
 */
#ifndef LIBSHM_EVENT_H
#define LIBSHM_EVENT_H

#include <libshm/segment.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct mp_event mp_event;

struct mp_event_opts {
	uint32_t flags; /* MP_EXISTING MP_EXCLUSIVE */
	uint32_t reserved0;
	uint64_t reserved[15]; /* zero */
};

/* Attach to the event `name`, or create it, not set; NULL makes an anonymous one, which lives as
 * long as some process has it open. opts: NULL for defaults. Children of mp_process_start have open
 * what their parent has; a child of a bare fork() only from its first call on: keep yours open
 * until then. A segment has room for 1024 objects.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the event exists whole or not at all.
 * Errors:  -ENOENT -EEXIST -EPROTO -EINVAL -ENAMETOOLONG -ENOSPC -ENOMEM -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_event_open(mp_segment *segment, const char *name,
			      const struct mp_event_opts *opts, mp_event **ret_event);

/* Release the handle; an event with a name stays, one without ends with the last handle of the last
 * process. NULL is allowed. Always NULL.
 *
 * Blocks:  never.
 * Threads: any, once no other thread of the process uses the handle.
 * Crash:   nothing is left behind.
 * Errors:  none.
 */
mp_event *mp_event_close(mp_event *event);

/* Remove the name; who has the event open keeps it, the memory ends with the last handle.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   the name is removed or it is not.
 * Errors:  -ENOENT -EPROTO -EINVAL -ENAMETOOLONG -EBADMSG -ETIMEDOUT
 */
MP_MUST_USE int mp_event_unlink(mp_segment *segment, const char *name);

/* The number that mp_event_from_id turns back into a handle in any process of the segment.
 *
 * Blocks:  never.
 * Threads: any.
 * Crash:   nothing shared is touched.
 * Errors:  none.
 */
uint64_t mp_event_id(const mp_event *event);

/* A handle from mp_event_id: while the event has its name or, an anonymous one, while some process
 * has it open. -ESTALE: it is gone, or its name is.
 *
 * Blocks:  never longer than another open or unlink takes; at most 10 s for one that is stopped.
 * Threads: any thread of any attached process, at once.
 * Crash:   nothing is left behind.
 * Errors:  -ESTALE -EPROTO -EINVAL -ENOMEM -ETIMEDOUT
 */
MP_MUST_USE int mp_event_from_id(mp_segment *segment, uint64_t id, mp_event **ret_event);

/* Set it and wake everybody who waits; it stays set until it is cleared. Every wait that began
 * before returns, also if the event is cleared at once. Cost: 1 CAS; a few loads when it is set.
 *
 * Blocks:  never. Without waiters: no system call.
 * Threads: any thread of any attached process, at once; also from a signal handler, in a forked
 *          child after its first other call in the segment.
 * Crash:   set or not set; if set, who waits is woken.
 * Errors:  -EINVAL -ENOSPC -ESTALE (only the first call of a forked child)
 */
MP_MUST_USE int mp_event_set(mp_event *event);

/* Clear it: whoever comes from now on waits for the next set. Cost: 1 CAS.
 *
 * Blocks:  never. Without waiters: no system call.
 * Threads: any thread of any attached process, at once; also from a signal handler, in a forked
 *          child after its first other call in the segment.
 * Crash:   set or not set.
 * Errors:  -EINVAL -ENOSPC -ESTALE (only the first call of a forked child)
 */
MP_MUST_USE int mp_event_clear(mp_event *event);

/* 1 if it is set, else 0. Cost: 1 load.
 *
 * Blocks:  never.
 * Threads: any thread of any attached process, at once; also from a signal handler.
 * Crash:   nothing shared is touched.
 * Errors:  -EINVAL
 */
MP_MUST_USE int mp_event_is_set(const mp_event *event);

/* Wait until it is set, at most `timeout` nanoseconds. 0: it is set, or was since the call began;
 * it may have been cleared again. Cost: 1 load when it is set.
 *
 * Blocks:  until it is set or timeout; MP_NOW never blocks. Set: no system call.
 * Threads: any thread of any attached process, at once.
 * Crash:   a waiter that dies leaves nothing; a setter that dies has set it or has not.
 * Errors:  -EAGAIN -ETIMEDOUT -EINTR -EINVAL -ENOSPC
 */
MP_MUST_USE int mp_event_wait(mp_event *event, int64_t timeout);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
