/* SPDX-License-Identifier: MIT
 *
 * What mp_segment_open() is asked for. Knows: which options make sense. Does not know: attaching.
 */
#ifndef LIBSHM_SEGMENT_OPTS_H
#define LIBSHM_SEGMENT_OPTS_H

#include <libshm/segment.h>

/* 0, or -errno with a sentence that names what is wrong. */
int segment_check_name(const char *name);
int segment_check_opts(const char *name, const struct mp_segment_opts *opts);

/* opts.owner as the protocol has it: uid + 1, or 0 for NULL. */
int segment_find_owner(const char *name, const char *owner, uint32_t *ret_owner);

#endif
