/* SPDX-License-Identifier: MIT
 *
 * The first program of the README: one process puts a thousand numbers, another gets them.
 */
#include <libshm.h>

#include <stdio.h>

static int producer(void *arg)
{
	mp_queue *jobs = arg;

	for (int i = 0; i < 1000; i++)
		if (mp_queue_put(jobs, &i, sizeof i, MP_FOREVER) < 0)
			return 1;
	return mp_queue_close_input(jobs);
}

int main(void)
{
	mp_segment *app;
	mp_queue *jobs;
	int job;

	if (mp_segment_open("demo", NULL, &app) < 0 ||
	    mp_queue_open(app, "jobs", NULL, &jobs) < 0 ||
	    mp_process_start(app, NULL, producer, jobs, NULL) < 0)
		return fprintf(stderr, "%s\n", mp_explain()), 1;
	while (mp_queue_get(jobs, &job, sizeof job, MP_FOREVER) >= 0)
		printf("got %d\n", job);
	return 0;
}
