/* SPDX-License-Identifier: MIT
 *
 * What tests with a real mpd ask again and again. Knows: the public face of libshm. Does not know:
 * how mpd is started (harness.h), what is in a segment.
 */
#ifndef TESTS_LIB_HARNESS_MPD_H
#define TESTS_LIB_HARNESS_MPD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* For harness_until: has the segment of that name ended? mpd takes notice when it gets to it; one
 * that is still found is given back at once. */
bool harness_name_is_gone(void *name);

/* The mpd that serves the test's endpoint; fails the test where there is none. */
pid_t harness_find_mpd(void);

/* How many clients of the first segment were seen to die. */
uint64_t harness_count_deaths(void);

#endif
