/* SPDX-License-Identifier: MIT
 *
 * Who is alive. Knows: one pidfd for each process, the client slots that hang on it, the roster's
 * bytes, verdicts. Does not know: what a death leaves (recover.h), what was said over sockets.
 *
 * Time is never proof of death. Proofs are: the pidfd is readable; or the connection has ended, the
 * roster's byte is free, and the process has the segment mapped no more (it executed another
 * program). Nothing is allocated while a death is handled.
 */
#ifndef MPD_REAPER_H
#define MPD_REAPER_H

#include "segment.h"

struct process;

/* `changed` is called whenever something that keeps mpd here may have gone. */
void reaper_open(void (*changed)(void));
void reaper_changed(void);
bool reaper_is_idle(void); /* nobody is watched */

/* The process at the other end of the connection says that this slot is its own.
 * *process is NULL at its first time. 0, -EINVAL (the slot says otherwise), -EPERM, -EDQUOT. */
int reaper_watch(struct process **process, int socket, uint32_t pid, struct segment *segment,
		 uint32_t client, uint32_t generation);
/* That slot is free: its process says so, or another, and the slot agrees. 0, -ENOENT. */
int reaper_unwatch(struct process *process, struct segment *segment, uint32_t client,
		   uint32_t generation);

/* How many slots that process has in all segments; *ret_is_in: one of them in `segment`. */
unsigned reaper_slots_of(uint32_t pid, const struct segment *segment, bool *ret_is_in);

/* The connection has ended: is the process still there? */
void reaper_connection_ended(struct process *process);

/* Watch every live client slot that nobody watches; how many there are. */
unsigned reaper_watch_table(struct segment *segment);

#endif
