/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd notices the deaths of processes that belong to other users, also without root's
 * rights, and says what it cannot see; what it knows of a segment's rights outlives it; nobody is
 * taken for mpd who is neither root, nor oneself, nor whom root has chosen.
 */
#include "people.h"
#include "raw_client.h"

#include <libshm.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SEEN_MS 10000
#define SIZE (4u << 20)

#define SAYS(text)                                                                                 \
	do {                                                                                       \
		if (!strstr(mp_explain(), text))                                                   \
			fail_msg("no '%s' in: %s", text, mp_explain());                            \
	} while (0)

static int attach_and_stay(struct people_child *self, void *arg)
{
	struct raw_segment segment;
	struct raw raw;

	raw_connect(&raw);
	raw_attach(&raw, "short", 0, &segment);
	people_say_ready(self);
	people_stay();
}

static bool is_nothing_left(void *arg)
{
	struct raw raw;
	unsigned count;

	raw_connect(&raw);
	count = raw_count(&raw);
	raw_close(&raw);
	return count == 0;
}

static void death_of_another_users_process_is_noticed_without_roots_rights(void **state)
{
	struct people_child alice = { .user = ALICE, .fn = attach_and_stay };

	people_begin(MPD_USER, NULL);
	people_start(&alice);
	assert_false(is_nothing_left(NULL));
	harness_kill(alice.pid);
	assert_true(harness_until(is_nothing_left, NULL, SEEN_MS));
	/* Also one whom only the mpd before knew. */
	people_start(&alice);
	people_kill_mpd();
	assert_false(is_nothing_left(NULL));
	harness_kill(alice.pid);
	assert_true(harness_until(is_nothing_left, NULL, SEEN_MS));
	people_end();
}

static int attach_and_execute(struct people_child *self, void *arg)
{
	struct raw_segment segment;
	struct raw raw;

	raw_connect(&raw);
	raw_attach(&raw, "short", 0, &segment);
	people_say_ready(self);
	execl("/bin/sleep", "sleep", "60", NULL);
	return 1;
}

static void what_only_root_may_see_is_said(void **state)
{
	struct people_child alice = { .user = ALICE, .fn = attach_and_execute };

	people_begin(MPD_USER, NULL);
	people_start(&alice);
	assert_true(harness_until(people_log_has, (void *)(uintptr_t)"still uses 'short' only root "
				  "may see", SEEN_MS));
	assert_false(is_nothing_left(NULL));
	harness_kill(alice.pid);
	assert_true(harness_until(is_nothing_left, NULL, SEEN_MS));
	people_end();
}

static int share_and_stay(struct people_child *self, void *arg)
{
	struct mp_segment_opts opts = { .size_bytes = SIZE, .mode = 0660, .gid = CREW };
	mp_segment *segment;
	mp_queue *queue;

	assert_int_equal(mp_segment_open("shared", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, "alice", 6, MP_NOW), 0);
	people_say_ready(self);
	people_stay();
}

static int get_what_alice_put(void *arg)
{
	struct mp_segment_opts opts = { .flags = MP_EXISTING };
	mp_segment *segment;
	mp_queue *queue;
	char text[16];

	assert_int_equal(mp_segment_open("shared", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_get(queue, text, sizeof text, MP_NOW), 6);
	mp_queue_close(queue);
	mp_segment_close(segment);
	return 0;
}

static int find_nothing(void *arg)
{
	struct mp_segment_opts opts = { .flags = MP_EXISTING };
	mp_segment *segment;

	assert_true(is_nothing_left(NULL));
	assert_int_equal(mp_segment_open("shared", &opts, &segment), -ENOENT);
	return 0;
}

/* Which only its owner may. */
static int remove_my_own(void *arg)
{
	assert_int_equal(mp_segment_unlink("shared"), 0);
	return 0;
}

static void skip_without_notes(void)
{
	int fd = memfd_create("note", MFD_CLOEXEC);
	int result = fsetxattr(fd, "user.libshm", "", 1, 0);

	close(fd);
	if (result < 0)
		harness_skip("this kernel keeps no attributes of memory files (6.6)");
}

static void rights_are_found_again_where_root_looks_at_the_clients(void **state)
{
	struct people_child alice = { .user = ALICE, .fn = share_and_stay };

	skip_without_notes();
	people_begin(ROOT, NULL);
	people_start(&alice);
	people_kill_both();
	people_begin_again(ROOT);
	people_do(STRANGER, find_nothing, NULL);
	people_do(BOB, get_what_alice_put, NULL);
	people_do(ALICE, remove_my_own, NULL);
	harness_kill(alice.pid);
	assert_true(harness_until(is_nothing_left, NULL, SEEN_MS));
	people_end();
}

static void two_memories_under_one_name_do_not_come_about_unsaid(void **state)
{
	struct people_child alice = { .user = ALICE, .fn = share_and_stay };

	people_begin(MPD_USER, NULL);
	people_start(&alice);
	people_kill_both();
	people_begin_again(MPD_USER);
	assert_true(harness_until(people_log_has, (void *)(uintptr_t)"memory whose name will be "
				  "made anew", SEEN_MS));
	harness_kill(alice.pid);
	people_end();
}

/* --- who is taken for mpd --- */

static int listen_at(struct people_child *self, void *arg)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_int_equal(wire_address(arg, &address), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(chmod(arg, 0666), 0);
	assert_int_equal(listen(fd, 5), 0);
	people_say_ready(self);
	people_stay();
}

static int distrusts(void *arg)
{
	struct mp_segment_opts opts = { .endpoint = arg };
	mp_segment *segment;

	assert_int_equal(mp_segment_open("x", &opts, &segment), -EPERM);
	SAYS((const char *)arg);
	SAYS("belongs to user 64003: not trusted");
	SAYS("/run/libshm");
	return 0;
}

static void socket_of_another_user_is_not_taken_for_mpd(void **state)
{
	char path[] = "/run/strange/mpd.sock", detour[] = "/run/libshm/../strange/mpd.sock";
	struct people_child stranger = { .user = STRANGER, .fn = listen_at, .arg = path };

	people_begin(MPD_USER, NULL);
	assert_int_equal(mkdir("/run/strange", 0755), 0);
	assert_int_equal(chown("/run/strange", STRANGER, STRANGER), 0);
	people_start(&stranger);
	people_do(ALICE, distrusts, path);
	people_do(ALICE, distrusts, detour);
	people_do(ROOT, distrusts, path);
	harness_kill(stranger.pid);
	people_end();
}

static int serve_alone(struct people_child *self, void *arg)
{
	char *const arguments[] = { "mpd", "--foreground", "--keep", "--endpoint",
				    "/run/alice/mpd.sock", NULL };

	people_say_ready(self);
	fexecve(*(int *)arg, arguments, (char *[]){ NULL });
	return 1;
}

static bool is_serving(void *arg)
{
	return chmod("/run/alice/mpd.sock", 0666) == 0;
}

static int greet(void *arg)
{
	struct proto_hello hello = { .signature = layout_signature() };
	struct wire_fds fds = { 0 };
	struct raw raw;
	int status;

	setenv("MP_ENDPOINT", "/run/alice/mpd.sock", 1);
	raw_dial(&raw);
	assert_true(raw.socket >= 0);
	status = raw_ask(&raw, PROTO_HELLO, &hello, sizeof hello, NULL, 0, &fds);
	wire_close_fds(&fds);
	raw_close(&raw);
	if (*(int *)arg == 0)
		assert_int_equal(status, 0);
	else
		assert_true(status == -EPIPE || status == -ECONNRESET);
	return 0;
}

static void private_mpd_serves_its_user_and_root_only(void **state)
{
	int welcome = 0, not_welcome = 1, program;
	struct people_child mpd = { .user = ALICE, .fn = serve_alone, .arg = &program };

	people_begin(MPD_USER, NULL);
	program = open(program_built("mpd/mpd"), O_PATH); /* stays open in the child */
	assert_int_equal(mkdir("/run/alice", 0755), 0);
	assert_int_equal(chown("/run/alice", ALICE, ALICE), 0);
	people_start(&mpd);
	close(program);
	assert_true(harness_until(is_serving, NULL, SEEN_MS));
	people_do(ALICE, greet, &welcome);
	people_do(ROOT, greet, &welcome);
	people_do(BOB, greet, &not_welcome);
	people_do(MPD_USER, greet, &not_welcome);
	assert_int_equal(kill(mpd.pid, SIGTERM), 0);
	harness_wait(mpd.pid);
	people_end();
}

/* A byte is but a sign: who locks all of them harms nobody. */
static int lock_all_bytes(struct people_child *self, void *arg)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct raw raw;

	raw_connect(&raw);
	assert_int_equal(fcntl(raw.roster, F_SETLK, &all), 0);
	people_say_ready(self);
	people_stay();
}

static int take_part(void *arg)
{
	struct mp_segment_opts opts = { .size_bytes = SIZE, .flags = MP_NO_SPAWN };
	mp_segment *segment;
	mp_queue *queue;

	assert_int_equal(mp_segment_open("mine", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, "x", 1, MP_NOW), 0);
	mp_queue_close(queue);
	mp_segment_close(segment);
	return 0;
}

static void stranger_who_locks_the_whole_roster_keeps_nobody_out(void **state)
{
	struct people_child stranger = { .user = STRANGER, .fn = lock_all_bytes };

	people_begin(MPD_USER, NULL);
	people_start(&stranger);
	people_do(ALICE, take_part, NULL);
	people_do(BOB, take_part, NULL);
	assert_true(harness_until(is_nothing_left, NULL, SEEN_MS));
	harness_kill(stranger.pid);
	people_end();
}

static const struct harness_test tests[] = {
	HARNESS_TEST(death_of_another_users_process_is_noticed_without_roots_rights),
	HARNESS_TEST(what_only_root_may_see_is_said),
	HARNESS_TEST(rights_are_found_again_where_root_looks_at_the_clients),
	HARNESS_TEST(two_memories_under_one_name_do_not_come_about_unsaid),
	HARNESS_TEST(socket_of_another_user_is_not_taken_for_mpd),
	HARNESS_TEST(private_mpd_serves_its_user_and_root_only),
	HARNESS_TEST(stranger_who_locks_the_whole_roster_keeps_nobody_out),
};

HARNESS_MAIN(tests)
