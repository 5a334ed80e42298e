/* SPDX-License-Identifier: MIT
 *
 * A formatted segment without mpd, for unit tests.
 * Knows: the order memfd, plan, format, map, claim. Does not know: who would do it in real life.
 */
#include "harness_segment.h"

#include "self.h"
#include "slot.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_BYTES (UINT64_C(64) << 20)
#define ASLEEP_MS 10000

static int formatted_memory(uint64_t size_bytes)
{
	struct seg_geometry plan;
	int fd = memfd_create("libshm:test:segment", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(seg_plan(size_bytes, 0, 0, &plan), 0);
	assert_int_equal(ftruncate(fd, (off_t)plan.size_bytes), 0);
	assert_int_equal(seg_format(fd, "test", 1, &plan), 0);
	return fd;
}

struct seg *harness_segment(uint64_t size_bytes)
{
	struct seg *seg;

	assert_int_equal(seg_map(formatted_memory(size_bytes ? size_bytes : DEFAULT_BYTES), false,
				 &seg), 0);
	seg->roster_fd = -1;
	seg->fork_epoch = self_fork_epoch();
	seg->client = harness_segment_client(seg, &seg->client_generation);
	return seg;
}

uint32_t harness_segment_client(struct seg *seg, uint32_t *ret_generation)
{
	uint32_t client;

	assert_int_equal(slot_claim_client(seg, 0, "test", SLOT_NONE, &client, ret_generation), 0);
	return client;
}

struct seg *harness_segment_map_again(const struct seg *seg)
{
	struct seg *other;
	int fd = fcntl(seg->fd, F_DUPFD_CLOEXEC, 3);

	assert_true(fd >= 0);
	assert_int_equal(seg_map(fd, false, &other), 0);
	other->roster_fd = -1;
	return other;
}

struct asleep {
	struct seg *seg;
	uint32_t count;
};

static bool are_asleep(void *arg)
{
	struct asleep *asleep = arg;
	uint32_t count = 0;

	for (uint32_t i = SLOT_FIRST; i < asleep->seg->at.max_threads; i++)
		count += load_seqcst(&asleep->seg->threads[i].bell) & 1;
	return count == asleep->count;
}

void harness_segment_await_asleep(struct seg *seg, uint32_t count)
{
	struct asleep asleep = { seg, count };

	assert_true(harness_until(are_asleep, &asleep, ASLEEP_MS));
}

void harness_segment_end(struct seg *seg)
{
	self_forget_all(seg);
	seg_unmap(seg);
}
