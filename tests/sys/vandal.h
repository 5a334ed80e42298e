/* SPDX-License-Identifier: MIT
 *
 * Who writes over a segment in which others are at work. Knows: where the regions of a segment
 * begin, which words are the worst. Does not know: what becomes of the others.
 */
#ifndef TESTS_SYS_VANDAL_H
#define TESTS_SYS_VANDAL_H

#include <libshm.h>

#include <stdint.h>

/* xorshift: never 0 */
uint64_t vandal_random(uint64_t *state);

/* Change so many words anywhere in the attached segment: headers, tables, objects, blocks. */
void vandal_strike(mp_segment *segment, uint64_t *state, unsigned words);

#endif
