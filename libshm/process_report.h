/* SPDX-License-Identifier: MIT
 *
 * What a child of mp_process_start tells its parent. Knows: the pipe between them, the child's end.
 * Does not know: how it is forked (process.c), what attaching is.
 */
#ifndef LIBSHM_PROCESS_REPORT_H
#define LIBSHM_PROCESS_REPORT_H

#include <sys/types.h>

#define SENTENCE_BYTES 400

/* What a child tells once it is attached, or why it is not. Shorter than PIPE_BUF: one write. */
struct process_report {
	int error;
	char sentence[SENTENCE_BYTES];
};

/* Wait for the child's word that it is attached, or for its end: another thread's fork may keep the
 * pipe open. Where the kernel gives no pidfd (-1 or -errno) the end is looked for now and then.
 * What it told, or -ECHILD: it ended before it said anything. */
int process_await_report(int report, pid_t pid, int pidfd, struct process_report *ret_told);

#endif
