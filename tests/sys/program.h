/* SPDX-License-Identifier: MIT
 *
 * Programs of this build, run as a user would. Knows: where they were built, exec, captured
 * output. Does not know: what they do.
 */
#ifndef TESTS_SYS_PROGRAM_H
#define TESTS_SYS_PROGRAM_H

#include <sys/types.h>

struct program {
	pid_t pid;
	int output;  /* stdout and stderr */
	char *text;  /* all of it, once it has ended */
	int code;    /* exit code, or minus the signal */
};

/* The path of something in the build directory, "mptop/mptop"; good until the next call. */
const char *program_built(const char *path);

/* argv[0] is looked for in $PATH unless it has a slash. Fails the test when it cannot start. */
void program_start(struct program *program, char *const *argv);

/* Wait for its end and take its output; after `seconds` it is killed and the test fails. */
void program_wait(struct program *program, unsigned seconds);

void program_run(struct program *program, char *const *argv, unsigned seconds);

void program_free(struct program *program);

/* The state letter of a process, 0 when there is none. */
char program_state(pid_t pid);

/* SIGSTOP it and wait until it has stopped. */
void program_stop(pid_t pid);

#endif
