/* SPDX-License-Identifier: MIT
 *
 * Segments in files: one is saved, and looked at again. Knows: copying while others write, the
 * trailer. Does not know: what is inside a segment.
 *
 *   file     the bytes of the segment, holes where it has holes - trailer
 *
 * A pass reads every part of the segment, compares it with the file and writes what differs. When a
 * pass finds no difference, each word was the same in that pass as in the one before, so all of
 * them stood there at the moment between the two: the file shows that moment. (A word that changed
 * and changed back has a counter beside it that did not.) Who writes a segment all the time is not
 * stopped for that: after some passes the file is marked as torn.
 */
#include "clock.h"
#include "cc.h"
#include "errno_kept.h"
#include "explain.h"
#include "observe_find.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PASSES_MAX 8
#define CHUNK_BYTES (UINT64_C(1) << 18)

/* A copy being made. */
struct save {
	int from, to;
	uint64_t size_bytes;
	uint8_t *source, *copy; /* CHUNK_BYTES each */
	bool is_changed; /* the pass that runs has found a difference */
};

bool observe_read_trailer(int fd, struct observe_trailer *ret_trailer)
{
	off_t size = lseek(fd, 0, SEEK_END);
	struct observe_trailer trailer;

	if (size < (off_t)sizeof(trailer))
		return false;
	if (observe_read(fd, &trailer, sizeof(trailer), (uint64_t)size - sizeof(trailer)) < 0)
		return false;
	if (trailer.magic != TRAILER_MAGIC ||
	    trailer.size_bytes != (uint64_t)size - sizeof(trailer))
		return false;
	*ret_trailer = trailer;
	return true;
}

static int write_at(int fd, const void *bytes, uint64_t count, uint64_t offset)
{
	const uint8_t *at = bytes;

	while (count) {
		ssize_t done = pwrite(fd, at, count, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return explain(-EIO, "%s", done < 0 ? strerror(errno) : "nothing written");
		at += done;
		count -= (uint64_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

/* The file has its full length from the start, so a part that was never written reads as zero and a
 * zero part of the segment stays a hole. */
static int copy_chunk(struct save *save, uint64_t offset, uint64_t bytes)
{
	int result = observe_read(save->from, save->source, bytes, offset);

	if (result < 0)
		return explain(-EIO, "the memory cannot be read: %s", strerror(-result));
	result = observe_read(save->to, save->copy, bytes, offset);
	if (result < 0)
		return explain(-EIO, "the copy cannot be read: %s", strerror(-result));
	if (memcmp(save->source, save->copy, bytes) == 0)
		return 0;
	save->is_changed = true;
	return write_at(save->to, save->source, bytes, offset);
}

static int copy_extent(struct save *save, uint64_t offset, uint64_t end)
{
	int result = 0;

	while (offset < end && result == 0) {
		uint64_t bytes = end - offset < CHUNK_BYTES ? end - offset : CHUNK_BYTES;

		result = copy_chunk(save, offset, bytes);
		offset += bytes;
	}
	return result;
}

/* Where the segment has memory; all of it where the kernel cannot say. */
static int copy_pass(struct save *save)
{
	uint64_t offset = 0;
	int result = 0;

	save->is_changed = false;
	while (offset < save->size_bytes && result == 0) {
		off_t data = lseek(save->from, (off_t)offset, SEEK_DATA);
		off_t hole = data < 0 ? -1 : lseek(save->from, data, SEEK_HOLE);

		if (data < 0 && errno == ENXIO)
			break; /* holes up to the end */
		if (hole <= data) {
			data = (off_t)offset;
			hole = (off_t)save->size_bytes;
		}
		result = copy_extent(save, (uint64_t)data, (uint64_t)hole);
		offset = (uint64_t)hole;
	}
	return result;
}

static int copy_until_still(struct save *save)
{
	int result = 0;

	save->is_changed = true;
	for (unsigned i = 0; i < PASSES_MAX && save->is_changed && result == 0; i++)
		result = copy_pass(save);
	return result;
}

static int write_trailer(const struct save *save, const struct observe_segment *segment)
{
	struct observe_trailer trailer = { .magic = TRAILER_MAGIC,
					   .size_bytes = save->size_bytes,
					   .taken_ns = clock_now_ns(),
					   .is_torn = save->is_changed };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	trailer.saved_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
	trailer.uid = segment->listed.uid;
	memcpy(trailer.name, segment->name, NAME_BYTES);
	return write_at(save->to, &trailer, sizeof(trailer), save->size_bytes);
}

static int save_segment(struct save *save, const struct observe_segment *segment)
{
	int result;

	save->source = malloc(2 * CHUNK_BYTES);
	if (!save->source)
		return explain(-ENOMEM, "no memory to copy segment '%.*s'", NAME_BYTES - 1,
			       segment->name);
	save->copy = save->source + CHUNK_BYTES;
	if (ftruncate(save->to, (off_t)save->size_bytes) < 0)
		result = explain(-EIO, "the file cannot be made as long as segment '%.*s': %s",
				 NAME_BYTES - 1, segment->name, strerror(errno));
	else
		result = copy_until_still(save);
	if (result == 0)
		result = write_trailer(save, segment);
	free(save->source);
	return result < 0 ? result : save->is_changed;
}

static bool is_empty_file(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0;
}

MP_EXPORT int mp_observe_save(mp_observer *observer, unsigned index, int fd)
{
	KEEP_ERRNO;
	const struct observe_segment *segment;
	struct save save = { .to = fd };
	off_t size;

	if (!observer || index >= observer->segment_count)
		return observe_refuse_index(observer, index);
	segment = &observer->segments[index];
	if (segment->fd < 0)
		return explain(segment->error, "segment '%.*s' cannot be read", NAME_BYTES - 1,
			       segment->name);
	if (!is_empty_file(fd))
		return explain(-EINVAL, "segment '%.*s' is saved in an empty regular file only",
			       NAME_BYTES - 1, segment->name);
	save.from = segment->fd;
	size = lseek(segment->fd, 0, SEEK_END);
	save.size_bytes = size > 0 ? (uint64_t)size : 0;
	return save_segment(&save, segment);
}

static int adopt_file(struct mp_observer *observer, int fd)
{
	struct observe_trailer trailer = { .name = "" };
	struct shm_header header;
	struct observe_segment *segment;
	bool is_saved = observe_read_trailer(fd, &trailer);

	/* Without a trailer: the bytes of a segment, copied by other means. */
	if (!is_saved && observe_read(fd, &header, sizeof(header), 0) == 0)
		memcpy(trailer.name, header.name, NAME_BYTES);
	if (observe_find_adopt(observer, fd, trailer.name) < 0)
		return -ENOMEM;
	segment = &observer->segments[0];
	segment->listed.size_bytes = (uint64_t)lseek(fd, 0, SEEK_END) -
				     (is_saved ? sizeof(trailer) : 0);
	segment->listed.uid = trailer.uid;
	segment->listed.saved_ns = trailer.saved_ns;
	return 0;
}

static int explain_open(const char *path, int error)
{
	if (error == ENOENT || error == EACCES || error == EMFILE)
		return explain(-error, "the file '%.200s' cannot be opened", path);
	return explain(-EIO, "the file '%.200s' cannot be opened: %s", path, strerror(error));
}

/* Neither a FIFO nor a device is waited for. */
static int open_file(const char *path, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd < 0)
		return explain_open(path, errno);
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return explain(-EINVAL, "'%.200s' is no regular file", path);
	}
	*ret_fd = fd;
	return 0;
}

MP_EXPORT int mp_observe_file(const char *path, mp_observer **ret_observer)
{
	KEEP_ERRNO;
	struct mp_observer *observer;
	int fd = -1, result;

	if (!path || !ret_observer)
		return explain(-EINVAL, "mp_observe_file needs a path and ret_observer, not NULL");
	result = open_file(path, &fd);
	if (result < 0)
		return result;
	observer = observe_new();
	if (!observer) {
		close(fd);
		return explain(-ENOMEM, "no memory for an observer");
	}
	observer->is_file = true;
	observer->info.is_file = 1;
	snprintf(observer->info.endpoint, sizeof(observer->info.endpoint), "%.*s",
		 (int)sizeof(observer->info.endpoint) - 1, path);
	if (adopt_file(observer, fd) < 0) {
		mp_observe_close(observer);
		return explain(-ENOMEM, "no memory for the file '%.200s'", path);
	}
	*ret_observer = observer;
	return 0;
}
