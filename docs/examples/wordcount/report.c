/* SPDX-License-Identifier: MIT
 *
 * The result: the most frequent words, the figures, and whether both counts agree. Knows: how they
 * are printed and compared. Does not know: how they came about.
 */
#include "report.h"

#include "screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOP_WORDS 20

static int by_text(const void *a, const void *b, void *tally)
{
	const struct tally_word *x = a, *y = b;

	return word_compare(tally_text(tally, x), x->len, tally_text(tally, y), y->len);
}

static int by_count(const void *a, const void *b, void *tally)
{
	const struct tally_word *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return by_text(a, b, tally);
}

static void sort(struct tally *tally, int (*compare)(const void *a, const void *b, void *tally))
{
	if (tally->count > 0) /* else there is no array */
		qsort_r(tally->words, tally->count, sizeof(*tally->words), compare, tally);
}

static const char *safe_word(const char *word, size_t len)
{
	char text[256];

	snprintf(text, sizeof(text), "%.*s", (int)len, word);
	return screen_safe(text);
}

void report_words(struct tally *tally)
{
	sort(tally, by_count);
	for (size_t i = 0; i < tally->count && i < TOP_WORDS; i++)
		printf("%12" PRIu64 "  %s\n", tally->words[i].count,
		       safe_word(tally_text(tally, &tally->words[i]), tally->words[i].len));
}

static uint64_t count_redelivered(const struct board *board)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WORKERS_MAX; i++)
		sum += atomic_load(&board->desks[i].redelivered);
	return sum;
}

static void report_unread(const struct collector *collector)
{
	const char *path;

	if (collector->unread == 0)
		return;
	path = screen_safe(collector->job->list->paths[collector->first_unread]);
	printf("%" PRIu32 " %s not be read to the end: %s%s (%s)\n", collector->unread,
	       collector->unread == 1 ? "file could" : "files could",
	       collector->unread == 1 ? "" : "the first is ", path,
	       strerror(-collector->first_error));
}

void report_figures(const struct collector *collector, int64_t wall_ns)
{
	const struct job *job = collector->job;
	struct mp_segment_info info = { .engine = "unknown" };

	if (mp_segment_info(job->segment, &info) < 0)
		fprintf(stderr, "wordcount: %s\n", mp_explain());
	report_unread(collector);
	printf("files: %" PRIu32 "\n", collector->files_done);
	printf("bytes: %" PRIu64 "\n", collector->bytes);
	printf("words: %" PRIu64 " (%zu different)\n", collector->words, collector->tally.count);
	printf("messages: %" PRIu64 "\n", collector->messages + job->list->count);
	printf("wall: %.2f s\n", (double)wall_ns / 1e9);
	printf("redelivered: %" PRIu64 "\n", count_redelivered(job->board));
	printf("engine: %s\n", info.engine);
}

static int differs(const char *what, uint64_t here, uint64_t there)
{
	if (here == there)
		return 0;
	printf("verification FAILED: %s: %" PRIu64 " here, %" PRIu64 " in a single process\n",
	       what, here, there);
	return 1;
}

static int word_differs(const char *word, size_t len, uint64_t here, uint64_t there)
{
	char what[600];

	snprintf(what, sizeof(what), "word \"%s\"", safe_word(word, len));
	return differs(what, here, there);
}

/* Both are sorted: the first pair that is not the same word with the same count is a difference,
 * and the smaller word of the two is the one that is missing on the other side. */
static int words_differ(const struct tally *tally, const struct reference_run *run)
{
	size_t i = 0;

	for (; i < tally->count || i < run->count; i++) {
		const struct tally_word *here = &tally->words[i];
		const struct reference_word *there = &run->words[i];
		int order = i >= tally->count ? 1 : -1;

		if (i < tally->count && i < run->count)
			order = word_compare(tally_text(tally, here), here->len,
					     run->bytes + there->at, there->len);
		if (order < 0)
			return word_differs(tally_text(tally, here), here->len, here->count, 0);
		if (order > 0)
			return word_differs(run->bytes + there->at, there->len, 0, there->count);
		if (word_differs(tally_text(tally, here), here->len, here->count, there->count))
			return 1;
	}
	return 0;
}

int report_verify(struct tally *tally, const struct totals *totals,
		  const struct reference *reference, uint32_t files)
{
	sort(tally, by_text);
	if (words_differ(tally, &reference->all) || differs("files", totals->files, files) ||
	    differs("bytes", totals->bytes, reference->bytes) ||
	    differs("words", totals->words, reference->words))
		return 1;
	printf("verified: equal to a single-process count\n");
	return 0;
}
