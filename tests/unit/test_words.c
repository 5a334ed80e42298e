/* SPDX-License-Identifier: MIT
 *
 * Proves: each field of each shared word comes back as it went in, at its largest value, and
 * changes no other; the transitions keep and drop what their drawings say.
 */
#include "harness.h"

#include "blockword.h"
#include "cellword.h"
#include "lockword.h"
#include "slotword.h"

#define GENERATION_MAX GENERATION_MASK
#define SLOT_MAX ((1u << SLOT_BITS) - 1)

static void client_word_keeps_each_field(void **state)
{
	uint64_t word = client_word(SLOT_LIVE, GENERATION_MAX, 4194303, 0);

	assert_int_equal(client_word_state(word), SLOT_LIVE);
	assert_int_equal(client_word_generation(word), GENERATION_MAX);
	assert_int_equal(client_word_pid(word), 4194303);
	word = client_word_with_state(word, SLOT_DEAD);
	assert_int_equal(client_word_state(word), SLOT_DEAD);
	assert_int_equal(client_word_generation(word), GENERATION_MAX);
	assert_int_equal(client_word_pid(word), 4194303);
}

static void thread_word_keeps_each_field(void **state)
{
	uint64_t word = thread_word(SLOT_LIVE, GENERATION_MAX, SLOT_MAX);

	assert_int_equal(thread_word_state(word), SLOT_LIVE);
	assert_int_equal(thread_word_generation(word), GENERATION_MAX);
	assert_int_equal(thread_word_client(word), SLOT_MAX);
	assert_int_equal(thread_word_client(thread_word(SLOT_LIVE, GENERATION_MAX, 0)), 0);
	assert_int_equal(thread_word_generation(thread_word(SLOT_LIVE, 0, SLOT_MAX)), 0);
}

static void generation_wraps_past_zero_and_stays_in_its_field(void **state)
{
	assert_int_equal(generation_next(7), 8);
	assert_int_equal(generation_next(GENERATION_MAX), 1);
}

static void who_names_slot_and_generation(void **state)
{
	uint64_t who = who_make(SLOT_MAX, GENERATION_MAX);

	assert_int_equal(who_slot(who), SLOT_MAX);
	assert_int_equal(who_generation(who), GENERATION_MAX);
	assert_true(who < UINT64_C(1) << WHO_BITS);
	assert_true(who_make(2, 0) != who_make(2, 1));
}

static void lock_word_taken_tells_a_death_once_and_keeps_the_sleepers(void **state)
{
	uint64_t who = who_make(5, 9);
	uint64_t word = lock_word_taken(LOCK_WAIT | LOCK_DIED, who, who_slot(who));

	assert_int_equal(lock_word_owner(word), who);
	assert_true(word & LOCK_WAIT);
	assert_false(word & LOCK_DIED);
	assert_false(lock_word_is_free(word));
	assert_int_equal(lock_word_taken(0, who, who_slot(who)), who);
}

static void promised_lock_is_open_to_its_heir_and_as_often_to_others_as_it_has_credit(void **state)
{
	uint64_t heir = who_make(5, 9), other = who_make(6, 1);
	uint64_t word = lock_word_promised(LOCK_WAIT | LOCK_DIED | LOCK_NEWS, 5, 1), held;

	assert_true(lock_word_is_free(word));
	assert_true(lock_word_is_open_to(word, 5) && lock_word_is_open_to(word, 6));
	held = lock_word_taken(word, other, 6);
	assert_true(lock_word_owner(held) == other && lock_word_heir(held) == 5);
	assert_int_equal(lock_word_credit(held), 0);
	assert_false(lock_word_is_open_to(held, 5));
	word = lock_word_promised(LOCK_WAIT, 5, 0);
	assert_true(lock_word_is_open_to(word, 5));
	assert_false(lock_word_is_open_to(word, 6));
	assert_true(lock_word_taken(word, heir, 5) == (heir | LOCK_WAIT));
	assert_true(lock_word_promised(word, 0, 0) == LOCK_WAIT);
}

static void who_begins_to_wait_leaves_another_word(void **state)
{
	uint64_t held = who_make(5, 9);

	assert_true(lock_word_waited_for(held) == (held | LOCK_WAIT));
	assert_true(lock_word_waited_for(held | LOCK_WAIT) == (held | LOCK_WAIT | LOCK_NEWS));
	assert_true(lock_word_waited_for(held | LOCK_WAIT | LOCK_NEWS) == (held | LOCK_WAIT));
}

static void lock_word_after_death_is_free_and_marked(void **state)
{
	uint64_t held = who_make(5, 9) | LOCK_WAIT;

	assert_true(lock_word_is_free(lock_word_after_death(held, false)));
	assert_true(lock_word_after_death(held, false) == (LOCK_WAIT | LOCK_DIED));
	assert_true(lock_word_after_death(held, true) == (LOCK_WAIT | LOCK_POISON));
	assert_true(lock_word_after_death(who_make(5, 9), false) == LOCK_DIED);
}

static void cell_word_keeps_each_field(void **state)
{
	uint64_t word = cell_word(LAP_MASK, 255, SLOT_MAX, CELL_READING);

	assert_true(cell_word_lap(word) == LAP_MASK);
	assert_int_equal(cell_word_tries(word), 255);
	assert_int_equal(cell_word_client(word), SLOT_MAX);
	assert_int_equal(cell_word_state(word), CELL_READING);
	assert_true(cell_word_lap(cell_word(0, 255, SLOT_MAX, CELL_SEALED)) == 0);
	assert_int_equal(cell_word_tries(cell_word(LAP_MASK, 0, SLOT_MAX, CELL_SEALED)), 0);
}

static void cell_word_redelivered_is_ready_and_never_looks_like_the_first_time(void **state)
{
	uint64_t word = cell_word(3, 0, 7, CELL_READING);

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t again = cell_word_redelivered(word);

		assert_int_equal(cell_word_state(again), CELL_READY);
		assert_int_equal(cell_word_client(again), 0);
		assert_true(cell_word_lap(again) == 3);
		assert_true(cell_word_tries(again) > 0);
		assert_true(cell_word_tries(again) != cell_word_tries(word));
		word = again;
	}
}

static void position_goes_round_and_into_the_next_lap(void **state)
{
	uint64_t position = position_make(0, 0);

	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(position_index(position), i % 3);
		assert_true(position_lap(position) == i / 3);
		position = position_next(position, 3);
	}
	position = position_next(position_make(LAP_MASK, 0), 1);
	assert_true(position_lap(position) == 0 && position_index(position) == 0);
}

static void block_word_keeps_each_field_and_frees_into_a_new_generation(void **state)
{
	uint64_t word = block_word(BLOCK_LEN_MAX, 0xfffffe, SLOT_MAX, BLOCK_HELD);
	uint64_t linked = block_word_to(word, 0, BLOCK_LINKED);
	uint64_t freed = block_word_freed(linked, 0, BLOCK_FREE);

	assert_int_equal(block_word_len(word), BLOCK_LEN_MAX);
	assert_int_equal(block_word_generation(word), 0xfffffe);
	assert_int_equal(block_word_client(word), SLOT_MAX);
	assert_int_equal(block_word_state(word), BLOCK_HELD);
	assert_int_equal(block_word_state(linked), BLOCK_LINKED);
	assert_int_equal(block_word_client(linked), 0);
	assert_int_equal(block_word_generation(linked), 0xfffffe);
	assert_int_equal(block_word_generation(freed), 0xffffff);
	assert_int_equal(block_word_len(freed), BLOCK_LEN_MAX);
}

static void reference_dies_with_its_generation(void **state)
{
	uint64_t offset = UINT64_C(0xffffffff) * 64;
	uint64_t word = block_word(1, 0xabcdef, 0, BLOCK_LINKED);
	uint64_t reference = reference_make(offset, 0xabcdef);

	assert_true(reference_offset(reference) == offset);
	assert_true(reference_matches(reference, word));
	assert_false(reference_matches(reference, block_word_freed(word, 0, BLOCK_FREE)));
}

static const struct harness_test tests[] = {
	HARNESS_TEST(client_word_keeps_each_field),
	HARNESS_TEST(thread_word_keeps_each_field),
	HARNESS_TEST(generation_wraps_past_zero_and_stays_in_its_field),
	HARNESS_TEST(who_names_slot_and_generation),
	HARNESS_TEST(lock_word_taken_tells_a_death_once_and_keeps_the_sleepers),
	HARNESS_TEST(promised_lock_is_open_to_its_heir_and_as_often_to_others_as_it_has_credit),
	HARNESS_TEST(who_begins_to_wait_leaves_another_word),
	HARNESS_TEST(lock_word_after_death_is_free_and_marked),
	HARNESS_TEST(cell_word_keeps_each_field),
	HARNESS_TEST(cell_word_redelivered_is_ready_and_never_looks_like_the_first_time),
	HARNESS_TEST(position_goes_round_and_into_the_next_lap),
	HARNESS_TEST(block_word_keeps_each_field_and_frees_into_a_new_generation),
	HARNESS_TEST(reference_dies_with_its_generation),
};

HARNESS_MAIN(tests)
