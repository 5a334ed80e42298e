/* SPDX-License-Identifier: MIT
 *
 * What each call on a queue may say, in each context, alone and in pairs. Knows: results. Does not
 * know: what has become of the queue.
 */
#ifndef TESTS_CRASH_QUEUE_SAYS_H
#define TESTS_CRASH_QUEUE_SAYS_H

#include "crash.h"

/* Of a party whose operation has returned. */
bool queue_may_say(struct scene *scene, enum role role, int result);

#endif
