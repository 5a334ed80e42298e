/* SPDX-License-Identifier: MIT
 *
 * The options of mptop. Knows: one table for the parser, the help and their tests. Does not know:
 * what an option does.
 */
#ifndef MPTOP_OPTIONS_H
#define MPTOP_OPTIONS_H

#include "view.h"

#include <stdio.h>

/* OPTION(NAME, long, short or 0, argument or NULL, help) */
#define OPTIONS                                                                                    \
	OPTION(ENDPOINT, "endpoint", 'e', "PATH", "socket of mpd (default: as programs find it)")  \
	OPTION(FILE, "file", 'i', "FILE", "look at what mpctl snapshot saved")                     \
	OPTION(DELAY, "delay", 'd', "SECONDS", "time between two looks, at least 0.1 (default 1)") \
	OPTION(VIEW, "view", 'v', "NAME", "overview, procs, locks or queues")                      \
	OPTION(ONCE, "once", '1', NULL, "print everything as text and end")                        \
	OPTION(JSON, "json", 'j', NULL, "print one JSON object a line; once unless -n says more")  \
	OPTION(SAMPLES, "samples", 'n', "N", "with --once and --json: print N times")              \
	OPTION(FAIL_ON, "fail-on", 'f', "WHAT", "exit 3 on \"deadlock\" (with --once, --json)")    \
	OPTION(ASCII, "ascii", 'a', NULL, "draw with ASCII characters only")                       \
	OPTION(NO_COLOR, "no-color", 'C', NULL, "no colours (also when NO_COLOR is set)")          \
	OPTION(HELP, "help", 'h', NULL, "this text")                                               \
	OPTION(VERSION, "version", 'V', NULL, "version of mptop and libshm")

enum exit_code { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_DEADLOCK = 3 };

struct options {
	const char *endpoint;
	const char *file; /* NULL: look at the endpoint */
	double delay_s;
	bool has_delay;
	int view; /* enum view_index, -1 not said */
	bool is_once, is_json, fails_on_deadlock;
	bool is_ascii, is_colourless;
	unsigned samples; /* 0: not said */
};

/* Text of --help, made from the table. */
void options_help(FILE *out);

/* 0: go on; 1: all was said (help, version); -1: a mistake, told on stderr. */
int options_parse(int argc, char **argv, struct options *ret_options);

#endif
