/* SPDX-License-Identifier: MIT
 *
 * The two sides of the control protocol as targets. Each plays one input to its end. Does not know:
 * the other.
 */
#ifndef TESTS_FUZZ_PROTOCOL_H
#define TESTS_FUZZ_PROTOCOL_H

#include "input.h"

/* Once, before the first input. */
void protocol_mpd_open(void);
void protocol_client_open(void);

/* Clients say what the input says, to an mpd in this process. */
void protocol_mpd(struct input *input);

/* An mpd says what the input says, to libshm's client and observer. */
void protocol_client(struct input *input);

/* The same descriptors are open as when this input began. */
void protocol_check_descriptors(void);

/* What does not hold is said, and ends the process. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			protocol_broken(__FILE__, __LINE__, #condition);                           \
	} while (0)
void protocol_broken(const char *file, int line, const char *what) __attribute__((noreturn));

#endif
