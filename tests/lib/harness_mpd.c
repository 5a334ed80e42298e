/* SPDX-License-Identifier: MIT
 *
 * See harness_mpd.h.
 */
#include "harness_mpd.h"

#include "harness.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>

bool harness_name_is_gone(void *name)
{
	static const struct mp_segment_opts existing = { .flags = MP_EXISTING };
	mp_segment *segment;
	int result = mp_segment_open(name, &existing, &segment);

	if (result == 0)
		mp_segment_close(segment);
	return result == -ENOENT;
}

pid_t harness_find_mpd(void)
{
	struct mp_endpoint_info info = { .mpd_pid = 0 };
	mp_observer *observer;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	mp_observe_close(observer);
	assert_int_not_equal(info.mpd_pid, 0);
	return (pid_t)info.mpd_pid;
}

uint64_t harness_count_deaths(void)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	uint64_t deaths;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	deaths = snapshot->deaths;
	mp_observe_close(observer);
	return deaths;
}
