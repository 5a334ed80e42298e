/* SPDX-License-Identifier: MIT
 *
 * Proves: in a memory cgroup at its limit a client gets an error with a sentence, nobody is killed,
 * what was there stays whole, and it goes on when the limit is raised.
 */
#include "harness.h"

#include <libshm.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT "33554432\n"    /* 32 MiB */
#define RAISED "134217728\n"
#define MESSAGE (1 << 20)
#define MESSAGES 100          /* more than the limit, less than the raised one */

/* A cgroup of this test's own, of either version. */
struct box {
	char path[128];
	const char *limit_file;
};

static bool write_file(const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *file;
	bool is_written;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "r+e"); /* a cgroup has it already */
	if (!file)
		return false;
	is_written = fputs(text, file) >= 0;
	return fclose(file) == 0 && is_written;
}

static bool make_box(struct box *box, const char *parent, const char *limit_file)
{
	snprintf(box->path, sizeof box->path, "%s/libshm-test-%d", parent, (int)getpid());
	box->limit_file = limit_file;
	if (mkdir(box->path, 0700) < 0)
		return false;
	if (write_file(box->path, limit_file, LIMIT))
		return true;
	rmdir(box->path);
	return false;
}

static void begin(struct box *box)
{
	if (!make_box(box, "/sys/fs/cgroup", "memory.max") &&
	    !make_box(box, "/sys/fs/cgroup/memory", "memory.limit_in_bytes"))
		harness_skip("no memory cgroup can be made here");
}

static bool is_removed(void *arg)
{
	return rmdir(((struct box *)arg)->path) == 0;
}

static int fill_a_segment(void *arg)
{
	struct mp_queue_opts opts = { .capacity = 1024 };
	struct box *box = arg;
	static char message[MESSAGE];
	mp_segment *segment;
	mp_queue *queue;
	char pid[16];
	unsigned count = 0;
	int result;

	snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	assert_true(write_file(box->path, "cgroup.procs", pid));
	assert_int_equal(mp_segment_open("boxed", NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "items", &opts, &queue), 0);
	while ((result = mp_queue_put(queue, message, sizeof message, MP_NOW)) == 0)
		count++;
	print_message("%u MiB of 32 were put\n", count);
	assert_int_equal(result, -ENOSPC);
	if (!strstr(mp_explain(), "memory cgroup"))
		fail_msg("%s", mp_explain());
	assert_in_range(count, 10, 31);
	assert_true(write_file(box->path, box->limit_file, RAISED));
	for (; count < MESSAGES; count++)
		assert_int_equal(mp_queue_put(queue, message, sizeof message, MP_SEC(5)), 0);
	for (; count > 0; count--)
		assert_int_equal(mp_queue_get(queue, message, sizeof message, MP_NOW), MESSAGE);
	mp_queue_close(queue);
	mp_segment_close(segment);
	return 0;
}

static void memory_cgroup_at_its_limit_is_a_clean_error(void **state)
{
	mp_segment *outside;
	struct box box;

	begin(&box);
	/* mpd is started outside of the box. */
	assert_int_equal(mp_segment_open("outside", NULL, &outside), 0);
	harness_join(harness_fork(fill_a_segment, &box));
	mp_segment_close(outside);
	assert_true(harness_until(is_removed, &box, 10000));
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(memory_cgroup_at_its_limit_is_a_clean_error),
};

HARNESS_MAIN(tests)
