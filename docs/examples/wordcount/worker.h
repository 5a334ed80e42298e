/* SPDX-License-Identifier: MIT
 *
 * What a worker process does: paths in, counts out. Knows: its queues and the order of the steps.
 * Does not know: other workers, who started it, whether it will be killed.
 */
#ifndef WORDCOUNT_WORKER_H
#define WORDCOUNT_WORKER_H

#include "job.h"

struct worker {
	struct job *job;
	uint32_t number; /* its desk */
};

/* Runs until the queue of paths is closed and empty; the exit code. */
int worker_run(void *worker);

#endif
