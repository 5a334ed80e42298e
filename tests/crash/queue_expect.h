/* SPDX-License-Identifier: MIT
 *
 * What a death has left, read before anybody repairs it: where each message is, and so whether it
 * must come back, and flagged. Knows: cells and lease records, whose they are. Does not know: how
 * they are repaired, what was promised to whom.
 */
#ifndef TESTS_CRASH_QUEUE_EXPECT_H
#define TESTS_CRASH_QUEUE_EXPECT_H

#include "crash.h"

enum fate { FATE_ABSENT, FATE_THERE, FATE_FLAGGED };

/* By CHECKER, before recovery. */
void queue_look(struct scene *scene);
/* Nobody but CHECKER has done anything since then. */
bool queue_expects_exactly(const struct scene *scene);
enum fate queue_fate(uint64_t number);
/* Each message is in one place. */
bool queue_has_no_double(struct scene *scene);
bool queue_was_closed(void);

#endif
