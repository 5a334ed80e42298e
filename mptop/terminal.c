/* SPDX-License-Identifier: MIT
 *
 * A terminal of any size. Knows: curses, locales, how many cells a character takes. Does not know:
 * what is drawn.
 */
#include "terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <wchar.h>

#define ESCAPE_MS 25
#define CHARACTER_BYTES 6

static attr_t styles[STYLE_COUNT] = {
	[STYLE_PLAIN] = A_NORMAL, [STYLE_TITLE] = A_BOLD, [STYLE_HEADER] = A_REVERSE,
	[STYLE_TAB] = A_BOLD | A_UNDERLINE, [STYLE_DIM] = A_DIM, [STYLE_INFO] = A_NORMAL,
	[STYLE_WARN] = A_BOLD, [STYLE_HIGH] = A_BOLD, [STYLE_ALARM] = A_BOLD | A_REVERSE,
};

/* What is said of characters, as setlocale(3) reads it; "" where nothing is. */
static const char *said_locale(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && value[0])
			return value;
	}
	return "";
}

/* The user's locale; C.UTF-8 instead of one that means UTF-8 and is not installed. Where nothing is
 * said that is C: ASCII. */
static bool has_utf8(void)
{
	const char *said = said_locale();
	bool is_utf8_meant = strcasestr(said, "UTF-8") || strcasestr(said, "UTF8");

	if (!setlocale(LC_ALL, "") && !setlocale(LC_CTYPE, "") && is_utf8_meant)
		setlocale(LC_CTYPE, "C.UTF-8");
	/* Figures are written with a point, whatever the language. */
	setlocale(LC_NUMERIC, "C");
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void colour(enum style style, short pair, short foreground, attr_t more)
{
	init_pair(pair, foreground, -1);
	styles[style] = (attr_t)COLOR_PAIR(pair) | more;
}

static void open_colours(struct terminal *terminal, bool is_colourless)
{
	terminal->has_colours = !is_colourless && has_colors();
	if (!terminal->has_colours)
		return;
	start_color();
	if (use_default_colors() == ERR)
		assume_default_colors(COLOR_WHITE, COLOR_BLACK);
	colour(STYLE_TITLE, 1, COLOR_CYAN, A_BOLD);
	colour(STYLE_WARN, 2, COLOR_YELLOW, A_NORMAL);
	colour(STYLE_HIGH, 3, COLOR_RED, A_NORMAL);
	colour(STYLE_ALARM, 4, COLOR_RED, A_BOLD | A_REVERSE);
	colour(STYLE_INFO, 5, COLOR_GREEN, A_NORMAL);
}

int terminal_open(struct terminal *terminal, bool is_ascii, bool is_colourless)
{
	bool is_utf8 = has_utf8();
	SCREEN *screen = newterm(NULL, stdout, stdin);
	const char *place;

	if (!screen)
		return -ENOTTY;
	place = tigetstr("cup");
	if (!place || place == (const char *)-1) {
		endwin();
		delscreen(screen);
		return -ENOTTY;
	}
	terminal->is_ascii = is_ascii || !is_utf8;
	open_colours(terminal, is_colourless);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	curs_set(0);
	return 0;
}

void terminal_close(void)
{
	endwin();
}

/* The next character of `*text`: its bytes in `ret_bytes` as this terminal can show it, its cells;
 * -1 at the end. */
static int next_character(const struct terminal *terminal, const char **text, char *ret_bytes)
{
	mbstate_t state = { 0 };
	wchar_t wide;
	size_t length = mbrtowc(&wide, *text, strnlen(*text, CHARACTER_BYTES), &state);
	int cells;

	if (!**text)
		return -1;
	if (length > CHARACTER_BYTES || (terminal->is_ascii && (unsigned char)**text >= 0x80)) {
		/* One mark for a whole UTF-8 character, also where the locale knows none. */
		for ((*text)++; ((unsigned char)**text & 0xc0) == 0x80; (*text)++)
			;
		strcpy(ret_bytes, "?");
		return 1;
	}
	cells = wcwidth(wide);
	memcpy(ret_bytes, *text, length);
	ret_bytes[length] = '\0';
	*text += length;
	if (cells >= 0)
		return cells;
	strcpy(ret_bytes, "?");
	return 1;
}

int terminal_cells(const struct terminal *terminal, const char *text)
{
	char bytes[CHARACTER_BYTES + 1];
	int total = 0, cells;

	while ((cells = next_character(terminal, &text, bytes)) >= 0)
		total += cells;
	return total;
}

size_t terminal_fit(const struct terminal *terminal, int width, const char *text)
{
	const char *at = text, *end = text;
	char bytes[CHARACTER_BYTES + 1];
	int used = 0, cells;

	while ((cells = next_character(terminal, &at, bytes)) >= 0 &&
	       (used + cells <= width || end == text)) {
		used += cells;
		end = at;
	}
	return (size_t)(end - text);
}

static int clip(int y, int x, int width)
{
	int height_now, width_now;

	getmaxyx(stdscr, height_now, width_now);
	if (y < 0 || y >= height_now || x < 0 || x >= width_now)
		return 0;
	return width < width_now - x ? width : width_now - x;
}

void terminal_put(const struct terminal *terminal, int y, int x, int width, enum style style,
		  bool is_selected, const char *text)
{
	char bytes[CHARACTER_BYTES + 1];
	int used = 0, cells;

	width = clip(y, x, width);
	if (width <= 0)
		return;
	attrset((int)(styles[style] | (is_selected ? A_REVERSE : A_NORMAL)));
	move(y, x);
	while ((cells = next_character(terminal, &text, bytes)) >= 0 && used + cells <= width) {
		addstr(bytes);
		used += cells;
	}
	for (; used < width; used++)
		addch(' ');
	attrset(A_NORMAL);
}

void terminal_put_right(const struct terminal *terminal, int y, int x, int width, enum style style,
			bool is_selected, const char *text)
{
	int gap = width - terminal_cells(terminal, text);

	if (gap > 0)
		terminal_put(terminal, y, x, gap, style, is_selected, "");
	gap = gap > 0 ? gap : 0;
	terminal_put(terminal, y, x + gap, width - gap, style, is_selected, text);
}
