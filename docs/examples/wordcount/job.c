/* SPDX-License-Identifier: MIT
 *
 * Opening and closing what parent and workers share. Knows: names and sizes. Does not know: the
 * work.
 */
#include "job.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Few paths wait at a time, so that much is left to do when a worker is killed. */
#define PATHS_WAITING 64
#define COUNTS_WAITING 256

static int make_board(struct job *job, uint32_t files)
{
	job->board_bytes = sizeof(*job->board) + files * sizeof(job->board->files[0]);
	job->board = mmap(NULL, job->board_bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (job->board == MAP_FAILED) {
		job->board = NULL;
		fprintf(stderr, "wordcount: no memory for %u files\n", files);
		return -ENOMEM;
	}
	atomic_store(&job->board->hold_at, NO_FILE);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		atomic_store(&job->board->desks[i].file, NO_FILE);
	return 0;
}

int job_open(struct job *job, const struct file_list *list)
{
	char name[32];
	int result;

	*job = (struct job){ .list = list, .parent = getpid() };
	result = make_board(job, list->count);
	if (result < 0)
		return result;
	/* A name of its own: two runs at once are two jobs. */
	snprintf(name, sizeof(name), "wordcount.%d", (int)job->parent);
	result = mp_segment_open(name, NULL, &job->segment);
	if (result < 0)
		return result;
	result = mp_queue_open(job->segment, "paths",
			       &(struct mp_queue_opts){ .capacity = PATHS_WAITING }, &job->paths);
	if (result < 0)
		return result;
	result = mp_queue_open(job->segment, "counts",
			       &(struct mp_queue_opts){ .capacity = COUNTS_WAITING }, &job->counts);
	if (result < 0)
		return result;
	return mp_lock_open(job->segment, "totals", NULL, &job->totals);
}

void job_close(struct job *job)
{
	mp_lock_close(job->totals);
	mp_queue_close(job->counts);
	mp_queue_close(job->paths);
	mp_segment_close(job->segment);
	if (job->board)
		munmap(job->board, job->board_bytes);
	*job = (struct job){ 0 };
}
