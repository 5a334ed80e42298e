/* SPDX-License-Identifier: MIT
 *
 * The bytes of a segment at one moment. Knows: memory files and their holes. Does not know: what
 * they mean.
 */
#ifndef TESTS_CRASH_IMAGE_H
#define TESTS_CRASH_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

struct image;

struct image *image_make(int fd, const uint8_t *base, uint64_t size);
struct image *image_free(struct image *image);
/* Bring the image up to date; false: nothing had changed. */
bool image_update(struct image *image);
/* Write it back to the file it was taken from. */
void image_restore(const struct image *image);
/* Make `fd` (of the same size) a copy of it. */
void image_write(const struct image *image, int fd, uint8_t *base);

#endif
