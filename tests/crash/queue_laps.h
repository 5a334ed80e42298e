/* SPDX-License-Identifier: MIT
 *
 * A queue is good for another life: three laps at full capacity. Knows: every way to put and to
 * take. Does not know: what happened before.
 */
#ifndef TESTS_CRASH_QUEUE_LAPS_H
#define TESTS_CRASH_QUEUE_LAPS_H

#include "crash.h"

/* By CHECKER, on an empty open queue. */
bool passes_laps(struct scene *scene);

#endif
