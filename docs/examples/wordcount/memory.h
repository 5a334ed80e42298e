/* SPDX-License-Identifier: MIT
 *
 * Private memory for a program that has nothing to do without it. Knows: malloc. Does not know:
 * shared memory.
 */
#ifndef WORDCOUNT_MEMORY_H
#define WORDCOUNT_MEMORY_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A worker that ends here gives its path back to the queue like one that was killed. */
static inline void *memory_resize(void *memory, size_t bytes)
{
	memory = realloc(memory, bytes ? bytes : 1);
	if (!memory) {
		fprintf(stderr, "wordcount: no memory for %zu bytes\n", bytes);
		exit(1);
	}
	return memory;
}

static inline void *memory_copy(const void *from, size_t bytes)
{
	return memcpy(memory_resize(NULL, bytes), from, bytes);
}

#endif
