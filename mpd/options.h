/* SPDX-License-Identifier: MIT
 *
 * mpd's command line: OPTION(field, "name", "ARGUMENT" or NULL, "what it does"). Knows: every
 * option there is; the parser and --help are made from it. Does not know: what they do.
 */
OPTION(endpoint, "endpoint", "PATH", "serve this socket; else $MP_ENDPOINT, else the user's own")
OPTION(is_foreground, "foreground", NULL, "stay attached to the terminal and log to stderr")
OPTION(is_supervised, "supervise", NULL, "keep the descriptors in a parent, restart if killed")
OPTION(is_kept, "keep", NULL, "stay when nobody uses it")
OPTION(grace, "grace", "MS", "leave when unused for that long (1000)")
OPTION(level, "log", "LEVEL", "error, warning, info or debug (info)")
OPTION(is_version, "version", NULL, "print the version and end")
OPTION(is_help, "help", NULL, "print this and end")
