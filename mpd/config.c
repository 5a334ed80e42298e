/* SPDX-License-Identifier: MIT
 *
 * See config.h. The file is read once, as a whole, and cut into pieces where it lies. Does not
 * know: which of its values are used in the end.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libshm/cc.h"

#define SYSTEM_PATH "/etc/libshm/mpd.conf"
#define USER_NAME "libshm/mpd.conf"
#define SECTION "[mpd]"

struct parser {
	struct config *config;
	const char *path;
	struct settings *settings;
	unsigned line;
	unsigned seen[SETTINGS_COUNT]; /* in which line; 0: not yet */
};

/* One printable line, whatever the file has in it. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 32 || *text == 127)
			*text = '?';
}

static int complain(struct config *config, int error, const char *format, ...) printf_like(3, 4);

static int complain(struct config *config, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(config->error, sizeof(config->error), format, arguments);
	va_end(arguments);
	make_printable(config->error);
	return error;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Without the blanks at its ends. */
static char *trim(char *text)
{
	size_t length;

	while (is_blank(*text))
		text++;
	length = strlen(text);
	while (length > 0 && is_blank(text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

static int find_key(struct parser *parser, const char *key, unsigned *ret_index)
{
	unsigned index = settings_find(key, strlen(key));

	*ret_index = index;
	if (index == SETTINGS_COUNT)
		return complain(parser->config, -EINVAL,
				"%s:%u: there is no key '%.100s'; the closest is '%s'",
				parser->path, parser->line, key,
				settings_closest_key(key, strlen(key)));
	if (!settings_is_key(index))
		return complain(parser->config, -EINVAL,
				"%s:%u: '%s' belongs on the command line (--%s)", parser->path,
				parser->line, key, key);
	if (parser->seen[index])
		return complain(parser->config, -EINVAL, "%s:%u: '%s' was set in line %u already",
				parser->path, parser->line, key, parser->seen[index]);
	parser->seen[index] = parser->line;
	return 0;
}

static int take_pair(struct parser *parser, const char *key, const char *value)
{
	char reason[SETTINGS_REASON_BYTES];
	unsigned index;
	int error = find_key(parser, key, &index);

	if (error < 0 || settings_take(parser->settings, index, value, reason) == 0)
		return error;
	return complain(parser->config, -EINVAL, "%s:%u: %s: %s%s", parser->path, parser->line,
			key, reason,
			strchr(value, '#') ? "; a comment has a line of its own" : "");
}

static int take_line(struct parser *parser, char *text)
{
	char *sign;

	text = trim(text);
	if (!text[0] || text[0] == '#' || text[0] == ';' || strcmp(text, SECTION) == 0)
		return 0;
	if (text[0] == '[')
		return complain(parser->config, -EINVAL,
				"%s:%u: there is no section '%.100s'; the only one is " SECTION,
				parser->path, parser->line, text);
	sign = strchr(text, '=');
	if (!sign)
		return complain(parser->config, -EINVAL, "%s:%u: '%.100s' is not KEY = VALUE",
				parser->path, parser->line, text);
	*sign = '\0';
	return take_pair(parser, trim(text), trim(sign + 1));
}

/* The length of the line, or an error where it is none. */
static int check_line(struct parser *parser, const char *text, size_t bytes)
{
	const char *end = memchr(text, '\n', bytes);
	size_t length = end ? (size_t)(end - text) : bytes;

	if (length > CONFIG_LINE_BYTES)
		return complain(parser->config, -EINVAL, "%s:%u: the line is longer than %d bytes",
				parser->path, parser->line, CONFIG_LINE_BYTES);
	if (memchr(text, '\0', length))
		return complain(parser->config, -EINVAL, "%s:%u: a zero byte: this is no text",
				parser->path, parser->line);
	return (int)length;
}

int config_parse(struct config *config, const char *path, size_t bytes, struct settings *settings)
{
	struct parser parser = { .config = config, .path = path, .settings = settings };

	config->text[bytes] = '\0';
	for (size_t at = 0; at < bytes;) {
		char *text = config->text + at;
		int length, error;

		parser.line++;
		length = check_line(&parser, text, bytes - at);
		if (length < 0)
			return length;
		text[length] = '\0';
		error = take_line(&parser, text);
		if (error < 0)
			return error;
		at += (size_t)length + 1;
	}
	return 0;
}

const char *config_distrust(const struct stat *about, unsigned uid)
{
	if (!S_ISREG(about->st_mode))
		return "it is not a file";
	if (about->st_uid != 0 && about->st_uid != uid)
		return "it belongs to another user; it must be yours or root's";
	if (about->st_mode & (S_IWGRP | S_IWOTH))
		return "others may write to it; chmod go-w it";
	return NULL;
}

static int read_all(struct config *config, const char *path, int fd, size_t *ret_bytes)
{
	size_t used = 0;

	while (used <= CONFIG_FILE_BYTES) {
		ssize_t bytes = read(fd, config->text + used, CONFIG_FILE_BYTES + 1 - used);

		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes < 0)
			return complain(config, -errno, "%s: %s", path, strerror(errno));
		if (bytes == 0) {
			*ret_bytes = used;
			return 0;
		}
		used += (size_t)bytes;
	}
	return complain(config, -EINVAL, "%s: it is larger than %d bytes", path,
			CONFIG_FILE_BYTES);
}

/* What was checked is what is read: the path may be another file's by then. */
static int read_checked(struct config *config, const char *path, int fd, size_t *ret_bytes)
{
	const char *distrust;
	struct stat about;

	if (fstat(fd, &about) < 0)
		return complain(config, -errno, "%s: %s", path, strerror(errno));
	distrust = config_distrust(&about, geteuid());
	if (distrust)
		return complain(config, -EPERM, "%s: %s", path, distrust);
	return read_all(config, path, fd, ret_bytes);
}

int config_read(struct config *config, const char *path, struct settings *settings)
{
	/* A pipe of that name must not stop us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t bytes = 0;
	int error;

	if (fd < 0)
		return complain(config, -errno, "%s: %s", path, strerror(errno));
	error = read_checked(config, path, fd, &bytes);
	close(fd);
	return error < 0 ? error : config_parse(config, path, bytes, settings);
}

int config_default_path(bool is_system, char ret_path[static CONFIG_PATH_BYTES])
{
	const char *folder = secure_getenv("XDG_CONFIG_HOME");
	const char *between = "";
	int length;

	if (is_system)
		return snprintf(ret_path, CONFIG_PATH_BYTES, "%s", SYSTEM_PATH) < 0;
	if (!folder || folder[0] != '/') {
		folder = secure_getenv("HOME");
		between = "/.config";
	}
	if (!folder || folder[0] != '/')
		return -ENOENT;
	length = snprintf(ret_path, CONFIG_PATH_BYTES, "%s%s/%s", folder, between, USER_NAME);
	return length < CONFIG_PATH_BYTES ? 0 : -ENOENT;
}
