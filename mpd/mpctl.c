/* SPDX-License-Identifier: MIT
 *
 * mpctl: libshm from the command line. Knows: the tables in mpctl.h, how a command line is read.
 * Does not know: what commands do.
 */
#include "mpctl.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX 1e9

struct command {
	const char *name;
	const char *letters; /* of the options it takes */
	int (*run)(const struct mpctl *ctl);
};

static const struct command commands[] = {
#define COMMAND(name, arguments, options, help) { #name, options, command_##name },
	COMMANDS
#undef COMMAND
};

enum option_letter {
#define OPTION(name, long_name, letter, argument, help) OPTION_##name = letter,
	OPTIONS
#undef OPTION
};

static const struct option long_options[] = {
#define OPTION(name, long_name, letter, argument, help)                                            \
	{ long_name, (argument) != NULL ? required_argument : no_argument, NULL, letter },
	OPTIONS
#undef OPTION
	{ 0 }
};

/* Those that every command takes, or that make one needless. */
static const char everywhere[] = { OPTION_ENDPOINT, OPTION_HELP, OPTION_VERSION, '\0' };

static enum mpctl_parsed tell_help(void)
{
	puts("Usage: mpctl [OPTION]... COMMAND [ARGUMENT]...\n"
	     "Queues, locks and segments of libshm from the command line.\n");
#define COMMAND(name, arguments, options, help)                                                    \
	printf("  %-8s %-28s %s\n", #name, arguments, help);
	COMMANDS
#undef COMMAND
	putchar('\n');
#define OPTION(name, long_name, letter, argument, help)                                            \
	printf("  -%c, --%-13s %-7s  %s\n", letter, long_name,                               \
	       (argument) != NULL ? (argument) : "", help);
	OPTIONS
#undef OPTION
	puts("\nExit status: 0 done, 1 nothing there (in time), 2 wrong usage, 3 an error;\n"
	     "of lock: that of CMD, 128 and the signal that ended it, 124 not in time,\n"
	     "125 an error, 126 CMD cannot be run, 127 there is no CMD.");
	return PARSED_TOLD;
}

static enum mpctl_parsed tell_version(void)
{
	printf("mpctl %s\n", mp_version());
	return PARSED_TOLD;
}

static enum mpctl_parsed complain(const char *what, const char *value)
{
	mpctl_say("%s: %s", what, value);
	fputs("Try: mpctl --help\n", stderr);
	return PARSED_WRONG;
}

static enum mpctl_parsed parse_timeout(const char *value, struct mpctl *ctl)
{
	char *end;
	double seconds = strtod(value, &end);

	if (end == value || *end || !(seconds >= 0 && seconds <= SECONDS_MAX))
		return complain("not a number of seconds", value);
	ctl->timeout = (int64_t)(seconds * 1e9);
	ctl->has_timeout = true;
	return PARSED_COMMAND;
}

/* 4096, 64K, 1M, 2G; decimal digits only, so that -1 is no large number. */
static bool parse_number(const char *value, uint64_t most, uint64_t *ret_number)
{
	static const char units[] = "KMG";
	const char *unit;
	uint64_t number;
	char *end;

	if (value[0] < '0' || value[0] > '9')
		return false;
	errno = 0;
	number = strtoull(value, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (errno || (*end && (!unit || end[1])))
		return false;
	for (const char *at = units; unit && at <= unit; at++) {
		if (number > UINT64_MAX / 1024)
			return false;
		number *= 1024;
	}
	*ret_number = number;
	return number > 0 && number <= most;
}

static enum mpctl_parsed parse_size(const char *value, uint64_t most, uint64_t *ret_size)
{
	if (!parse_number(value, most, ret_size))
		return complain("not a number of that kind", value);
	return PARSED_COMMAND;
}

static enum mpctl_parsed parse_uint32(const char *value, uint32_t *ret_number)
{
	uint64_t number = 0;
	enum mpctl_parsed parsed = parse_size(value, UINT32_MAX, &number);

	if (parsed == PARSED_COMMAND)
		*ret_number = (uint32_t)number;
	return parsed;
}

static enum mpctl_parsed parse_mode(const char *value, struct mpctl *ctl)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);

	if (value[0] < '0' || value[0] > '7' || *end || mode == 0 || mode > 0777)
		return complain("not a mode from 1 to 777", value);
	ctl->mode = (uint32_t)mode;
	return PARSED_COMMAND;
}

/* Where an option without an argument is kept; NULL: it has one. */
static bool *switch_of(enum option_letter letter, struct mpctl *ctl)
{
	const struct {
		enum option_letter letter;
		bool *place;
	} switches[] = {
		{ OPTION_JSON, &ctl->is_json },         { OPTION_ALL, &ctl->is_all },
		{ OPTION_FOLLOW, &ctl->is_following },  { OPTION_NUL, &ctl->is_nul },
		{ OPTION_RAW, &ctl->is_raw },           { OPTION_CLOSE, &ctl->is_closing },
		{ OPTION_CREATE, &ctl->is_creating },   { OPTION_EXISTING, &ctl->is_existing },
		{ OPTION_FORCE, &ctl->is_forced },
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
		if (switches[i].letter == letter)
			return switches[i].place;
	return NULL;
}

/* The library finds the endpoint in the environment, and so does what lock runs. */
static enum mpctl_parsed set_endpoint(const char *value)
{
	if (setenv("MP_ENDPOINT", value, 1) < 0)
		return complain("cannot be the endpoint", value);
	return PARSED_COMMAND;
}

static enum mpctl_parsed take_value(enum option_letter letter, const char *value, struct mpctl *ctl)
{
	switch (letter) {
	case OPTION_ENDPOINT:
		return set_endpoint(value);
	case OPTION_FILE:
		ctl->file = value;
		return PARSED_COMMAND;
	case OPTION_TIMEOUT:
		return parse_timeout(value, ctl);
	case OPTION_COUNT:
		ctl->has_count = true;
		return parse_size(value, UINT64_MAX, &ctl->count);
	case OPTION_CAPACITY:
		return parse_uint32(value, &ctl->queue.capacity);
	case OPTION_BYTES:
		return parse_uint32(value, &ctl->queue.message_bytes);
	case OPTION_SIZE:
		return parse_size(value, UINT64_MAX, &ctl->size_bytes);
	case OPTION_MODE:
		return parse_mode(value, ctl);
	default:
		return PARSED_WRONG;
	}
}

static enum mpctl_parsed take_option(int letter, const char *value, struct mpctl *ctl)
{
	bool *place = switch_of((enum option_letter)letter, ctl);

	if (place) {
		*place = true;
		return PARSED_COMMAND;
	}
	if (letter == OPTION_HELP)
		return tell_help();
	if (letter == OPTION_VERSION)
		return tell_version();
	return take_value((enum option_letter)letter, value, ctl);
}

static enum mpctl_parsed refuse_option(int which, char **argv)
{
	return complain(which == ':' ? "needs an argument" : "no such option", argv[optind - 1]);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* getopt's form of the letters: "-", give words in their order, ":", say nothing yourself. */
static void short_options(char *ret_text)
{
	*ret_text++ = '-';
	*ret_text++ = ':';
	for (const struct option *option = long_options; option->name; option++) {
		*ret_text++ = (char)option->val;
		if (option->has_arg == required_argument)
			*ret_text++ = ':';
	}
	*ret_text = '\0';
}

static void add_word(struct mpctl *ctl, char *word)
{
	if (!ctl->command)
		ctl->command = word;
	else
		ctl->words[ctl->word_count++] = word;
}

/* What lock runs has options of its own: its words are not looked at. */
static bool is_complete(const struct mpctl *ctl)
{
	return ctl->word_count == 2 && strcmp(ctl->command, "lock") == 0;
}

static enum mpctl_parsed read_words(int argc, char **argv, struct mpctl *ctl, char *ret_used)
{
	char letters[2 * sizeof(long_options) / sizeof(long_options[0]) + 3];
	enum mpctl_parsed parsed = PARSED_COMMAND;
	int which;

	short_options(letters);
	opterr = 0;
	while (parsed == PARSED_COMMAND && !is_complete(ctl) &&
	       (which = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		if (which == 1) {
			add_word(ctl, optarg);
			continue;
		}
		if (which == '?' || which == ':')
			return refuse_option(which, argv);
		*ret_used++ = (char)which;
		parsed = take_option(which, optarg, ctl);
	}
	*ret_used = '\0';
	for (int i = optind; i < argc && parsed == PARSED_COMMAND; i++)
		add_word(ctl, argv[i]);
	return parsed;
}

static enum mpctl_parsed check_options(const struct command *command, const char *used)
{
	char text[] = "-?";

	for (; *used; used++) {
		if (strchr(command->letters, *used) || strchr(everywhere, *used))
			continue;
		text[1] = *used;
		mpctl_say("%s does not take the option %s", command->name, text);
		fputs("Try: mpctl --help\n", stderr);
		return PARSED_WRONG;
	}
	return PARSED_COMMAND;
}

/* `used` has room for each option of the command line. */
static enum mpctl_parsed parse(int argc, char **argv, struct mpctl *ctl, char *used)
{
	enum mpctl_parsed parsed = read_words(argc, argv, ctl, used);
	const struct command *command = find_command(ctl->command);

	if (parsed != PARSED_COMMAND)
		return parsed;
	if (!ctl->command)
		return complain("a command is missing", "list, info, put, get, lock, rm, snapshot");
	return command ? check_options(command, used) : complain("no such command", ctl->command);
}

static int run(int argc, char **argv, struct mpctl *ctl, char *used)
{
	enum mpctl_parsed parsed = parse(argc, argv, ctl, used);

	if (parsed == PARSED_TOLD)
		return mpctl_finish_output(EXIT_OK);
	return parsed == PARSED_WRONG ? EXIT_USAGE : find_command(ctl->command)->run(ctl);
}

/* Several letters may stand behind one dash. */
static size_t letters_most(int argc, char **argv)
{
	size_t most = 1;

	for (int i = 0; i < argc; i++)
		most += strlen(argv[i]) + 1;
	return most;
}

int main(int argc, char **argv)
{
	struct mpctl ctl = { .timeout = MP_FOREVER };
	char *used = calloc(letters_most(argc, argv), 1);
	int code = EXIT_ERROR;

	ctl.words = calloc((size_t)argc + 1, sizeof(*ctl.words));
	if (used && ctl.words)
		code = run(argc, argv, &ctl, used);
	else
		mpctl_say("out of memory");
	free(ctl.words);
	free(used);
	return code;
}
