/* SPDX-License-Identifier: MIT
 *
 * Proves: a program that closes descriptors of libshm behind its back, and opens files of its own
 * in their places, is not taken for dead, takes nobody else for dead, and finds its own files
 * untouched; its calls go on, or say why not.
 */
#include "harness.h"
#include "harness_mpd.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS_MAX 256
#define BIG 100000
#define BIG_COUNT 100
#define PATIENCE MP_SEC(20)

/* What a program may have opened since, on numbers that were ours. */
enum kind { CLOSED, READABLE_PIPE, PLAIN_FILE, OWN_PIDFD, KINDS };

static const char *const kind_names[] = { "closed", "a readable pipe", "a plain file",
					  "a pidfd of its own" };

struct theft {
	enum kind kind;
	bool was_open[FDS_MAX]; /* before libshm came */
	bool is_stolen[FDS_MAX];
	int file; /* the program's own, at a number far away */
	struct stat about;
	pid_t innocent; /* whose pidfd OWN_PIDFD is */
};

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void note_open(struct theft *theft)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		theft->was_open[fd] = is_open(fd);
}

static int far_away(int fd)
{
	int far = fcntl(fd, F_DUPFD_CLOEXEC, FDS_MAX);

	assert_true(fd >= 0 && far >= 0);
	close(fd);
	return far;
}

static int open_pipe_with_a_byte(void)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	close(ends[1]);
	return ends[0];
}

static int sleep_long(void *unused)
{
	for (;;)
		pause();
	return 0;
}

static int open_own(struct theft *theft)
{
	switch (theft->kind) {
	case READABLE_PIPE:
		return open_pipe_with_a_byte();
	case PLAIN_FILE:
		return open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	case OWN_PIDFD:
		theft->innocent = harness_fork(sleep_long, NULL);
		return (int)syscall(SYS_pidfd_open, theft->innocent, 0);
	default:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	}
}

static void begin(struct theft *theft, enum kind kind)
{
	*theft = (struct theft){ .kind = kind };
	theft->file = far_away(open_own(theft));
	assert_int_equal(fstat(theft->file, &theft->about), 0);
	note_open(theft);
}

/* Every descriptor that was opened since is closed, or another file. */
static void steal(struct theft *theft)
{
	for (int fd = 0; fd < FDS_MAX; fd++) {
		if (theft->was_open[fd] || !is_open(fd))
			continue;
		if (theft->kind == CLOSED) {
			close(fd);
			continue;
		}
		assert_int_equal(dup3(theft->file, fd, O_CLOEXEC), fd);
		theft->is_stolen[fd] = true;
	}
}

/* What the program has put there is there still, and nobody has written to it or read from it. */
static void expect_untouched(struct theft *theft)
{
	struct stat about;

	for (int fd = 0; fd < FDS_MAX; fd++) {
		if (!theft->is_stolen[fd])
			continue;
		if (fstat(fd, &about) < 0 || about.st_ino != theft->about.st_ino ||
		    about.st_dev != theft->about.st_dev)
			fail_msg("descriptor %d, %s, was closed", fd, kind_names[theft->kind]);
	}
	assert_int_equal(fstat(theft->file, &about), 0);
	assert_int_equal(about.st_size, theft->about.st_size);
	assert_int_equal(about.st_blocks, theft->about.st_blocks);
	if (theft->kind == READABLE_PIPE) {
		int bytes = 0;

		assert_int_equal(ioctl(theft->file, FIONREAD, &bytes), 0);
		assert_int_equal(bytes, 1);
	}
	if (theft->kind == OWN_PIDFD)
		assert_int_equal(waitpid(theft->innocent, NULL, WNOHANG), 0);
}

static void end(struct theft *theft)
{
	expect_untouched(theft);
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (theft->is_stolen[fd])
			close(fd);
	close(theft->file);
	if (theft->kind == OWN_PIDFD)
		harness_kill(theft->innocent);
}

struct world {
	enum kind kind;
	int done[2];    /* the client says what it has done */
	int go_on[2];   /* the peer lets it go on */
};

static void say(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void hear(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 1);
}

struct client {
	mp_segment *segment;
	mp_queue *queue;
	mp_lock *lock;
};

static void open_client(struct client *client)
{
	struct mp_queue_opts big = { .message_bytes = BIG, .capacity = BIG_COUNT };

	assert_int_equal(mp_segment_open("theft", NULL, &client->segment), 0);
	assert_int_equal(mp_queue_open(client->segment, "items", &big, &client->queue), 0);
	assert_int_equal(mp_lock_open(client->segment, "lock", NULL, &client->lock), 0);
}

static void close_client(struct client *client)
{
	mp_lock_close(client->lock);
	mp_queue_close(client->queue);
	mp_segment_close(client->segment);
}

/* Memory that nobody has committed yet. */
static void fill_memory(const struct client *client)
{
	static char message[BIG];

	for (unsigned i = 0; i < BIG_COUNT; i++)
		assert_int_equal(mp_queue_put(client->queue, message, sizeof message, MP_NOW), 0);
	for (unsigned i = 0; i < BIG_COUNT; i++)
		assert_int_equal(mp_queue_get(client->queue, message, sizeof message, MP_NOW),
				 sizeof message);
}

/* The other process holds the lock and lives. */
static void expect_holder_alive(const struct client *client)
{
	assert_int_equal(mp_lock_acquire(client->lock, MP_MSEC(300)), -ETIMEDOUT);
}

static int robbed_client(void *arg)
{
	struct world *world = arg;
	struct client client;
	mp_segment *again;
	struct theft theft;

	hear(world->go_on[0]);
	begin(&theft, world->kind);
	open_client(&client);
	expect_holder_alive(&client); /* a ring, and a pidfd of the holder */
	steal(&theft);
	expect_holder_alive(&client);
	fill_memory(&client);
	expect_untouched(&theft);
	assert_int_equal(mp_segment_open("theft", NULL, &again), 0);
	assert_ptr_equal(again, client.segment);
	mp_segment_close(again);
	say(world->done[1]);
	hear(world->go_on[0]);
	assert_int_equal(mp_lock_acquire(client.lock, PATIENCE), 0);
	assert_int_equal(mp_lock_release(client.lock), 0);
	close_client(&client);
	end(&theft);
	return 0;
}

static void rob_a_client(enum kind kind)
{
	struct world world = { .kind = kind };
	struct client holder;
	pid_t child;

	print_message("descriptors: %s\n", kind_names[kind]);
	assert_int_equal(pipe2(world.done, O_CLOEXEC), 0);
	assert_int_equal(pipe2(world.go_on, O_CLOEXEC), 0);
	child = harness_fork(robbed_client, &world); /* which inherits nothing */
	open_client(&holder);
	assert_int_equal(mp_lock_acquire(holder.lock, MP_NOW), 0);
	say(world.go_on[1]);
	close(world.done[1]);
	hear(world.done[0]);
	/* mpd looks after a second at whom it has lost. */
	harness_sleep_ms(1300);
	assert_int_equal(harness_count_deaths(), 0);
	assert_int_equal(mp_lock_release(holder.lock), 0);
	say(world.go_on[1]);
	harness_join(child);
	assert_int_equal(harness_count_deaths(), 0);
	close_client(&holder);
	close(world.done[0]);
	close(world.go_on[0]);
	close(world.go_on[1]);
}

static void client_whose_descriptors_are_closed_goes_on(void **state)
{
	rob_a_client(CLOSED);
}

static void client_whose_descriptors_became_readable_pipes_goes_on(void **state)
{
	rob_a_client(READABLE_PIPE);
}

static void client_whose_descriptors_became_plain_files_goes_on(void **state)
{
	rob_a_client(PLAIN_FILE);
}

static void client_whose_descriptors_became_pidfds_goes_on(void **state)
{
	rob_a_client(OWN_PIDFD);
}

/* The same with the engine that has no ring. */
static void robbed_client_without_a_ring_goes_on(void **state)
{
	assert_int_equal(setenv("MP_WAIT_ENGINE", "futex", 1), 0);
	rob_a_client(READABLE_PIPE);
}

/* --- children --- */

static int stay(void *unused)
{
	for (;;)
		pause();
	return 0;
}

/* A fork of the starter: not its child, so all it has is the descriptor. */
static int judge_from_afar(void *arg)
{
	mp_process *process = arg;
	int is_alive = mp_process_is_alive(process);

	return is_alive == 1 && mp_process_kill(process) < 0 ? 0 : 1;
}

static void rob_a_parent(enum kind kind)
{
	struct client client;
	mp_process *process;
	struct theft theft;
	int code;

	print_message("descriptors: %s\n", kind_names[kind]);
	open_client(&client);
	begin(&theft, kind);
	assert_int_equal(mp_process_start(client.segment, NULL, stay, NULL, &process), 0);
	steal(&theft);
	assert_int_equal(mp_process_is_alive(process), 1);
	assert_int_equal(mp_process_join(process, MP_MSEC(50)), -ETIMEDOUT);
	harness_join(harness_fork(judge_from_afar, process));
	assert_true(mp_process_fd(process) < 0);
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(mp_process_join(process, PATIENCE), 0);
	assert_int_equal(mp_process_exitcode(process, &code), 0);
	assert_int_equal(code, -SIGKILL);
	assert_null(mp_process_close(process));
	end(&theft);
	close_client(&client);
}

static void handle_of_a_child_signals_nobody_else(void **state)
{
	rob_a_parent(OWN_PIDFD);
}

static void handle_of_a_child_outlives_its_descriptor(void **state)
{
	rob_a_parent(CLOSED);
	rob_a_parent(READABLE_PIPE);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(client_whose_descriptors_are_closed_goes_on),
	HARNESS_TEST_WITH_MPD(client_whose_descriptors_became_readable_pipes_goes_on),
	HARNESS_TEST_WITH_MPD(client_whose_descriptors_became_plain_files_goes_on),
	HARNESS_TEST_WITH_MPD(client_whose_descriptors_became_pidfds_goes_on),
	HARNESS_TEST_WITH_MPD(robbed_client_without_a_ring_goes_on),
	HARNESS_TEST_WITH_MPD(handle_of_a_child_signals_nobody_else),
	HARNESS_TEST_WITH_MPD(handle_of_a_child_outlives_its_descriptor),
};

HARNESS_MAIN(tests)
