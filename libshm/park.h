/* SPDX-License-Identifier: MIT
 *
 * Sleeping in the kernel, behind one small interface. Knows: what an engine must offer. Does not
 * know: wait sets, objects (wait.h).
 *
 * A parked thread sleeps while *word == value. Besides a ring it returns when the deadline is over,
 * a signal came, or one of the watched descriptors (pidfds) became readable. A signal that ended
 * the sleep is always told, whatever else happened: -ETIMEDOUT hides it only if the time was over
 * too.
 */
#ifndef LIBSHM_PARK_H
#define LIBSHM_PARK_H

#include "atom.h"

#include <stddef.h>
#include <stdint.h>

enum wait_engine { ENGINE_URING = 0, ENGINE_FUTEX = 1, ENGINE_NONE = 2 };

#define PARK_WATCHES_MAX 4

struct park_watch {
	int fd;       /* pidfd; -1 is not watched */
	uint64_t key; /* client slot and generation: names the use of the descriptor */
};

enum { PARK_RUNG = 0, PARK_DEATH = 1 }; /* or -ETIMEDOUT, -EINTR */

struct park; /* one for each thread, made on its first sleep, never crosses a fork */

struct park_ops {
	const char *name;
	enum wait_engine engine;
	int (*open)(struct park **ret_park);
	struct park *(*close)(struct park *park);
	/* The descriptor to close in a forked child, -1: none. Nothing else is touched there. */
	int (*descriptor)(const struct park *park);
	/* Does what the next sleep would do before it sleeps, so that this sleep can tell a signal
	 * from the end of its time even when both come at once. Costs a system call; may be left
	 * away. NULL: a sleep can always tell. */
	void (*prepare)(struct park *park, atom32 *word, uint32_t value,
			const struct park_watch *watches, unsigned watch_count);
	int (*sleep)(struct park *park, atom32 *word, uint32_t value, int64_t deadline_ns,
		     const struct park_watch *watches, unsigned watch_count);
};

extern const struct park_ops park_uring;
extern const struct park_ops park_futex;

/* Ring: wake the one thread that sleeps on this word. How many the kernel woke (0 or 1).
 * futex(2) in every engine: they mix, and it is safe in signal handlers. */
int park_wake(atom32 *word);

/* The word gets a new owner. The wait of a former one may still be armed in its ring, which ends a
 * while after its thread; a ring for the new owner must not go there. */
void park_disown(atom32 *word);

#endif
