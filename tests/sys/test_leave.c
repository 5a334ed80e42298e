/* SPDX-License-Identifier: MIT
 *
 * Proves: leaving a segment waits for nobody. With mpd stopped and its socket full, closes go
 * through; once mpd goes on it finds out by itself who has left, and who has not.
 */
#include "harness.h"
#include "harness_mpd.h"
#include "program.h"

#include <libshm.h>

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

#define SEGMENTS 24 /* each close has its message; the smallest socket has room for fewer */
#define FDS_MAX 256

static mp_segment *segments[SEGMENTS];

static const char *name_of(unsigned i)
{
	static char name[16];

	snprintf(name, sizeof name, "left-%u", i);
	return name;
}

/* The connection has the least room there is, and whoever waits for more of it waits for ever. */
static void narrow_connection(void)
{
	static const struct timeval for_ever;
	const int least = 1;
	int found = 0;

	for (int fd = 3; fd < FDS_MAX; fd++) {
		socklen_t length = sizeof(int);
		int type = 0;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
		    type != SOCK_SEQPACKET)
			continue;
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &for_ever,
					    sizeof for_ever), 0);
		found++;
	}
	assert_int_equal(found, 1);
}

static pid_t open_all_and_stop_mpd(void)
{
	pid_t mpd;

	for (unsigned i = 0; i < SEGMENTS; i++)
		assert_int_equal(mp_segment_open(name_of(i), NULL, &segments[i]), 0);
	mpd = harness_find_mpd();
	narrow_connection();
	program_stop(mpd);
	return mpd;
}

static void expect_gone(unsigned from)
{
	for (unsigned i = from; i < SEGMENTS; i++)
		if (!harness_until(harness_name_is_gone, (void *)(uintptr_t)name_of(i), 20000))
			fail_msg("segment %u is still there", i);
}

static void close_does_not_wait_for_a_stopped_mpd_whose_socket_is_full(void **state)
{
	pid_t mpd = open_all_and_stop_mpd();

	for (unsigned i = 0; i < SEGMENTS; i++)
		mp_segment_close(segments[i]);
	assert_int_equal(kill(mpd, SIGCONT), 0);
	expect_gone(0);
}

static bool has_one_client(void *observer)
{
	struct mp_observed_segment segment;
	int count = mp_observe_refresh(observer);

	if (count != 1)
		return false;
	assert_int_equal(mp_observe_segment(observer, 0, &segment), 0);
	return segment.clients == 1;
}

static void what_is_not_closed_stays_attached_where_mpd_could_not_be_told(void **state)
{
	pid_t mpd = open_all_and_stop_mpd();
	mp_observer *observer;
	mp_queue *queue;
	int item = 7;

	for (unsigned i = 1; i < SEGMENTS; i++)
		mp_segment_close(segments[i]);
	assert_int_equal(kill(mpd, SIGCONT), 0);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_true(harness_until(has_one_client, observer, 20000));
	mp_observe_close(observer);
	assert_int_equal(mp_queue_open(segments[0], "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, &item, sizeof item, MP_NOW), 0);
	mp_queue_close(queue);
	/* It asks mpd anew, over another connection. */
	assert_int_equal(mp_segment_open(name_of(1), NULL, &segments[1]), 0);
	mp_segment_close(segments[1]);
	mp_segment_close(segments[0]);
	expect_gone(0);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(close_does_not_wait_for_a_stopped_mpd_whose_socket_is_full),
	HARNESS_TEST_WITH_MPD(what_is_not_closed_stays_attached_where_mpd_could_not_be_told),
};

HARNESS_MAIN(tests)
