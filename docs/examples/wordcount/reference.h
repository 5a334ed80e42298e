/* SPDX-License-Identifier: MIT
 *
 * The same count again, made in this process alone by sorting. Knows: files and words. Does not
 * know: libshm, and no code of the other count except how a file is read.
 */
#ifndef WORDCOUNT_REFERENCE_H
#define WORDCOUNT_REFERENCE_H

#include "files.h"

#include <stddef.h>
#include <stdint.h>

struct reference_word {
	uint64_t head; /* its first eight bytes as a number that orders as they do */
	uint64_t count;
	uint32_t at; /* in run.bytes */
	uint32_t len;
};

/* Words and their bytes; sorted and without duplicates once it is done. */
struct reference_run {
	struct reference_word *words;
	char *bytes;
	size_t count;
	size_t bytes_len;
};

struct reference {
	struct reference_run all;
	uint64_t bytes;
	uint64_t words;
};

/* `is_stopped` is asked after each read and each file, and told how many are done; nonzero ends the
 * count early. 0, or what it answered. */
int reference_count(struct reference *reference, const struct file_list *list,
		    int (*is_stopped)(uint32_t files_done, uint64_t bytes));

void reference_free(struct reference *reference);

#endif
