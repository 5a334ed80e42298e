/* SPDX-License-Identifier: MIT
 *
 * The help page, line by line. Knows: the table of keys. Does not know: where it is drawn.
 */
#ifndef MPTOP_VIEW_HELP_H
#define MPTOP_VIEW_HELP_H

#include "format.h"

/* False past the last line. */
bool help_line(unsigned index, struct text *text);

#endif
