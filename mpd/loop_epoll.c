/* SPDX-License-Identifier: MIT
 *
 * The loop's epoll engine, where io_uring is refused. Knows: epoll. Does not know: sources, words
 * (they are looked at by a timer then).
 */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_A_TURN 64

static int epoll_fd = -1;

static int epoll_engine_open(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

static void epoll_engine_close(void)
{
	close(epoll_fd);
}

/* EPOLLIN and its like have the values of POLLIN and its like. */
static int epoll_arm(loop_id id, int fd, unsigned events)
{
	struct epoll_event event = { .events = events, .data = { .u64 = id } };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void epoll_disarm(loop_id id, int fd)
{
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static int timeout_ms(int64_t deadline_ns)
{
	int64_t left;

	if (deadline_ns == DEADLINE_NEVER)
		return -1;
	left = (deadline_ns - clock_now_ns() + 999999) / 1000000;
	if (left < 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

static int epoll_engine_wait(int64_t deadline_ns)
{
	struct epoll_event events[EVENTS_A_TURN];
	int count = epoll_wait(epoll_fd, events, EVENTS_A_TURN, timeout_ms(deadline_ns));

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count; i++)
		loop_fire(events[i].data.u64, events[i].events);
	return 0;
}

const struct loop_ops loop_epoll = {
	.name = "epoll",
	.open = epoll_engine_open,
	.close = epoll_engine_close,
	.arm = epoll_arm,
	.disarm = epoll_disarm,
	.wait = epoll_engine_wait,
};
