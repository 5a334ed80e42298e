/* SPDX-License-Identifier: MIT
 *
 * Copies the tables of a segment. Knows: pread, bounds, high-water marks, which names a terminal
 * may see. Does not know: objects (observe_object.c), where the descriptor came from.
 */
#include "clock.h"
#include "observe_internal.h"
#include "slotword.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Counting cells one by one is bounded for a whole segment: 16 MiB read, some 5 ms. */
#define CELLS_PER_SNAPSHOT (UINT64_C(1) << 18)

int observe_read(int fd, void *buffer, uint64_t bytes, uint64_t offset)
{
	uint8_t *at = buffer;

	while (bytes) {
		ssize_t got = pread(fd, at, bytes, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return -EBADMSG;
		at += got;
		bytes -= (uint64_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

void observe_text(char *ret_text, size_t capacity, const char *name, size_t bytes)
{
	size_t end = strnlen(name, bytes);
	size_t at = 0, out = 0;

	while (at < end) {
		size_t length = text_character((const uint8_t *)name + at, end - at);
		size_t taken = length ? length : 1;

		if (out + taken >= capacity)
			break;
		if (length)
			memcpy(ret_text + out, name + at, length);
		else
			ret_text[out] = '?';
		out += taken;
		at += taken;
	}
	ret_text[out] = '\0';
}

/* A table up to its high-water mark; never NULL on success, so that nobody has to ask. */
static int copy_table(const struct observe_copy *copy, uint64_t offset, uint64_t row_bytes,
		      uint32_t count, void *ret_table)
{
	uint64_t bytes = row_bytes * count;
	void *table = aligned_alloc(CACHE_LINE, align_up(bytes + 1, CACHE_LINE));
	int result;

	if (!table)
		return -ENOMEM;
	result = observe_read(copy->fd, table, bytes, offset);
	if (result < 0) {
		free(table);
		return result;
	}
	memcpy(ret_table, &table, sizeof(table));
	return 0;
}

static uint32_t bounded(atom32 *mark, uint32_t maximum)
{
	uint32_t value = load_relaxed(mark);

	return value < maximum ? value : maximum;
}

static int copy_header(int fd, struct observe_copy *copy)
{
	off_t size = lseek(fd, 0, SEEK_END);
	struct observe_trailer trailer;
	int result;

	if (size >= 0 && observe_read_trailer(fd, &trailer)) {
		size = (off_t)trailer.size_bytes;
		copy->now_ns = trailer.taken_ns;
		copy->is_torn = trailer.is_torn;
		copy->is_saved = true;
	}
	if (size < (off_t)HEADER_BYTES)
		return size < 0 ? -errno : -EAGAIN;
	result = seg_read_header(fd, &copy->header);
	if (result < 0)
		return result;
	return seg_check_header(&copy->header, (uint64_t)size, &copy->at);
}

int observe_copy_tables(int fd, struct observe_copy *ret_copy)
{
	struct observe_copy *copy = ret_copy;
	int result;

	memset(copy, 0, sizeof(*copy));
	copy->fd = fd;
	copy->now_ns = clock_now_ns();
	copy->cells_left = CELLS_PER_SNAPSHOT;
	result = copy_header(fd, copy);
	if (result < 0)
		return result;
	copy->client_count = bounded(&copy->header.clients_high, copy->at.max_clients);
	copy->thread_count = bounded(&copy->header.threads_high, copy->at.max_threads);
	copy->entry_count = bounded(&copy->header.objects_high, copy->at.max_objects);
	result = copy_table(copy, copy->at.clients, sizeof(struct shm_client), copy->client_count,
			    &copy->clients);
	if (result >= 0)
		result = copy_table(copy, copy->at.threads, sizeof(struct shm_thread),
				    copy->thread_count, &copy->threads);
	if (result >= 0)
		result = copy_table(copy, copy->at.directory, sizeof(struct shm_entry),
				    copy->entry_count, &copy->entries);
	if (result < 0)
		return result;
	copy->objects = calloc(copy->entry_count + 1u, sizeof(*copy->objects));
	return copy->objects ? 0 : -ENOMEM;
}

void observe_copy_release(struct observe_copy *copy)
{
	free(copy->clients);
	free(copy->threads);
	free(copy->entries);
	free(copy->objects);
}

const struct observe_object *observe_object_at(const struct observe_copy *copy, uint64_t offset)
{
	uint32_t low = 0, high = copy->object_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (copy->objects[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < copy->object_count && copy->objects[low].offset == offset)
		return &copy->objects[low];
	return NULL;
}

const struct shm_thread *observe_thread_of(const struct observe_copy *copy, uint64_t who)
{
	uint32_t slot = who_slot(who);
	struct shm_thread *thread;
	uint64_t word;

	if (slot == SLOT_NONE || slot >= copy->thread_count)
		return NULL;
	thread = &copy->threads[slot];
	word = load_relaxed(&thread->word);
	if (thread_word_state(word) != SLOT_LIVE ||
	    thread_word_generation(word) != who_generation(who))
		return NULL;
	return thread;
}

/* A bit in a wait set outlives a wait that was cut off; the record says whether it still is one. */
bool observe_is_waiting(const struct shm_thread *thread, uint64_t record)
{
	uint32_t count = load_relaxed(&thread->record_count);

	if (thread_word_state(load_relaxed(&thread->word)) != SLOT_LIVE)
		return false;
	for (uint32_t i = 0; i < count && i < WAIT_RECORDS_MAX; i++)
		if (load_relaxed(&thread->records[i]) == record)
			return true;
	return false;
}
