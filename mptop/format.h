/* SPDX-License-Identifier: MIT
 *
 * Figures as short text. Knows: units, bars, what an ASCII terminal can show. Does not know: what
 * is measured, where it is drawn.
 */
#ifndef MPTOP_FORMAT_H
#define MPTOP_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Long enough for the longest cycle with complete names. */
#define TEXT_BYTES 4096

/* A line being put together; what does not fit is left out. */
struct text {
	size_t used;
	char bytes[TEXT_BYTES];
};

/* The characters beyond ASCII that are drawn, and what stands for them without UTF-8. */
struct glyphs {
	const char *arrow;
	const char *mark; /* of the selected row */
	const char *alarm;
	const char *rule; /* one cell of a horizontal line */
	const char *down, *up; /* sort direction */
	const char *full, *empty; /* one cell of a bar */
	const char *levels[8]; /* of a history, lowest first */
};

extern const struct glyphs format_unicode;
extern const struct glyphs format_ascii;

void text_clear(struct text *text);
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As much of the text as fits, never half a character. */
void text_copy(const struct text *text, char *ret_copy, size_t capacity);

/* 1 death, 2 deaths. */
void format_count(struct text *text, uint64_t count, const char *what);
/* 62us 3.4s 12s 5m 2.1h 3d; "-" for 0. */
void format_age(struct text *text, int64_t ns);
/* 0 0.4 12 1.24k 88.0k 1.24M. */
void format_quantity(struct text *text, double value);
/* 512 64K 412M 1.0G. */
void format_bytes(struct text *text, uint64_t bytes);
/* 0% .. 100%; "-" when there is nothing to divide by. */
void format_percent(struct text *text, double part, double whole);
void format_bar(struct text *text, const struct glyphs *glyphs, unsigned cells, double part,
		double whole);
/* The last `cells` of `count` values, scaled to the largest of them. */
void format_history(struct text *text, const struct glyphs *glyphs, unsigned cells,
		    const double *values, unsigned count);

#endif
