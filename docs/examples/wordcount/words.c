/* SPDX-License-Identifier: MIT
 *
 * From bytes to words. Knows: what a word is (words.h). Does not know: files, processes.
 */
#include "words.h"

/* The byte as it stands in a word; 0: it is in none. */
static unsigned char letter_of(unsigned char byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return byte + ('a' - 'A');
	if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte >= 0x80)
		return byte;
	return 0;
}

void words_end(struct scanner *scanner)
{
	if (scanner->len == 0)
		return;
	tally_add(scanner->tally, scanner->word, scanner->len, 1);
	scanner->words++;
	scanner->len = 0;
}

void words_scan(struct scanner *scanner, const unsigned char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char letter = letter_of(buf[i]);

		if (letter == 0)
			words_end(scanner);
		else if (scanner->len < WORD_BYTES)
			scanner->word[scanner->len++] = (char)letter;
	}
}
