/* SPDX-License-Identifier: MIT
 *
 * The parent's side of the counts: takes each file exactly once. Knows: attempts, whole and
 * broken. Does not know: workers as processes.
 */
#ifndef WORDCOUNT_COLLECT_H
#define WORDCOUNT_COLLECT_H

#include "job.h"
#include "tally.h"

/* What has arrived of the file a worker is at. Until its last part is there it counts nothing. */
struct attempt {
	uint64_t number;
	uint32_t next_part;
	size_t len;
	size_t cap;
	char *entries;
};

struct collector {
	struct job *job;
	struct tally tally; /* of all files that are done */
	uint64_t bytes;
	uint64_t words;
	uint64_t messages;
	uint32_t files_done;
	uint32_t repeated; /* attempts at a file that was done already */
	uint32_t unread;   /* files that could not be read to their end */
	uint32_t first_unread; /* the lowest of them, and why */
	int first_error;
	unsigned char *is_done; /* for each file */
	struct attempt attempts[WORKERS_MAX];
};

void collect_open(struct collector *collector, struct job *job);

/* Take one message of queue `counts`, waiting at most `timeout`. 0, -ETIMEDOUT when there was
 * none, or another -errno. */
int collect_one(struct collector *collector, int64_t timeout);

void collect_close(struct collector *collector);

#endif
