/* SPDX-License-Identifier: MIT
 *
 * See queue_message.h.
 */
#include "queue_message.h"

static uint8_t fill_of(uint64_t number, size_t i)
{
	return (uint8_t)(number * 31 + i + 1);
}

void make_message(struct message *message, uint64_t number, size_t bytes)
{
	message->number = number;
	for (size_t i = 0; i < bytes - 8; i++)
		message->fill[i] = fill_of(number, i);
}

bool is_whole(const void *data, size_t bytes)
{
	const struct message *message = data;

	for (size_t i = 0; i < bytes - 8; i++)
		if (message->fill[i] != fill_of(message->number, i))
			return false;
	return true;
}

size_t bytes_of(const struct scene *scene)
{
	return scene->operation->variant ? scene->operation->variant : INLINE;
}

int put_number(mp_queue *queue, uint64_t number, size_t bytes, int64_t timeout)
{
	struct message message;

	make_message(&message, number, bytes);
	return mp_queue_put(queue, &message, bytes, timeout);
}
