/* SPDX-License-Identifier: MIT
 *
 * What the user sees while it runs: one line of progress, and lines between. Knows: terminals.
 * Does not know: what the figures mean.
 */
#include "screen.h"

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define TERMINAL_PERIOD_NS 200000000
#define FILE_PERIOD_NS 1000000000

static int64_t last_ns;
static bool is_line_open;

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void screen_progress(uint32_t files, uint32_t files_total, uint64_t bytes, int64_t elapsed_ns)
{
	static int is_terminal = -1;
	int64_t now = now_ns();

	if (is_terminal < 0)
		is_terminal = isatty(STDOUT_FILENO);
	if (now - last_ns < (is_terminal ? TERMINAL_PERIOD_NS : FILE_PERIOD_NS))
		return;
	last_ns = now;
	printf("%s%u/%u files  %.1f MB  %.1f MB/s%s", is_terminal ? "\r\033[K" : "", files,
	       files_total, (double)bytes / 1e6, (double)bytes * 1e3 / (double)(elapsed_ns + 1),
	       is_terminal ? "" : "\n");
	fflush(stdout);
	is_line_open = is_terminal;
}

void screen_end(void)
{
	if (is_line_open)
		putchar('\n');
	is_line_open = false;
	fflush(stdout);
}

void screen_line(const char *format, ...)
{
	va_list args;

	if (is_line_open)
		fputs("\r\033[K", stdout);
	is_line_open = false;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

const char *screen_safe(const char *text)
{
	static char *safe;
	mbstate_t state = { 0 };
	char *to;

	free(safe);
	to = safe = malloc(strlen(text) * 4 + 1);
	while (to && *text) {
		wchar_t wide;
		size_t len = mbrtowc(&wide, text, strlen(text), &state);

		if (len > MB_LEN_MAX || !iswprint((wint_t)wide)) {
			memset(&state, 0, sizeof(state));
			to += sprintf(to, "\\x%02x", (unsigned char)*text++);
			continue;
		}
		memcpy(to, text, len);
		to += len;
		text += len;
	}
	if (to)
		*to = '\0';
	return safe ? safe : "";
}
