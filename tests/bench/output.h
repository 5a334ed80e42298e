/* SPDX-License-Identifier: MIT
 *
 * What is printed. Knows: the table for people, the lines for programs. Does not know: measuring.
 */
#ifndef TESTS_BENCH_OUTPUT_H
#define TESTS_BENCH_OUTPUT_H

#include "batch.h"

void output_table(const struct row *rows, unsigned count, const struct batch *batches,
		  unsigned batch_count);
/* One object a line: name, value, unit, ratio; null where there is none. */
void output_json(const struct row *rows, unsigned count, const struct batch *batches,
		 unsigned batch_count);

#endif
