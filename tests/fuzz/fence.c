/* SPDX-License-Identifier: MIT
 *
 * See fence.h. Knows: mmap. Does not know: what a segment is, but that it is a shared file.
 */
#include "fence.h"

#include <stdint.h>
#include <sys/mman.h>

#define FENCE_BYTES (UINT64_C(4) << 30)
#define FIELDS_MAX 8

void *__real_mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t bytes);
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t bytes);

/* Fenced on both sides; address space is kept for the next map. */
static struct field {
	uint8_t *start;
	size_t used; /* 0: free */
} fields[FIELDS_MAX];

static void *reserve(void *address, size_t bytes, int more)
{
	return __real_mmap64(address, bytes, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | more, -1, 0);
}

static struct field *free_field(void)
{
	for (unsigned i = 0; i < FIELDS_MAX; i++) {
		if (fields[i].used)
			continue;
		if (!fields[i].start)
			fields[i].start = reserve(NULL, 2 * FENCE_BYTES, 0);
		return fields[i].start == MAP_FAILED ? NULL : &fields[i];
	}
	return NULL;
}

void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	struct field *field = fd >= 0 && (flags & MAP_SHARED) && !address ? free_field() : NULL;
	void *got;

	if (!field || bytes > FENCE_BYTES / 2)
		return __real_mmap64(address, bytes, protection, flags, fd, offset);
	got = __real_mmap64(field->start + FENCE_BYTES, bytes, protection, flags | MAP_FIXED, fd,
			  offset);
	if (got != MAP_FAILED)
		field->used = bytes;
	return got;
}

int __wrap_munmap(void *address, size_t bytes)
{
	for (unsigned i = 0; i < FIELDS_MAX; i++) {
		if (!fields[i].used || address != fields[i].start + FENCE_BYTES)
			continue;
		fields[i].used = 0;
		return reserve(address, (bytes + 4095) / 4096 * 4096, MAP_FIXED) == MAP_FAILED ? -1
											      : 0;
	}
	return __real_munmap(address, bytes);
}

bool fence_has(const void *address, size_t bytes)
{
	const uint8_t *from = address;

	for (unsigned i = 0; i < FIELDS_MAX && fields[i].start; i++) {
		const uint8_t *start = fields[i].start + FENCE_BYTES;

		if (fields[i].used && from >= start && from - start <= (ptrdiff_t)fields[i].used &&
		    bytes <= fields[i].used - (size_t)(from - start))
			return true;
	}
	return false;
}
