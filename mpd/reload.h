/* SPDX-License-Identifier: MIT
 *
 * The configuration file, read anew while mpd runs. Knows: which file that is, what it may change
 * (settings.h), what to say of it. Does not know: what a setting does.
 */
#ifndef MPD_RELOAD_H
#define MPD_RELOAD_H

#include "settings.h"

#include <stdbool.h>

/* What the mpd before this one read of the file last, if a supervisor has kept that for us. */
void reload_take_over(struct settings *settings);

/* What mpd was started with; it must live as long as mpd. */
void reload_begin(const struct settings *started, bool is_system);

/* The settings that hold from here on, good until the next call; NULL: those that held. Of settings
 * that cannot follow, what mpd was started with stays. Each change, and what is wrong with the
 * file, is logged, once a supervisor has what holds. */
const struct settings *reload(void);

/* Where the file is; "none": there is none to read. */
const char *reload_path(void);

#endif
