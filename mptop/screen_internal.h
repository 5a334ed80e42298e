/* SPDX-License-Identifier: MIT
 *
 * What the screen's files share. Knows: its state; handlers of keys change it and draw nothing,
 * drawing changes nothing but scroll positions. Does not know: curses.
 */
#ifndef MPTOP_SCREEN_INTERNAL_H
#define MPTOP_SCREEN_INTERNAL_H

#include "browser.h"
#include "terminal.h"

struct screen {
	struct terminal terminal;
	struct model *model;
	struct show show;
	struct browser browsers[VIEW_COUNT];
	enum view_index view;
	double interval_s;
	bool is_paused, is_help, is_editing;
	unsigned help_top;
	unsigned page; /* rows of the list, as last drawn */
	int error;     /* of the last sample */
};

/* What the loop does after a key. */
enum action { ACTION_NONE, ACTION_DRAW, ACTION_ORDER, ACTION_SAMPLE, ACTION_REPAINT, ACTION_QUIT };

/* keys.c */
enum action keys_handle(struct screen *screen, int key);

/* draw.c: the whole screen from its state. */
void draw_screen(struct screen *screen);

#endif
