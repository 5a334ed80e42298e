/* SPDX-License-Identifier: MIT
 *
 * Messages that tell who they are and whether they are whole. Knows: their bytes. Does not know:
 * contexts, operations, what must hold.
 */
#ifndef TESTS_CRASH_QUEUE_MESSAGE_H
#define TESTS_CRASH_QUEUE_MESSAGE_H

#include "crash.h"

#define INLINE 24
#define BLOCK 200
#define INLINE_MOST 48
#define BLOCK_LEAST 49
#define NOTHING UINT32_MAX /* as a variant: the message in question has no bytes */
#define NUMBERS_MAX 32

/* Numbers of messages: 1..initial were there, then by who puts them. */
enum { BY_VICTIM = 16, BY_PROBE = 24, BY_SECOND = 25 };

struct message {
	uint64_t number;
	uint8_t fill[BUFFER_BYTES - 8];
};

void make_message(struct message *message, uint64_t number, size_t bytes);
bool is_whole(const void *data, size_t bytes);
/* How long that message of this scene is. */
size_t bytes_of(const struct scene *scene, uint64_t number);
/* Which one has no bytes, where one has none: it cannot tell itself. */
uint64_t number_of_nothing(const struct scene *scene);
int put_number(const struct scene *scene, struct party *party, uint64_t number);

#endif
