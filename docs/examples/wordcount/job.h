/* SPDX-License-Identifier: MIT
 *
 * What parent and workers share: two queues, a lock, the two kinds of messages, and a board.
 * Knows: their shape. Does not know: who does what with them.
 *
 *   parent --- paths ---> worker 0..n     one message for each file; claimed, and acknowledged
 *      ^                     |            only when its counts are on their way
 *      +------ counts <------+            one or more messages for each file
 */
#ifndef WORDCOUNT_JOB_H
#define WORDCOUNT_JOB_H

#include "files.h"

#include <libshm.h>

#include <stdatomic.h>

#define WORKERS_MAX 64
#define NO_FILE (-1)

/* In queue `paths`: which file, and its path with its closing NUL. */
struct path_message {
	uint32_t file;
	char path[];
};

/* In queue `counts`: part of the words of one file. The bytes of one attempt at one file are the
 * parts 0, 1, ... of one worker; the last of them says that it is the last. A worker that is
 * killed leaves an attempt without its end, or one that another worker will repeat. */
struct counts_message {
	uint64_t attempt;
	uint32_t file;
	uint32_t part;
	uint32_t worker;
	uint32_t is_last;
	uint64_t bytes; /* of the file, in the last part */
	uint64_t words;
	int32_t error; /* why it was not read to its end: 0 or -errno; in the last part */
	char entries[]; /* count, length and bytes of a word, again and again */
};

struct counts_entry {
	uint64_t count;
	uint8_t len;
} __attribute__((packed));

/* What all workers add up, guarded by the lock `totals`. */
struct totals {
	uint64_t files;
	uint64_t bytes;
	uint64_t words;
	uint64_t repairs; /* a holder died in it */
};

/* Written by whoever counts that file, holding the lock: is_done makes the rest count. */
struct file_total {
	uint64_t bytes;
	uint64_t words;
	_Atomic uint32_t is_done;
};

/* What a worker is at. Only it writes; the parent looks. */
struct desk {
	_Atomic int32_t file; /* NO_FILE between two files */
	_Atomic uint32_t redelivered;
};

/* One anonymous mapping, made before the workers. */
struct board {
	struct totals totals;
	/* NO_FILE, or the file whose worker stays in the middle of it: the last of an input that is
	 * so small that nobody could be killed before. */
	_Atomic int32_t hold_at;
	struct desk desks[WORKERS_MAX];
	struct file_total files[];
};

struct job {
	mp_segment *segment;
	mp_queue *paths;
	mp_queue *counts;
	mp_lock *totals;
	const struct file_list *list;
	pid_t parent; /* of the workers */
	struct board *board;
	size_t board_bytes;
};

/* 0, or -errno: mp_explain() says it. */
int job_open(struct job *job, const struct file_list *list);

void job_close(struct job *job);

#endif
