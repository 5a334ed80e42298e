/* SPDX-License-Identifier: MIT
 *
 * What a process holds. Knows: /proc/self. Does not know: tests.
 */
#ifndef TESTS_LIB_HARNESS_LEAKS_H
#define TESTS_LIB_HARNESS_LEAKS_H

#include <stdbool.h>

#define HARNESS_FDS_MAX 4096

struct harness_holdings {
	unsigned threads;
	unsigned segment_maps;
	unsigned char is_open[HARNESS_FDS_MAX];
};

void harness_holdings_take(struct harness_holdings *holdings);

/* Print to stderr what is held now and was not before, child processes always; true if nothing. */
bool harness_holdings_same(const struct harness_holdings *before);

/* Kill and reap every child of this process; how many there were. */
unsigned harness_end_children(void);

/* Reap children as they end; true when none is left within `ms`. */
bool harness_children_left(unsigned ms);

/* Print the children of this process with their command lines. */
void harness_print_children(void);

#endif
