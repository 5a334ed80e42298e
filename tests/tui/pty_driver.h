/* SPDX-License-Identifier: MIT
 *
 * A program on a terminal of our own. Knows: pseudo terminals, the escape sequences that curses
 * sends to an xterm or a vt100. Does not know: what the program shows.
 */
#ifndef TESTS_TUI_PTY_DRIVER_H
#define TESTS_TUI_PTY_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PTY_ROWS_MAX 80
#define PTY_COLUMNS_MAX 240

struct pty {
	pid_t pid;
	int fd;
	int rows, columns, y, x;
	int top, bottom;  /* scrolling region, both in it */
	bool is_wrapping; /* the cursor is behind the last column */
	uint32_t cells[PTY_ROWS_MAX][PTY_COLUMNS_MAX]; /* code points */
	int state;
	int parameters[16];
	unsigned parameter_count;
	bool is_private;
	uint32_t code; /* of the UTF-8 character that is being read */
	unsigned code_left;
	uint32_t last;      /* character, for "repeat" */
	unsigned colours;   /* sequences that chose a colour */
	unsigned non_ascii; /* characters beyond ASCII that were ever drawn */
	unsigned unknown;   /* sequences that were not understood: the test must fail */
};

/* argv[0] is the path; `environment` ends with NULL and is added to this process's. */
void pty_start(struct pty *pty, int rows, int columns, char *const *argv,
	       const char *const *environment);

/* Read until the screen contains `text` (or no longer does); false when `ms` are over. */
bool pty_expect(struct pty *pty, const char *text, unsigned ms);
bool pty_expect_gone(struct pty *pty, const char *text, unsigned ms);
/* Read for that long. */
void pty_settle(struct pty *pty, unsigned ms);

void pty_send(struct pty *pty, const char *keys);
void pty_resize(struct pty *pty, int rows, int columns);

/* Line `y` as ASCII, every other character as '?'; good until the next call. */
const char *pty_line(const struct pty *pty, int y);
/* The line that contains the text, -1. */
int pty_find(const struct pty *pty, const char *text);
/* To stderr, for a test that fails. */
void pty_dump(const struct pty *pty);

/* Wait for the program's end: its exit code, minus the signal, or -1000 when `ms` are over (it is
 * killed then). Closes the terminal. */
int pty_end(struct pty *pty, unsigned ms);

#endif
