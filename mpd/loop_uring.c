/* SPDX-License-Identifier: MIT
 *
 * The loop's io_uring engine. Knows: POLL_ADD, FUTEX_WAIT, one submission for each turn. Does not
 * know: sources (loop.c), whether the kernel can do this (libshm's probe has tried).
 *
 * Polls are single shots, armed anew after each event, so that a descriptor that stays ready fires
 * again as under epoll. A closed descriptor lives until its poll is cancelled: loop_remove first.
 */
#include "loop.h"

#include <errno.h>

#include "libshm/uring_compat.h"

#define RING_ENTRIES 256
#define COMPLETION_ENTRIES 4096

static struct io_uring ring;

static int uring_open(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = COMPLETION_ENTRIES,
	};

	return io_uring_queue_init_params(RING_ENTRIES, &ring, &params);
}

static void uring_close(void)
{
	io_uring_queue_exit(&ring);
}

static struct io_uring_sqe *next_entry(void)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&ring);

	if (entry)
		return entry;
	io_uring_submit(&ring);
	return io_uring_get_sqe(&ring);
}

static int uring_arm(loop_id id, int fd, unsigned events)
{
	struct io_uring_sqe *entry = next_entry();

	if (!entry)
		return -EBUSY;
	io_uring_prep_poll_add(entry, fd, events);
	io_uring_sqe_set_data64(entry, id);
	return 0;
}

static void uring_disarm(loop_id id, int fd)
{
	struct io_uring_sqe *entry = next_entry();

	if (!entry)
		return;
	io_uring_prep_cancel64(entry, id, 0);
	io_uring_sqe_set_data64(entry, 0);
	io_uring_submit(&ring); /* at once: what it refers to is closed next */
}

static int uring_arm_word(loop_id id, atom32 *word, uint32_t value)
{
	struct io_uring_sqe *entry = next_entry();

	if (!entry)
		return -EBUSY;
	uring_prep_futex_wait(entry, (void *)word, value);
	io_uring_sqe_set_data64(entry, id);
	return 0;
}

/* The completion is taken off before its function runs: that one may arm and disarm. */
static void dispatch(void)
{
	struct io_uring_cqe *completion;

	for (unsigned n = 0; n < COMPLETION_ENTRIES; n++) {
		loop_id id;
		int result;

		if (io_uring_peek_cqe(&ring, &completion) < 0)
			return;
		id = io_uring_cqe_get_data64(completion);
		result = completion->res;
		io_uring_cqe_seen(&ring, completion);
		if (id && result != -ECANCELED)
			loop_fire(id, result > 0 ? (unsigned)result : 0);
	}
}

static int uring_wait(int64_t deadline_ns)
{
	int64_t left = deadline_ns == DEADLINE_NEVER ? 0 : deadline_ns - clock_now_ns();
	struct __kernel_timespec timeout = { 0 };
	struct io_uring_cqe *completion;
	int error;

	if (left > 0) {
		timeout.tv_sec = left / 1000000000;
		timeout.tv_nsec = left % 1000000000;
	}
	error = io_uring_submit_and_wait_timeout(
		&ring, &completion, 1, deadline_ns == DEADLINE_NEVER ? NULL : &timeout, NULL);
	dispatch();
	if (error < 0 && error != -ETIME && error != -EINTR && error != -EAGAIN && error != -EBUSY)
		return error;
	return 0;
}

const struct loop_ops loop_uring = {
	.name = "uring",
	.open = uring_open,
	.close = uring_close,
	.arm = uring_arm,
	.disarm = uring_disarm,
	.arm_word = uring_arm_word,
	.wait = uring_wait,
	.is_one_shot = true,
};
