/* SPDX-License-Identifier: MIT
 *
 * See queue_message.h. Knows: how a message is filled. Does not know: queues.
 */
#include "queue_message.h"

static uint8_t fill_of(uint64_t number, size_t i)
{
	return (uint8_t)(number * 31 + i + 1);
}

void make_message(struct message *message, uint64_t number, size_t bytes)
{
	message->number = number;
	for (size_t i = 0; i + 8 < bytes; i++)
		message->fill[i] = fill_of(number, i);
}

bool is_whole(const void *data, size_t bytes)
{
	const struct message *message = data;

	for (size_t i = 0; i + 8 < bytes; i++)
		if (message->fill[i] != fill_of(message->number, i))
			return false;
	return true;
}

uint64_t number_of_nothing(const struct scene *scene)
{
	if (scene->operation->variant != NOTHING)
		return NUMBERS_MAX;
	return scene->operation->arrange ? BY_VICTIM : 1; /* who puts has it ready */
}

size_t bytes_of(const struct scene *scene, uint64_t number)
{
	if (scene->operation->variant == NOTHING)
		return number == number_of_nothing(scene) ? 0 : INLINE;
	return scene->operation->variant ? scene->operation->variant : INLINE;
}

int put_number(const struct scene *scene, struct party *party, uint64_t number)
{
	size_t bytes = bytes_of(scene, number);
	struct message message;

	make_message(&message, number, bytes);
	return mp_queue_put(party->queue, &message, bytes, MP_NOW);
}
