/* SPDX-License-Identifier: MIT
 *
 * See image.h. Knows: extents of data.
 *
 * Memory that was only committed is a hole until somebody writes there, so extents are asked for
 * anew each time: neither the size nor the blocks of the file tell.
 */
#include "image.h"

#include "require.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXTENTS_MAX 256
#define PAGE 4096

struct extent {
	uint64_t from, bytes;
};

struct image {
	int fd;
	const uint8_t *base;
	uint64_t size;
	uint8_t *bytes;
	struct extent extents[EXTENTS_MAX];
	unsigned count;
};

static unsigned find_extents(int fd, struct extent *extents)
{
	unsigned count = 0;
	off_t from, until = 0;

	while ((from = lseek(fd, until, SEEK_DATA)) >= 0) {
		until = lseek(fd, from, SEEK_HOLE);
		require(until > from && count < EXTENTS_MAX);
		extents[count++] = (struct extent){ (uint64_t)from, (uint64_t)(until - from) };
	}
	return count;
}

static void copy_all(const struct image *image, uint8_t *to, const uint8_t *from)
{
	for (unsigned i = 0; i < image->count; i++)
		memcpy(to + image->extents[i].from, from + image->extents[i].from,
		       image->extents[i].bytes);
}

struct image *image_make(int fd, const uint8_t *base, uint64_t size)
{
	struct image *image = calloc(1, sizeof *image);

	require(image);
	image->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(image->bytes != MAP_FAILED);
	require(madvise(image->bytes, size, MADV_DONTFORK) == 0); /* a clone has no use for it */
	image->fd = fd;
	image->base = base;
	image->size = size;
	image->count = find_extents(fd, image->extents);
	copy_all(image, image->bytes, base);
	return image;
}

struct image *image_free(struct image *image)
{
	if (image) {
		munmap(image->bytes, image->size);
		free(image);
	}
	return NULL;
}

static bool update_extent(struct image *image, const struct extent *extent)
{
	bool is_changed = false;

	for (uint64_t at = extent->from; at < extent->from + extent->bytes; at += PAGE)
		if (memcmp(image->bytes + at, image->base + at, PAGE) != 0) {
			memcpy(image->bytes + at, image->base + at, PAGE);
			is_changed = true;
		}
	return is_changed;
}

bool image_update(struct image *image)
{
	bool is_changed = false;

	image->count = find_extents(image->fd, image->extents);
	for (unsigned i = 0; i < image->count; i++)
		is_changed |= update_extent(image, &image->extents[i]);
	return is_changed;
}

/* What of the file's data is in a hole of the image becomes a hole again. */
static void punch(int fd, uint64_t from, uint64_t until, const struct extent *extent)
{
	if (extent->from > from)
		from = extent->from;
	if (extent->from + extent->bytes < until)
		until = extent->from + extent->bytes;
	if (from < until)
		require(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
				  (off_t)(until - from)) == 0);
}

static void punch_holes(const struct image *image, int fd, const struct extent *extent)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < image->count; i++) {
		punch(fd, at, image->extents[i].from, extent);
		at = image->extents[i].from + image->extents[i].bytes;
	}
	punch(fd, at, image->size, extent);
}

void image_write(const struct image *image, int fd, uint8_t *base)
{
	struct extent extents[EXTENTS_MAX];
	unsigned count = find_extents(fd, extents);

	copy_all(image, base, image->bytes);
	for (unsigned i = 0; i < count; i++)
		punch_holes(image, fd, &extents[i]);
}

void image_restore(const struct image *image)
{
	image_write(image, image->fd, (uint8_t *)image->base);
}
