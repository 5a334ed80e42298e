/* SPDX-License-Identifier: MIT
 *
 * What a queue promises. Knows: messages, laps, leaks. Does not know: how anyone died.
 */
#ifndef TESTS_CRASH_QUEUE_CHECK_H
#define TESTS_CRASH_QUEUE_CHECK_H

#include "crash.h"

bool queue_check(struct scene *scene);

#endif
