/* SPDX-License-Identifier: MIT
 *
 * A client that opens, uses, closes and removes segments while mpd is killed, and the books of what
 * it was told. Knows: the public library, what it may be told when it asks again. Does not know:
 * who is killed, and when.
 *
 * Each worker has names of its own, so what there must be of a name is known exactly; all of them
 * share one segment with a queue and a lock. The books outlive a worker: its successor goes on with
 * them.
 */
#ifndef TESTS_SYS_RESTART_WORKER_H
#define TESTS_SYS_RESTART_WORKER_H

#include <libshm.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKERS 4
#define NAMES_EACH 3
#define COMMON "common"

enum name_state {
	NAME_ABSENT,
	NAME_OPEN,  /* its worker is attached */
	NAME_KEPT,  /* nobody is, MP_KEEP */
	NAME_DOUBT, /* its worker has asked for something and was not answered */
};

/* Written by its worker, and by the test when that is dead. */
struct name_books {
	_Atomic uint32_t state;
	uint32_t is_kept;
	uint32_t pairs;      /* books.pairs when it was last attached to */
	uint32_t may_be_old; /* closed, and mpd may not know it yet: the stamp may still be there */
	uint64_t stamp;      /* the one message in its queue: this memory and no other */
};

struct restart_books {
	/* Odd while mpd and its supervisor are both killed, and nobody is left who knows of a name
	 * that has no client. */
	_Atomic uint32_t pairs;
	_Atomic uint32_t is_pausing, is_ending;
	_Atomic uint32_t is_parked[WORKERS];
	_Atomic uint64_t steps;  /* of all */
	_Atomic uint64_t last_stamp;
	_Atomic uint64_t put, got; /* of the common queue, as told */
	uint64_t a, b;           /* under the common lock: the same */
	struct name_books names[WORKERS][NAMES_EACH];
};

void restart_name(unsigned worker, unsigned number, char ret_name[static 32]);

/* Was nobody left who knew of it, since nobody is attached? */
bool restart_may_be_lost(const struct restart_books *books, const struct name_books *name);

/* Until books.is_ending; then it has given up all its names. Exits with 1 and a sentence where it
 * is told something wrong. */
int restart_work(struct restart_books *books, unsigned worker);

#endif
