/* SPDX-License-Identifier: MIT
 *
 * A scrollable, sorted, filtered list of one view. Knows: which rows and columns are to be seen in
 * a given room. Does not know: curses, keys.
 */
#ifndef MPTOP_BROWSER_H
#define MPTOP_BROWSER_H

#include "view.h"

#define BROWSER_COLUMNS_MAX 16
#define FILTER_BYTES 48

struct browser {
	const struct view *view;
	unsigned top, cursor; /* rows, after sorting and filtering */
	int sort;             /* column, -1: worst first */
	bool is_inverted;
	char filter[FILTER_BYTES];
	const void **rows; /* of the sample shown */
	unsigned row_count;
};

/* One column in its place. */
struct placed {
	unsigned column, width;
};

void browser_init(struct browser *browser, const struct view *view);
void browser_release(struct browser *browser);

/* Take the rows of a new sample, filter or order. */
void browser_update(struct browser *browser, const struct show *show);

/* Move the cursor by rows; large numbers go to the ends. */
void browser_move(struct browser *browser, long rows);

/* Choose another column to sort by: step +1 or -1. */
void browser_sort(struct browser *browser, int step);

/* Make the cursor visible in that many rows. */
void browser_scroll(struct browser *browser, unsigned height);

/* The columns that fit, in order, with a cell between two; returns how many. */
unsigned browser_place(const struct browser *browser, unsigned width, bool has_segments,
		       struct placed *ret_placed);

#endif
