/* SPDX-License-Identifier: MIT
 *
 * Which mpd this is. Knows: the version, when it started. Does not know: anything else.
 */
#ifndef MPD_VERSION_H
#define MPD_VERSION_H

#include <stdint.h>

#ifndef MPD_VERSION
#define MPD_VERSION "0.1.0"
#endif

uint64_t version_started_ns(void); /* monotonic; main.c */

#endif
