/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd is a good service. The service manager hears that it serves, what it does and that
 * its loop turns; gives it its socket; keeps its descriptors, so that kill -9 costs nothing; and
 * where there is no service manager, or a foreign one, nothing is said and nothing is lost.
 */
#include "manager.h"
#include "program.h"
#include "raw_client.h"

#include "libshm/recover.h"

#include <libshm.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KILLS 5
#define WATCHDOG_US "100000"
#define WATCHDOG_MS 100
#define STEADY 4 /* descriptors that are stored for mpd itself: lock, socket, registry, roster */

static struct manager manager; /* too large for a stack */

static bool has_any(const struct manager *those)
{
	return those->readies || those->pings || those->stored_count || those->status[0];
}

static void hears_all(bool is_abstract)
{
	manager_begin(&manager, is_abstract);
	manager_start(&manager, "--foreground", NULL);
	manager_await_ready(&manager);
	assert_int_equal(manager.main_pid, manager.pid);
	assert_int_equal(manager.sender, manager.pid);
	assert_non_null(strstr(manager.status, harness_endpoint()->socket));
	assert_int_equal(manager.stoppings, 0);
	assert_int_equal(manager.stored_count, STEADY);
	assert_int_equal(manager_stop(&manager), 0);
	assert_int_equal(manager.stoppings, 1);
	manager_end(&manager);
}

static void service_manager_hears_that_mpd_serves_and_that_it_leaves(void **state)
{
	hears_all(false);
	hears_all(true);
}

static bool tells_of_two(const struct manager *those)
{
	return strstr(those->status, "2 segments, 1 clients") != NULL;
}

static void status_follows_what_happens(void **state)
{
	struct raw_segment one, two;
	struct raw raw;

	manager_begin(&manager, false);
	manager_start(&manager, "--foreground", NULL);
	raw_connect(&raw);
	assert_int_equal(raw_open(&raw, "one", 0, 0, &one), 0);
	assert_int_equal(raw_open(&raw, "two", 0, 0, &two), 0);
	assert_true(manager_until(&manager, tells_of_two));
	raw_forget(&one);
	raw_forget(&two);
	raw_close(&raw);
	assert_int_equal(manager_stop(&manager), 0);
	manager_end(&manager);
}

/* The same memory, found by its name and full of what was written before. */
static void check_same(struct raw *raw, const struct raw_segment *kept, int value)
{
	struct raw_segment again;

	assert_int_equal(raw_open(raw, "kept", 0, MP_EXISTING, &again), 0);
	assert_int_equal(again.opened.generation, kept->opened.generation);
	assert_int_equal(seg_map(again.fd, false, &again.seg), 0);
	for (unsigned byte = 0; byte < 4096; byte++)
		assert_int_equal(raw_page(&again)[byte], value);
	raw_forget(&again);
}

static void leave_kept(struct raw *raw, struct raw_segment *kept)
{
	recover_client(kept->seg, kept->client, kept->generation);
	raw_close(raw);
	raw_forget(kept);
}

static void survive_kills(void)
{
	struct raw_segment kept;
	struct raw raw;

	manager_start(&manager, "--foreground", NULL);
	raw_connect(&raw);
	raw_attach(&raw, "kept", 0, &kept);
	for (int i = 1; i <= KILLS; i++) {
		memset(raw_page(&kept), i, 4096);
		manager_kill(&manager);
		raw_close(&raw);
		manager_start(&manager, "--foreground", NULL);
		raw_connect(&raw);
		assert_int_equal(raw.welcome.pid, manager.pid);
		assert_int_equal(raw.welcome.restarts, i);
		check_same(&raw, &kept, i);
	}
	manager_await_ready(&manager);
	assert_int_equal(manager_stored(&manager, "segment-"), 2);
	leave_kept(&raw, &kept);
}

static bool has_forgotten_segments(const struct manager *those)
{
	return manager_stored(those, "segment-") == 0;
}

static void killed_mpd_gets_its_descriptors_back_from_the_service_manager(void **state)
{
	manager_begin(&manager, false);
	survive_kills();
	assert_int_equal(manager.stored_count, STEADY + 2);
	/* What nobody uses any more is not kept any longer. */
	assert_true(manager_until(&manager, has_forgotten_segments));
	assert_int_equal(manager.stored_count, STEADY);
	assert_int_equal(manager_stop(&manager), 0);
	manager_end(&manager);
}

static void killed_mpd_is_back_behind_the_socket_it_was_given(void **state)
{
	manager_begin(&manager, false);
	manager_listen(&manager);
	survive_kills();
	/* Its socket is the manager's already. */
	assert_int_equal(manager_stored(&manager, "listen"), 0);
	assert_int_equal(manager_stop(&manager), 0);
	assert_int_equal(access(harness_endpoint()->socket, F_OK), 0);
	manager_end(&manager);
}

/* `systemctl restart`: a clean end, and the store is handed to the next. `systemctl stop` and
 * start: the store is gone, and the clients have the memory. */
static void restarted(bool is_store_dropped, bool is_activated)
{
	struct raw_segment kept;
	struct raw raw;

	manager_begin(&manager, false);
	if (is_activated)
		manager_listen(&manager);
	manager_start(&manager, "--foreground", NULL);
	raw_connect(&raw);
	raw_attach(&raw, "kept", 0, &kept);
	memset(raw_page(&kept), 7, 4096);
	assert_int_equal(manager_stop(&manager), 0);
	assert_int_equal(manager_stored(&manager, "lock"), 0);
	assert_int_equal(manager_stored(&manager, "segment-"), 2);
	if (is_store_dropped)
		manager_drop_store(&manager);
	raw_close(&raw);
	manager_start(&manager, "--foreground", NULL);
	raw_connect(&raw);
	assert_int_equal(raw.welcome.restarts, !is_store_dropped);
	check_same(&raw, &kept, 7);
	manager_await_ready(&manager);
	leave_kept(&raw, &kept);
	assert_int_equal(manager_stop(&manager), 0);
	manager_end(&manager);
}

static void service_that_is_restarted_has_its_segments_again(void **state)
{
	restarted(false, false);
	restarted(true, false);
}

static void activated_service_that_is_restarted_has_its_segments_again(void **state)
{
	restarted(false, true);
	restarted(true, true);
}

static int ask_through_socket(void *arg)
{
	struct raw_segment segment;
	struct raw raw;

	raw_connect(&raw);
	assert_int_equal(raw_open(&raw, "early", 0, 0, &segment), 0);
	raw_forget(&segment);
	raw_close(&raw);
	return 0;
}

/* It leaves when nobody uses it; who comes after that waits in the manager's socket. */
static void socket_is_served_on_demand_and_outlives_mpd(void **state)
{
	manager_begin(&manager, false);
	manager_listen(&manager);
	for (unsigned i = 0; i < 2; i++) {
		pid_t client = harness_fork(ask_through_socket, NULL);

		manager_start(&manager, "--foreground", "--grace", "0", NULL);
		harness_join(client);
		assert_int_equal(manager_wait(&manager), 0);
		assert_int_equal(manager.stoppings, i + 1);
		assert_int_equal(access(harness_endpoint()->socket, F_OK), 0);
	}
	manager_end(&manager);
}

static bool has_pinged_thrice(const struct manager *those)
{
	return those->pings >= 3;
}

static unsigned pings_within(unsigned ms)
{
	manager_read(&manager);
	manager.pings = 0;
	harness_sleep_ms(ms);
	manager_read(&manager);
	return manager.pings;
}

static void loop_that_hangs_does_not_feed_the_watchdog(void **state)
{
	manager_begin(&manager, false);
	manager.watchdog_us = WATCHDOG_US;
	manager_start(&manager, "--foreground", "--keep", NULL);
	assert_true(manager_until(&manager, has_pinged_thrice));
	program_stop(manager.pid);
	assert_int_equal(pings_within(6 * WATCHDOG_MS), 0);
	kill(manager.pid, SIGCONT);
	manager.pings = 0;
	assert_true(manager_until(&manager, has_pinged_thrice));
	assert_int_equal(manager_stop(&manager), 0);
	manager_end(&manager);
}

static bool has_not_woken_up(void *arg)
{
	uint64_t before = raw_switches(manager.pid);

	harness_sleep_ms(700);
	return raw_switches(manager.pid) == before;
}

static void watchdog_that_is_not_meant_for_mpd_is_not_fed_and_idle_mpd_sleeps(void **state)
{
	manager_begin(&manager, false);
	manager.watchdog_us = WATCHDOG_US;
	manager.watchdog_pid = "1";
	manager_start(&manager, "--foreground", "--keep", "--grace", "100", NULL);
	manager_await_ready(&manager);
	harness_sleep_ms(200); /* once it looks whether what it has adopted is in use */
	assert_true(harness_retry(has_not_woken_up, NULL, 2));
	manager_read(&manager);
	assert_int_equal(manager.pings, 0);
	assert_int_equal(manager_stop(&manager), 0);
	manager_end(&manager);
}

static bool tells_of_a_kill(const struct manager *those)
{
	return strstr(those->statuses, "mpd was ended by signal 9") && those->readies == 2 &&
	       those->pings > 0;
}

static void supervisor_passes_on_what_mpd_says(void **state)
{
	struct raw raw;

	manager_begin(&manager, false);
	manager_listen(&manager);
	manager.watchdog_us = WATCHDOG_US;
	manager_start(&manager, "--foreground", "--supervise", NULL);
	raw_connect(&raw);
	assert_int_equal(raw_parent_of((pid_t)raw.welcome.pid), manager.pid);
	assert_true(manager_until(&manager, has_pinged_thrice));
	assert_int_equal(manager.readies, 1);
	assert_int_equal(manager.sender, manager.pid);
	assert_int_equal(manager.stored_count, 0);
	manager.pings = 0;
	kill((pid_t)raw.welcome.pid, SIGKILL);
	raw_close(&raw);
	assert_true(manager_until(&manager, tells_of_a_kill));
	raw_connect(&raw);
	assert_int_equal(raw.welcome.restarts, 1);
	raw_close(&raw);
	assert_int_equal(manager_stop(&manager), 0);
	assert_int_equal(manager.stoppings, 1);
	assert_int_equal(access(harness_endpoint()->socket, F_OK), 0);
	manager_end(&manager);
}

static void service_manager_that_is_gone_or_deaf_stops_nobody(void **state)
{
	struct raw raw;

	manager_begin(&manager, false);
	unlink(manager.path);
	manager_start(&manager, "--foreground", NULL);
	raw_connect(&raw);
	raw_close(&raw);
	assert_int_equal(manager_stop(&manager), 0);
	manager_end(&manager);
	manager_begin(&manager, true);
	manager_start(&manager, "--foreground", "--keep", NULL);
	for (unsigned i = 0; i < 40; i++) { /* more than its socket's queue takes */
		struct raw_segment segment;
		char name[16];

		snprintf(name, sizeof name, "n%u", i);
		raw_connect(&raw);
		assert_int_equal(raw_open(&raw, name, 0, 0, &segment), 0);
		raw_forget(&segment);
		raw_close(&raw);
	}
	assert_int_equal(manager_stop(&manager), 0);
	manager_end(&manager);
}

static void mpd_of_a_program_says_nothing_to_the_program_s_manager(void **state)
{
	mp_segment *segment;

	manager_begin(&manager, false);
	setenv("NOTIFY_SOCKET", manager.path, 1);
	setenv("WATCHDOG_USEC", "10000", 1);
	assert_int_equal(mp_segment_open("quiet", NULL, &segment), 0);
	harness_sleep_ms(100);
	mp_segment_close(segment);
	manager_read(&manager);
	assert_false(has_any(&manager));
	manager_end(&manager);
}

static void service_that_cannot_serve_says_why_to_all_who_ask(void **state)
{
	const char *path = harness_endpoint()->socket;
	mp_segment *segment;

	manager_begin(&manager, false);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	manager_start(&manager, "--foreground", NULL);
	assert_int_equal(manager_wait(&manager), 1);
	assert_int_equal(manager.error, EEXIST);
	assert_non_null(strstr(manager.status, "something else than a socket is there"));
	assert_int_equal(mp_segment_open("none", NULL, &segment), -ECONNREFUSED);
	if (!strstr(mp_explain(), "something else than a socket is there"))
		fail_msg("%s", mp_explain());
	unlink(path);
	manager_end(&manager);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(service_manager_hears_that_mpd_serves_and_that_it_leaves),
	HARNESS_TEST_WITH_MPD(status_follows_what_happens),
	HARNESS_TEST_WITH_MPD(killed_mpd_gets_its_descriptors_back_from_the_service_manager),
	HARNESS_TEST_WITH_MPD(killed_mpd_is_back_behind_the_socket_it_was_given),
	HARNESS_TEST_WITH_MPD(service_that_is_restarted_has_its_segments_again),
	HARNESS_TEST_WITH_MPD(activated_service_that_is_restarted_has_its_segments_again),
	HARNESS_TEST_WITH_MPD(socket_is_served_on_demand_and_outlives_mpd),
	HARNESS_TEST_WITH_MPD(loop_that_hangs_does_not_feed_the_watchdog),
	HARNESS_TEST_WITH_MPD(
		watchdog_that_is_not_meant_for_mpd_is_not_fed_and_idle_mpd_sleeps),
	HARNESS_TEST_WITH_MPD(supervisor_passes_on_what_mpd_says),
	HARNESS_TEST_WITH_MPD(service_manager_that_is_gone_or_deaf_stops_nobody),
	HARNESS_TEST_WITH_MPD(mpd_of_a_program_says_nothing_to_the_program_s_manager),
	HARNESS_TEST_WITH_MPD(service_that_cannot_serve_says_why_to_all_who_ask),
};

HARNESS_MAIN(tests)
