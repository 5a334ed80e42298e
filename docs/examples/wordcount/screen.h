/* SPDX-License-Identifier: MIT
 *
 * What the user sees while it runs: one line of progress, and lines between. Knows: terminals.
 * Does not know: what the figures mean.
 */
#ifndef WORDCOUNT_SCREEN_H
#define WORDCOUNT_SCREEN_H

#include <stdint.h>

/* On a terminal the line is rewritten five times a second, elsewhere one line each second. */
void screen_progress(uint32_t files, uint32_t files_total, uint64_t bytes, int64_t elapsed_ns);

/* A line of its own; the progress goes on below it. */
void screen_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The progress is over: its line stays. */
void screen_end(void);

/* The text with everything that could move a cursor written as \xNN; good until the next call. */
const char *screen_safe(const char *text);

int64_t now_ns(void);

#endif
