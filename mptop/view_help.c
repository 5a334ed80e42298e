/* SPDX-License-Identifier: MIT
 *
 * The help page. Knows: keys.h. Does not know: what keys do, where the page is drawn.
 */
#include "view_help.h"

#include <ncurses.h>

struct line {
	const char *name, *help;
};

static const struct line lines[] = {
#define KEY(code, name, handler, help) { name, help },
#include "keys.h"
#undef KEY
};

bool help_line(unsigned index, struct text *text)
{
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (!lines[i].help || index--)
			continue;
		text_add(text, "%-8s %s", lines[i].name, lines[i].help);
		return true;
	}
	return false;
}
