/* SPDX-License-Identifier: MIT
 *
 * The end of a scene. Knows: handles of the parties, the directory. Does not know: what an object
 * promises.
 */
#ifndef TESTS_CRASH_TEARDOWN_H
#define TESTS_CRASH_TEARDOWN_H

#include "crash.h"

/* By CHECKER, when it has asked everything: who lives closes what it has open, every name is
 * removed. That is all anyone has to do: then no object, no block of one and no hold is left.
 * Nobody has a handle afterwards. */
bool teardown(struct scene *scene);

#endif
