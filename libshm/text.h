/* SPDX-License-Identifier: MIT
 *
 * Text from others: which of its characters may be shown and be in a name. Knows: UTF-8, and what a
 * terminal obeys or a reader does not see. Does not know: names, where it is shown.
 */
#ifndef LIBSHM_TEXT_H
#define LIBSHM_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed UTF-8 character at `text`, which has `left` bytes (at least 1); 0 if it
 * is none, or controls something, or has no width, or changes the direction. */
size_t text_character(const uint8_t *text, size_t left);

/* What was written was longer than the `bytes` of `text` (4 at least): whoever reads it sees by
 * "..." at its end, behind a whole character, that there was more. */
void text_mark_cut(char *text, size_t bytes);

#endif
