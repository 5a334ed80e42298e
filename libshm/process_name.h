/* SPDX-License-Identifier: MIT
 *
 * Names of child processes. Knows: lineage, "Process-1:2" is the second child of the first child.
 * Does not know: processes.
 */
#ifndef LIBSHM_PROCESS_NAME_H
#define LIBSHM_PROCESS_NAME_H

#include "layout.h"

/* The next child's name; `wish` may be NULL. */
void process_name_make(char name[static NAME_BYTES], const char *wish);

/* In the child of that name: its numbers become the prefix of its children's. */
void process_name_inherit(const char *name);

#endif
