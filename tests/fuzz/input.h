/* SPDX-License-Identifier: MIT
 *
 * The bytes of one input, taken from the front. Knows: nothing but bytes. Does not know: what they
 * mean to a target. Whoever asks beyond the end gets zeros, so every input means something.
 */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *at;
	size_t left;
};

static inline void input_take(struct input *input, void *ret_bytes, size_t count)
{
	size_t taken = count < input->left ? count : input->left;

	memset(ret_bytes, 0, count);
	if (taken)
		memcpy(ret_bytes, input->at, taken);
	input->at += taken;
	input->left -= taken;
}

static inline uint8_t input_u8(struct input *input)
{
	uint8_t value;

	input_take(input, &value, sizeof value);
	return value;
}

static inline uint64_t input_u64(struct input *input)
{
	uint64_t value;

	input_take(input, &value, sizeof value);
	return value;
}

/* One target: libFuzzer's entry, or the replay's (replay.c). */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

#endif
