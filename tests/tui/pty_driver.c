/* SPDX-License-Identifier: MIT
 *
 * A program on a terminal of our own. Knows: pseudo terminals, the sequences of ECMA-48 that
 * curses uses. Does not know: colours beyond counting them, what the program shows.
 */
#include "pty_driver.h"

#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLAIN, ESCAPE, BRACKET, CHARSET };

static void not_understood(struct pty *pty, const char *introducer, char final)
{
	fprintf(stderr, "not understood: escape %s%c\n", introducer, final);
	pty->unknown++;
}

static void blank(struct pty *pty, int y, int from, int until)
{
	for (int x = from; x < until && y < pty->rows; x++)
		pty->cells[y][x] = ' ';
}

/* Lines from `from` to the end of the region go down by `count` (up when negative); what is left is
 * blank. */
static void move_lines(struct pty *pty, int from, int count)
{
	for (int i = 0; i <= pty->bottom - from; i++) {
		int y = count > 0 ? pty->bottom - i : from + i;
		int source = y - count;

		if (source >= from && source <= pty->bottom)
			memcpy(pty->cells[y], pty->cells[source], sizeof(pty->cells[y]));
		else
			blank(pty, y, 0, pty->columns);
	}
}

static void feed_line(struct pty *pty)
{
	pty->is_wrapping = false;
	if (pty->y == pty->bottom)
		move_lines(pty, pty->top, -1);
	else if (pty->y + 1 < pty->rows)
		pty->y++;
}

static void put_character(struct pty *pty, uint32_t code)
{
	if (pty->is_wrapping) {
		pty->x = 0;
		feed_line(pty);
	}
	pty->cells[pty->y][pty->x] = code;
	pty->last = code;
	pty->non_ascii += code > 126;
	if (pty->x + 1 < pty->columns)
		pty->x++;
	else
		pty->is_wrapping = true;
}

static int parameter(const struct pty *pty, unsigned index, int otherwise)
{
	if (index >= pty->parameter_count || !pty->parameters[index])
		return otherwise;
	return pty->parameters[index];
}

static void place(struct pty *pty, int y, int x)
{
	pty->y = y < 0 ? 0 : y < pty->rows ? y : pty->rows - 1;
	pty->x = x < 0 ? 0 : x < pty->columns ? x : pty->columns - 1;
	pty->is_wrapping = false;
}

static void erase_display(struct pty *pty)
{
	int way = parameter(pty, 0, 0);
	int first = way == 0 ? pty->y + 1 : 0;
	int end = way == 1 ? pty->y : pty->rows;

	for (int y = first; y < end; y++)
		blank(pty, y, 0, pty->columns);
	if (way == 0)
		blank(pty, pty->y, pty->x, pty->columns);
	else if (way == 1)
		blank(pty, pty->y, 0, pty->x + 1);
}

static void erase_line(struct pty *pty)
{
	int way = parameter(pty, 0, 0);

	blank(pty, pty->y, way == 0 ? pty->x : 0, way == 1 ? pty->x + 1 : pty->columns);
}

/* Characters from the cursor on go right (or, negative, left). */
static void move_characters(struct pty *pty, int count)
{
	uint32_t line[PTY_COLUMNS_MAX];

	memcpy(line, pty->cells[pty->y], sizeof(line));
	for (int x = pty->x; x < pty->columns; x++) {
		int source = x - count;
		bool is_there = source >= pty->x && source < pty->columns;

		pty->cells[pty->y][x] = is_there ? line[source] : ' ';
	}
}

static void count_colours(struct pty *pty)
{
	for (unsigned i = 0; i < pty->parameter_count; i++)
		pty->colours += pty->parameters[i] >= 30 && pty->parameters[i] <= 48 &&
				pty->parameters[i] != 39;
}

/* Sequences that edit the screen; true if it was one. */
static bool edit_sequence(struct pty *pty, char final)
{
	int count = parameter(pty, 0, 1);

	switch (final) {
	case 'J':
		erase_display(pty);
		return true;
	case 'K':
		erase_line(pty);
		return true;
	case 'X':
		blank(pty, pty->y, pty->x, pty->x + count < pty->columns ? pty->x + count :
									    pty->columns);
		return true;
	case '@':
		move_characters(pty, count);
		return true;
	case 'P':
		move_characters(pty, -count);
		return true;
	case 'S':
		move_lines(pty, pty->top, -count);
		return true;
	case 'T':
		move_lines(pty, pty->top, count);
		return true;
	case 'L':
		move_lines(pty, pty->y, count);
		return true;
	case 'M':
		move_lines(pty, pty->y, -count);
		return true;
	case 'b':
		while (count--)
			put_character(pty, pty->last);
		return true;
	case 'm':
		count_colours(pty);
		return true;
	default:
		return false;
	}
}

static void move_sequence(struct pty *pty, char final)
{
	int count = parameter(pty, 0, 1);

	switch (final) {
	case 'A':
		place(pty, pty->y - count, pty->x);
		break;
	case 'B':
		place(pty, pty->y + count, pty->x);
		break;
	case 'C':
		place(pty, pty->y, pty->x + count);
		break;
	case 'D':
		place(pty, pty->y, pty->x - count);
		break;
	case 'G':
		place(pty, pty->y, count - 1);
		break;
	case 'd':
		place(pty, count - 1, pty->x);
		break;
	case 'H':
	case 'f':
		place(pty, count - 1, parameter(pty, 1, 1) - 1);
		break;
	case 'r':
		pty->top = count - 1;
		pty->bottom = parameter(pty, 1, pty->rows) - 1;
		assert_true(pty->top < pty->bottom && pty->bottom < pty->rows);
		place(pty, 0, 0);
		break;
	default:
		not_understood(pty, "[", final);
	}
}

static void take_bracket(struct pty *pty, char byte)
{
	if (byte >= '0' && byte <= '9') {
		int *value = &pty->parameters[pty->parameter_count ? pty->parameter_count - 1 : 0];

		pty->parameter_count += !pty->parameter_count;
		*value = *value * 10 + (byte - '0');
	} else if (byte == ';') {
		pty->parameter_count += pty->parameter_count ? 1 : 2;
		assert_true(pty->parameter_count < 16);
	} else if (byte == '?' || byte == '>' || byte == '!') {
		pty->is_private = true;
	} else {
		pty->state = PLAIN;
		/* Modes of keyboard, cursor and window draw nothing. */
		if (pty->is_private || byte == 'h' || byte == 'l' || byte == 't')
			return;
		if (!edit_sequence(pty, byte))
			move_sequence(pty, byte);
	}
}

static void take_escape(struct pty *pty, char byte)
{
	pty->state = PLAIN;
	switch (byte) {
	case '[':
		pty->state = BRACKET;
		pty->parameter_count = 0;
		memset(pty->parameters, 0, sizeof(pty->parameters));
		pty->is_private = false;
		break;
	case '(':
	case ')':
		pty->state = CHARSET;
		break;
	case 'M':
		if (pty->y == pty->top)
			move_lines(pty, pty->top, 1);
		else if (pty->y)
			pty->y--;
		break;
	case '7':
	case '8':
	case '=':
	case '>':
		break;
	default:
		not_understood(pty, "", byte);
	}
}

static void take_character(struct pty *pty, uint8_t byte)
{
	if (pty->code_left && (byte & 0xc0) == 0x80) {
		pty->code = pty->code << 6 | (byte & 0x3f);
		if (!--pty->code_left)
			put_character(pty, pty->code);
	} else if (byte >= 0xc0) {
		pty->code_left = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
		pty->code = byte & (0x3fu >> pty->code_left);
	} else {
		put_character(pty, byte);
	}
}

static void take_plain(struct pty *pty, uint8_t byte)
{
	switch (byte) {
	case 27:
		pty->state = ESCAPE;
		break;
	case '\r':
		place(pty, pty->y, 0);
		break;
	case '\n':
		feed_line(pty);
		break;
	case '\b':
		place(pty, pty->y, pty->x - 1);
		break;
	case '\t':
		place(pty, pty->y, (pty->x / 8 + 1) * 8);
		break;
	default:
		if (byte >= ' ')
			take_character(pty, byte);
	}
}

static void take(struct pty *pty, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (pty->state == ESCAPE)
			take_escape(pty, (char)bytes[i]);
		else if (pty->state == BRACKET)
			take_bracket(pty, (char)bytes[i]);
		else if (pty->state == CHARSET)
			pty->state = PLAIN;
		else
			take_plain(pty, bytes[i]);
	}
}

static void clear(struct pty *pty, int rows, int columns)
{
	pty->rows = rows;
	pty->columns = columns;
	pty->top = 0;
	pty->bottom = rows - 1;
	for (int y = 0; y < rows; y++)
		blank(pty, y, 0, columns);
	place(pty, 0, 0);
}

void pty_start(struct pty *pty, int rows, int columns, char *const *argv,
	       const char *const *environment)
{
	struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	memset(pty, 0, sizeof(*pty));
	clear(pty, rows, columns);
	pty->pid = forkpty(&pty->fd, NULL, NULL, &size);
	if (pty->pid < 0)
		harness_skip("no pseudo-terminal can be had here");
	if (pty->pid)
		return;
	for (; *environment; environment++)
		putenv(strdup(*environment));
	execv(argv[0], argv);
	_exit(127);
}

/* One read; false when nothing came in time or the program closed the terminal. */
static bool read_some(struct pty *pty, unsigned ms)
{
	struct pollfd wanted = { .fd = pty->fd, .events = POLLIN };
	uint8_t bytes[4096];
	ssize_t got;

	if (poll(&wanted, 1, (int)ms) <= 0)
		return false;
	got = read(pty->fd, bytes, sizeof(bytes));
	if (got <= 0) {
		harness_sleep_ms(ms);
		return false;
	}
	take(pty, bytes, (size_t)got);
	return true;
}

static bool expect(struct pty *pty, const char *text, bool is_wanted, unsigned ms)
{
	int64_t end = harness_now_ns() + (int64_t)ms * 1000000;

	for (;;) {
		/* A whole screen, not half of one. */
		while (read_some(pty, 5))
			;
		if ((pty_find(pty, text) >= 0) == is_wanted)
			return true;
		if (harness_now_ns() > end)
			break;
		read_some(pty, 20);
	}
	fprintf(stderr, "%s: \"%s\"\n", is_wanted ? "missing" : "still there", text);
	pty_dump(pty);
	return false;
}

bool pty_expect(struct pty *pty, const char *text, unsigned ms)
{
	return expect(pty, text, true, ms);
}

bool pty_expect_gone(struct pty *pty, const char *text, unsigned ms)
{
	return expect(pty, text, false, ms);
}

void pty_settle(struct pty *pty, unsigned ms)
{
	int64_t end = harness_now_ns() + (int64_t)ms * 1000000;

	while (harness_now_ns() < end)
		read_some(pty, 10);
}

void pty_send(struct pty *pty, const char *keys)
{
	assert_int_equal(write(pty->fd, keys, strlen(keys)), strlen(keys));
}

void pty_resize(struct pty *pty, int rows, int columns)
{
	struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	clear(pty, rows, columns);
	assert_int_equal(ioctl(pty->fd, TIOCSWINSZ, &size), 0);
}

const char *pty_line(const struct pty *pty, int y)
{
	static char line[PTY_COLUMNS_MAX + 1];

	for (int x = 0; x < pty->columns; x++)
		line[x] = pty->cells[y][x] < 127 ? (char)pty->cells[y][x] : '?';
	line[pty->columns] = '\0';
	return line;
}

int pty_find(const struct pty *pty, const char *text)
{
	for (int y = 0; y < pty->rows; y++)
		if (strstr(pty_line(pty, y), text))
			return y;
	return -1;
}

void pty_dump(const struct pty *pty)
{
	for (int y = 0; y < pty->rows; y++)
		fprintf(stderr, "|%s|\n", pty_line(pty, y));
}

int pty_end(struct pty *pty, unsigned ms)
{
	int64_t end = harness_now_ns() + (int64_t)ms * 1000000;
	int status = 0, result = -1000;
	pid_t ended = 0;

	/* Its last words must be read, or it could not end. */
	while (!ended && harness_now_ns() < end) {
		read_some(pty, 10);
		ended = waitpid(pty->pid, &status, WNOHANG);
	}
	if (ended == pty->pid)
		result = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	else
		harness_kill(pty->pid);
	if (pty->fd >= 0)
		close(pty->fd);
	pty->fd = -1;
	return result;
}
