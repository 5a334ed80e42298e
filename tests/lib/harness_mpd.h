/* SPDX-License-Identifier: MIT
 *
 * What tests with a real mpd ask again and again. Knows: the public face of libshm. Does not know:
 * how mpd is started (harness.h), what is in a segment.
 */
#ifndef TESTS_LIB_HARNESS_MPD_H
#define TESTS_LIB_HARNESS_MPD_H

#include <stdbool.h>

/* For harness_until: has the segment of that name ended? mpd takes notice when it gets to it; one
 * that is still found is given back at once. */
bool harness_name_is_gone(void *name);

#endif
