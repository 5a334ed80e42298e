/* SPDX-License-Identifier: MIT
 *
 * The sentence behind mp_explain(). Knows: this thread's text. Does not know: who fails.
 */
#ifndef LIBSHM_EXPLAIN_H
#define LIBSHM_EXPLAIN_H

#include "cc.h"

/* Keep the sentence and return `error`: return explain(-ENOENT, "no lock '%s' ...", name); */
int explain(int error, const char *format, ...) printf_like(2, 3) cold;

/* The same without formatting, for failures that are everyday life: the text must be constant. */
int explain_plain(int error, const char *text);

#endif
