/* SPDX-License-Identifier: MIT
 *
 * A terminal of any size, with or without colours and UTF-8. Knows: curses, locales, cells. Does
 * not know: what is drawn.
 */
#ifndef MPTOP_TERMINAL_H
#define MPTOP_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

enum style {
	STYLE_PLAIN,
	STYLE_TITLE,
	STYLE_HEADER,
	STYLE_TAB,
	STYLE_DIM,
	STYLE_INFO,
	STYLE_WARN,
	STYLE_HIGH,
	STYLE_ALARM,
	STYLE_COUNT
};

struct terminal {
	bool is_ascii;
	bool has_colours;
};

/* 0, or -ENOTTY: the terminal cannot place its cursor. */
int terminal_open(struct terminal *terminal, bool is_ascii, bool is_colourless);
void terminal_close(void);

/* Exactly `width` cells at y, x: cut or filled with blanks, clipped to the screen. */
void terminal_put(const struct terminal *terminal, int y, int x, int width, enum style style,
		  bool is_selected, const char *text);
/* The same, the text at the right end. */
void terminal_put_right(const struct terminal *terminal, int y, int x, int width, enum style style,
			bool is_selected, const char *text);

/* How many bytes of the text fit into that many cells; at least one character. */
size_t terminal_fit(const struct terminal *terminal, int width, const char *text);

/* Cells that the text takes on this terminal. */
int terminal_cells(const struct terminal *terminal, const char *text);

#endif
