/* SPDX-License-Identifier: MIT
 *
 * What keys do. Knows: the table keys.h, the state of the screen. Does not know: drawing; a handler
 * says what has to happen next.
 */
#include "screen_internal.h"

#include <ncurses.h>
#include <string.h>

#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 60.0
#define KEY_ESCAPE 27

static struct browser *current(struct screen *screen)
{
	return &screen->browsers[screen->view];
}

static enum action show_view(struct screen *screen, enum view_index view)
{
	screen->view = view;
	screen->is_help = false;
	return ACTION_ORDER;
}

static enum action show_overview(struct screen *screen)
{
	return show_view(screen, INDEX_view_overview);
}

static enum action show_processes(struct screen *screen)
{
	return show_view(screen, INDEX_view_process);
}

static enum action show_locks(struct screen *screen)
{
	return show_view(screen, INDEX_view_lock);
}

static enum action show_queues(struct screen *screen)
{
	return show_view(screen, INDEX_view_queue);
}

static enum action show_syncs(struct screen *screen)
{
	return show_view(screen, INDEX_view_sync);
}

static enum action next_view(struct screen *screen)
{
	return show_view(screen, (screen->view + 1) % VIEW_COUNT);
}

static enum action previous_view(struct screen *screen)
{
	return show_view(screen, (screen->view + VIEW_COUNT - 1) % VIEW_COUNT);
}

static enum action move_by(struct screen *screen, long rows)
{
	long top = (long)screen->help_top + rows;

	if (screen->is_help)
		screen->help_top = top > 0 ? (unsigned)top : 0;
	else
		browser_move(current(screen), rows);
	return ACTION_DRAW;
}

static long page(const struct screen *screen)
{
	return screen->page > 1 ? (long)screen->page - 1 : 1;
}

static enum action move_up(struct screen *screen)
{
	return move_by(screen, -1);
}

static enum action move_down(struct screen *screen)
{
	return move_by(screen, 1);
}

static enum action page_up(struct screen *screen)
{
	return move_by(screen, -page(screen));
}

static enum action page_down(struct screen *screen)
{
	return move_by(screen, page(screen));
}

static enum action move_first(struct screen *screen)
{
	return move_by(screen, -1000000);
}

static enum action move_last(struct screen *screen)
{
	return screen->is_help ? ACTION_NONE : move_by(screen, 1000000);
}

static enum action toggle_pause(struct screen *screen)
{
	screen->is_paused = !screen->is_paused;
	return screen->is_paused ? ACTION_DRAW : ACTION_SAMPLE;
}

static enum action slower(struct screen *screen)
{
	screen->interval_s *= 2;
	if (screen->interval_s > INTERVAL_MAX_S)
		screen->interval_s = INTERVAL_MAX_S;
	return ACTION_DRAW;
}

static enum action faster(struct screen *screen)
{
	screen->interval_s /= 2;
	if (screen->interval_s < INTERVAL_MIN_S)
		screen->interval_s = INTERVAL_MIN_S;
	return ACTION_DRAW;
}

static enum action edit_filter(struct screen *screen)
{
	screen->is_editing = true;
	screen->is_help = false;
	return ACTION_DRAW;
}

static enum action sort_next(struct screen *screen)
{
	browser_sort(current(screen), 1);
	return ACTION_ORDER;
}

static enum action sort_previous(struct screen *screen)
{
	browser_sort(current(screen), -1);
	return ACTION_ORDER;
}

static enum action invert_sort(struct screen *screen)
{
	current(screen)->is_inverted = !current(screen)->is_inverted;
	return ACTION_ORDER;
}

static enum action toggle_help(struct screen *screen)
{
	screen->is_help = !screen->is_help;
	screen->help_top = 0;
	return ACTION_DRAW;
}

static enum action quit(struct screen *screen)
{
	/* Out of the help first, as everybody's fingers expect. */
	if (!screen->is_help)
		return ACTION_QUIT;
	return toggle_help(screen);
}

static enum action redraw(struct screen *screen)
{
	return ACTION_REPAINT;
}

struct key {
	int code;
	enum action (*handle)(struct screen *screen);
};

static const struct key keys[] = {
#define KEY(code, name, handler, help) { code, handler },
#include "keys.h"
#undef KEY
};

static void remove_character(char *text)
{
	size_t length = strlen(text);

	while (length && ((unsigned char)text[length - 1] & 0xc0) == 0x80)
		length--;
	text[length ? length - 1 : 0] = '\0';
}

/* While the filter is typed every key is text, and the list follows at once. */
static enum action edit(struct screen *screen, int key)
{
	char *filter = current(screen)->filter;
	size_t length = strlen(filter);

	switch (key) {
	case KEY_ESCAPE:
		filter[0] = '\0';
		screen->is_editing = false;
		break;
	case '\r':
	case '\n':
	case KEY_ENTER:
		screen->is_editing = false;
		break;
	case KEY_BACKSPACE:
	case '\b':
	case 127:
		remove_character(filter);
		break;
	default:
		if (key < ' ' || key > 255 || length + 1 >= FILTER_BYTES)
			return ACTION_NONE;
		filter[length] = (char)key;
		filter[length + 1] = '\0';
	}
	return ACTION_ORDER;
}

/* Escape outside the prompt: back to the whole list, out of the help. */
static enum action escape(struct screen *screen)
{
	screen->is_help = false;
	current(screen)->filter[0] = '\0';
	return ACTION_ORDER;
}

enum action keys_handle(struct screen *screen, int key)
{
	if (key == KEY_RESIZE)
		return ACTION_REPAINT;
	if (screen->is_editing)
		return edit(screen, key);
	if (key == KEY_ESCAPE)
		return escape(screen);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].code == key)
			return keys[i].handle(screen);
	return ACTION_NONE;
}
