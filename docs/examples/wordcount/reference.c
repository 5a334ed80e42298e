/* SPDX-License-Identifier: MIT
 *
 * The same count again, made in this process alone by sorting. Knows: files and words. Does not
 * know: libshm, and no code of the other count except how a file is read.
 *
 * Words are gathered as they come, a batch at a time; a full batch is sorted and merged into the
 * recent words, and those, when they have become many, into all words: equal ones become one.
 */
#include "reference.h"

#include "memory.h"

#include <endian.h>
#include <stdbool.h>

#define BATCH_WORDS 65536
#define RECENT_WORDS 400000
#define LONGEST 64 /* words.h says what a word is; this file says it again in its own way */

struct batch {
	struct reference *reference;
	struct reference_run run;
	struct reference_run recent;
	uint32_t open_len; /* of the word that the last byte belongs to */
	unsigned char letters[256]; /* the byte within a word, 0 outside */
};

/* Most comparisons end with these eight bytes; a word has no zero byte, so zeros fill it up. */
static uint64_t head_of(const char *word, uint32_t len)
{
	uint64_t head = 0;

	memcpy(&head, word, len < sizeof(head) ? len : sizeof(head));
	return be64toh(head);
}

static int compare(const struct reference_run *a_run, const struct reference_word *a,
		   const struct reference_run *b_run, const struct reference_word *b)
{
	uint32_t len = a->len < b->len ? a->len : b->len;
	int order;

	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	if (len <= sizeof(a->head))
		return (int)a->len - (int)b->len;
	order = memcmp(a_run->bytes + a->at, b_run->bytes + b->at, len);

	return order ? order : (int)a->len - (int)b->len;
}

static int compare_in_run(const void *a, const void *b, void *run)
{
	return compare(run, a, run, b);
}

/* Append a word of another run; one that is there already, as the last, gets the count. */
static void append(struct reference_run *to, const struct reference_run *from,
		   const struct reference_word *word)
{
	struct reference_word *last = to->count ? &to->words[to->count - 1] : NULL;

	if (last && compare(to, last, from, word) == 0) {
		last->count += word->count;
		return;
	}
	memcpy(to->bytes + to->bytes_len, from->bytes + word->at, word->len);
	to->words[to->count] = *word;
	to->words[to->count++].at = (uint32_t)to->bytes_len;
	to->bytes_len += word->len;
}

/* The batch is empty afterwards. */
static void merge(struct reference_run *all, struct reference_run *batch)
{
	size_t words = all->count + batch->count;
	struct reference_run merged = {
		.words = memory_resize(NULL, words * sizeof(*merged.words)),
		.bytes = memory_resize(NULL, all->bytes_len + batch->bytes_len),
	};
	size_t i = 0, j = 0;

	while (i < all->count || j < batch->count) {
		if (j == batch->count || (i < all->count && compare(all, &all->words[i], batch,
								    &batch->words[j]) <= 0))
			append(&merged, all, &all->words[i++]);
		else
			append(&merged, batch, &batch->words[j++]);
	}
	free(all->words);
	free(all->bytes);
	*all = merged;
	batch->count = 0;
	batch->bytes_len = 0;
}

/* One pass for each byte of the heads, the lowest first; each keeps the order of the one before. */
static void sort_by_head(struct reference_word *words, size_t count)
{
	struct reference_word *from = words, *to = memory_resize(NULL, count * sizeof(*to));

	for (unsigned shift = 0; shift < 64; shift += 8) {
		size_t places[257] = { 0 };
		struct reference_word *sorted = to;

		for (size_t i = 0; i < count; i++)
			places[1 + (from[i].head >> shift & 255)]++;
		for (unsigned byte = 1; byte < 256; byte++)
			places[byte] += places[byte - 1];
		for (size_t i = 0; i < count; i++)
			to[places[from[i].head >> shift & 255]++] = from[i];
		to = from;
		from = sorted;
	}
	free(to); /* after eight passes `from` is `words` again */
}

/* Words of one head are few, and in no order yet. */
static void sort_batch(struct reference_run *run)
{
	size_t end;

	sort_by_head(run->words, run->count);
	for (size_t i = 0; i < run->count; i = end) {
		end = i + 1;
		while (end < run->count && run->words[end].head == run->words[i].head)
			end++;
		if (end - i > 1 && (run->words[i].head & 255))
			qsort_r(&run->words[i], end - i, sizeof(*run->words), compare_in_run, run);
	}
}

static void finish_batch(struct batch *batch, bool is_last)
{
	struct reference_run *run = &batch->run;

	sort_batch(run);
	merge(&batch->recent, run);
	if (batch->recent.count >= RECENT_WORDS || is_last)
		merge(&batch->reference->all, &batch->recent);
}

static void end_word(struct batch *batch)
{
	struct reference_run *run = &batch->run;

	if (batch->open_len == 0)
		return;
	run->words[run->count++] = (struct reference_word){
		.head = head_of(run->bytes + run->bytes_len, batch->open_len),
		.count = 1,
		.at = (uint32_t)run->bytes_len,
		.len = batch->open_len,
	};
	run->bytes_len += batch->open_len;
	batch->open_len = 0;
	batch->reference->words++;
	if (run->count == BATCH_WORDS)
		finish_batch(batch, false);
}

static void add_bytes(struct batch *batch, const unsigned char *at, const unsigned char *end)
{
	for (; at < end; at++) {
		unsigned char letter = batch->letters[*at];

		if (!letter)
			end_word(batch);
		else if (batch->open_len < LONGEST)
			batch->run.bytes[batch->run.bytes_len + batch->open_len++] = (char)letter;
	}
}

static int add_file(struct batch *batch, const char *path, uint32_t files_done,
		    int (*is_stopped)(uint32_t files_done, uint64_t bytes))
{
	static unsigned char buf[READ_BYTES];
	struct source source;
	int result = 0;
	ssize_t got;

	if (source_open(&source, path) < 0)
		return 0;
	while (result == 0 && (got = source_read(&source, buf)) > 0) {
		add_bytes(batch, buf, buf + got);
		batch->reference->bytes += (uint64_t)got;
		result = is_stopped(files_done, batch->reference->bytes);
	}
	end_word(batch);
	source_close(&source);
	return result;
}

static void open_batch(struct batch *batch, struct reference *reference)
{
	*batch = (struct batch){ .reference = reference };
	batch->run.words = memory_resize(NULL, BATCH_WORDS * sizeof(*batch->run.words));
	batch->run.bytes = memory_resize(NULL, (size_t)BATCH_WORDS * LONGEST);
	for (unsigned byte = 0x80; byte < 0x100; byte++)
		batch->letters[byte] = (unsigned char)byte;
	for (const char *same = "abcdefghijklmnopqrstuvwxyz0123456789"; *same; same++)
		batch->letters[(unsigned char)*same] = (unsigned char)*same;
	for (unsigned i = 0; i < 26; i++)
		batch->letters['A' + i] = (unsigned char)('a' + i);
}

int reference_count(struct reference *reference, const struct file_list *list,
		    int (*is_stopped)(uint32_t files_done, uint64_t bytes))
{
	struct batch batch;
	int result = 0;

	*reference = (struct reference){ 0 };
	open_batch(&batch, reference);
	for (uint32_t i = 0; i < list->count && result == 0; i++) {
		result = add_file(&batch, list->paths[i], i, is_stopped);
		if (result == 0)
			result = is_stopped(i + 1, reference->bytes);
	}
	finish_batch(&batch, true);
	free(batch.run.words);
	free(batch.run.bytes);
	free(batch.recent.words);
	free(batch.recent.bytes);
	return result;
}

void reference_free(struct reference *reference)
{
	free(reference->all.words);
	free(reference->all.bytes);
	*reference = (struct reference){ 0 };
}
