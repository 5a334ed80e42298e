/* SPDX-License-Identifier: MIT
 *
 * Figures as short text. Knows: units, bars. Does not know: what is measured.
 */
#include "format.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

const struct glyphs format_unicode = {
	.arrow = "\u2192", .mark = "\u25b8", .alarm = "\u25b2", .rule = "\u2500", .down = "\u25bd",
	.up = "\u25b3", .full = "\u2588", .empty = "\u2591",
	.levels = { "\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588" }
};

const struct glyphs format_ascii = {
	.arrow = "->", .mark = ">", .alarm = "!", .rule = "-", .down = "v", .up = "^",
	.full = "#", .empty = ".", .levels = { " ", ".", ":", "-", "=", "+", "*", "#" }
};

void text_clear(struct text *text)
{
	text->used = 0;
	text->bytes[0] = '\0';
}

void text_add(struct text *text, const char *format, ...)
{
	size_t left = sizeof(text->bytes) - text->used;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->used, left, format, arguments);
	va_end(arguments);
	if (length > 0 && (size_t)length < left)
		text->used += (size_t)length;
	else if (length > 0)
		/* All or nothing: half a character would be no text. */
		text->bytes[text->used] = '\0';
}

/* Bytes of the text up to `end` without a character that is cut there. */
static size_t whole_characters(const char *text, size_t end)
{
	size_t start = end;

	while (start > 0 && ((unsigned char)text[start] & 0xc0) == 0x80)
		start--;
	return start;
}

void text_copy(const struct text *text, char *ret_copy, size_t capacity)
{
	size_t end = text->used;

	if (end >= capacity)
		end = whole_characters(text->bytes, capacity - 1);
	memcpy(ret_copy, text->bytes, end);
	ret_copy[end] = '\0';
}

struct unit {
	double size;
	const char *name;
};

/* The largest unit of which the value has at least one, once rounded to `digits` digits. */
static const struct unit *unit_for(double value, const struct unit *units, size_t count,
				   double rounding)
{
	size_t i = count - 1;

	while (i > 0 && value * rounding < units[i].size)
		i--;
	return &units[i];
}

void format_count(struct text *text, uint64_t count, const char *what)
{
	text_add(text, "%llu %s%s", (unsigned long long)count, what, count == 1 ? "" : "s");
}

void format_age(struct text *text, int64_t ns)
{
	static const struct unit units[] = { { 1, "ns" }, { 1e3, "us" }, { 1e6, "ms" },
		{ 1e9, "s" }, { 60e9, "m" }, { 3600e9, "h" }, { 86400e9, "d" } };
	const struct unit *unit;
	double value;

	if (ns <= 0) {
		text_add(text, "-");
		return;
	}
	unit = unit_for((double)ns, units, COUNT_OF(units), 1.0005);
	value = (double)ns / unit->size;
	text_add(text, value < 9.95 && unit != units ? "%.1f%s" : "%.0f%s", value, unit->name);
}

void format_quantity(struct text *text, double value)
{
	static const struct unit units[] = { { 1, "" }, { 1e3, "k" }, { 1e6, "M" }, { 1e9, "G" },
		{ 1e12, "T" }, { 1e15, "P" }, { 1e18, "E" } };
	const struct unit *unit = unit_for(value, units, COUNT_OF(units), 1.0005);

	value /= unit->size;
	if (unit == units && value < 9.95 && value > 0.05 && value != (double)(int)value)
		text_add(text, "%.1f", value);
	else if (unit == units)
		text_add(text, "%.0f", value > 0 ? value : 0);
	else
		text_add(text, value < 9.995 ? "%.2f%s" : value < 99.95 ? "%.1f%s" : "%.0f%s",
			 value, unit->name);
}

void format_bytes(struct text *text, uint64_t bytes)
{
	static const struct unit units[] = { { 1, "" }, { 1024, "K" }, { 1048576, "M" },
		{ 1073741824, "G" }, { 1099511627776, "T" }, { 1125899906842624, "P" },
		{ 1152921504606846976, "E" } };
	const struct unit *unit = unit_for((double)bytes, units, COUNT_OF(units), 1.0005);
	double value = (double)bytes / unit->size;

	text_add(text, value < 9.95 && unit != units ? "%.1f%s" : "%.0f%s", value, unit->name);
}

void format_percent(struct text *text, double part, double whole)
{
	if (!(whole > 0))
		text_add(text, "-");
	else
		text_add(text, "%.0f%%", part < whole ? 100 * part / whole : 100.0);
}

void format_bar(struct text *text, const struct glyphs *glyphs, unsigned cells, double part,
		double whole)
{
	double share = whole > 0 ? part / whole : 0;
	unsigned filled = share >= 1 ? cells : (unsigned)(share * cells + 0.5);

	/* Not empty and not full must look so. */
	if (!filled && share > 0)
		filled = 1;
	if (filled == cells && share < 1 && cells > 1)
		filled = cells - 1;
	for (unsigned i = 0; i < cells; i++)
		text_add(text, "%s", i < filled ? glyphs->full : glyphs->empty);
}

void format_history(struct text *text, const struct glyphs *glyphs, unsigned cells,
		    const double *values, unsigned count)
{
	unsigned first = count > cells ? count - cells : 0;
	double largest = 0;

	for (unsigned i = first; i < count; i++)
		largest = values[i] > largest ? values[i] : largest;
	for (unsigned i = first; i < count; i++) {
		double share = largest > 0 ? values[i] / largest : 0;

		text_add(text, "%s", glyphs->levels[(unsigned)(share * 7 + 0.5)]);
	}
}
