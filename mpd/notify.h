/* SPDX-License-Identifier: MIT
 *
 * What a service manager is told: that mpd serves, what it does, that its loop turns. Knows:
 * sd_notify(3) and sd_watchdog_enabled(3), which are a few lines of text. Does not know: how they
 * travel (store.h), what mpd does.
 */
#ifndef MPD_NOTIFY_H
#define MPD_NOTIFY_H

#include "libshm/cc.h"

#include <stdbool.h>

/* With the event loop open. The watchdog is fed by one of its timers: a loop that hangs feeds
 * nobody. Nothing is done where nobody asks. */
void notify_open(void);

bool notify_is_heard(void); /* is anybody interested in the status? */
void notify_ready(const char *format, ...) printf_like(1, 2);
void notify_status(const char *format, ...) printf_like(1, 2);
void notify_stopping(void);

/* It does not start, or does not go on. `error` as -errno. */
void notify_failure(int error, const char *format, ...) printf_like(2, 3);

#endif
