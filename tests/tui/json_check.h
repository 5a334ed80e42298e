/* SPDX-License-Identifier: MIT
 *
 * Is a text one JSON value? Knows: RFC 8259. Does not know: what it says.
 */
#ifndef TESTS_TUI_JSON_CHECK_H
#define TESTS_TUI_JSON_CHECK_H

#include <stdbool.h>

/* True for one whole value in valid UTF-8 and nothing after it but blanks. */
bool json_is_valid(const char *text);

#endif
