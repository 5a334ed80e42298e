/* SPDX-License-Identifier: MIT
 *
 * The sentence behind mp_explain(). Knows: this thread's text. Does not know: who fails.
 */
#ifndef LIBSHM_EXPLAIN_H
#define LIBSHM_EXPLAIN_H

#include "cc.h"

/* Keep the sentence and return `error`: return explain(-ENOENT, "no lock '%s' ...", name); */
int explain(int error, const char *format, ...) printf_like(2, 3) cold;

#endif
