/* SPDX-License-Identifier: MIT
 *
 * What a public header promises. Knows: the Errors lines above prototypes. Does not know: why.
 */
#ifndef TESTS_SYS_DOCUMENTED_H
#define TESTS_SYS_DOCUMENTED_H

#include <stdbool.h>

/* Is that error among those of `call`'s header (or of base.h, which speaks of every call)? `calls`
 * may be several, with blanks between. */
bool documented(const char *calls, int error);

#endif
