/* SPDX-License-Identifier: MIT
 *
 * Proves: promises of the headers that hold for every call: slots of joined children are free,
 * names mean what mpd says, errno stays, NULL is refused, a stopped mpd is named.
 */
#include "harness.h"
#include "harness_mpd.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int stay(void *arg)
{
	for (;;)
		pause();
	return 0;
}

static int return_seven(void *arg)
{
	return 7;
}

static mp_segment *open_named(const char *name, uint32_t flags)
{
	mp_segment *segment = NULL;

	assert_int_equal(mp_segment_open(name, &(struct mp_segment_opts){ .flags = flags },
					 &segment),
			 0);
	return segment;
}

/* The pid that answers at the test's endpoint: it made the socket. */
static pid_t mpd_pid(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", harness_endpoint()->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
	close(fd);
	assert_true(peer.pid > 1);
	return peer.pid;
}

#define CHILDREN 5

static void start_kill_and_join(mp_segment *segment)
{
	mp_process *children[CHILDREN];

	for (unsigned i = 0; i < CHILDREN; i++)
		assert_int_equal(mp_process_start(segment, NULL, stay, NULL, &children[i]), 0);
	for (unsigned i = 0; i < CHILDREN; i++)
		assert_int_equal(mp_process_kill(children[i]), 0);
	for (unsigned i = 0; i < CHILDREN; i++) {
		assert_int_equal(mp_process_join(children[i], MP_SEC(10)), 0);
		assert_null(mp_process_close(children[i]));
	}
}

static void slots_of_joined_children_are_free(void **state)
{
	struct mp_segment_opts eight = { .max_clients = 8 };
	struct mp_segment_info info;
	mp_segment *segment;
	pid_t mpd;

	assert_int_equal(mp_segment_open("s", &eight, &segment), 0);
	mpd = mpd_pid();
	assert_int_equal(kill(mpd, SIGSTOP), 0); /* nobody else sweeps */
	for (unsigned round = 0; round < 4; round++)
		start_kill_and_join(segment);
	assert_int_equal(mp_segment_info(segment, &info), 0);
	assert_int_equal(info.clients, 1);
	assert_int_equal(kill(mpd, SIGCONT), 0);
	mp_segment_close(segment);
}

static void children_that_ended_unjoined_leave_room_for_the_next(void **state)
{
	struct mp_segment_opts four = { .max_clients = 4 };
	mp_process *first, *second;
	mp_segment *segment;
	pid_t mpd;

	assert_int_equal(mp_segment_open("s", &four, &segment), 0);
	mpd = mpd_pid();
	assert_int_equal(kill(mpd, SIGSTOP), 0);
	assert_int_equal(mp_process_start(segment, NULL, stay, NULL, &first), 0);
	assert_int_equal(mp_process_kill(first), 0);
	assert_int_equal(poll(&(struct pollfd){ mp_process_fd(first), POLLIN, 0 }, 1, 5000), 1);
	assert_int_equal(mp_process_start(segment, NULL, stay, NULL, &second), 0);
	assert_int_equal(kill(mpd, SIGCONT), 0);
	assert_int_equal(mp_process_kill(second), 0);
	assert_int_equal(mp_process_join(second, MP_SEC(10)), 0);
	assert_int_equal(mp_process_join(first, MP_SEC(10)), 0);
	assert_null(mp_process_close(first));
	assert_null(mp_process_close(second));
	mp_segment_close(segment);
}

static void child_without_a_slot_is_refused_with_limit_and_remedy(void **state)
{
	struct mp_segment_opts three = { .max_clients = 3 };
	mp_process *child;
	mp_segment *segment;

	assert_int_equal(mp_segment_open("narrow", &three, &segment), 0);
	assert_int_equal(mp_process_start(segment, NULL, stay, NULL, &child), -ENOSPC);
	assert_non_null(strstr(mp_explain(), "'narrow'"));
	assert_non_null(strstr(mp_explain(), "max_clients 3"));
	assert_non_null(strstr(mp_explain(), "make it with more"));
	mp_segment_close(segment);
}

static void assert_name_is_gone(mp_segment *old)
{
	struct mp_segment_opts existing = { .flags = MP_EXISTING };
	struct mp_segment_opts exclusive = { .flags = MP_EXCLUSIVE };
	mp_segment *fresh = NULL, *again = NULL;
	struct mp_segment_info info;
	mp_queue *queue;

	assert_int_equal(mp_segment_open("u", &existing, &fresh), -ENOENT);
	assert_int_equal(mp_segment_open("u", &exclusive, &fresh), 0);
	assert_ptr_not_equal(fresh, old);
	assert_int_equal(mp_segment_open("u", NULL, &again), 0);
	assert_ptr_equal(again, fresh);
	assert_int_equal(mp_segment_info(fresh, &info), 0);
	assert_int_equal(info.objects, 0);
	assert_int_equal(mp_queue_open(old, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_size(queue), 1);
	mp_queue_close(queue);
	mp_segment_close(again);
	mp_segment_close(fresh);
}

static void put_into_u(mp_segment *segment)
{
	mp_queue *queue;

	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, "1", 1, MP_NOW), 0);
	mp_queue_close(queue);
}

static void name_that_was_removed_is_gone_here_too(void **state)
{
	mp_segment *old = open_named("u", 0);

	put_into_u(old);
	assert_int_equal(mp_segment_unlink("u"), 0);
	assert_name_is_gone(old);
	mp_segment_close(old);
}

static void other_shape_is_refused_with_the_one_that_is_there(void **state)
{
	struct mp_segment_opts five = { .max_clients = 5, .max_sleepers = 9 };
	struct mp_segment_opts six = { .max_clients = 6, .max_sleepers = 9 };
	mp_segment *segment, *other = NULL;

	assert_int_equal(mp_segment_open("s", &five, &segment), 0);
	assert_int_equal(mp_segment_open("s", &six, &other), -EPROTO);
	assert_non_null(strstr(mp_explain(), "max_clients is 5, not 6"));
	assert_null(strstr(mp_explain(), "max_sleepers"));
	mp_segment_close(segment);
}

static int lease_and_stay(void *arg)
{
	struct mp_slot slot;

	return mp_queue_claim(arg, MP_SEC(5), &slot) < 0 ? 1 : stay(NULL);
}

static bool is_leased(void *queue)
{
	return mp_queue_is_empty(queue) == 1;
}

static void getter_of_a_closed_queue_is_told_whose_lease_it_waits_for(void **state)
{
	struct mp_process_opts called = { .name = "leaser" };
	mp_segment *segment = open_named("s", 0);
	mp_process *child;
	mp_queue *queue;
	char byte;

	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, "1", 1, MP_NOW), 0);
	assert_int_equal(mp_process_start(segment, &called, lease_and_stay, queue, &child), 0);
	assert_true(harness_until(is_leased, queue, 5000));
	assert_int_equal(mp_queue_close_input(queue), 0);
	assert_int_equal(mp_queue_get(queue, &byte, 1, MP_MSEC(20)), -ETIMEDOUT);
	assert_non_null(strstr(mp_explain(), "closed; client leaser["));
	assert_int_equal(mp_process_kill(child), 0);
	assert_int_equal(mp_process_join(child, MP_SEC(10)), 0);
	assert_null(mp_process_close(child));
	assert_int_equal(mp_queue_get(queue, &byte, 1, MP_SEC(5)), 1);
	mp_queue_close(queue);
	mp_segment_close(segment);
}

static void put_without_memory_names_the_segment_and_the_remedy(void **state)
{
	struct mp_segment_opts small = { .size_bytes = 4 << 20 };
	char message[4000] = "";
	mp_segment *segment;
	mp_queue *queue;
	int result;

	assert_int_equal(mp_segment_open("small", &small, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	do
		result = mp_queue_put(queue, message, sizeof message, MP_NOW);
	while (result == 0);
	assert_int_equal(result, -ENOSPC);
	assert_non_null(strstr(mp_explain(), "segment 'small'"));
	assert_non_null(strstr(mp_explain(), "take a larger segment"));
	mp_queue_close(queue);
	mp_segment_close(segment);
}

static void names_and_messages_that_are_too_long_are_refused(void **state)
{
	struct mp_queue_opts huge = { .message_bytes = UINT32_MAX };
	struct mp_process_opts called = { 0 };
	struct mp_segment_opts opts = { 0 };
	mp_segment *segment = open_named("s", 0), *other = NULL;
	mp_process *child = NULL;
	mp_queue *queue = NULL;
	char name[100] = "";

	memset(name, 'n', sizeof name - 1);
	opts.client_name = called.name = name;
	assert_int_equal(mp_segment_open("t", &opts, &other), -ENAMETOOLONG);
	assert_int_equal(mp_process_start(segment, &called, return_seven, NULL, &child),
			 -ENAMETOOLONG);
	assert_int_equal(mp_queue_open(segment, "q", &huge, &queue), -EINVAL);
	assert_non_null(strstr(mp_explain(), "message_bytes"));
	mp_segment_close(segment);
}

static int unlink_u(void *arg)
{
	return mp_segment_unlink("u") < 0;
}

static void name_that_another_process_removed_is_gone_here_too(void **state)
{
	mp_segment *old = open_named("u", 0);

	put_into_u(old);
	harness_join(harness_fork(unlink_u, NULL));
	assert_name_is_gone(old);
	mp_segment_close(old);
}

static void second_open_neither_keeps_the_segment_nor_ends_it(void **state)
{
	mp_segment *first = open_named("s", 0), *other = open_named("other", 0);
	mp_segment *second = open_named("s", MP_EXISTING);

	assert_ptr_equal(first, second);
	mp_segment_close(first);
	put_into_u(second);
	mp_segment_close(second);
	assert_true(harness_until(harness_name_is_gone, "s", 10000));
	mp_segment_close(other);
}

static void stopped_mpd_is_named_within_its_time(void **state)
{
	mp_segment *segment = open_named("s", 0), *other = NULL;
	pid_t mpd = mpd_pid();
	char text[40];
	int64_t began;

	snprintf(text, sizeof text, "mpd (pid %d)", (int)mpd);
	assert_int_equal(kill(mpd, SIGSTOP), 0);
	began = harness_now_ns();
	assert_int_equal(mp_segment_open("t", NULL, &other), -ETIMEDOUT);
	assert_true(harness_now_ns() - began < MP_SEC(6));
	assert_non_null(strstr(mp_explain(), text));
	assert_non_null(strstr(mp_explain(), "stopped"));
	began = harness_now_ns();
	assert_int_equal(mp_segment_unlink("t"), -ETIMEDOUT);
	assert_true(harness_now_ns() - began < MP_SEC(6));
	assert_non_null(strstr(mp_explain(), text));
	assert_int_equal(kill(mpd, SIGCONT), 0);
	assert_int_equal(mp_segment_open("t", NULL, &other), 0);
	mp_segment_close(other);
	mp_segment_close(segment);
}

static int look_where_one_may_not(void *arg)
{
	struct mp_endpoint_info info = { .mpd_error = 0 };
	mp_observer *observer;

	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(mp_observe_open(harness_endpoint()->socket, &observer), 0);
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	assert_int_equal(info.is_mpd_alive, 0);
	assert_int_equal(info.mpd_error, -EACCES);
	mp_observe_close(observer);
	return arg != NULL;
}

static void observer_that_may_not_ask_is_told_so(void **state)
{
	mp_segment *segment = open_named("s", 0);

	assert_int_equal(chmod(harness_endpoint()->directory, 0), 0);
	harness_join(harness_fork(look_where_one_may_not, NULL));
	assert_int_equal(chmod(harness_endpoint()->directory, 0700), 0);
	mp_segment_close(segment);
}

#define KEEPS_ERRNO(call)                                                                          \
	do {                                                                                       \
		errno = 77;                                                                        \
		(void)!(call);                                                                     \
		assert_int_equal(errno, 77);                                                       \
	} while (0)

static void errno_is_never_touched(void **state)
{
	struct mp_segment_opts alone = { .flags = MP_NO_SPAWN, .endpoint = "/tmp/none/x.sock" };
	mp_segment *segment = NULL, *other = NULL;
	mp_process *child = NULL;
	mp_observer *observer = NULL;
	mp_queue *queue = NULL;
	mp_lock *lock = NULL;
	char buffer[8];

	KEEPS_ERRNO(mp_segment_open("s", &alone, &other));
	KEEPS_ERRNO(mp_segment_open("s", NULL, &segment));
	KEEPS_ERRNO(mp_segment_open("n", &(struct mp_segment_opts){ .flags = MP_EXISTING },
				    &other));
	KEEPS_ERRNO(mp_segment_unlink("n"));
	KEEPS_ERRNO(mp_queue_open(segment, "q", NULL, &queue));
	KEEPS_ERRNO(mp_queue_get(queue, buffer, sizeof buffer, MP_MSEC(20)));
	KEEPS_ERRNO(mp_lock_open(segment, "l", NULL, &lock));
	KEEPS_ERRNO(mp_process_start(segment, NULL, return_seven, NULL, &child));
	KEEPS_ERRNO(mp_process_join(child, MP_SEC(10)));
	KEEPS_ERRNO(mp_process_close(child));
	KEEPS_ERRNO(mp_observe_open(NULL, &observer));
	KEEPS_ERRNO(mp_observe_refresh(observer));
	KEEPS_ERRNO(mp_observe_close(observer));
	KEEPS_ERRNO(mp_observe_open("/tmp/none/x.sock", &observer));
	KEEPS_ERRNO(mp_observe_refresh(observer));
	KEEPS_ERRNO(mp_observe_close(observer));
	KEEPS_ERRNO(mp_lock_close(lock));
	KEEPS_ERRNO(mp_queue_close(queue));
	KEEPS_ERRNO(mp_segment_close(segment));
}

#define IS_REFUSED(call)                                                                           \
	do {                                                                                       \
		assert_int_equal((call), -EINVAL);                                                 \
		assert_non_null(strstr(mp_explain(), "NULL"));                                     \
	} while (0)

static void queue_that_is_null_is_refused(void **state)
{
	mp_queue *volatile none = NULL;
	struct mp_slot slot = { 0 };
	struct mp_message_info info;
	char byte = 0;

	IS_REFUSED(mp_queue_put(none, &byte, 1, MP_NOW));
	IS_REFUSED(mp_queue_get(none, &byte, 1, MP_NOW));
	IS_REFUSED(mp_queue_get_info(none, &byte, 1, MP_NOW, &info));
	IS_REFUSED(mp_queue_reserve(none, 1, MP_NOW, &slot));
	IS_REFUSED(mp_queue_commit(none, &slot));
	IS_REFUSED(mp_queue_abandon(none, &slot));
	IS_REFUSED(mp_queue_claim(none, MP_NOW, &slot));
	IS_REFUSED(mp_queue_ack(none, &slot));
	IS_REFUSED(mp_queue_return(none, &slot));
	IS_REFUSED(mp_queue_close_input(none));
	IS_REFUSED(mp_queue_size(none));
	IS_REFUSED(mp_queue_is_empty(none));
	IS_REFUSED(mp_queue_is_full(none));
	assert_int_equal(mp_queue_id(none), 0);
}

static void slot_that_is_null_is_refused(void **state)
{
	mp_segment *segment = open_named("s", 0);
	mp_queue *queue;

	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	IS_REFUSED(mp_queue_reserve(queue, 1, MP_NOW, NULL));
	IS_REFUSED(mp_queue_commit(queue, NULL));
	IS_REFUSED(mp_queue_abandon(queue, NULL));
	IS_REFUSED(mp_queue_claim(queue, MP_NOW, NULL));
	IS_REFUSED(mp_queue_ack(queue, NULL));
	IS_REFUSED(mp_queue_return(queue, NULL));
	mp_queue_close(queue);
	mp_segment_close(segment);
}

static void lock_that_is_null_is_refused(void **state)
{
	mp_lock *volatile none = NULL;
	struct mp_who who;

	IS_REFUSED(mp_lock_acquire(none, MP_NOW));
	IS_REFUSED(mp_lock_release(none));
	IS_REFUSED(mp_lock_owner(none, &who));
	IS_REFUSED(mp_lock_is_locked(none));
	IS_REFUSED(mp_lock_repair(none));
	assert_int_equal(mp_lock_id(none), 0);
}

static void process_that_is_null_is_refused(void **state)
{
	mp_process *volatile none = NULL;
	int exitcode;

	IS_REFUSED(mp_process_join(none, MP_NOW));
	IS_REFUSED(mp_process_exitcode(none, &exitcode));
	IS_REFUSED(mp_process_is_alive(none));
	IS_REFUSED(mp_process_terminate(none));
	IS_REFUSED(mp_process_kill(none));
	IS_REFUSED(mp_process_pid(none));
	IS_REFUSED(mp_process_fd(none));
	assert_string_equal(mp_process_name(none), "");
}

static int look_at_a_sibling(void *arg)
{
	mp_process *sibling = arg;
	int exitcode;

	assert_int_equal(mp_process_is_alive(sibling), 1);
	assert_int_equal(mp_process_join(sibling, MP_NOW), -ECHILD);
	assert_non_null(strstr(mp_explain(), "not a child of this process"));
	assert_int_equal(mp_process_exitcode(sibling, &exitcode), -ECHILD);
	assert_non_null(strstr(mp_explain(), "not a child of this process"));
	assert_int_equal(mp_process_kill(sibling), 0);
	assert_int_equal(poll(&(struct pollfd){ mp_process_fd(sibling), POLLIN, 0 }, 1, 5000), 1);
	assert_int_equal(mp_process_is_alive(sibling), 0);
	return 0;
}

static void who_did_not_start_a_child_is_told_so(void **state)
{
	mp_segment *segment = open_named("s", 0);
	mp_process *child;
	int exitcode = 0;

	assert_int_equal(mp_process_start(segment, NULL, stay, NULL, &child), 0);
	harness_join(harness_fork(look_at_a_sibling, child));
	assert_int_equal(mp_process_join(child, MP_SEC(10)), 0);
	assert_int_equal(mp_process_exitcode(child, &exitcode), 0);
	assert_int_equal(exitcode, -SIGKILL);
	assert_null(mp_process_close(child));
	mp_segment_close(segment);
}

/* What a program does that closes all it does not know, and then opens files of its own. */
static int open_again_without_descriptors(void *arg)
{
	mp_segment *first = open_named("first", 0), *second = NULL;
	char path[] = "/tmp/libshm-foreign-XXXXXX";
	struct stat about;
	int fds[6], high;

	assert_int_equal(close_range(3, ~0u, 0), 0);
	fds[0] = mkstemp(path);
	assert_int_equal(fds[0], 3);
	unlink(path);
	for (unsigned i = 1; i < 6; i++)
		fds[i] = dup(fds[0]);
	high = fds[5];
	assert_int_equal(mp_segment_open("second", NULL, &second), 0);
	put_into_u(second);
	mp_segment_close(second);
	assert_int_equal(fstat(3, &about), 0);
	assert_int_equal(about.st_size, 0);
	for (int fd = 3; fd <= high; fd++)
		assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(mp_segment_unlink("first"), 0);
	return first == NULL;
}

static void descriptors_that_the_program_closed_are_missed_and_not_written_to(void **state)
{
	harness_join(harness_fork(open_again_without_descriptors, NULL));
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(slots_of_joined_children_are_free),
	HARNESS_TEST_WITH_MPD(children_that_ended_unjoined_leave_room_for_the_next),
	HARNESS_TEST_WITH_MPD(child_without_a_slot_is_refused_with_limit_and_remedy),
	HARNESS_TEST_WITH_MPD(name_that_was_removed_is_gone_here_too),
	HARNESS_TEST_WITH_MPD(name_that_another_process_removed_is_gone_here_too),
	HARNESS_TEST_WITH_MPD(other_shape_is_refused_with_the_one_that_is_there),
	HARNESS_TEST_WITH_MPD(getter_of_a_closed_queue_is_told_whose_lease_it_waits_for),
	HARNESS_TEST_WITH_MPD(put_without_memory_names_the_segment_and_the_remedy),
	HARNESS_TEST_WITH_MPD(names_and_messages_that_are_too_long_are_refused),
	HARNESS_TEST_WITH_MPD(second_open_neither_keeps_the_segment_nor_ends_it),
	HARNESS_TEST_WITH_MPD(stopped_mpd_is_named_within_its_time),
	HARNESS_TEST_WITH_MPD(observer_that_may_not_ask_is_told_so),
	HARNESS_TEST_WITH_MPD(errno_is_never_touched),
	HARNESS_TEST_WITH_MPD(descriptors_that_the_program_closed_are_missed_and_not_written_to),
	HARNESS_TEST(queue_that_is_null_is_refused),
	HARNESS_TEST_WITH_MPD(slot_that_is_null_is_refused),
	HARNESS_TEST(lock_that_is_null_is_refused),
	HARNESS_TEST(process_that_is_null_is_refused),
	HARNESS_TEST_WITH_MPD(who_did_not_start_a_child_is_told_so),
};

HARNESS_MAIN(tests)
