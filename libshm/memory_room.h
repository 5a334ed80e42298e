/* SPDX-License-Identifier: MIT
 *
 * How much memory this process may still take: what its memory cgroup and those above it leave.
 * Past that the kernel kills a process instead of refusing, so it is asked before memory is
 * committed. Knows: /proc/self, cgroup v1 and v2. Does not know: what the memory is for.
 *
 * Page cache that can be given back and swap that may be used count as room: a cgroup that reads
 * files is always full. Where no limit can be read there is none.
 */
#ifndef LIBSHM_MEMORY_ROOM_H
#define LIBSHM_MEMORY_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#define MEMORY_ROOM_UNLIMITED UINT64_MAX

/* Where /proc tells of cgroups, "/proc/self"; tests have others. */
struct memory_room_source {
	const char *cgroup;    /* "/proc/self/cgroup" */
	const char *mountinfo; /* "/proc/self/mountinfo" */
};

/* Bytes that may still be taken, MEMORY_ROOM_UNLIMITED if nothing limits them. Asks the kernel:
 * some 100 us. */
uint64_t memory_room_ask(const struct memory_room_source *source);

/* May so many bytes be taken now? Counts them. Asks the kernel ten times a second at most, but for
 * when little is left: then each time. */
bool memory_room_take(uint64_t bytes);

/* Ask there from now on, anew; NULL: nobody, as if nothing limited (a test that counts each
 * instruction). */
void memory_room_set_source(const struct memory_room_source *source);

/* Was this thread's latest question answered with no? */
bool memory_room_was_refused(void);

#endif
