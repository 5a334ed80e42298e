/* SPDX-License-Identifier: MIT
 *
 * A table as data: columns that turn a row into text, and callbacks that give the rows. Knows: what
 * the screen and the plain print have in common. Does not know: how either draws.
 */
#ifndef MPTOP_VIEW_H
#define MPTOP_VIEW_H

#include "model.h"

/* What a cell needs besides its row. */
struct show {
	const struct model *model;
	const struct glyphs *glyphs;
};

struct column {
	const char *title;
	unsigned width;    /* cells on the screen; a print is as wide as its texts */
	unsigned priority; /* 0 is shown always; higher ones go first when it gets narrow */
	bool is_right;     /* figures */
	bool is_grown;     /* takes the room that is left */
	void (*cell)(const struct show *show, const void *row, struct text *text);
	int (*compare)(const void *a, const void *b); /* NULL: as text */
};

struct view {
	const char *name;  /* of the option */
	const char *title;
	const char *empty; /* said when there is no row */
	const struct column *columns;
	unsigned column_count;
	size_t row_bytes;
	const void *(*rows)(const struct model *model, unsigned *ret_count);
	enum severity (*severity)(const void *row);
	/* Among rows of one severity, when no column was chosen. */
	int (*compare)(const void *a, const void *b);
	/* The row as one complete sentence. */
	void (*describe)(const struct show *show, const void *row, struct text *text);
};

/* VIEW(variable, number key) in the order of the tabs. */
#define VIEWS                                                                                      \
	VIEW(view_overview)                                                                        \
	VIEW(view_process)                                                                         \
	VIEW(view_lock)                                                                            \
	VIEW(view_queue)                                                                           \
	VIEW(view_sync)

#define VIEW(variable) extern const struct view variable;
VIEWS
#undef VIEW

#define VIEW(variable) INDEX_##variable,
enum view_index { VIEWS VIEW_COUNT };
#undef VIEW

extern const struct view *const views[VIEW_COUNT];

/* Rows that pass the filter (NULL: all), worst first or by `column` (-1: worst first), as an array
 * the caller frees. NULL: no memory, or no row. */
const void **view_order(const struct view *view, const struct show *show, const char *filter,
			int column, bool is_inverted, unsigned *ret_count);

/* view_overview.c: the lines above the table, which also head the print. The title fits into
 * `cells` as far as it can by cutting the front of the path. */
void overview_title(const struct show *show, unsigned cells, struct text *text);
void overview_meter(const struct show *show, unsigned line, unsigned cells, struct text *text);
#define OVERVIEW_METERS 3
/* The line that says what is badly wrong: the oldest cycle of locks; empty if all is well. */
void overview_alarm(const struct show *show, struct text *text);

#define COMPARE(left, right) (((left) > (right)) - ((left) < (right)))

#endif
