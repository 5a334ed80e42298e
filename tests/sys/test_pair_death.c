/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd's supervisor may be killed before and behind each of its system calls, alone or with
 * mpd, and mpd at each of its own with the supervisor, while they start for the first time, serve a
 * request, come back after a kill, and leave. An mpd that is left alone goes on; where none is left
 * the next client starts a pair, which finds what a living client holds, each name once.
 */
#include "mpd_deaths.h"

/* By day, where others go through the requests. */
static enum scenario_time first_time(void)
{
	return harness_scale() < 20 ? AT_RESTART : AT_REQUEST;
}

static void supervisor_may_die_at_each_of_its_calls_and_mpd_goes_on(void **state)
{
	deaths_go_through(&(struct deaths){ SUPERVISOR, AT_REQUEST, AT_END, 1, 1, 43, NULL });
}

static void both_may_die_at_each_call_of_the_supervisor(void **state)
{
	deaths_go_through(&(struct deaths){ SUPERVISOR_BEHIND_ITS_MPD, first_time(), AT_END, 1, 1,
					    29, NULL });
}

static void both_may_die_at_each_call_of_mpd_in_a_request(void **state)
{
	deaths_go_through(&(struct deaths){ MPD_BEHIND_ITS_SUPERVISOR, AT_REQUEST, AT_REQUEST, 1, 1,
					    23, NULL });
}

static void both_may_die_at_each_call_of_mpd_in_a_start_or_its_end(void **state)
{
	deaths_go_through(&(struct deaths){ MPD_BEHIND_ITS_SUPERVISOR, AT_RESTART, AT_END, 1, 1,
					    211, NULL });
}

static void both_may_die_at_each_call_of_mpd_with_epoll(void **state)
{
	deaths_go_through(&(struct deaths){ MPD_BEHIND_ITS_SUPERVISOR, first_time(), AT_END, 2, 1,
					    307, "futex" });
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(supervisor_may_die_at_each_of_its_calls_and_mpd_goes_on),
	HARNESS_TEST_WITH_MPD(both_may_die_at_each_call_of_the_supervisor),
	HARNESS_TEST_WITH_MPD(both_may_die_at_each_call_of_mpd_in_a_request),
	HARNESS_TEST_WITH_MPD(both_may_die_at_each_call_of_mpd_in_a_start_or_its_end),
	HARNESS_TEST_WITH_MPD(both_may_die_at_each_call_of_mpd_with_epoll),
};

HARNESS_MAIN(tests)
