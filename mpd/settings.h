/* SPDX-License-Identifier: MIT
 *
 * What mpd was told. Knows: the table in options.h, the command line, which values make sense. Does
 * not know: the configuration file (config.h), what a setting does.
 */
#ifndef MPD_SETTINGS_H
#define MPD_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SETTINGS_REASON_BYTES 320

struct setting {
	const char *text; /* as it was given, or the table's default; NULL: neither */
	int64_t number;   /* a flag: 0 or 1; a level: its rank; a number: itself */
	bool is_given;
	bool is_of_file; /* given there and not on the command line */
};

struct settings {
#define OPTION(field, name, argument, fallback, place, kind, text) struct setting field;
#include "options.h"
#undef OPTION
};

#define SETTINGS_COUNT (sizeof(struct settings) / sizeof(struct setting))

/* Nothing but the defaults. */
void settings_begin(struct settings *settings);

/* A setting's place in the table, SETTINGS_COUNT for none of that name. Names need not end. */
unsigned settings_find(const char *name, size_t length);
const char *settings_name(unsigned index);
bool settings_is_key(unsigned index);  /* may be in the configuration file */
bool settings_is_live(unsigned index); /* and may change while mpd runs */
const struct setting *settings_at(const struct settings *settings, unsigned index);
bool settings_differ(const struct settings *a, const struct settings *b, unsigned index);

/* Take one over, whatever was there. */
void settings_copy(struct settings *to, const struct settings *from, unsigned index);

/* The key of the configuration file that looks most like this. */
const char *settings_closest_key(const char *name, size_t length);

/* Check and take a value of the file; `text` must live as long as the settings. What was given
 * before stays. 0, or -EINVAL and why. */
int settings_take(struct settings *settings, unsigned index, const char *text,
		  char ret_reason[static SETTINGS_REASON_BYTES]);

/* Take the command line. 0, or -EINVAL and stderr was told why. */
int settings_take_line(struct settings *settings, int count, char **arguments);

/* All that was given and may be in a file as "--name=value", one after the other in `room`, for
 * another mpd's command line, what was in the file last: how many, or -E2BIG. */
int settings_pass_on(const struct settings *settings, const char **ret_arguments, unsigned most,
		     char *room, size_t room_bytes);

void settings_print_help(FILE *to);

#endif
