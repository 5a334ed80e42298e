/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd may be killed before and behind each of its system calls, whatever it is doing, also
 * while it starts for the first time and while it leaves. The next one has exactly the segments
 * that clients were told of, each name once; who asked and was not answered asks again and is
 * answered right; no living client is swept and each dead one is; and the supervisor holds what
 * belongs to these segments and nothing else.
 *
 * Both of mpd's event loops are gone through: where io_uring does several things in one call, epoll
 * needs a call for each.
 */
#include "mpd_deaths.h"

#include "libshm/recover.h"

#include <errno.h>
#include <signal.h>

static void mpd_may_die_at_each_system_call_of_each_request(void **state)
{
	deaths_go_through(&(struct deaths){ MPD, AT_REQUEST, AT_REQUEST, 1, 1, 0, NULL });
}

static void mpd_with_epoll_may_die_at_each_system_call_of_each_request(void **state)
{
	deaths_go_through(&(struct deaths){ MPD, AT_REQUEST, AT_REQUEST, 1, 1, 0, "futex" });
}

/* A start has many calls, so its two halves are tests of their own. */
static void mpd_may_die_before_each_system_call_of_its_start(void **state)
{
	deaths_go_through(&(struct deaths){ MPD, AT_RESTART, AT_RESTART, 1, 2, 0, NULL });
}

static void mpd_may_die_behind_each_system_call_of_its_start(void **state)
{
	deaths_go_through(&(struct deaths){ MPD, AT_RESTART, AT_RESTART, 2, 2, 0, NULL });
}

static void mpd_with_epoll_may_die_before_each_system_call_of_its_start(void **state)
{
	deaths_go_through(&(struct deaths){ MPD, AT_RESTART, AT_RESTART, 1, 2, 0, "futex" });
}

static void mpd_with_epoll_may_die_behind_each_system_call_of_its_start(void **state)
{
	deaths_go_through(&(struct deaths){ MPD, AT_RESTART, AT_RESTART, 2, 2, 0, "futex" });
}

static void mpd_may_die_at_each_system_call_of_a_first_start(void **state)
{
	deaths_go_through(&(struct deaths){ MPD, AT_START, AT_START, 1, 1, 127, NULL });
}

static void mpd_may_die_at_each_system_call_of_its_end(void **state)
{
	deaths_go_through(&(struct deaths){ MPD, AT_END, AT_END, 1, 1, 7, NULL });
}

static bool is_gone(void *arg)
{
	return raw_mpd_count() == 0;
}

/* Who was told to make a segment speaks of it by a number to an mpd that never heard of it. */
static void number_of_a_lost_registry_names_nothing(void **state)
{
	struct raw_segment lost, other;
	struct proto_segment formatted;
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	assert_int_equal(raw_open(&raw, "lost", 0, 0, &lost), 0);
	formatted.segment = lost.opened.segment;
	assert_int_equal(kill(raw_parent_of((pid_t)raw.welcome.pid), SIGKILL), 0);
	assert_int_equal(kill((pid_t)raw.welcome.pid, SIGKILL), 0);
	raw_close(&raw);
	assert_true(harness_until(is_gone, NULL, WORLD_PATIENCE_MS));
	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "other", 0, &other);
	assert_int_equal(raw_ask(&raw, PROTO_FORMATTED, &formatted, sizeof formatted, NULL, 0,
				 NULL), -ESTALE);
	recover_client(other.seg, other.client, other.generation);
	raw_close(&raw);
	raw_forget(&lost);
	raw_forget(&other);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(number_of_a_lost_registry_names_nothing),
	HARNESS_TEST_WITH_MPD(mpd_may_die_at_each_system_call_of_each_request),
	HARNESS_TEST_WITH_MPD(mpd_with_epoll_may_die_at_each_system_call_of_each_request),
	HARNESS_TEST_WITH_MPD(mpd_may_die_before_each_system_call_of_its_start),
	HARNESS_TEST_WITH_MPD(mpd_may_die_behind_each_system_call_of_its_start),
	HARNESS_TEST_WITH_MPD(mpd_with_epoll_may_die_before_each_system_call_of_its_start),
	HARNESS_TEST_WITH_MPD(mpd_with_epoll_may_die_behind_each_system_call_of_its_start),
	HARNESS_TEST_WITH_MPD(mpd_may_die_at_each_system_call_of_a_first_start),
	HARNESS_TEST_WITH_MPD(mpd_may_die_at_each_system_call_of_its_end),
};

HARNESS_MAIN(tests)
