/* SPDX-License-Identifier: MIT
 *
 * Proves: how much a memory cgroup leaves is read right from the files of cgroup v1 and v2, with
 * ancestors, page cache, swap and containers' mounts; what cannot be read limits nothing; and a
 * segment at the limit is refused memory with an error, before the kernel would kill.
 */
#include "harness_segment.h"

#include "libshm/memory_room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

struct fake {
	char root[64], cgroup[128], mountinfo[128];
	struct memory_room_source source;
};

static void put_file(const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void put_number(const char *folder, const char *name, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof text, "%llu\n", (unsigned long long)number);
	put_file(folder, name, text);
}

/* `line` is that of the cgroup's file; `mount` that of mountinfo, with %s for the folder. */
static void begin(struct fake *fake, const char *line, const char *mount)
{
	char text[512];

	snprintf(fake->root, sizeof fake->root, "/tmp/memory-room-XXXXXX");
	assert_non_null(mkdtemp(fake->root));
	snprintf(fake->cgroup, sizeof fake->cgroup, "%s/cgroup", fake->root);
	snprintf(fake->mountinfo, sizeof fake->mountinfo, "%s/mountinfo", fake->root);
	put_file(fake->root, "cgroup", line);
	snprintf(text, sizeof text, mount, fake->root);
	put_file(fake->root, "mountinfo", text);
	fake->source = (struct memory_room_source){ fake->cgroup, fake->mountinfo };
}

static void end(struct fake *fake)
{
	char command[128];

	memory_room_set_source(NULL);
	snprintf(command, sizeof command, "rm -r %s", fake->root);
	assert_int_equal(system(command), 0);
}

static const char *folder(const struct fake *fake, const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s%s", fake->root, name);
	mkdir(path, 0700);
	return path;
}

static void put_v2(const char *path, const char *limit, uint64_t used)
{
	put_file(path, "memory.max", limit);
	put_number(path, "memory.current", used);
}

static void put_v1(const char *path, uint64_t limit, uint64_t used)
{
	put_number(path, "memory.limit_in_bytes", limit);
	put_number(path, "memory.usage_in_bytes", used);
}

#define MOUNT_V2 "31 23 0:28 / %s rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1 "30 23 0:20 / /nowhere rw - tmpfs tmpfs rw\n"                                     \
		 "35 31 0:32 / %s rw,relatime - cgroup cgroup rw,memory\n"

static void least_of_a_cgroup_and_those_above_it_counts_in_v2(void **state)
{
	struct fake fake;

	begin(&fake, "0::/app/worker\n", MOUNT_V2);
	put_v2(folder(&fake, "/app"), "104857600\n", 90 * MIB);
	put_v2(folder(&fake, "/app/worker"), "max\n", 1 * MIB);
	assert_int_equal(memory_room_ask(&fake.source), 10 * MIB);
	put_v2(folder(&fake, "/app/worker"), "4194304\n", 1 * MIB);
	assert_int_equal(memory_room_ask(&fake.source), 3 * MIB);
	put_v2(folder(&fake, "/app/worker"), "4194304\n", 5 * MIB);
	assert_int_equal(memory_room_ask(&fake.source), 0);
	end(&fake);
}

static void page_cache_is_room(void **state)
{
	struct fake fake;

	begin(&fake, "0::/app\n", MOUNT_V2);
	put_v2(folder(&fake, "/app"), "104857600\n", 100 * MIB);
	put_file(folder(&fake, "/app"), "memory.stat",
		 "anon 50000000\nfile 52428800\nshmem 1\ninactive_anon 7\nactive_anon 7\n"
		 "inactive_file 31457280\nactive_file 10485760\nslab 5\n");
	assert_int_equal(memory_room_ask(&fake.source), 40 * MIB);
	end(&fake);
}

static void limits_of_v1_are_read_too(void **state)
{
	struct fake fake;

	begin(&fake, "5:cpu,cpuacct:/other\n4:memory:/box\n0::/\n", MOUNT_V1);
	put_v1(folder(&fake, ""), UINT64_C(9223372036854771712), 0);
	put_v1(folder(&fake, "/box"), 64 * MIB, 60 * MIB);
	put_file(folder(&fake, "/box"), "memory.stat",
		 "inactive_file 1\nactive_file 1\ntotal_inactive_file 1048576\n"
		 "total_active_file 1048576\n");
	assert_int_equal(memory_room_ask(&fake.source), 6 * MIB);
	put_v1(folder(&fake, "/box"), UINT64_C(9223372036854771712), 60 * MIB);
	assert_true(memory_room_ask(&fake.source) == MEMORY_ROOM_UNLIMITED);
	end(&fake);
}

/* The mount shows the container's own part of the tree only. */
static void container_sees_its_own_limit(void **state)
{
	struct fake fake;

	begin(&fake, "4:memory:/docker/abc/inner\n",
	      "35 31 0:32 /docker/abc %s ro - cgroup cgroup rw,memory\n");
	put_v1(folder(&fake, ""), 32 * MIB, 30 * MIB);
	put_v1(folder(&fake, "/inner"), 16 * MIB, 15 * MIB);
	assert_int_equal(memory_room_ask(&fake.source), 1 * MIB);
	put_file(fake.root, "cgroup", "4:memory:/elsewhere\n");
	assert_int_equal(memory_room_ask(&fake.source), 2 * MIB);
	end(&fake);
}

static void what_cannot_be_read_limits_nothing(void **state)
{
	static const struct memory_room_source none = { "/nonexistent", "/nonexistent" };
	struct fake fake;

	assert_true(memory_room_ask(&none) == MEMORY_ROOM_UNLIMITED);
	begin(&fake, "0::/app\n", MOUNT_V2);
	assert_true(memory_room_ask(&fake.source) == MEMORY_ROOM_UNLIMITED);
	put_file(fake.root, "cgroup", "nonsense\n::::\n\n0::\n");
	put_file(fake.root, "mountinfo", "nonsense - \n - cgroup2\n1 2 3 - cgroup2 x y\n");
	assert_true(memory_room_ask(&fake.source) == MEMORY_ROOM_UNLIMITED);
	end(&fake);
}

static void little_room_is_asked_for_again_each_time(void **state)
{
	struct fake fake;

	begin(&fake, "0::/app\n", MOUNT_V2);
	put_v2(folder(&fake, "/app"), "104857600\n", 96 * MIB);
	memory_room_set_source(&fake.source);
	assert_true(memory_room_take(512 << 10));
	assert_true(memory_room_take(64 << 10));
	put_v2(folder(&fake, "/app"), "104857600\n", 98 * MIB);
	assert_false(memory_room_take(1 * MIB)); /* two are left for others */
	assert_true(memory_room_was_refused());
	put_v2(folder(&fake, "/app"), "104857600\n", 90 * MIB);
	assert_true(memory_room_take(1 * MIB));
	assert_false(memory_room_was_refused());
	end(&fake);
}

static void segment_at_the_limit_is_refused_memory(void **state)
{
	struct seg *seg = harness_segment(0);
	struct fake fake;
	uint64_t at = seg->at.arena;

	begin(&fake, "0::/app\n", MOUNT_V2);
	put_v2(folder(&fake, "/app"), "104857600\n", 104857600);
	memory_room_set_source(&fake.source);
	assert_int_equal(seg_commit(seg, at, 1), -ENOSPC);
	put_v2(folder(&fake, "/app"), "104857600\n", 1 * MIB);
	assert_int_equal(seg_commit(seg, at, 1), 0);
	/* What is there already costs nothing. */
	memset(seg->base + at, 1, GRANULE_BYTES);
	put_v2(folder(&fake, "/app"), "104857600\n", 104857600);
	memory_room_set_source(&fake.source);
	memset((void *)seg->committed, 0, 8);
	store_relaxed(&seg->committed[0], 0);
	assert_int_equal(seg_commit(seg, at, 1), 0);
	end(&fake);
	harness_segment_end(seg);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(least_of_a_cgroup_and_those_above_it_counts_in_v2),
	HARNESS_TEST(page_cache_is_room),
	HARNESS_TEST(limits_of_v1_are_read_too),
	HARNESS_TEST(container_sees_its_own_limit),
	HARNESS_TEST(what_cannot_be_read_limits_nothing),
	HARNESS_TEST(little_room_is_asked_for_again_each_time),
	HARNESS_TEST(segment_at_the_limit_is_refused_memory),
};

HARNESS_MAIN(tests)
