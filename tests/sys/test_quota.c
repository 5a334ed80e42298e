/* SPDX-License-Identifier: MIT
 *
 * Proves: each quota of a user and of a process is kept, says which it is and how much of it is
 * used, leaves every other user and process alone, and knows after kill -9 of a client or of mpd
 * what is there.
 */
#include "people.h"
#include "raw_client.h"

#include <libshm.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE (UINT64_C(4) << 20)
#define SEEN_MS 10000
#define FLOOD 60

#define SAYS(text)                                                                                 \
	do {                                                                                       \
		if (!strstr(mp_explain(), text))                                                   \
			fail_msg("no '%s' in: %s", text, mp_explain());                            \
	} while (0)

static int make(const char *name, uint64_t size_bytes, uint32_t flags, mp_segment **ret_segment)
{
	struct mp_segment_opts opts = { .size_bytes = size_bytes, .flags = flags };

	return mp_segment_open(name, &opts, ret_segment);
}

static int keep(const char *name, uint64_t size_bytes)
{
	mp_segment *segment;
	int result = make(name, size_bytes, MP_KEEP, &segment);

	if (result == 0)
		mp_segment_close(segment);
	return result;
}

/* --- a user's share --- */

static int use_up(void *arg)
{
	assert_int_equal(keep("a", SIZE), 0);
	assert_int_equal(keep("big", 16 * SIZE), -EDQUOT);
	SAYS("segment 'big' is over mpd's quota user-bytes: 4194304 of 33554432 are used");
	SAYS("have user-bytes raised in mpd.conf");
	assert_int_equal(keep("b", SIZE), 0);
	assert_int_equal(keep("c", SIZE), 0);
	assert_int_equal(keep("d", SIZE), -EDQUOT);
	SAYS("quota user-segments: 3 of 3 are used");
	assert_int_equal(keep("a", SIZE), 0); /* it is there */
	return 0;
}

static int is_used_up(void *arg)
{
	assert_int_equal(keep("e", SIZE), -EDQUOT);
	SAYS("quota user-segments: 3 of 3 are used");
	return 0;
}

static int give_back_and_take(void *arg)
{
	assert_int_equal(mp_segment_unlink("b"), 0);
	assert_int_equal(keep("d", SIZE), 0);
	return 0;
}

static void user_that_has_used_up_his_share_leaves_the_others_theirs(void **state)
{
	static const char *const quotas[] = { "--user-bytes", "33554432", "--user-segments", "3",
					      NULL };

	people_begin(MPD_USER, quotas);
	people_do(ALICE, use_up, NULL);
	people_do(BOB, use_up, NULL);
	people_kill_mpd();
	people_do(ALICE, is_used_up, NULL);
	people_do(ROOT, use_up, NULL);
	people_do(ALICE, give_back_and_take, NULL);
	people_do(ALICE, is_used_up, NULL);
	people_end();
}

/* --- a process's share --- */

static int use_up_and_stay(struct people_child *self, void *arg)
{
	mp_segment *segment;

	assert_int_equal(make("one", SIZE, 0, &segment), 0);
	assert_int_equal(make("large", 8 * SIZE, 0, &segment), -EDQUOT);
	SAYS("quota client-bytes: 4194304 of 33554432 are used");
	assert_int_equal(make("two", SIZE, 0, &segment), 0);
	assert_int_equal(make("three", SIZE, 0, &segment), -EDQUOT);
	SAYS("quota client-segments: 2 of 2 are used");
	people_say_ready(self);
	people_stay();
}

static int make_one_more(void *arg)
{
	mp_segment *segment;

	assert_int_equal(make(arg, SIZE, 0, &segment), 0);
	mp_segment_close(segment);
	return 0;
}

static int hears_that_four_are_there(void *arg)
{
	mp_segment *segment;

	assert_int_equal(make("five", SIZE, 0, &segment), -EDQUOT);
	SAYS("quota user-segments: 4 of 4 are used");
	return 0;
}

static bool has_room(void *arg)
{
	mp_segment *segment;

	if (make("five", SIZE, 0, &segment) < 0)
		return false;
	mp_segment_close(segment);
	return true;
}

static int gets_room(void *arg)
{
	assert_true(harness_until(has_room, NULL, SEEN_MS));
	return 0;
}

static int make_others_and_stay(struct people_child *self, void *arg)
{
	mp_segment *segment;

	assert_int_equal(make("six", SIZE, 0, &segment), 0);
	assert_int_equal(make("seven", SIZE, 0, &segment), 0);
	people_say_ready(self);
	people_stay();
}

static void process_that_has_used_up_its_share_leaves_the_next_its_own_and_dies_with_it(
	void **state)
{
	static const char *const quotas[] = { "--client-bytes", "33554432", "--client-segments",
					      "2", "--user-segments", "4", NULL };
	struct people_child first = { .user = ALICE, .fn = use_up_and_stay };
	struct people_child second = { .user = ALICE, .fn = make_others_and_stay };

	people_begin(MPD_USER, quotas);
	people_start(&first);
	people_do(ALICE, make_one_more, (void *)(uintptr_t)"mine");
	people_start(&second);
	people_do(ALICE, hears_that_four_are_there, NULL);
	people_do(BOB, make_one_more, (void *)(uintptr_t)"five");
	people_kill_mpd();
	people_do(ALICE, hears_that_four_are_there, NULL);
	harness_kill(first.pid);
	people_do(ALICE, gets_room, NULL);
	harness_kill(second.pid);
	people_end();
}

/* --- slots --- */

static int attach_to_one_only(void *arg)
{
	mp_segment *one, *again, *other;

	assert_int_equal(make("one", SIZE, 0, &one), 0);
	assert_int_equal(make("other", SIZE, 0, &other), -EDQUOT);
	SAYS("quota client-slots: 1 of 1 are used");
	assert_int_equal(make("one", 0, 0, &again), 0);
	mp_segment_close(again);
	mp_segment_close(one);
	assert_int_equal(make("other", SIZE, 0, &other), 0);
	mp_segment_close(other);
	return 0;
}

static int attach_and_stay(struct people_child *self, void *arg)
{
	mp_segment *segment;

	assert_int_equal(make("crowd", SIZE, 0, &segment), 0);
	people_say_ready(self);
	people_stay();
}

static int finds_it_crowded(void *arg)
{
	mp_segment *segment;

	assert_int_equal(make("crowd", 0, MP_EXISTING, &segment), -EDQUOT);
	SAYS("quota user-slots: 2 of 2 are used");
	return 0;
}

static bool has_slot(void *arg)
{
	mp_segment *segment;

	if (make("crowd", 0, MP_EXISTING, &segment) < 0)
		return false;
	mp_segment_close(segment);
	return true;
}

static int gets_slot(void *arg)
{
	assert_true(harness_until(has_slot, NULL, SEEN_MS));
	return 0;
}

static void slots_are_counted_for_the_process_and_for_the_owner(void **state)
{
	static const char *const quotas[] = { "--client-slots", "1", "--user-slots", "2", NULL };
	struct people_child first = { .user = ALICE, .fn = attach_and_stay }, second = first;

	people_begin(MPD_USER, quotas);
	people_do(ALICE, attach_to_one_only, NULL);
	people_start(&first);
	people_start(&second);
	people_do(ALICE, finds_it_crowded, NULL);
	people_do(BOB, attach_to_one_only, NULL);
	people_kill_mpd();
	people_do(ALICE, finds_it_crowded, NULL);
	harness_kill(second.pid);
	people_do(ALICE, gets_slot, NULL);
	harness_kill(first.pid);
	people_end();
}

/* --- connections and opens under way --- */

static int greet(struct raw *raw, struct proto_refused *ret_why)
{
	struct proto_hello hello = { .pid = (uint32_t)getpid(), .signature = layout_signature() };
	struct proto_welcome welcome;
	struct wire_fds fds = { 0 };
	int status;

	raw_dial(raw);
	status = raw_ask(raw, PROTO_HELLO, &hello, sizeof hello, &welcome, sizeof welcome, &fds);
	wire_close_fds(&fds);
	memcpy(ret_why, &welcome, sizeof *ret_why);
	return status;
}

static int connect_too_often(void *arg)
{
	struct raw first, second, third;
	struct proto_refused why;
	mp_segment *segment;

	assert_int_equal(greet(&first, &why), 0);
	assert_int_equal(greet(&second, &why), 0);
	assert_int_equal(greet(&third, &why), -EDQUOT);
	assert_int_equal(why.reason, REASON_QUOTA);
	assert_int_equal(why.quota, QUOTA_CLIENT_CONNECTIONS);
	assert_int_equal(why.used, 2);
	assert_int_equal(why.allowed, 2);
	raw_close(&third);
	assert_int_equal(make("x", SIZE, MP_NO_SPAWN, &segment), -EDQUOT);
	SAYS("the connection to '/run/libshm/mpd.sock' is over mpd's quota client-connections");
	SAYS("2 of 2");
	raw_close(&second);
	raw_close(&first);
	return 0;
}

static int connect_and_stay(struct people_child *self, void *arg)
{
	struct proto_refused why;
	struct raw raw[FLOOD];

	for (unsigned i = 0; i < *(unsigned *)arg; i++)
		if (i < 2)
			assert_int_equal(greet(&raw[i], &why), 0);
		else
			raw_dial(&raw[i]);
	people_say_ready(self);
	people_stay();
}

static int is_refused_as_user(void *arg)
{
	struct proto_refused why;
	mp_segment *segment;
	struct raw raw;

	assert_int_equal(greet(&raw, &why), -EDQUOT);
	assert_int_equal(why.quota, QUOTA_USER_CONNECTIONS);
	raw_close(&raw);
	assert_int_equal(make("x", SIZE, MP_NO_SPAWN, &segment), -EDQUOT);
	SAYS("quota user-connections: 4 of 4 are used");
	return 0;
}

static void connections_are_counted_and_a_flood_is_its_senders_only(void **state)
{
	static const char *const quotas[] = { "--client-connections", "2", "--user-connections",
					      "4", NULL };
	unsigned two = 2, many = FLOOD;
	struct people_child first = { .user = ALICE, .fn = connect_and_stay, .arg = &two };
	struct people_child second = first;
	struct people_child flood = { .user = STRANGER, .fn = connect_and_stay, .arg = &many };

	people_begin(MPD_USER, quotas);
	people_do(ALICE, connect_too_often, NULL);
	people_start(&first);
	people_start(&second);
	people_do(ALICE, is_refused_as_user, NULL);
	people_start(&flood);
	assert_true(harness_until(people_log_has, (void *)(uintptr_t)"too many connections",
				  SEEN_MS));
	people_do(BOB, make_one_more, (void *)(uintptr_t)"bob");
	harness_kill(first.pid);
	people_do(ALICE, gets_room, NULL);
	harness_kill(second.pid);
	harness_kill(flood.pid);
	people_end();
}

/* Opened, and never attached to. */
struct opens {
	struct raw raw;
	struct raw_segment segments[2];
};

/* New names: an open of what another is about to format waits for him. */
static void open_two(struct opens *opens)
{
	static unsigned opened;
	char name[32];

	raw_connect(&opens->raw);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(name, sizeof name, "%d-%u", (int)getpid(), opened++);
		assert_int_equal(raw_open(&opens->raw, name, SIZE, 0, &opens->segments[i]), 0);
	}
}

static void close_two(struct opens *opens)
{
	for (unsigned i = 0; i < 2; i++)
		raw_forget(&opens->segments[i]);
	raw_close(&opens->raw);
}

static void expect_refused(struct opens *opens, enum proto_quota quota, unsigned used)
{
	struct proto_open open = { .name = "third", .size_bytes = SIZE };
	struct proto_refused why;

	assert_int_equal(raw_ask(&opens->raw, PROTO_OPEN, &open, sizeof open, &why, sizeof why,
				 NULL),
			 -EDQUOT);
	assert_int_equal(why.reason, REASON_QUOTA);
	assert_int_equal(why.quota, quota);
	assert_int_equal(why.used, used);
	assert_int_equal(why.allowed, used);
}

static int open_too_much(void *arg)
{
	mp_segment *segment;
	struct opens opens;

	open_two(&opens);
	expect_refused(&opens, QUOTA_CLIENT_OPENS, 2);
	assert_int_equal(make("third", SIZE, 0, &segment), -EDQUOT);
	SAYS("quota client-opens: 2 of 2 are used");
	harness_join(harness_fork(make_one_more, (void *)(uintptr_t)"another's"));
	close_two(&opens);
	return 0;
}

static void opens_under_way_are_counted_for_the_process(void **state)
{
	static const char *const quotas[] = { "--client-opens", "2", NULL };

	people_begin(MPD_USER, quotas);
	people_do(ALICE, open_too_much, NULL);
	people_do(BOB, open_too_much, NULL);
	people_end();
}

static int open_two_and_stay(struct people_child *self, void *arg)
{
	struct opens opens;

	open_two(&opens);
	people_say_ready(self);
	people_stay();
}

/* Two are another process's of this user. Who is attached has nothing under way any more. */
static int open_what_is_left(void *arg)
{
	struct raw_segment attached;
	mp_segment *segment;
	struct opens opens;
	struct raw raw;

	raw_connect(&raw);
	raw_attach(&raw, "attached", 0, &attached);
	open_two(&opens);
	expect_refused(&opens, QUOTA_USER_OPENS, 4);
	assert_int_equal(make("third", SIZE, 0, &segment), -EDQUOT);
	SAYS("segment 'third' is over mpd's quota user-opens: 4 of 4 are used");
	SAYS("have user-opens raised in mpd.conf");
	close_two(&opens);
	raw_close(&raw);
	raw_forget(&attached);
	return 0;
}

static int finds_room_for_four(void *arg)
{
	struct opens first, second;
	mp_segment *segment;

	assert_true(harness_until(has_room, NULL, SEEN_MS));
	open_two(&first);
	open_two(&second);
	assert_int_equal(make("third", SIZE, 0, &segment), -EDQUOT);
	SAYS("quota user-opens: 4 of 4 are used");
	close_two(&second);
	close_two(&first);
	return 0;
}

static void opens_under_way_are_counted_for_the_user(void **state)
{
	static const char *const quotas[] = { "--user-opens", "4", NULL };
	struct people_child first = { .user = ALICE, .fn = open_two_and_stay };

	people_begin(MPD_USER, quotas);
	people_start(&first);
	people_do(ALICE, open_what_is_left, NULL);
	people_do(BOB, make_one_more, (void *)(uintptr_t)"five");
	harness_kill(first.pid);
	people_do(ALICE, finds_room_for_four, NULL);
	people_end();
}

static const struct harness_test tests[] = {
	HARNESS_TEST(user_that_has_used_up_his_share_leaves_the_others_theirs),
	HARNESS_TEST(process_that_has_used_up_its_share_leaves_the_next_its_own_and_dies_with_it),
	HARNESS_TEST(slots_are_counted_for_the_process_and_for_the_owner),
	HARNESS_TEST(connections_are_counted_and_a_flood_is_its_senders_only),
	HARNESS_TEST(opens_under_way_are_counted_for_the_process),
	HARNESS_TEST(opens_under_way_are_counted_for_the_user),
};

HARNESS_MAIN(tests)
