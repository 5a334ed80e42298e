/* SPDX-License-Identifier: MIT
 *
 * mpctl as a script uses it. Knows: sh, an mpd that leaves soon after the test. Does not know: what
 * mpctl does.
 */
#ifndef TESTS_SYS_MPCTL_WORLD_H
#define TESTS_SYS_MPCTL_WORLD_H

#include "harness.h"
#include "program.h"
#include "raw_client.h"

/* An mpd that leaves soon after its last client, and a connection to it until mpctl_end. In scripts
 * $C is mpctl, $T is mptop and $D a directory of the test, which is removed at its end. */
void mpctl_begin(struct raw *raw);
void mpctl_end(struct raw *raw);

/* A file in $D; good until the next call. */
const char *mpctl_path(const char *name);

/* Run a script; its output (both streams) is in program->text until program_free. */
void mpctl_run(struct program *program, const char *script);

/* The script ends with `code` and has written exactly `text`. */
void mpctl_expect(const char *script, int code, const char *text);

/* The same, but what it has written only contains `text`. */
void mpctl_expect_in(const char *script, int code, const char *text);

/* Run it until its output contains `text`, which must come. */
void mpctl_await(const char *script, const char *text);

/* Kept segments are removed at the end of a test, so that mpd leaves. */
#define MPCTL_CLEAN "$C rm -f app other"

#endif
