/* SPDX-License-Identifier: MIT
 *
 * What the matrix itself needs to go on: when it fails, the run is void. Knows: the exit code that
 * says so. Does not know: what is judged.
 */
#ifndef TESTS_CRASH_REQUIRE_H
#define TESTS_CRASH_REQUIRE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_VOID 99

#define require(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "crash: %s:%d: %s does not hold (%s)\n", __FILE__,         \
				__LINE__, #condition, strerror(errno));                            \
			_exit(EXIT_VOID);                                                          \
		}                                                                                  \
	} while (0)

#endif
