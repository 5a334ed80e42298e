/* SPDX-License-Identifier: MIT
 *
 * The tables of the screen as plain text or JSON, for pipes, scripts and tests. Knows: a model.
 * Does not know: terminals, when to print.
 */
#ifndef MPTOP_PRINT_H
#define MPTOP_PRINT_H

#include "model.h"

#include <stdio.h>

/* Overview and the three tables (only_view: an enum view_index, -1 all) with complete names. */
void print_text(FILE *out, const struct model *model, int only_view);

/* One object on one line. print_json.c */
void print_json(FILE *out, const struct model *model);

#endif
