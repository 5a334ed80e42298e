/* SPDX-License-Identifier: MIT
 *
 * What the rows of objects do with each kind: the same verbs for all. Knows: the public calls of
 * each kind. Does not know: contexts, what a name promises (object_check.c).
 */
#ifndef TESTS_CRASH_OBJECT_KINDS_H
#define TESTS_CRASH_OBJECT_KINDS_H

#include "crash.h"

/* What `variant` says the object is: FILLED is a queue with CAPACITY messages. */
enum { QUEUE, LOCK, FILLED, EVENT, SEMAPHORE, CONDITION, RWLOCK };

#define MESSAGE_BYTES 400 /* in a block of its own */

struct object_verbs {
	int (*open)(struct party *party, const char *name, uint32_t flags);
	int (*from_id)(struct party *party, uint64_t id);
	uint64_t (*id)(const struct party *party);
	int (*unlink)(struct party *party, const char *name);
	/* Of one that nobody else uses now. */
	bool (*works)(struct party *party);
	/* By SURVIVOR: so that a wait does not end; so that it does. */
	void (*hinder)(struct party *party);
	void (*wake)(struct party *party);
	int (*wait)(struct party *party); /* for ever; 0, or what it says */
};

const struct object_verbs *object_verbs_of(const struct scene *scene);

bool object_is_open(const struct party *party);
void object_close_handle(struct party *party);

#endif
