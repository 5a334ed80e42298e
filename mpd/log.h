/* SPDX-License-Identifier: MIT
 *
 * Sentences for whoever runs mpd. Knows: stderr, a file, the journal's prefixes, a ring of the last
 * lines, that a flood of the same is cut off (limit.h). Does not know: what happened.
 *
 *	2026-11-23 04:26:24.123 mpd[123] warning: process 7 (uid 0) is dropped: not our protocol
 */
#ifndef MPD_LOG_H
#define MPD_LOG_H

#include "libshm/cc.h"

#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `name` is one of error, warning, info, debug: a level, or -EINVAL. */
int log_level_of(const char *name);
void log_set_level(enum log_level level);

/* Append to this file (it must live as long as mpd) instead of stderr; and once more, when the file
 * was renamed (SIGHUP). 0 or -errno; then everything stays as it is. */
int log_open(const char *path);
int log_reopen(void);

/* Only the ring, unless there is a file: nobody sees our stderr. */
void log_be_silent(void);

/* One line. What the level hides is kept in the ring all the same. A kind of line is its format: of
 * one kind some are written within some seconds, the others are counted. */
void log_line(enum log_level level, const char *format, ...) printf_like(2, 3);

/* Lines are being left out: log_settle wants to be called at that time, to say how many. */
void log_set_alarm(void (*alarm)(int64_t deadline_ns));
void log_settle(void);
void log_settle_all(void); /* at the end: whatever was left out until now */

/* The ring, oldest line first: what led to where we are (SIGUSR1). */
void log_dump(void);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
