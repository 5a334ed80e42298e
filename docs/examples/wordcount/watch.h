/* SPDX-License-Identifier: MIT
 *
 * One look at the job with mptop while it runs. Knows: running a program and keeping its output.
 * Does not know: what the program prints.
 */
#ifndef WORDCOUNT_WATCH_H
#define WORDCOUNT_WATCH_H

#include <stdbool.h>

struct watch {
	const char *program; /* NULL: nobody looks */
	const char *title;
	int pid;
	int output;
};

/* Start `program --once`; its output is kept in memory, so that the job goes on meanwhile. */
void watch_start(struct watch *watch, const char *title);

/* Print what it has printed if it has ended, or (is_last) when it has, 10 s at most. */
void watch_show(struct watch *watch, bool is_last);

#endif
