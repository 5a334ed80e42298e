/* SPDX-License-Identifier: MIT
 *
 * What mpd can be told: OPTION(field, "name", "ARGUMENT" or NULL, default or NULL, place, kind,
 * "what it does"). Knows: every option there is; the command line, the configuration file, --help
 * and what a supervisor passes on are made from it. Does not know: what they do.
 *
 *   place  LINE: of this run, command line only    BOTH: also a key of the configuration file
 *          LIVE: a key that is obeyed anew at SIGHUP
 *   kind   FLAG  TEXT  PATH  LEVEL  MODE  NUMBER(least, most)
 */
OPTION(config, "config", "PATH", NULL, LINE, TEXT,
       "read this file; else mpd.conf of the user or the system, if there is one")
OPTION(endpoint, "endpoint", "PATH", NULL, BOTH, TEXT,
       "serve this socket; else $MP_ENDPOINT, else the user's own")
OPTION(foreground, "foreground", NULL, NULL, LINE, FLAG,
       "stay attached to the terminal and log to stderr")
OPTION(supervise, "supervise", NULL, NULL, LINE, FLAG,
       "keep the descriptors in a parent, restart if killed")
OPTION(system, "system", NULL, NULL, BOTH, FLAG,
       "serve every user, at /run/libshm/mpd.sock or --endpoint")
OPTION(user, "user", "NAME", NULL, BOTH, TEXT, "with --system: become that user first")
OPTION(socket_mode, "socket-mode", "MODE", "0666", BOTH, MODE,
       "with --system: who may connect, as for a file")
OPTION(socket_group, "socket-group", "NAME", NULL, BOTH, TEXT,
       "with --system: the group that the mode speaks of")
OPTION(keep, "keep", NULL, NULL, LIVE, FLAG, "stay when nobody uses it")
OPTION(grace, "grace", "MS", "1000", LIVE, NUMBER(0, 86400000), "leave when unused for that long")
OPTION(log, "log", "LEVEL", "info", LIVE, LEVEL, "error, warning, info or debug")
OPTION(log_file, "log-file", "PATH", NULL, BOTH, PATH,
       "log to this file, opened anew at SIGHUP, instead of stderr")
#define QUOTA(id, field, name, fallback, text)                                                     \
	OPTION(field, name, "N", fallback, LIVE, NUMBER(0, INT64_MAX), text)
#include "libshm/tbl/quotas.h"
#undef QUOTA
OPTION(reload, "reload", "PATH", NULL, LINE, TEXT,
       "of a supervisor: what is read at SIGHUP, and not before")
OPTION(of_file, "of-file", NULL, NULL, LINE, FLAG, "of a supervisor: what follows was read there")
OPTION(version, "version", NULL, NULL, LINE, FLAG, "print the version and end")
OPTION(help, "help", NULL, NULL, LINE, FLAG, "print this and end")
