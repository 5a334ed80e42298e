/* SPDX-License-Identifier: MIT
 *
 * Every map of a segment stands alone: 4 GiB on either side of it cannot be touched, so that an
 * offset that leads out of it is a crash and never somebody else's memory. Knows: which maps are
 * segments. Does not know: what is in them.
 *
 * Linked with -Wl,--wrap=mmap64,--wrap=munmap: files are of 64 bits in every build.
 */
#ifndef TESTS_FUZZ_FENCE_H
#define TESTS_FUZZ_FENCE_H

#include <stdbool.h>
#include <stddef.h>

/* Does all of it lie in a segment that is mapped now? */
bool fence_has(const void *address, size_t bytes);

#endif
