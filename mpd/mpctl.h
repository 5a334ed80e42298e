/* SPDX-License-Identifier: MIT
 *
 * mpctl: its commands and options, each in one table, and what its files share. Knows: the command
 * line. Does not know: libshm's insides; it is an ordinary client and uses the public headers.
 */
#ifndef MPD_MPCTL_H
#define MPD_MPCTL_H

#include <libshm.h>
#include <libshm/observe.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* COMMAND(name, arguments, letters of the options it takes, help); command_<name> does it. */
#define COMMANDS                                                                                   \
	COMMAND(list, "", "ji", "segments: name, owner, mode, sizes, clients, kept")               \
	COMMAND(info, "SEGMENT[/OBJECT]", "ji", "memory, clients, objects, who holds, who waits")  \
	COMMAND(put, "SEGMENT/QUEUE [TEXT]...", "t0rcxQBSM",                                       \
		"each TEXT is a message; without any each line of stdin")                          \
	COMMAND(get, "SEGMENT/QUEUE", "jtnaF0rCQBSM", "write messages to stdout")                  \
	COMMAND(lock, "SEGMENT/LOCK -- CMD [ARG]...", "txSM", "run CMD while holding the lock")    \
	COMMAND(rm, "SEGMENT[/OBJECT]...", "f", "remove names; who uses them keeps them")          \
	COMMAND(snapshot, "SEGMENT FILE", "", "save a segment to look at later (--file)")

/* OPTION(NAME, long, letter, argument or NULL, help) */
#define OPTIONS                                                                                    \
	OPTION(ENDPOINT, "endpoint", 'e', "PATH", "socket of mpd (default: as programs find it)")  \
	OPTION(JSON, "json", 'j', NULL, "list, info, get: one JSON object a line")                 \
	OPTION(FILE, "file", 'i', "FILE", "list, info: look at what snapshot saved")               \
	OPTION(TIMEOUT, "timeout", 't', "SECONDS", "put, get, lock: wait no longer; 0: not at all")\
	OPTION(COUNT, "count", 'n', "N", "get: so many messages (default 1)")                      \
	OPTION(ALL, "all", 'a', NULL, "get: all that are there now")                               \
	OPTION(FOLLOW, "follow", 'F', NULL, "get: until the queue is closed and empty")            \
	OPTION(NUL, "null", '0', NULL, "put, get: messages end with NUL instead of a newline")     \
	OPTION(RAW, "raw", 'r', NULL, "put: stdin is one message; get: add nothing")               \
	OPTION(CLOSE, "close", 'c', NULL, "put: close the queue's input afterwards")               \
	OPTION(CREATE, "create", 'C', NULL, "get: make the queue if it is not there")              \
	OPTION(EXISTING, "existing", 'x', NULL, "put, lock: make nothing that is not there")       \
	OPTION(CAPACITY, "capacity", 'Q', "N", "of a queue that is made, in messages")             \
	OPTION(BYTES, "message-bytes", 'B', "SIZE", "of its largest message")                      \
	OPTION(SIZE, "size", 'S', "SIZE", "of a segment that is made, at most (K, M, G)")          \
	OPTION(MODE, "mode", 'M', "OCTAL", "of a segment that is made (default 0600)")             \
	OPTION(FORCE, "force", 'f', NULL, "rm: what is not there is no error")                     \
	OPTION(HELP, "help", 'h', NULL, "this text")                                               \
	OPTION(VERSION, "version", 'V', NULL, "version of mpctl and libshm")

enum mpctl_exit {
	EXIT_OK = 0,
	EXIT_NOTHING = 1, /* no such name, no message in time, no room in time */
	EXIT_USAGE = 2,
	EXIT_ERROR = 3,
	/* Of lock alone, where CMD's own codes must stay distinct: as timeout(1), env(1). */
	EXIT_LOCK_TIMEOUT = 124,
	EXIT_LOCK_ERROR = 125,
	EXIT_LOCK_NOT_RUN = 126,
	EXIT_LOCK_NOT_FOUND = 127
};

struct mpctl {
	const char *command;
	char **words; /* what follows the command, NULL behind the last */
	int word_count;
	const char *file;
	bool is_json, is_all, is_following, is_nul, is_raw, is_closing, is_creating, is_existing,
		is_forced;
	bool has_timeout, has_count;
	int64_t timeout; /* MP_FOREVER unless has_timeout */
	uint64_t count;
	struct mp_queue_opts queue;
	uint64_t size_bytes;
	uint32_t mode;
};

/* TOLD: all was said (--help). */
enum mpctl_parsed { PARSED_COMMAND, PARSED_TOLD, PARSED_WRONG };

#define COMMAND(name, arguments, options, help) int command_##name(const struct mpctl *ctl);
COMMANDS
#undef COMMAND

/* --- mpctl_say.c --- */

/* One line on stderr, "mpctl: " before it; what a terminal would obey is shown as \xNN. */
void mpctl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Bytes of the well-formed UTF-8 character at `text`, which ends with a NUL; 0: it is none. */
unsigned mpctl_decode(const unsigned char *text, uint32_t *ret_code);

/* Say mp_explain(), and which exit code that error is. */
int mpctl_fail(int error);

/* stdout is written out: `code`, or EXIT_ERROR if it could not be. */
int mpctl_finish_output(int code);

/* --- mpctl_name.c --- */

/* "SEGMENT/OBJECT" in two; object is NULL where there is no slash. */
struct mpctl_name {
	char segment[256];
	const char *object;
};

/* EXIT_OK, or EXIT_USAGE with a sentence. `needs_object`: "QUEUE", "LOCK"; NULL: may be absent. */
int mpctl_split(const char *word, const char *needs_object, struct mpctl_name *ret_name);

/* Attach to a segment, or make one that is kept. An existing one is not kept for our sake. 0 or
 * -errno. `client_name` may be NULL. */
int mpctl_open(const struct mpctl *ctl, const char *name, bool may_create, const char *client_name,
	       mp_segment **ret_segment);

/* Look at the endpoint, or at --file: how many segments, or -EXIT_code after a sentence. */
int mpctl_look(const struct mpctl *ctl, mp_observer **ret_observer);

/* The number of the segment of that name; -EXIT_NOTHING after a sentence. */
int mpctl_find(mp_observer *observer, int count, const char *name);

/* --- mpctl_info_json.c --- */

void mpctl_info_json(const struct mp_observed_segment *about, const struct mp_snapshot *snapshot,
		     const char *object);

#endif
