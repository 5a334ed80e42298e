/* SPDX-License-Identifier: MIT
 *
 * One write(2) for each line, so that lines of two processes do not mix. Knows: see log.h.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RING_LINES 128 /* a power of two: the counter may wrap */
#define LINE_BYTES 256

static const char *const level_names[] = { "error", "warning", "info", "debug" };
static const char journal_levels[] = { '3', '4', '6', '7' };

static enum log_level shown = LOG_LEVEL_INFO;
static char ring[RING_LINES][LINE_BYTES];
static unsigned written;
static int log_fd = STDERR_FILENO; /* -1: nobody listens */

int log_level_of(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(level_names); i++)
		if (strcmp(name, level_names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

void log_set_level(enum log_level level)
{
	shown = level;
}

void log_be_silent(void)
{
	log_fd = -1;
}

static void emit(const char *line)
{
	char text[LINE_BYTES + 1];
	int length = snprintf(text, sizeof(text), "%s\n", line);

	if (log_fd >= 0 && write(log_fd, text, (size_t)length) < 0)
		return; /* no room there: the ring has it */
}

static int prefix(enum log_level level, char *line)
{
	struct timespec now;
	struct tm local;

	if (getenv("JOURNAL_STREAM"))
		return snprintf(line, LINE_BYTES, "<%c>", journal_levels[level]);
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	return snprintf(line, LINE_BYTES, "%02d:%02d:%02d mpd[%d]: ", local.tm_hour, local.tm_min,
			local.tm_sec, (int)getpid());
}

void log_line(enum log_level level, const char *format, ...)
{
	char *line = ring[written++ % RING_LINES];
	int used = prefix(level, line);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line + used, LINE_BYTES - (size_t)used, format, arguments);
	va_end(arguments);
	if (level <= shown)
		emit(line);
}

void log_dump(void)
{
	for (unsigned i = 0; i < RING_LINES; i++) {
		const char *line = ring[(written + i) % RING_LINES];

		if (line[0])
			emit(line);
	}
}
