/* SPDX-License-Identifier: MIT
 *
 * A formatted segment without mpd, for unit tests. Knows: memfd, seg.h, slot.h. Does not know: the
 * control protocol, objects.
 */
#ifndef TESTS_LIB_HARNESS_SEGMENT_H
#define TESTS_LIB_HARNESS_SEGMENT_H

#include "harness.h"
#include "seg.h"

/* A segment of that size (0: 64 MiB) with the default counts, formatted and mapped, with this
 * process as its client: seg->client and seg->client_generation are set, hooks are NULL. Fails the
 * test when it cannot. */
struct seg *harness_segment(uint64_t size_bytes);

/* One more client slot, owned by this process too (to be marked dead, swept, ...). */
uint32_t harness_segment_client(struct seg *seg, uint32_t *ret_generation);

/* Map the same memory once more, as another process would; not attached. */
struct seg *harness_segment_map_again(const struct seg *seg);

/* Wait until so many of its threads sleep: whoever is rung from here on is rung in his sleep. Fails
 * the test when they do not. */
void harness_segment_await_asleep(struct seg *seg, uint32_t count);

/* Unmap. */
void harness_segment_end(struct seg *seg);

#endif
