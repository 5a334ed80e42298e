/* SPDX-License-Identifier: MIT
 *
 * Order and selection of the rows of any view. Knows: columns. Does not know: what they show.
 */
#include "view.h"

#include <stdlib.h>
#include <string.h>

#define VIEW(variable) &variable,
const struct view *const views[VIEW_COUNT] = { VIEWS };
#undef VIEW

struct order {
	const struct view *view;
	const struct show *show;
	int column;
	bool is_inverted;
};

static bool contains(const char *text, const char *part)
{
	return strcasestr(text, part) != NULL;
}

static bool passes(const struct view *view, const struct show *show, const void *row,
		   const char *filter)
{
	for (unsigned i = 0; i < view->column_count; i++) {
		struct text text = { 0 };

		view->columns[i].cell(show, row, &text);
		if (contains(text.bytes, filter))
			return true;
	}
	return false;
}

static int compare_text(const struct order *order, const void *a, const void *b)
{
	struct text left = { 0 }, right = { 0 };

	order->view->columns[order->column].cell(order->show, a, &left);
	order->view->columns[order->column].cell(order->show, b, &right);
	return strcmp(left.bytes, right.bytes);
}

/* Largest first, names from A: what one wants to see when one asks for that column. */
static int compare_column(const struct order *order, const void *a, const void *b)
{
	const struct column *column = &order->view->columns[order->column];

	return column->compare ? column->compare(b, a) : compare_text(order, a, b);
}

static int compare_rows(const void *a, const void *b, void *context)
{
	const struct order *order = context;
	const void *left = *(const void *const *)a, *right = *(const void *const *)b;
	int result = 0;

	if (order->column >= 0)
		result = compare_column(order, left, right);
	if (!result)
		result = COMPARE(order->view->severity(right), order->view->severity(left));
	if (!result && order->view->compare)
		result = order->view->compare(left, right);
	if (!result)
		result = COMPARE((uintptr_t)left, (uintptr_t)right);
	return order->is_inverted ? -result : result;
}

const void **view_order(const struct view *view, const struct show *show, const char *filter,
			int column, bool is_inverted, unsigned *ret_count)
{
	struct order order = { view, show, column, is_inverted };
	unsigned total, count = 0;
	const char *rows = view->rows(show->model, &total);
	const void **ordered = total ? malloc(total * sizeof(*ordered)) : NULL;

	*ret_count = 0;
	if (!ordered)
		return NULL;
	for (unsigned i = 0; i < total; i++) {
		const void *row = rows + i * view->row_bytes;

		if (!filter || !filter[0] || passes(view, show, row, filter))
			ordered[count++] = row;
	}
	qsort_r(ordered, count, sizeof(*ordered), compare_rows, &order);
	*ret_count = count;
	return ordered;
}
