/* SPDX-License-Identifier: MIT
 *
 * The worker processes: start, replace, kill one on purpose, end. Knows: mp_process. Does not
 * know: what they count.
 */
#ifndef WORDCOUNT_CREW_H
#define WORDCOUNT_CREW_H

#include "job.h"
#include "worker.h"

#include <stdbool.h>

struct crew {
	struct job *job;
	unsigned count;
	unsigned starts;
	bool is_kill_over; /* somebody was killed, or it is not possible here */
	unsigned stop_failures;
	mp_process *processes[WORKERS_MAX];
	struct worker workers[WORKERS_MAX];
};

/* All return 0 or -errno; what failed is on stderr. */
int crew_start(struct crew *crew, struct job *job, unsigned count);

/* Start another in the place of each that has ended. */
int crew_replace(struct crew *crew);

/* SIGKILL one that is in the middle of a file, and say so; nothing if none is just now. Where
 * workers cannot be stopped it gives up and says that. */
void crew_kill_one(struct crew *crew);

/* Say which are stopped, by whomever; false: none is. */
bool crew_tell_stopped(struct crew *crew);

/* Wait until all have ended by themselves. */
int crew_join(struct crew *crew);

/* End whoever still runs. */
void crew_end(struct crew *crew);

#endif
