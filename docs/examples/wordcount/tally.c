/* SPDX-License-Identifier: MIT
 *
 * How often each word was seen: an open-addressing table of indices into an array of words.
 * Knows: words as bytes, counts. Does not know: where they come from.
 */
#include "tally.h"

#include "memory.h"

static uint32_t hash_of(const char *word, uint32_t len)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)word[i]) * 16777619u;
	return hash;
}

static int is_word(const struct tally *tally, const struct tally_word *entry, uint32_t hash,
		   const char *word, uint32_t len)
{
	return entry->hash == hash && entry->len == len &&
	       memcmp(tally_text(tally, entry), word, len) == 0;
}

/* The place of the word in the index, or the empty one where it belongs. */
static uint32_t *find(const struct tally *tally, uint32_t hash, const char *word, uint32_t len)
{
	size_t mask = tally->index_size - 1;
	size_t i = hash & mask;

	while (tally->index[i] &&
	       !is_word(tally, &tally->words[tally->index[i] - 1], hash, word, len))
		i = (i + 1) & mask;
	return &tally->index[i];
}

static void grow_index(struct tally *tally)
{
	size_t size = tally->index_size ? tally->index_size * 2 : 1024;

	tally->index = memory_resize(tally->index, size * sizeof(*tally->index));
	memset(tally->index, 0, size * sizeof(*tally->index));
	tally->index_size = size;
	for (size_t i = 0; i < tally->count; i++) {
		const struct tally_word *entry = &tally->words[i];

		*find(tally, entry->hash, tally_text(tally, entry), entry->len) = (uint32_t)i + 1;
	}
}

static void append(struct tally *tally, uint32_t hash, const char *word, uint32_t len)
{
	if (tally->count == tally->cap) {
		tally->cap = tally->cap ? tally->cap * 2 : 512;
		tally->words = memory_resize(tally->words, tally->cap * sizeof(*tally->words));
	}
	if (tally->bytes_len + len > tally->bytes_cap) {
		tally->bytes_cap = tally->bytes_cap * 2 + 4096;
		tally->bytes = memory_resize(tally->bytes, tally->bytes_cap);
	}
	memcpy(tally->bytes + tally->bytes_len, word, len);
	tally->words[tally->count++] =
		(struct tally_word){ .at = tally->bytes_len, .hash = hash, .len = len };
	tally->bytes_len += len;
}

void tally_add(struct tally *tally, const char *word, uint32_t len, uint64_t count)
{
	uint32_t hash = hash_of(word, len);
	uint32_t *place;

	if (tally->count * 2 >= tally->index_size)
		grow_index(tally);
	place = find(tally, hash, word, len);
	if (*place == 0) {
		append(tally, hash, word, len);
		*place = (uint32_t)tally->count;
	}
	tally->words[*place - 1].count += count;
}

void tally_clear(struct tally *tally)
{
	tally->count = 0;
	tally->bytes_len = 0;
	if (tally->index)
		memset(tally->index, 0, tally->index_size * sizeof(*tally->index));
}

void tally_free(struct tally *tally)
{
	free(tally->words);
	free(tally->bytes);
	free(tally->index);
	*tally = (struct tally){ 0 };
}

int word_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order ? order : (a_len > b_len) - (a_len < b_len);
}
