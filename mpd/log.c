/* SPDX-License-Identifier: MIT
 *
 * See log.h. One write(2) for each line, so that lines of two processes do not mix. Does not know:
 * the event loop; whoever has one sets an alarm.
 */
#include "log.h"

#include "limit.h"

#include "libshm/clock.h"
#include "libshm/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RING_LINES 128 /* a power of two: the counter may wrap */
#define LINE_BYTES 1024 /* the longest sentence with the longest names and paths is half */

static const char *const level_names[] = { "error", "warning", "info", "debug" };
static const char journal_levels[] = { '3', '4', '6', '7' };

static enum log_level shown = LOG_LEVEL_INFO;
static char ring[RING_LINES][LINE_BYTES];
static unsigned written;
static int log_fd = STDERR_FILENO; /* -1: nobody listens */
static const char *log_path;
static void (*alarm_fn)(int64_t deadline_ns);

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
	if (log_fd == STDERR_FILENO)
		log_fd = -1;
}

/* Never 0 to 2: what is closed there is opened anew as /dev/null later. */
static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW |
			    O_NONBLOCK, 0640);
	int high;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd < 0 ? -errno : fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return high < 0 ? -errno : high;
}

int log_open(const char *path)
{
	int fd = open_file(path);

	if (fd < 0)
		return fd;
	if (log_path)
		close(log_fd);
	log_fd = fd;
	log_path = path;
	return 0;
}

int log_reopen(void)
{
	int error = log_path ? log_open(log_path) : 0;

	if (error < 0)
		log_error("the log file %s cannot be opened anew (%s): lines go on to where it was "
			  "before; mend that and send SIGHUP again", log_path, strerror(-error));
	return error;
}

void log_set_alarm(void (*alarm)(int64_t deadline_ns))
{
	alarm_fn = alarm;
}

static void emit(const char *line)
{
	char text[LINE_BYTES + 1];
	int length = snprintf(text, sizeof(text), "%s\n", line);

	if (log_fd >= 0 && write(log_fd, text, (size_t)length) < 0)
		return; /* no room there: the ring has it */
}

/* The variable is inherited by whoever is started: it counts where stderr is that stream. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat about;

	return stream && log_fd == STDERR_FILENO &&
	       sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(log_fd, &about) == 0 && about.st_dev == device && about.st_ino == inode;
}

static int prefix(enum log_level level, char *line)
{
	struct timespec now;
	struct tm local;
	int used;

	if (is_journal())
		return snprintf(line, LINE_BYTES, "<%c>", journal_levels[level]);
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	used = (int)strftime(line, LINE_BYTES, "%Y-%m-%d %H:%M:%S", &local);
	return used + snprintf(line + used, LINE_BYTES - (size_t)used, ".%03ld mpd[%d] %s: ",
			       now.tv_nsec / 1000000, (int)getpid(), level_names[level]);
}

/* Names are others' words: they must not look like lines of ours. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 32 || *text == 127)
			*text = '?';
}

static void say(enum log_level level, const char *text)
{
	char *line = ring[written++ % RING_LINES];
	int used = prefix(level, line);
	size_t left = LINE_BYTES - (size_t)used;

	if ((size_t)snprintf(line + used, left, "%s", text) >= left)
		text_mark_cut(line, LINE_BYTES);
	make_printable(line);
	if (level <= shown)
		emit(line);
}

static void leave_out(enum log_level level, const char *format, const char *text)
{
	int64_t deadline_ns;

	limit_leave_out(format, level, text);
	deadline_ns = limit_deadline();
	if (alarm_fn && level <= shown && deadline_ns != INT64_MAX)
		alarm_fn(deadline_ns);
}

static void tell_over(int64_t now_ns)
{
	char text[LIMIT_TEXT_BYTES + 100];
	struct limit_over over;

	while (limit_next_over(now_ns, &over)) {
		snprintf(text, sizeof(text), "%u more like this were left out in %d s: %s",
			 over.left_out, (int)(LIMIT_WINDOW_NS / 1000000000), over.text);
		say((enum log_level)over.level, text);
	}
}

void log_settle_all(void)
{
	tell_over(INT64_MAX);
}

void log_settle(void)
{
	tell_over(clock_now_ns());
	if (alarm_fn && limit_deadline() != INT64_MAX)
		alarm_fn(limit_deadline());
}

/* Whoever asks for debug wants all of it; hidden, it must not flood the ring either. */
static bool is_limited(enum log_level level)
{
	return level != LOG_LEVEL_DEBUG || shown != LOG_LEVEL_DEBUG;
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[LINE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	if (vsnprintf(text, sizeof(text), format, arguments) >= (int)sizeof(text))
		text_mark_cut(text, sizeof(text));
	va_end(arguments);
	log_settle();
	if (is_limited(level) && !limit_allows(format, clock_now_ns()))
		leave_out(level, format, text);
	else
		say(level, text);
}

void log_dump(void)
{
	for (unsigned i = 0; i < RING_LINES; i++) {
		const char *line = ring[(written + i) % RING_LINES];

		if (line[0])
			emit(line);
	}
}
