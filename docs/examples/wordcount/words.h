/* SPDX-License-Identifier: MIT
 *
 * From bytes to words. A word is a longest run of ASCII letters, ASCII digits and bytes from 0x80
 * up; letters count as lower case; only the first WORD_BYTES bytes of a longer run are the word.
 * Knows: that definition. Does not know: files, tables of other processes.
 */
#ifndef WORDCOUNT_WORDS_H
#define WORDCOUNT_WORDS_H

#include "tally.h"

#include <stddef.h>
#include <stdint.h>

#define WORD_BYTES 64

/* The word that the end of a buffer has cut in two is finished by the next buffer. */
struct scanner {
	struct tally *tally;
	uint64_t words;
	uint32_t len;
	char word[WORD_BYTES];
};

void words_scan(struct scanner *scanner, const unsigned char *buf, size_t len);

/* The end of the file ends the last word. */
void words_end(struct scanner *scanner);

#endif
