/* SPDX-License-Identifier: MIT
 *
 * The sentence behind mp_explain(). Knows: this thread's text, that it is one printable line. Does
 * not know: who fails.
 */
#ifndef LIBSHM_EXPLAIN_H
#define LIBSHM_EXPLAIN_H

#include "cc.h"
#include "layout.h"

/* Keep the sentence and return `error`: return explain(-ENOENT, "no lock '%s' ...", name); */
int explain(int error, const char *format, ...) printf_like(2, 3) cold;

/* The same for failures that are everyday life: it copies the name, and words are made of it only
 * when somebody asks. `kind` and `text` must be constants: "queue", name, "it is full". */
int explain_later(int error, const char *kind, const char name[static NAME_BYTES],
		  const char *text);

#endif
