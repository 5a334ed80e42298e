/* SPDX-License-Identifier: MIT
 *
 * Draws the screen. Knows: which line goes where at which size; nothing is refused, lines and
 * columns of less weight leave first. Does not know: keys, samples.
 */
#include "screen_internal.h"
#include "view_help.h"

#include <ncurses.h>
#include <string.h>

/* Heights from which a line is shown; each leaves room for one row at least. */
#define HEIGHT_HEADER 3
#define HEIGHT_TABS 5
#define HEIGHT_KEYS 7
#define HEIGHT_METERS 10
#define HEIGHT_SENTENCE 12
/* From here on a long sentence may take a second line. */
#define HEIGHT_TWO_LINES 16
#define WIDTH_MARK 30

static void put(struct screen *screen, int y, enum style style, const char *text)
{
	terminal_put(&screen->terminal, y, 0, COLS, style, false, text);
}

/* As many lines as the text needs, at most what the height allows; returns the next line. */
static int put_wrapped(struct screen *screen, int y, enum style style, const char *text)
{
	int end = y + (LINES >= HEIGHT_TWO_LINES ? 2 : 1);

	while (*text && y < end) {
		put(screen, y++, style, text);
		text += terminal_fit(&screen->terminal, COLS, text);
	}
	return y;
}

static void draw_title(struct screen *screen, int y)
{
	struct text title = { 0 }, state = { 0 };
	int cells;

	text_add(&state, " ");
	format_age(&state, (int64_t)(screen->interval_s * 1e9));
	text_add(&state, screen->is_paused ? " PAUSED" : screen->error < 0 ? " ERROR" : " LIVE");
	cells = terminal_cells(&screen->terminal, state.bytes);
	cells = cells < COLS / 2 ? cells : 0;
	overview_title(&screen->show, (unsigned)(COLS - cells), &title);
	terminal_put(&screen->terminal, y, 0, COLS - cells, STYLE_TITLE, false, title.bytes);
	if (cells)
		terminal_put(&screen->terminal, y, COLS - cells, cells, STYLE_TITLE, false,
			     state.bytes);
}

static int draw_meters(struct screen *screen, int y)
{
	for (unsigned i = 0; i < OVERVIEW_METERS; i++) {
		struct text meter = { 0 };

		overview_meter(&screen->show, i, (unsigned)COLS, &meter);
		put(screen, y++, STYLE_PLAIN, meter.bytes);
	}
	return y;
}

static int put_alarm(struct screen *screen, int y, enum style style, const struct text *what)
{
	struct text alarm = { 0 };

	if (!what->used)
		return y;
	text_add(&alarm, "%s %s", screen->show.glyphs->alarm, what->bytes);
	return put_wrapped(screen, y, style, alarm.bytes);
}

/* The worst first; a missing mpd has a line of its own where there is room for two. */
static int draw_alarms(struct screen *screen, int y)
{
	struct text alarm = { 0 }, mpd = { 0 };

	if (screen->error < 0)
		text_add(&alarm, "%s", mp_strerror(screen->error));
	else
		overview_alarm(&screen->show, &alarm);
	y = put_alarm(screen, y, STYLE_ALARM, &alarm);
	model_add_mpd(&mpd, screen->model);
	if (screen->error >= 0 && (!alarm.used || LINES >= HEIGHT_TABS))
		y = put_alarm(screen, y, STYLE_WARN, &mpd);
	return y;
}

static void draw_tabs(struct screen *screen, int y)
{
	int x = 0;

	put(screen, y, STYLE_PLAIN, "");
	for (int i = 0; i < VIEW_COUNT; i++) {
		bool is_current = i == (int)screen->view;
		struct text tab = { 0 };
		int cells;

		text_add(&tab, is_current ? "[%d]%s" : " %d %s", i + 1, views[i]->title);
		cells = (int)tab.used;
		terminal_put(&screen->terminal, y, x, cells,
			     is_current ? STYLE_TAB : STYLE_PLAIN, false, tab.bytes);
		x += cells + 1;
	}
}

static enum style style_of(enum severity severity)
{
	static const enum style styles[] = {
		[SEVERITY_NONE] = STYLE_PLAIN, [SEVERITY_INFO] = STYLE_INFO,
		[SEVERITY_WARN] = STYLE_WARN, [SEVERITY_HIGH] = STYLE_HIGH,
		[SEVERITY_CRITICAL] = STYLE_HIGH,
	};

	return styles[severity];
}

static void put_cell(struct screen *screen, int y, int x, const struct column *column,
		     unsigned width, enum style style, bool is_selected, const char *text)
{
	if (column->is_right)
		terminal_put_right(&screen->terminal, y, x, (int)width, style, is_selected, text);
	else
		terminal_put(&screen->terminal, y, x, (int)width, style, is_selected, text);
}

static void draw_header(struct screen *screen, int y, int x, const struct placed *placed,
			unsigned count)
{
	struct browser *browser = &screen->browsers[screen->view];

	put(screen, y, STYLE_HEADER, "");
	for (unsigned i = 0; i < count; i++) {
		const struct column *column = &browser->view->columns[placed[i].column];
		struct text title = { 0 };

		text_add(&title, "%s", column->title);
		if (browser->sort == (int)placed[i].column)
			text_add(&title, "%s", browser->is_inverted ? screen->show.glyphs->up :
								      screen->show.glyphs->down);
		put_cell(screen, y, x, column, placed[i].width, STYLE_HEADER, false, title.bytes);
		x += (int)placed[i].width + 1;
	}
}

static void draw_row(struct screen *screen, int y, int x, const struct placed *placed,
		     unsigned count, unsigned index)
{
	struct browser *browser = &screen->browsers[screen->view];
	const void *row = browser->rows[index];
	bool is_selected = index == browser->cursor;
	enum style style = style_of(browser->view->severity(row));

	terminal_put(&screen->terminal, y, 0, COLS, style, is_selected,
		     x && is_selected ? screen->show.glyphs->mark : "");
	for (unsigned i = 0; i < count; i++) {
		const struct column *column = &browser->view->columns[placed[i].column];
		struct text text = { 0 };

		column->cell(&screen->show, row, &text);
		put_cell(screen, y, x, column, placed[i].width, style, is_selected, text.bytes);
		x += (int)placed[i].width + 1;
	}
}

static void draw_list(struct screen *screen, int y, int end)
{
	struct browser *browser = &screen->browsers[screen->view];
	struct placed placed[BROWSER_COLUMNS_MAX];
	int x = COLS >= WIDTH_MARK ? 2 : 0;
	unsigned count = browser_place(browser, (unsigned)(COLS - x),
				       screen->model->segment_count > 1, placed);

	if (LINES >= HEIGHT_HEADER)
		draw_header(screen, y++, x, placed, count);
	screen->page = end > y ? (unsigned)(end - y) : 0;
	browser_scroll(browser, screen->page);
	for (unsigned i = browser->top; y < end && i < browser->row_count; i++)
		draw_row(screen, y++, x, placed, count, i);
	if (!browser->row_count && y < end)
		terminal_put(&screen->terminal, y, x, COLS - x, STYLE_DIM, false,
			     browser->filter[0] ? "nothing matches the filter" :
						  browser->view->empty);
}

static void draw_help(struct screen *screen, int y, int end)
{
	struct text line = { 0 };

	while (screen->help_top && !help_line(screen->help_top, &line))
		screen->help_top--;
	screen->page = end > y ? (unsigned)(end - y) : 0;
	for (unsigned i = screen->help_top; y < end; i++, y++) {
		text_clear(&line);
		if (!help_line(i, &line))
			break;
		put(screen, y, STYLE_PLAIN, line.bytes);
	}
}

static void draw_sentence(struct screen *screen, int y)
{
	struct browser *browser = &screen->browsers[screen->view];
	struct text text = { 0 };

	if (browser->row_count)
		browser->view->describe(&screen->show, browser->rows[browser->cursor], &text);
	put_wrapped(screen, y, STYLE_DIM, text.bytes);
}

static void draw_keys(struct screen *screen, int y)
{
	struct browser *browser = &screen->browsers[screen->view];
	struct text text = { 0 };

	if (screen->is_editing || browser->filter[0])
		text_add(&text, "Filter: %s%s", browser->filter,
			 screen->is_editing ? "_  Enter keep  Esc all" : "  (Esc: all)");
	else
		text_add(&text, "1-4 Tab  / filter  > sort  I invert  Space pause  "
			 "+- interval  ? help  q quit");
	put(screen, y, STYLE_HEADER, text.bytes);
}

void draw_screen(struct screen *screen)
{
	int y = 0, end = LINES;

	erase();
	draw_title(screen, y++);
	if (LINES >= HEIGHT_METERS && screen->view == INDEX_view_overview && !screen->is_help)
		y = draw_meters(screen, y);
	if (LINES >= HEIGHT_HEADER)
		y = draw_alarms(screen, y);
	if (LINES >= HEIGHT_TABS)
		draw_tabs(screen, y++);
	if (LINES >= HEIGHT_KEYS || screen->is_editing)
		draw_keys(screen, --end);
	if (LINES >= HEIGHT_SENTENCE && !screen->is_help) {
		end -= LINES >= HEIGHT_TWO_LINES ? 2 : 1;
		draw_sentence(screen, end);
	}
	if (screen->is_help)
		draw_help(screen, y, end);
	else
		draw_list(screen, y, end);
	refresh();
}
