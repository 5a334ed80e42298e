/* SPDX-License-Identifier: MIT
 *
 * A segment with everything in it, and how an input spoils it. Knows: every place that decides
 * something, and its weight. Does not know: what is done with the segment afterwards.
 *
 * The segment is made once, by the library itself, with three clients: locks held and waited for in
 * a circle, messages in cells and blocks, records leased, a reserved block, an object without a
 * name. Its bytes are kept, and each input begins with a copy of them.
 *
 * A patch is 11 bytes: area, which one of it, which word, how, and a value. Areas are what code
 * looks at before it believes anything; ANYWHERE reaches the rest.
 */
#ifndef TESTS_FUZZ_SCENE_H
#define TESTS_FUZZ_SCENE_H

#include "input.h"

#include "seg.h"

#define SCENE_CLIENTS 3 /* slots SLOT_FIRST and up */
#define SCENE_MAX_CLIENTS 8
#define SCENE_MAX_THREADS 16

/* Begin an input: the whole segment as it was made. */
void scene_reset(void);

/* A descriptor of it, the caller's. */
int scene_fd(void);

/* Change one word as the input says. */
void scene_patch(struct input *input);

/* The whole segment becomes what the input says, word by word, over and over. */
void scene_flood(struct input *input);

/* The same through somebody's own map of it. */
void scene_patch_now(struct seg *seg, struct input *input);

#endif
