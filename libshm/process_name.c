/* SPDX-License-Identifier: MIT
 *
 * Names of child processes. Knows: lineage. Does not know: processes.
 */
#include "process_name.h"

#include <stdio.h>
#include <string.h>

static atom32 started;
static char lineage[NAME_BYTES]; /* "1:2" in the second child of the first child */

void process_name_make(char name[static NAME_BYTES], const char *wish)
{
	unsigned number = add_relaxed(&started, 1) + 1;

	if (wish)
		snprintf(name, NAME_BYTES, "%.*s", NAME_BYTES - 1, wish);
	else
		snprintf(name, NAME_BYTES, "Process-%.*s%s%u", 40, lineage, *lineage ? ":" : "",
			 number);
}

void process_name_inherit(const char *name)
{
	const char *dash = strrchr(name, '-');

	snprintf(lineage, sizeof lineage, "%s", dash ? dash + 1 : name);
	store_relaxed(&started, 0);
}
