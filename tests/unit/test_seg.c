/* SPDX-License-Identifier: MIT
 *
 * Proves: the plan has no overlaps, a hostile header never maps, memory is committed when asked for
 * and not before, a full machine is an error.
 */
#include "harness_segment.h"

#include "bits.h"
#include "seg.h"
#include "slotword.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static int memory_of(uint64_t bytes)
{
	int fd = memfd_create("libshm:test:seg", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static int formatted(uint64_t size_bytes, struct seg_geometry *ret_plan)
{
	int fd;

	assert_int_equal(seg_plan(size_bytes, 0, 0, ret_plan), 0);
	fd = memory_of(ret_plan->size_bytes);
	assert_int_equal(seg_format(fd, "a segment", 77, ret_plan), 0);
	return fd;
}

static uint64_t kernel_bytes(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return (uint64_t)status.st_blocks * 512;
}

static void assert_in_order(uint64_t *cursor, uint64_t offset, uint64_t bytes, uint64_t alignment)
{
	assert_true(offset >= *cursor);
	assert_int_equal(offset % alignment, 0);
	*cursor = offset + bytes;
}

static void assert_plan_is_sound(const struct seg_geometry *at)
{
	uint64_t cursor = HEADER_BYTES;

	assert_in_order(&cursor, at->clients, at->max_clients * sizeof(struct shm_client), 4096);
	assert_in_order(&cursor, at->touched, at->max_clients * (at->max_objects / 8), 4096);
	assert_in_order(&cursor, at->threads, at->max_threads * sizeof(struct shm_thread), 4096);
	assert_in_order(&cursor, at->tickets, at->max_threads * sizeof(atom32), 4096);
	assert_in_order(&cursor, at->directory, at->max_objects * sizeof(struct shm_entry), 4096);
	assert_in_order(&cursor, at->traces, (uint64_t)at->max_threads * TRACE_BYTES, 4096);
	assert_in_order(&cursor, at->granules, at->granule_count * sizeof(atom64), 4096);
	assert_in_order(&cursor, at->arena, at->granule_count * GRANULE_BYTES, GRANULE_BYTES);
	assert_true(cursor <= at->size_bytes);
	assert_true(at->size_bytes - cursor < 2 * GRANULE_BYTES);
}

static void plan_of_nothing_is_the_documented_default(void **state)
{
	struct seg_geometry at;

	assert_int_equal(seg_plan(0, 0, 0, &at), 0);
	assert_int_equal(at.size_bytes, 1024 * MIB);
	assert_int_equal(at.max_clients, 256);
	assert_int_equal(at.max_threads, 512);
	assert_int_equal(at.max_objects, 1024);
	assert_plan_is_sound(&at);
}

static void plans_of_all_sizes_and_counts_are_sound(void **state)
{
	struct seg_geometry at;
	unsigned found = 0;

	for (uint64_t size = GRANULE_BYTES; size < 40 * MIB; size += 12345)
		for (uint32_t clients = 3; clients <= CLIENTS_MAX; clients += 257)
			if (seg_plan(size, clients, 3 + clients / 3, &at) == 0) {
				assert_plan_is_sound(&at);
				found++;
			}
	assert_true(found > 5000);
	assert_int_equal(seg_plan(UINT64_C(1) << 38, CLIENTS_MAX, THREADS_MAX, &at), 0);
	assert_plan_is_sound(&at);
}

static void impossible_plans_are_refused(void **state)
{
	struct seg_geometry at = { .size_bytes = 5 };

	assert_int_equal(seg_plan(1, 0, 0, &at), -EINVAL);
	assert_int_equal(seg_plan(MIB, 0, 0, &at), -EINVAL);
	assert_int_equal(seg_plan((UINT64_C(1) << 38) + 1, 0, 0, &at), -EINVAL);
	assert_int_equal(seg_plan(UINT64_MAX, 0, 0, &at), -EINVAL);
	assert_int_equal(seg_plan(0, 2, 0, &at), -EINVAL);
	assert_int_equal(seg_plan(0, CLIENTS_MAX + 1, 0, &at), -EINVAL);
	assert_int_equal(seg_plan(0, 0, 2, &at), -EINVAL);
	assert_int_equal(seg_plan(0, 0, THREADS_MAX + 1, &at), -EINVAL);
	assert_int_equal(at.size_bytes, 5);
}

static void formatted_segment_maps_with_the_planned_geometry(void **state)
{
	struct seg_geometry plan;
	int fd = formatted(64 * MIB, &plan);
	struct seg *seg;

	assert_int_equal(seg_map(fd, false, &seg), 0);
	assert_memory_equal(&seg->at, &plan, sizeof(plan));
	assert_string_equal(seg->name, "a segment");
	assert_int_equal(seg->header->generation, 77);
	assert_int_equal(seg_clients_high(seg), SLOT_FIRST);
	assert_int_equal(seg_threads_high(seg), SLOT_FIRST);
	assert_int_equal(seg_granules_high(seg), 0);
	assert_int_equal(client_word_state(load_relaxed(&seg->clients[SLOT_MPD].word)), SLOT_LIVE);
	assert_int_equal(client_word_generation(load_relaxed(&seg->clients[SLOT_MPD].word)), 1);
	assert_int_equal(thread_word_client(load_relaxed(&seg->threads[SLOT_MPD].word)), SLOT_MPD);
	assert_int_equal(seg->roster_fd, -1);
	assert_true(seg->usable_cpus >= 1);
	for (uint32_t i = 0; i < plan.max_clients; i++)
		assert_int_equal(seg->pidfds[i], -1);
	assert_null(seg_unmap(seg));
	assert_null(seg_unmap(NULL));
}

static void long_names_are_cut_and_closed(void **state)
{
	struct seg_geometry plan;
	char name[200];
	struct seg *seg;
	int fd;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(seg_plan(64 * MIB, 0, 0, &plan), 0);
	fd = memory_of(plan.size_bytes);
	assert_int_equal(seg_format(fd, name, 1, &plan), 0);
	assert_int_equal(seg_map(fd, false, &seg), 0);
	assert_int_equal(strlen(seg->name), NAME_BYTES - 1);
	seg_unmap(seg);
}

static void half_formatted_segment_is_not_ready_and_can_be_formatted_again(void **state)
{
	struct seg_geometry plan;
	uint64_t zero = 0;
	struct seg *seg;
	int fd = formatted(64 * MIB, &plan);

	assert_int_equal(pwrite(fd, &zero, 8, offsetof(struct shm_header, ready)), 8);
	assert_int_equal(seg_map(fd, false, &seg), -EAGAIN);
	assert_int_equal(seg_format(fd, "again", 78, &plan), 0);
	assert_int_equal(seg_map(fd, false, &seg), 0);
	assert_string_equal(seg->name, "again");
	seg_unmap(seg);
}

static void empty_memory_is_not_ready(void **state)
{
	struct seg *seg;
	int fd = memory_of(4 * MIB);

	assert_int_equal(seg_map(fd, false, &seg), -EAGAIN);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(seg_map(fd, false, &seg), -EBADMSG);
	close(fd);
}

static void another_layout_is_told_apart_from_damage(void **state)
{
	static const size_t fields[] = { offsetof(struct shm_header, magic),
					 offsetof(struct shm_header, major),
					 offsetof(struct shm_header, minor),
					 offsetof(struct shm_header, signature),
					 offsetof(struct shm_header, ready) };
	struct seg_geometry plan;
	struct seg *seg;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		int fd = formatted(64 * MIB, &plan);
		uint8_t byte;

		assert_int_equal(pread(fd, &byte, 1, (off_t)fields[i]), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)fields[i]), 1);
		assert_int_equal(seg_map(fd, false, &seg), -EPROTO);
		close(fd);
	}
}

/* Every byte of the geometry, each with each bit changed. */
static void no_changed_geometry_ever_maps(void **state)
{
	struct seg_geometry plan, ret;
	struct shm_header good, copy;
	int fd = formatted(64 * MIB, &plan);

	assert_int_equal(seg_read_header(fd, &good), 0);
	assert_int_equal(seg_check_header(&good, plan.size_bytes, &ret), 0);
	for (size_t at = offsetof(struct shm_header, size_bytes);
	     at < offsetof(struct shm_header, ready); at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			bool is_used = at < offsetof(struct shm_header, reserved0) ||
				       at >= offsetof(struct shm_header, clients_offset);

			memcpy(&copy, &good, sizeof(copy));
			((uint8_t *)&copy)[at] ^= (uint8_t)(1u << bit);
			assert_int_equal(seg_check_header(&copy, plan.size_bytes, &ret),
					 is_used ? -EBADMSG : 0);
		}
	close(fd);
}

static void file_of_another_size_is_refused(void **state)
{
	struct seg_geometry plan;
	struct seg *seg;
	int fd = formatted(64 * MIB, &plan);

	assert_int_equal(ftruncate(fd, 32 * MIB), 0);
	assert_int_equal(seg_map(fd, false, &seg), -EBADMSG);
	assert_int_equal(ftruncate(fd, 128 * MIB), 0);
	assert_int_equal(seg_map(fd, false, &seg), -EBADMSG);
	close(fd);
}

static void fresh_gigabyte_commits_little(void **state)
{
	struct seg_geometry plan;
	struct seg *seg;
	int fd = formatted(0, &plan);

	assert_int_equal(seg_map(fd, false, &seg), 0);
	assert_true(kernel_bytes(fd) <= 64 * 1024);
	assert_int_equal(load_relaxed(&seg->header->committed_bytes), kernel_bytes(fd));
	seg_unmap(seg);
}

static void commit_takes_the_steps_it_needs_and_counts_them(void **state)
{
	struct seg_geometry plan;
	struct seg *seg;
	int fd = formatted(64 * MIB, &plan);
	uint64_t before;

	assert_int_equal(seg_map(fd, false, &seg), 0);
	before = kernel_bytes(fd);
	assert_int_equal(seg_commit(seg, plan.arena + GRANULE_BYTES - 1, 2), 0);
	assert_int_equal(kernel_bytes(fd), before + 2 * GRANULE_BYTES);
	assert_int_equal(seg_commit(seg, plan.granules + 1, 1), 0);
	assert_true(kernel_bytes(fd) <= before + 2 * GRANULE_BYTES + 16384);
	assert_int_equal(load_relaxed(&seg->header->committed_bytes), kernel_bytes(fd));
	assert_int_equal(seg_commit(seg, plan.size_bytes - 1, 1), 0);
	assert_int_equal(seg_commit(seg, plan.size_bytes, 0), 0);
	seg_unmap(seg);
}

static void commit_outside_the_segment_is_refused(void **state)
{
	struct seg_geometry plan;
	struct seg *seg;
	int fd = formatted(64 * MIB, &plan);

	assert_int_equal(seg_map(fd, false, &seg), 0);
	assert_int_equal(seg_commit(seg, plan.size_bytes, 1), -EINVAL);
	assert_int_equal(seg_commit(seg, plan.size_bytes - 1, 2), -EINVAL);
	assert_int_equal(seg_commit(seg, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(seg_commit(seg, UINT64_MAX, 1), -EINVAL);
	seg_unmap(seg);
}

/* The memory is taken away behind its back: a second call that asked the kernel would bring it. */
static void commit_of_known_memory_makes_no_system_call(void **state)
{
	struct seg_geometry plan;
	struct seg *seg;
	int fd = formatted(64 * MIB, &plan);
	uint64_t before;

	assert_int_equal(seg_map(fd, false, &seg), 0);
	before = kernel_bytes(fd);
	assert_int_equal(seg_commit(seg, plan.arena, 10 * GRANULE_BYTES), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)plan.arena, 10 * GRANULE_BYTES), 0);
	assert_int_equal(seg_commit(seg, plan.arena, 10 * GRANULE_BYTES), 0);
	assert_int_equal(kernel_bytes(fd), before);
	assert_int_equal(seg_commit(seg, plan.arena, 10 * GRANULE_BYTES + 1), 0);
	assert_int_equal(kernel_bytes(fd), before + GRANULE_BYTES);
	seg_unmap(seg);
}

static void maps_stay_out_of_core_dumps(void **state)
{
	struct seg_geometry plan;
	struct seg *seg;
	int fd = formatted(64 * MIB, &plan);
	char line[512];
	bool is_ours = false, is_found = false;
	FILE *maps;

	assert_int_equal(seg_map(fd, false, &seg), 0);
	maps = fopen("/proc/self/smaps", "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "libshm:test:seg"))
			is_ours = true;
		if (is_ours && strncmp(line, "VmFlags:", 8) == 0) {
			is_found = strstr(line, " dd") != NULL;
			break;
		}
	}
	fclose(maps);
	assert_true(is_found);
	seg_unmap(seg);
}

static void read_only_map_needs_no_right_to_write(void **state)
{
	struct seg_geometry plan;
	char path[64];
	struct seg *seg;
	int fd = formatted(64 * MIB, &plan), read_only;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read_only >= 0);
	assert_int_equal(seg_map(read_only, false, &seg), -EACCES);
	assert_int_equal(seg_map(read_only, true, &seg), 0);
	assert_string_equal(seg->name, "a segment");
	assert_true(seg_commit(seg, plan.arena, 1) < 0);
	seg_unmap(seg);
	close(fd);
}

#define CHILD_CANNOT_MOUNT 77

/* A file system of 2 MiB of its own: really full, for this process alone. */
static int commit_until_full(void *arg)
{
	char place[] = "/tmp/libshm-seg-XXXXXX";
	struct seg_geometry plan;
	uint64_t offset;
	struct seg *seg;
	int fd, r = 0;

	if (!world_unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return CHILD_CANNOT_MOUNT;
	assert_non_null(mkdtemp(place));
	if (mount("none", place, "tmpfs", 0, "size=2m") < 0) {
		rmdir(place);
		return CHILD_CANNOT_MOUNT;
	}
	fd = open(place, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	umount2(place, MNT_DETACH);
	rmdir(place);
	assert_true(fd >= 0);
	assert_int_equal(seg_plan(64 * MIB, 0, 0, &plan), 0);
	assert_int_equal(ftruncate(fd, (off_t)plan.size_bytes), 0);
	assert_int_equal(seg_format(fd, "full", 1, &plan), 0);
	assert_int_equal(seg_map(fd, false, &seg), 0);
	for (offset = plan.arena; r == 0; offset += GRANULE_BYTES)
		r = seg_commit(seg, offset, GRANULE_BYTES);
	assert_int_equal(r, -ENOSPC);
	assert_true(offset < plan.arena + 2 * MIB + GRANULE_BYTES);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)plan.arena, GRANULE_BYTES), 0);
	assert_int_equal(seg_commit(seg, offset, GRANULE_BYTES), 0);
	seg_unmap(seg);
	return 0;
}

static void full_memory_is_an_error_and_not_a_signal(void **state)
{
	int r = harness_wait(harness_fork(commit_until_full, NULL));

	if (r == CHILD_CANNOT_MOUNT)
		harness_skip("no right to mount a file system");
	assert_int_equal(r, 0);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(plan_of_nothing_is_the_documented_default),
	HARNESS_TEST(plans_of_all_sizes_and_counts_are_sound),
	HARNESS_TEST(impossible_plans_are_refused),
	HARNESS_TEST(formatted_segment_maps_with_the_planned_geometry),
	HARNESS_TEST(long_names_are_cut_and_closed),
	HARNESS_TEST(half_formatted_segment_is_not_ready_and_can_be_formatted_again),
	HARNESS_TEST(empty_memory_is_not_ready),
	HARNESS_TEST(another_layout_is_told_apart_from_damage),
	HARNESS_TEST(no_changed_geometry_ever_maps),
	HARNESS_TEST(file_of_another_size_is_refused),
	HARNESS_TEST(fresh_gigabyte_commits_little),
	HARNESS_TEST(commit_takes_the_steps_it_needs_and_counts_them),
	HARNESS_TEST(commit_outside_the_segment_is_refused),
	HARNESS_TEST(commit_of_known_memory_makes_no_system_call),
	HARNESS_TEST(maps_stay_out_of_core_dumps),
	HARNESS_TEST(read_only_map_needs_no_right_to_write),
	HARNESS_TEST(full_memory_is_an_error_and_not_a_signal),
};

HARNESS_MAIN(tests)
