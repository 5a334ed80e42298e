/* SPDX-License-Identifier: MIT
 *
 * Proves: who looks whether an object is held sees a hold that moves meanwhile from one client to
 * another, as recoverers take it over.
 */
#include "harness.h"

#include "object_internal.h"
#include "objects.h"

#include <pthread.h>

#define INDEX 3
#define MOVES 4000000
#define BETWEEN 40 /* clients that a look passes on its way from one to the other */

struct moves {
	struct seg *seg;
	uint32_t low, high;
	atom32 is_over;
};

static atom64 *bits_of(const struct moves *moves, uint32_t client)
{
	return &seg_touched(moves->seg, client)[INDEX / 64];
}

/* In the order of object_hold: own bit, counted, and only then the other's ends. */
static void move(const struct moves *moves, uint32_t from, uint32_t to)
{
	or_seqcst(bits_of(moves, to), UINT64_C(1) << INDEX);
	add_seqcst(&moves->seg->header->takeovers, 1);
	and_seqcst(bits_of(moves, from), ~(UINT64_C(1) << INDEX));
}

static void *move_to_and_fro(void *arg)
{
	struct moves *moves = arg;

	while (!load_acquire(&moves->is_over)) {
		move(moves, moves->high, moves->low);
		move(moves, moves->low, moves->high);
	}
	return NULL;
}

static void hold_that_moves_from_client_to_client_is_always_seen(void **state)
{
	struct objects objects;
	struct moves moves = { 0 };
	unsigned missed = 0;
	uint32_t generation;
	pthread_t mover;

	(void)state;
	objects_begin(&objects);
	moves.seg = objects.seg;
	moves.low = harness_segment_client(moves.seg, &generation);
	for (unsigned i = 0; i < BETWEEN; i++)
		moves.high = harness_segment_client(moves.seg, &generation);
	assert_true(moves.low < moves.high);
	or_seqcst(bits_of(&moves, moves.high), UINT64_C(1) << INDEX);
	assert_int_equal(pthread_create(&mover, NULL, move_to_and_fro, &moves), 0);
	while (load_relaxed(&moves.seg->header->takeovers) < MOVES)
		missed += !object_is_held(moves.seg, INDEX);
	store_release(&moves.is_over, 1);
	pthread_join(mover, NULL);
	assert_int_equal(missed, 0);
	and_seqcst(bits_of(&moves, moves.high), 0);
	assert_false(object_is_held(moves.seg, INDEX));
	objects_end(&objects);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(hold_that_moves_from_client_to_client_is_always_seen),
};

HARNESS_MAIN(tests)
