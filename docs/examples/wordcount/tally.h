/* SPDX-License-Identifier: MIT
 *
 * How often each word was seen: a hash table in private memory. Knows: words as bytes, counts.
 * Does not know: where they come from.
 */
#ifndef WORDCOUNT_TALLY_H
#define WORDCOUNT_TALLY_H

#include <stddef.h>
#include <stdint.h>

struct tally_word {
	uint64_t count;
	size_t at; /* in tally.bytes */
	uint32_t hash;
	uint32_t len;
};

struct tally {
	struct tally_word *words; /* in the order of their first appearance */
	size_t count;
	size_t cap;
	char *bytes;
	size_t bytes_len;
	size_t bytes_cap;
	uint32_t *index; /* 1 + place in words; 0 is empty */
	size_t index_size;
};

void tally_add(struct tally *tally, const char *word, uint32_t len, uint64_t count);

/* Forget the words, keep the memory. */
void tally_clear(struct tally *tally);

void tally_free(struct tally *tally);

static inline const char *tally_text(const struct tally *tally, const struct tally_word *word)
{
	return tally->bytes + word->at;
}

/* < 0, 0, > 0 as the bytes of a are below, equal to, above those of b; a prefix is below. */
int word_compare(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
