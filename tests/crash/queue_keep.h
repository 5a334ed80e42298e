/* SPDX-License-Identifier: MIT
 *
 * What SURVIVOR keeps in its hands while others die: leases, memory. Knows: that they must still be
 * whole afterwards. Does not know: what the others do.
 */
#ifndef TESTS_CRASH_QUEUE_KEEP_H
#define TESTS_CRASH_QUEUE_KEEP_H

#include "crash.h"

/* Put and claim so many messages, beside those that are there. */
void keep_leases(struct scene *scene, unsigned count);
/* All memory of the segment that is left. */
void keep_memory(struct scene *scene);
/* Everything is given back; false: a lease is not whole, or is gone. */
bool end_keeping(struct scene *scene);

#endif
