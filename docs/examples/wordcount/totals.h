/* SPDX-License-Identifier: MIT
 *
 * Sums that all workers keep together under one lock. Knows: how they stay right although a worker
 * may die in the middle of adding. Does not know: words.
 */
#ifndef WORDCOUNT_TOTALS_H
#define WORDCOUNT_TOTALS_H

#include "job.h"

/* Add one file; a file that was added before is not added again. 0 or -errno. */
int totals_add(struct job *job, uint32_t file, uint64_t bytes, uint64_t words);

int totals_read(struct job *job, struct totals *ret_totals, int64_t timeout);

#endif
