/* SPDX-License-Identifier: MIT
 *
 * The result: the most frequent words, the figures, and whether both counts agree. Knows: how they
 * are printed and compared. Does not know: how they came about.
 */
#ifndef WORDCOUNT_REPORT_H
#define WORDCOUNT_REPORT_H

#include "collect.h"
#include "reference.h"

/* Sorts the words of the tally by how often they were seen (it can take no more words then). */
void report_words(struct tally *tally);

void report_figures(const struct collector *collector, int64_t wall_ns);

/* 0 when every word and every sum is the same; otherwise the first difference is printed. */
int report_verify(struct tally *tally, const struct totals *totals,
		  const struct reference *reference, uint32_t files);

#endif
