/* SPDX-License-Identifier: MIT
 *
 * See settings.h. A setting's number in the table is its place in struct settings. Does not know:
 * which file a value is from.
 */
#include "settings.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 48 /* of what may be a name: what is longer is compared no further */
#define COLUMN 17

enum place { LINE, BOTH, LIVE };
enum kind { KIND_FLAG, KIND_TEXT, KIND_PATH, KIND_LEVEL, KIND_MODE, KIND_NUMBER };

#define FLAG { KIND_FLAG, 0, 1 }
#define TEXT { KIND_TEXT, 0, 0 }
#define PATH { KIND_PATH, 0, 0 }
#define LEVEL { KIND_LEVEL, 0, 0 }
#define MODE { KIND_MODE, 0600, 0777 }
#define NUMBER(least, most) { KIND_NUMBER, least, most }

struct row {
	const char *name, *argument, *fallback, *text;
	enum place place;
	struct {
		enum kind kind;
		int64_t least, most;
	} kind;
};

static const struct row rows[] = {
#define OPTION(field, name, argument, fallback, place, kind, text)                                 \
	{ name, argument, fallback, text, place, kind },
#include "options.h"
#undef OPTION
};
static_assert(ARRAY_LEN(rows) == SETTINGS_COUNT, "one row for each field");

/* A flag without a value is on; --keep=no undoes what a configuration file says. */
static const struct option line_table[] = {
#define OPTION(field, name, argument, fallback, place, kind, text)                                 \
	{ name, (argument) ? required_argument : optional_argument, NULL,                          \
	  (int)(offsetof(struct settings, field) / sizeof(struct setting)) },
#include "options.h"
#undef OPTION
	{ 0 },
};

static int check_flag(const char *text, int64_t *ret_number, char *ret_reason)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };

	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i]) != 0)
			continue;
		*ret_number = i & 1;
		return 0;
	}
	snprintf(ret_reason, SETTINGS_REASON_BYTES, "'%.100s' is neither yes nor no", text);
	return -EINVAL;
}

static int check_level(const char *text, int64_t *ret_number, char *ret_reason)
{
	int level = log_level_of(text);

	*ret_number = level;
	if (level >= 0)
		return 0;
	snprintf(ret_reason, SETTINGS_REASON_BYTES,
		 "'%.100s' is no level: it is error, warning, info or debug", text);
	return -EINVAL;
}

static int check_number(const struct row *row, const char *text, int64_t *ret_number,
			char *ret_reason)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	*ret_number = number;
	if (end != text && !*end && errno == 0 && number >= row->kind.least &&
	    number <= row->kind.most)
		return 0;
	snprintf(ret_reason, SETTINGS_REASON_BYTES, "'%.100s' is not a number from %lld to %lld",
		 text, (long long)row->kind.least, (long long)row->kind.most);
	return -EINVAL;
}

/* Whoever is not its owner's is nobody's: mpd itself, and root, look there too. */
static int check_mode(const struct row *row, const char *text, int64_t *ret_number,
		      char *ret_reason)
{
	char *end;
	long mode = strtol(text, &end, 8);

	*ret_number = mode;
	if (text[0] >= '0' && text[0] <= '7' && !*end && mode <= row->kind.most &&
	    (mode & row->kind.least) == row->kind.least)
		return 0;
	snprintf(ret_reason, SETTINGS_REASON_BYTES,
		 "'%.100s' is no mode such as 0660: octal, at most 0777, rw for the owner", text);
	return -EINVAL;
}

static int check_text(const char *text, char *ret_reason)
{
	if (text[0])
		return 0;
	snprintf(ret_reason, SETTINGS_REASON_BYTES, "it is empty; leave it away instead");
	return -EINVAL;
}

static int check_path(const char *text, char *ret_reason)
{
	if (text[0] == '/')
		return 0;
	snprintf(ret_reason, SETTINGS_REASON_BYTES,
		 "'%.100s' is no absolute path: mpd has no directory of its own", text);
	return -EINVAL;
}

static int check(const struct row *row, const char *text, int64_t *ret_number, char *ret_reason)
{
	switch (row->kind.kind) {
	case KIND_FLAG:
		return check_flag(text, ret_number, ret_reason);
	case KIND_PATH:
		return check_path(text, ret_reason);
	case KIND_LEVEL:
		return check_level(text, ret_number, ret_reason);
	case KIND_MODE:
		return check_mode(row, text, ret_number, ret_reason);
	case KIND_NUMBER:
		return check_number(row, text, ret_number, ret_reason);
	default:
		return check_text(text, ret_reason);
	}
}

static struct setting *at(struct settings *settings, unsigned index)
{
	return (struct setting *)settings + index;
}

void settings_begin(struct settings *settings)
{
	char reason[SETTINGS_REASON_BYTES];

	memset(settings, 0, sizeof(*settings));
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		struct setting *setting = at(settings, i);

		setting->text = rows[i].fallback;
		if (setting->text && check(&rows[i], setting->text, &setting->number, reason) < 0)
			abort(); /* the table contradicts itself */
	}
}

unsigned settings_find(const char *name, size_t length)
{
	unsigned i = 0;

	while (i < SETTINGS_COUNT && (strncmp(rows[i].name, name, length) != 0 ||
				      rows[i].name[length]))
		i++;
	return i;
}

const char *settings_name(unsigned index)
{
	return rows[index].name;
}

bool settings_is_key(unsigned index)
{
	return rows[index].place != LINE;
}

bool settings_is_live(unsigned index)
{
	return rows[index].place == LIVE;
}

const struct setting *settings_at(const struct settings *settings, unsigned index)
{
	return (const struct setting *)settings + index;
}

void settings_copy(struct settings *to, const struct settings *from, unsigned index)
{
	*at(to, index) = *settings_at(from, index);
}

/* "yes" and "on" are the same. A quota's default holds where nobody set it, and only there. */
bool settings_differ(const struct settings *a, const struct settings *b, unsigned index)
{
	const struct setting *one = settings_at(a, index), *other = settings_at(b, index);

	if (one->is_given != other->is_given || !one->text || !other->text)
		return one->is_given != other->is_given;
	if (rows[index].kind.kind == KIND_TEXT || rows[index].kind.kind == KIND_PATH)
		return strcmp(one->text, other->text) != 0;
	return one->number != other->number;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned both = a < b ? a : b;

	return both < c ? both : c;
}

/* How many letters must be put in, left out or changed to make one of the other. */
static unsigned distance(const char *a, size_t a_length, const char *b)
{
	unsigned row[NAME_MAX_BYTES + 1];
	size_t b_length = strlen(b);

	for (unsigned j = 0; j <= b_length; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_length; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b_length; j++) {
			unsigned changed = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = least(row[j] + 1, row[j - 1] + 1, changed);
		}
	}
	return row[b_length];
}

const char *settings_closest_key(const char *name, size_t length)
{
	unsigned best = UINT32_MAX;
	const char *closest = "";

	if (length > NAME_MAX_BYTES)
		length = NAME_MAX_BYTES;
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		unsigned far;

		static_assert(NAME_MAX_BYTES > 32, "no option is longer");
		if (!settings_is_key(i))
			continue;
		far = distance(name, length, rows[i].name);
		if (far >= best)
			continue;
		best = far;
		closest = rows[i].name;
	}
	return closest;
}

int settings_take(struct settings *settings, unsigned index, const char *text,
		  char ret_reason[static SETTINGS_REASON_BYTES])
{
	struct setting *setting = at(settings, index);
	int64_t number = 0;
	int error = check(&rows[index], text, &number, ret_reason);

	if (error < 0 || setting->is_given)
		return error;
	*setting = (struct setting){ .text = text, .number = number, .is_given = true,
				     .is_of_file = true };
	return 0;
}

/* The last of two on one line counts. */
static int take_from_line(struct settings *settings, unsigned index, const char *text)
{
	char reason[SETTINGS_REASON_BYTES];

	at(settings, index)->is_given = false;
	if (settings_take(settings, index, text ? text : "yes", reason) == 0) {
		at(settings, index)->is_of_file = settings->of_file.number;
		return 0;
	}
	fprintf(stderr, "mpd: --%s: %s\n", rows[index].name, reason);
	return -EINVAL;
}

int settings_take_line(struct settings *settings, int count, char **arguments)
{
	int which;

	while ((which = getopt_long(count, arguments, "", line_table, NULL)) >= 0)
		if (which == '?' || take_from_line(settings, (unsigned)which, optarg) < 0)
			return -EINVAL;
	if (optind == count)
		return 0;
	fprintf(stderr, "mpd: what is '%s'?\n", arguments[optind]);
	return -EINVAL;
}

struct line {
	const char **arguments;
	unsigned count, most;
	char *room;
	size_t left;
};

static int append(struct line *line, unsigned index, const char *text)
{
	size_t bytes = (size_t)snprintf(line->room, line->left, "--%s=%s", rows[index].name,
					text) + 1;

	if (bytes > line->left || line->count == line->most)
		return -E2BIG;
	line->arguments[line->count++] = line->room;
	line->room += bytes;
	line->left -= bytes;
	return 0;
}

static int append_all(struct line *line, const struct settings *settings, bool of_file)
{
	int error = 0;

	for (unsigned i = 0; i < SETTINGS_COUNT && error == 0; i++) {
		const struct setting *setting = settings_at(settings, i);

		if (setting->is_given && settings_is_key(i) && setting->is_of_file == of_file)
			error = append(line, i, setting->text);
	}
	return error;
}

int settings_pass_on(const struct settings *settings, const char **ret_arguments, unsigned most,
		     char *room, size_t room_bytes)
{
	struct line line = { .arguments = ret_arguments, .most = most, .room = room,
			     .left = room_bytes };
	int error = append_all(&line, settings, false);

	if (error == 0)
		error = append(&line, settings_find("of-file", strlen("of-file")), "yes");
	if (error == 0)
		error = append_all(&line, settings, true);
	return error < 0 ? error : (int)line.count;
}

void settings_print_help(FILE *to)
{
	fprintf(to, "usage: mpd [OPTION]...\n"
		    "The daemon of libshm: hands out shared memory, notices deaths, repairs.\n\n");
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct row *row = &rows[i];

		fprintf(to, "  --%s %-*s %s", row->name, COLUMN - (int)strlen(row->name),
			row->argument ? row->argument : "", row->text);
		fprintf(to, row->fallback ? " (%s)\n" : "\n", row->fallback);
	}
}
