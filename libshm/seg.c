/* SPDX-License-Identifier: MIT
 *
 * A mapped segment. Knows: the plan of the regions, formatting, validating, mapping, committing.
 * Does not know: who is attached (slot.c), what stands in the arena (arena.c), sockets.
 *
 * A segment is one memory file. Everything after `ready` is checked against a plan that this
 * process computes itself from the size and three counts, so a hostile header can make the attach
 * fail and nothing else.
 *
 * Crash while formatting: `ready` is 0, the next client writes the same words over the half-made
 * ones. Crash while committing: pages that nobody uses yet; the next commit finds them there.
 */
#include "seg.h"

#include "bits.h"
#include "errno_kept.h"
#include "memory_room.h"
#include "slotword.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_DEFAULT (UINT64_C(1) << 30)
#define CLIENTS_DEFAULT 256
#define THREADS_DEFAULT 512
#define OBJECTS_DEFAULT 1024
#define CLIENTS_MIN (SLOT_FIRST + 1)
#define THREADS_MIN (SLOT_FIRST + 1)
#define GRANULES_MIN 4
#define REGION_ALIGN 4096
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
/* A guard is held for microseconds. Whoever has it that long is stopped, or was forged. */
#define GUARD_PATIENCE_NS INT64_C(10000000000)

/* 64 KiB cost 15 to 20 us to commit, whatever is asked for costs as much for each KiB: small steps
 * keep the pauses short. The tables are used at their beginning only, hence the smaller step. */
#define COMMIT_STEP GRANULE_BYTES
#define COMMIT_STEP_TABLES UINT64_C(16384)

static uint64_t region(uint64_t *cursor, uint64_t bytes)
{
	uint64_t at = *cursor;

	*cursor = align_up(at + bytes, REGION_ALIGN);
	return at;
}

/* The granule table and the arena share what is left: each granule needs itself and a word. */
static int plan_arena(struct seg_geometry *at)
{
	uint64_t count;

	if (at->granules >= at->size_bytes)
		return -EINVAL;
	count = (at->size_bytes - at->granules) / (GRANULE_BYTES + sizeof(atom64));
	at->arena = align_up(at->granules + count * sizeof(atom64), GRANULE_BYTES);
	if (at->arena >= at->size_bytes)
		return -EINVAL;
	if (count > (at->size_bytes - at->arena) / GRANULE_BYTES)
		count = (at->size_bytes - at->arena) / GRANULE_BYTES;
	if (count < GRANULES_MIN)
		return -EINVAL;
	at->granule_count = (uint32_t)count;
	return 0;
}

static int plan(uint64_t size_bytes, uint32_t clients, uint32_t threads, uint32_t objects,
		struct seg_geometry *ret_geometry)
{
	struct seg_geometry at = { .size_bytes = size_bytes,
				   .max_clients = clients,
				   .max_threads = threads,
				   .max_objects = objects };
	uint64_t cursor = HEADER_BYTES;
	int r;

	if (size_bytes > SEG_BYTES_MAX || size_bytes % GRANULE_BYTES || clients < CLIENTS_MIN ||
	    clients > CLIENTS_MAX || threads < THREADS_MIN || threads > THREADS_MAX ||
	    objects == 0 || objects > OBJECTS_MAX || objects % 64)
		return -EINVAL;
	at.clients = region(&cursor, (uint64_t)clients * sizeof(struct shm_client));
	at.touched = region(&cursor, (uint64_t)clients * (objects / 8));
	at.threads = region(&cursor, (uint64_t)threads * sizeof(struct shm_thread));
	at.tickets = region(&cursor, (uint64_t)threads * sizeof(atom32));
	at.directory = region(&cursor, (uint64_t)objects * sizeof(struct shm_entry));
	at.traces = region(&cursor, (uint64_t)threads * TRACE_BYTES);
	at.granules = cursor;
	r = plan_arena(&at);
	if (r < 0)
		return r;
	*ret_geometry = at;
	return 0;
}

int seg_plan(uint64_t size_bytes, uint32_t max_clients, uint32_t max_threads,
	     struct seg_geometry *ret_geometry)
{
	if (size_bytes > SEG_BYTES_MAX)
		return -EINVAL;
	return plan(size_bytes ? align_up(size_bytes, GRANULE_BYTES) : SIZE_DEFAULT,
		    max_clients ? max_clients : CLIENTS_DEFAULT,
		    max_threads ? max_threads : THREADS_DEFAULT, OBJECTS_DEFAULT, ret_geometry);
}

static int commit_range(int fd, uint64_t from, uint64_t until)
{
	KEEP_ERRNO;
	int r;

	do
		r = fallocate(fd, 0, (off_t)from, (off_t)(until - from));
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	return errno == ENOMEM || errno == EDQUOT ? -ENOSPC : -errno;
}

/* What the kernel has really given; also right when several processes commit at once. */
static uint64_t committed_bytes(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? 0 : (uint64_t)status.st_blocks * 512;
}

/* EAGAIN: a limit of locked memory. Here it would mean that the segment is being made. */
static int map_error(void)
{
	return errno == EAGAIN ? -ENOMEM : -errno;
}

static void format_header(struct shm_header *header, const char *name, uint64_t generation,
			  const struct seg_geometry *at)
{
	header->magic = LAYOUT_MAGIC;
	header->major = LAYOUT_MAJOR;
	header->minor = LAYOUT_MINOR;
	header->signature = layout_signature();
	header->generation = generation;
	header->size_bytes = at->size_bytes;
	header->max_clients = at->max_clients;
	header->max_threads = at->max_threads;
	header->max_objects = at->max_objects;
	header->granule_count = at->granule_count;
	header->clients_offset = at->clients;
	header->touched_offset = at->touched;
	header->threads_offset = at->threads;
	header->tickets_offset = at->tickets;
	header->directory_offset = at->directory;
	header->traces_offset = at->traces;
	header->granules_offset = at->granules;
	header->arena_offset = at->arena;
	memset(header->name, 0, sizeof(header->name));
	memcpy(header->name, name, strnlen(name, NAME_BYTES - 1));
	/* Nobody looks before `ready`: no order needed among these. */
	store_relaxed(&header->clients_high, SLOT_FIRST);
	store_relaxed(&header->threads_high, SLOT_FIRST);
}

/* mpd's own slots: it is a client like any other, but its place is fixed. */
static void format_slots(uint8_t *base, const struct seg_geometry *at)
{
	struct shm_client *clients = (struct shm_client *)(void *)(base + at->clients);
	struct shm_thread *threads = (struct shm_thread *)(void *)(base + at->threads);

	/* Relaxed: published together with the header by `ready`. */
	store_relaxed(&clients[SLOT_MPD].word, client_word(SLOT_LIVE, 1, 0, 0));
	store_relaxed(&threads[SLOT_MPD].word, thread_word(SLOT_LIVE, 1, SLOT_MPD));
}

static int format_commit(int fd, const struct seg_geometry *at, uint64_t end)
{
	int r;

	if (!memory_room_take(at->clients + COMMIT_STEP_TABLES + end - at->threads))
		return -ENOSPC;
	r = commit_range(fd, 0, at->clients + COMMIT_STEP_TABLES);
	if (r < 0)
		return r;
	return commit_range(fd, at->threads, end);
}

int seg_format(int fd, const char *name, uint64_t generation, const struct seg_geometry *at)
{
	uint64_t end = at->threads + SLOT_FIRST * sizeof(struct shm_thread);
	struct shm_header *header;
	int r = format_commit(fd, at, end);

	if (r < 0)
		return r;
	header = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (header == MAP_FAILED)
		return map_error();
	format_header(header, name, generation, at);
	format_slots((uint8_t *)header, at);
	store_relaxed(&header->committed_bytes, committed_bytes(fd)); /* a hint */
	/* edge segment_ready: release -> seg_read_header(); makes the whole header visible */
	store_release(&header->ready, header->signature);
	munmap(header, end);
	return 0;
}

static int read_at(int fd, void *buffer, size_t bytes, off_t offset)
{
	ssize_t got;

	do
		got = pread(fd, buffer, bytes, offset);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EBADMSG;
}

int seg_read_header(int fd, struct shm_header *ret_copy)
{
	uint64_t ready;
	int r = read_at(fd, &ready, sizeof(ready), offsetof(struct shm_header, ready));

	if (r < 0)
		return r;
	if (ready == 0)
		return -EAGAIN;
	/* edge segment_ready: a second system call after the one that saw `ready`, which acquires;
	 * one read of both could have copied the first fields before the second were set */
	return read_at(fd, ret_copy, sizeof(*ret_copy), 0);
}

static bool is_as_planned(const struct shm_header *copy, const struct seg_geometry *at)
{
	return copy->granule_count == at->granule_count && copy->clients_offset == at->clients &&
	       copy->touched_offset == at->touched && copy->threads_offset == at->threads &&
	       copy->tickets_offset == at->tickets && copy->directory_offset == at->directory &&
	       copy->traces_offset == at->traces && copy->granules_offset == at->granules &&
	       copy->arena_offset == at->arena;
}

int seg_check_header(const struct shm_header *copy, uint64_t file_size,
		     struct seg_geometry *ret_geometry)
{
	struct seg_geometry at;

	if (copy->ready == 0)
		return -EAGAIN;
	if (copy->magic != LAYOUT_MAGIC || copy->major != LAYOUT_MAJOR ||
	    copy->minor != LAYOUT_MINOR || copy->signature != layout_signature() ||
	    copy->ready != copy->signature)
		return -EPROTO;
	if (copy->size_bytes != file_size)
		return -EBADMSG;
	if (plan(copy->size_bytes, copy->max_clients, copy->max_threads, copy->max_objects, &at))
		return -EBADMSG;
	if (!is_as_planned(copy, &at))
		return -EBADMSG;
	*ret_geometry = at;
	return 0;
}

static uint32_t count_usable_cpus(void)
{
	cpu_set_t set;
	long online;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (uint32_t)CPU_COUNT(&set);
	online = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than the set has bits */
	return online > 0 ? (uint32_t)online : 1;
}

static void point_at_regions(struct seg *seg)
{
	uint8_t *base = seg->base;

	seg->header = (struct shm_header *)(void *)base;
	seg->clients = (struct shm_client *)(void *)(base + seg->at.clients);
	seg->touched = (atom64 *)(void *)(base + seg->at.touched);
	seg->threads = (struct shm_thread *)(void *)(base + seg->at.threads);
	seg->tickets = (atom32 *)(void *)(base + seg->at.tickets);
	seg->directory = (struct shm_entry *)(void *)(base + seg->at.directory);
	seg->granules = (atom64 *)(void *)(base + seg->at.granules);
}

/* The number of the step that an offset lies in, counted through tables and arena. */
static uint64_t step_of(const struct seg *seg, uint64_t offset)
{
	if (offset < seg->at.arena)
		return offset / COMMIT_STEP_TABLES;
	return seg->at.arena / COMMIT_STEP_TABLES + (offset - seg->at.arena) / COMMIT_STEP;
}

static int allocate_private(struct seg *seg)
{
	uint64_t steps = step_of(seg, seg->size - 1) + 1;
	uint32_t clients = seg->at.max_clients;

	seg->committed = calloc(steps / 64 + 1, sizeof(*seg->committed));
	seg->pidfds = malloc(clients * sizeof(*seg->pidfds));
	seg->pidfd_files = calloc(clients, sizeof(*seg->pidfd_files));
	seg->open_counts = calloc(seg->at.max_objects, sizeof(*seg->open_counts));
	seg->open_generations = calloc(seg->at.max_objects, sizeof(*seg->open_generations));
	seg->repair_counts = calloc(seg->at.max_objects, sizeof(*seg->repair_counts));
	seg->pidfd_generations = calloc(clients, sizeof(*seg->pidfd_generations));
	if (!seg->committed || !seg->open_counts || !seg->open_generations || !seg->repair_counts ||
	    !seg->pidfds || !seg->pidfd_files || !seg->pidfd_generations)
		return -ENOMEM;
	for (uint32_t i = 0; i < clients; i++)
		seg->pidfds[i] = -1;
	return 0;
}

static int map_memory(struct seg *seg, int fd, bool is_read_only)
{
	int protection = is_read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	void *base = mmap(NULL, seg->size, protection, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (base == MAP_FAILED)
		return map_error();
	/* A dumped map would commit every page of the segment and hide the death for seconds. */
	(void)madvise(base, seg->size, MADV_DONTDUMP);
	seg->base = base;
	point_at_regions(seg);
	return 0;
}

static void free_private(struct seg *seg)
{
	free(seg->committed);
	free(seg->pidfds);
	free(seg->pidfd_files);
	free(seg->open_counts);
	free(seg->open_generations);
	free(seg->repair_counts);
	free(seg->pidfd_generations);
	pthread_mutex_destroy(&seg->mutex);
	free(seg);
}

static int map_checked(struct seg *seg, int fd, bool is_read_only)
{
	struct shm_header copy;
	struct stat status;
	int r;

	if (fstat(fd, &status) < 0)
		return -errno;
	r = seg_read_header(fd, &copy);
	if (r == 0)
		r = seg_check_header(&copy, (uint64_t)status.st_size, &seg->at);
	if (r < 0)
		return r;
	memcpy(seg->name, copy.name, sizeof(seg->name));
	seg->name[sizeof(seg->name) - 1] = '\0';
	seg->size = seg->at.size_bytes;
	r = allocate_private(seg);
	return r < 0 ? r : map_memory(seg, fd, is_read_only);
}

int seg_map(int fd, bool is_read_only, struct seg **ret_seg)
{
	struct seg *seg = calloc(1, sizeof(*seg));
	int r;

	if (!seg)
		return -ENOMEM;
	pthread_mutex_init(&seg->mutex, NULL);
	r = map_checked(seg, fd, is_read_only);
	if (r < 0) {
		free_private(seg);
		return r;
	}
	seg->fd = fd;
	seg->file = own_fd_file(fd);
	seg->roster_fd = -1;
	seg->guard_patience_ns = GUARD_PATIENCE_NS;
	seg->usable_cpus = count_usable_cpus();
	*ret_seg = seg;
	return 0;
}

struct seg *seg_unmap(struct seg *seg)
{
	if (!seg)
		return NULL;
	for (uint32_t i = 0; i < seg->at.max_clients; i++)
		own_fd_close(seg->pidfds[i], seg->pidfd_files[i]);
	munmap(seg->base, seg->size);
	own_fd_close(seg->fd, seg->file);
	free_private(seg);
	return NULL;
}

/* The bytes of the step that `offset` lies in, clipped to the file. */
static void step_bounds(const struct seg *seg, uint64_t offset, uint64_t *ret_from,
			uint64_t *ret_until)
{
	uint64_t step = offset < seg->at.arena ? COMMIT_STEP_TABLES : COMMIT_STEP;

	*ret_from = offset & ~(step - 1);
	*ret_until = *ret_from + step < seg->size ? *ret_from + step : seg->size;
}

/* Without the descriptor: the program has closed it, but the map is still there. -ENOSPC, or
 * -EBADF where the kernel cannot (Linux 5.14). */
static int commit_mapped(struct seg *seg, uint64_t from, uint64_t until)
{
	int r;

	do
		r = madvise(seg->base + from, until - from, MADV_POPULATE_WRITE);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	return errno == EINVAL ? -EBADF : -ENOSPC;
}

/* Somebody else has committed it: it costs nothing. */
static bool is_there(int fd, uint64_t from, uint64_t until)
{
	return lseek(fd, (off_t)from, SEEK_HOLE) >= (off_t)until;
}

static int commit_step(struct seg *seg, uint64_t number, uint64_t from, uint64_t until)
{
	bool has_fd = own_fd_is(seg->fd, seg->file);
	int r;

	/* Past its limit the kernel would kill somebody instead of refusing. */
	if (!memory_room_take(until - from) && !(has_fd && is_there(seg->fd, from, until)))
		return -ENOSPC;
	r = has_fd ? commit_range(seg->fd, from, until) : commit_mapped(seg, from, until);
	if (r < 0)
		return r;
	/* Relaxed: a private memory of what this process knows; forgetting costs a system call. */
	or_relaxed(&seg->committed[number / 64], UINT64_C(1) << number % 64);
	if (has_fd)
		store_relaxed(&seg->header->committed_bytes, committed_bytes(seg->fd)); /* a hint */
	return 0;
}

int seg_commit(struct seg *seg, uint64_t offset, uint64_t bytes)
{
	uint64_t from, until;

	if (offset > seg->size || bytes > seg->size - offset)
		return -EINVAL;
	for (uint64_t at = offset; at < offset + bytes; at = until) {
		uint64_t number = step_of(seg, at);
		int r;

		step_bounds(seg, at, &from, &until);
		/* Relaxed: this process set the bit after the pages were there. */
		if (load_relaxed(&seg->committed[number / 64]) & UINT64_C(1) << number % 64)
			continue;
		r = commit_step(seg, number, from, until);
		if (r < 0)
			return r;
	}
	return 0;
}
