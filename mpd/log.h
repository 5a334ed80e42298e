/* SPDX-License-Identifier: MIT
 *
 * Sentences for whoever runs mpd. Knows: stderr, the journal's prefixes, a ring of the last lines.
 * Does not know: what happened. No file is ever written.
 */
#ifndef MPD_LOG_H
#define MPD_LOG_H

#include "libshm/cc.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `name` is one of error, warning, info, debug: a level, or -EINVAL. */
int log_level_of(const char *name);
void log_set_level(enum log_level level);

/* Only the ring: nobody sees our stderr. */
void log_be_silent(void);

/* One line. What the level hides is kept in the ring all the same. */
void log_line(enum log_level level, const char *format, ...) printf_like(2, 3);

/* The ring, oldest line first, to stderr: what led to where we are (SIGUSR1). */
void log_dump(void);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
