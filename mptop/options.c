/* SPDX-License-Identifier: MIT
 *
 * Reads the command line. Knows: the table in options.h. Does not know: what options do.
 */
#include "options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_MIN 0.1
#define DELAY_MAX 3600.0
#define DELAY_DEFAULT 1.0

enum option_number {
#define OPTION(name, long_name, short_name, argument, help) OPTION_##name = short_name,
	OPTIONS
#undef OPTION
};

static const struct option long_options[] = {
#define OPTION(name, long_name, short_name, argument, help)                                        \
	{ long_name, (argument) != NULL ? required_argument : no_argument, NULL, short_name },
	OPTIONS
#undef OPTION
	{ 0 }
};

void options_help(FILE *out)
{
	fputs("Usage: mptop [OPTION]...\n"
	      "Processes, locks and queues of libshm, live. Changes nothing.\n\n", out);
#define OPTION(name, long_name, short_name, argument, help)                                        \
	fprintf(out, "  -%c, --%-10s %-8s %s\n", short_name, long_name,                            \
		(argument) != NULL ? (argument) : "", help);
	OPTIONS
#undef OPTION
	fputs("\nExit status: 0 fine, 1 failed, 2 wrong usage, 3 a deadlock with "
	      "--fail-on=deadlock.\n", out);
}

static int complain(const char *what, const char *value)
{
	fprintf(stderr, "mptop: %s: %s\nTry: mptop --help\n", what, value);
	return -1;
}

static int parse_delay(const char *value, struct options *options)
{
	char *end;
	double delay = strtod(value, &end);

	if (end == value || *end || !(delay >= DELAY_MIN && delay <= DELAY_MAX))
		return complain("not a number of seconds from 0.1 to 3600", value);
	options->delay_s = delay;
	options->has_delay = true;
	return 0;
}

static int parse_samples(const char *value, struct options *options)
{
	char *end;
	long samples = strtol(value, &end, 10);

	if (end == value || *end || samples < 1 || samples > 1000000000)
		return complain("not a number of samples", value);
	options->samples = (unsigned)samples;
	return 0;
}

static int parse_view(const char *value, struct options *options)
{
	for (int i = 0; i < VIEW_COUNT; i++) {
		if (strcmp(views[i]->name, value) != 0)
			continue;
		options->view = i;
		return 0;
	}
	return complain("no such view", value);
}

static int parse_fail_on(const char *value, struct options *options)
{
	if (strcmp(value, "deadlock") != 0)
		return complain("cannot fail on that", value);
	options->fails_on_deadlock = true;
	return 0;
}

static int tell(enum option_number which)
{
	if (which == OPTION_HELP)
		options_help(stdout);
	else
		printf("mptop %s\n", mp_version());
	return 1;
}

static int take_option(int which, const char *value, struct options *options)
{
	switch (which) {
	case OPTION_ENDPOINT:
		options->endpoint = value;
		return 0;
	case OPTION_FILE:
		options->file = value;
		return 0;
	case OPTION_DELAY:
		return parse_delay(value, options);
	case OPTION_SAMPLES:
		return parse_samples(value, options);
	case OPTION_VIEW:
		return parse_view(value, options);
	case OPTION_FAIL_ON:
		return parse_fail_on(value, options);
	case OPTION_ONCE:
		options->is_once = true;
		return 0;
	case OPTION_JSON:
		options->is_json = true;
		return 0;
	case OPTION_ASCII:
		options->is_ascii = true;
		return 0;
	case OPTION_NO_COLOR:
		options->is_colourless = true;
		return 0;
	case OPTION_HELP:
	case OPTION_VERSION:
		return tell((enum option_number)which);
	default:
		fputs("Try: mptop --help\n", stderr);
		return -1;
	}
}

/* getopt's form of the short options. */
static void short_options(char *ret_text)
{
	for (const struct option *option = long_options; option->name; option++) {
		*ret_text++ = (char)option->val;
		if (option->has_arg == required_argument)
			*ret_text++ = ':';
	}
	*ret_text = '\0';
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
	struct options options = { .delay_s = DELAY_DEFAULT, .view = -1 };
	const char *no_color = getenv("NO_COLOR");
	char shorts[2 * sizeof(long_options) / sizeof(long_options[0]) + 1];
	int which, result;

	short_options(shorts);
	while ((which = getopt_long(argc, argv, shorts, long_options, NULL)) != -1) {
		result = take_option(which, optarg, &options);
		if (result)
			return result;
	}
	if (optind < argc)
		return complain("what is this", argv[optind]);
	if (options.samples > 0 && !options.is_json)
		options.is_once = true;
	if (no_color && no_color[0])
		options.is_colourless = true;
	*ret_options = options;
	return 0;
}
