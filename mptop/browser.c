/* SPDX-License-Identifier: MIT
 *
 * A scrollable, sorted, filtered list of one view. Knows: rows, columns, room. Does not know:
 * curses, keys.
 */
#include "browser.h"

#include <stdlib.h>
#include <string.h>

/* A column that can grow may be cut down to this before others leave. */
#define GROWN_MIN 7
/* Columns up to this weight are worth narrower names. */
#define PRIORITY_PRESSING 4

void browser_init(struct browser *browser, const struct view *view)
{
	memset(browser, 0, sizeof(*browser));
	browser->view = view;
	browser->sort = -1;
}

void browser_release(struct browser *browser)
{
	free(browser->rows);
	browser->rows = NULL;
	browser->row_count = 0;
}

void browser_update(struct browser *browser, const struct show *show)
{
	browser_release(browser);
	browser->rows = view_order(browser->view, show, browser->filter, browser->sort,
				   browser->is_inverted, &browser->row_count);
	browser_move(browser, 0);
}

void browser_move(struct browser *browser, long rows)
{
	long last = (long)browser->row_count - 1;
	long cursor = (long)browser->cursor + rows;

	cursor = cursor > last ? last : cursor;
	browser->cursor = cursor > 0 ? (unsigned)cursor : 0;
}

void browser_sort(struct browser *browser, int step)
{
	int count = (int)browser->view->column_count;

	browser->sort += step;
	if (browser->sort >= count)
		browser->sort = -1;
	else if (browser->sort < -1)
		browser->sort = count - 1;
	browser->cursor = 0;
}

void browser_scroll(struct browser *browser, unsigned height)
{
	if (browser->cursor < browser->top)
		browser->top = browser->cursor;
	if (height && browser->cursor >= browser->top + height)
		browser->top = browser->cursor - height + 1;
	/* A shorter list must not leave an empty page. */
	if (browser->top + height > browser->row_count)
		browser->top = browser->row_count > height ? browser->row_count - height : 0;
}

/* With one segment its name is no news. */
static bool is_wanted(const struct column *column, bool has_segments)
{
	return has_segments || strcmp(column->title, "SEGMENT") != 0;
}

static unsigned smallest_width(const struct column *column)
{
	return column->is_grown && column->width > GROWN_MIN ? GROWN_MIN : column->width;
}

/* Cells that columns up to that priority need; at their full width or at their smallest. */
static unsigned cells_needed(const struct view *view, unsigned priority, bool has_segments,
			     bool is_smallest)
{
	unsigned cells = 0;

	for (unsigned i = 0; i < view->column_count; i++) {
		const struct column *column = &view->columns[i];

		if (column->priority <= priority && is_wanted(column, has_segments))
			cells += 1 + (is_smallest ? smallest_width(column) : column->width);
	}
	return cells ? cells - 1 : 0;
}

static unsigned best_priority(const struct view *view, unsigned width, bool has_segments)
{
	unsigned priority = 0;

	while (priority < view->column_count &&
	       cells_needed(view, priority + 1, has_segments, priority < PRIORITY_PRESSING) <=
			width)
		priority++;
	return priority;
}

/* Room goes to the columns that can use it, in turn: first up to their own widths, then on.
 * Returns what is left. */
static unsigned grow(const struct view *view, struct placed *placed, unsigned count, unsigned room,
		     bool is_beyond)
{
	bool has_grown = true;

	while (room && has_grown) {
		has_grown = false;
		for (unsigned i = 0; i < count && room; i++) {
			const struct column *column = &view->columns[placed[i].column];

			if (!column->is_grown || (!is_beyond && placed[i].width >= column->width))
				continue;
			placed[i].width++;
			room--;
			has_grown = true;
		}
	}
	return room;
}

unsigned browser_place(const struct browser *browser, unsigned width, bool has_segments,
		       struct placed *ret_placed)
{
	const struct view *view = browser->view;
	unsigned priority = best_priority(view, width, has_segments);
	bool is_tight = cells_needed(view, priority, has_segments, false) > width;
	unsigned count = 0, used = 0, room;

	for (unsigned i = 0; i < view->column_count; i++) {
		const struct column *column = &view->columns[i];
		unsigned cells = is_tight ? smallest_width(column) : column->width;

		if (column->priority > priority || !is_wanted(column, has_segments))
			continue;
		if (used >= width)
			break;
		cells = cells < width - used ? cells : width - used;
		ret_placed[count++] = (struct placed){ i, cells };
		used += cells + 1;
	}
	room = used && used - 1 < width ? width - (used - 1) : 0;
	room = grow(view, ret_placed, count, room, false);
	grow(view, ret_placed, count, room, true);
	return count;
}
