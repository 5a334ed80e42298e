/* SPDX-License-Identifier: MIT
 *
 * Proves: where the kernel gives no pidfd a death is seen all the same: by who is held up and by
 * the neighbour, though mpd is gone; by mpd, though a forked child keeps the connection open; and
 * where it tells a peer's pid only, nobody is watched who got that pid later.
 */
#include "program.h"
#include "raw_client.h"
#include "world.h"

#include "libshm/client.h"
#include "libshm/slot.h"

#include <libshm.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE MP_SEC(30)
#define PATIENCE_MS 30000

static const struct world_rule no_peerpidfd = { SYS_getsockopt, 2, WORLD_SO_PEERPIDFD,
						WORLD_FAILS(ENOPROTOOPT) };
static const struct world_rule no_pidfd[] = {
	{ SYS_getsockopt, 2, WORLD_SO_PEERPIDFD, WORLD_FAILS(ENOPROTOOPT) },
	{ SYS_pidfd_open, WORLD_ANY, 0, WORLD_FAILS(ENOSYS) },
};

static void enter_without_pidfd(void)
{
	world_enter(no_pidfd, 2);
}

static bool is_mpd_gone(void *arg)
{
	return raw_mpd_count() == 0;
}

static void kill_mpd(void)
{
	struct raw raw;
	pid_t mpd;

	raw_connect(&raw);
	mpd = (pid_t)raw.welcome.pid;
	raw_close(&raw);
	assert_int_equal(kill(raw_parent_of(mpd), SIGKILL), 0);
	assert_int_equal(kill(mpd, SIGKILL), 0);
	assert_true(harness_until(is_mpd_gone, NULL, PATIENCE_MS));
}

/* --- without mpd --- */

struct stage {
	mp_segment *segment;
	mp_lock *lock;
	mp_queue *queue, *told, *go;
	bool is_reaped; /* at once, by a thread; else the dead one stays as a zombie */
};

static void begin(struct stage *stage)
{
	struct raw raw;

	enter_without_pidfd();
	raw_start(NULL, NULL);
	raw_connect(&raw); /* else the open starts another one */
	raw_close(&raw);
	assert_int_equal(mp_segment_open(stage->is_reaped ? "reaped" : "zombie", NULL,
					 &stage->segment), 0);
	assert_int_equal(mp_lock_open(stage->segment, "lock", NULL, &stage->lock), 0);
	assert_int_equal(mp_queue_open(stage->segment, "queue", NULL, &stage->queue), 0);
	assert_int_equal(mp_queue_open(stage->segment, "told", NULL, &stage->told), 0);
	assert_int_equal(mp_queue_open(stage->segment, "go", NULL, &stage->go), 0);
}

static bool does_somebody_sleep(void *arg)
{
	const struct stage *stage = arg;

	return load_relaxed(&stage->segment->seg->header->asleep) > 0;
}

/* Die while the parent sleeps. */
static int die(struct stage *stage)
{
	char byte;

	assert_int_equal(mp_queue_get(stage->go, &byte, 1, PATIENCE), 1);
	assert_true(harness_until(does_somebody_sleep, stage, PATIENCE_MS));
	return kill(getpid(), SIGKILL);
}

static int hold_and_die(void *arg)
{
	struct stage *stage = arg;

	assert_int_equal(mp_lock_acquire(stage->lock, PATIENCE), 0);
	assert_int_equal(mp_queue_put(stage->told, "h", 1, PATIENCE), 0);
	return die(stage);
}

static int claim_and_die(void *arg)
{
	struct stage *stage = arg;
	struct mp_slot slot;

	assert_true(MP_OK(mp_queue_claim(stage->queue, PATIENCE, &slot)));
	assert_int_equal(mp_queue_put(stage->told, "c", 1, PATIENCE), 0);
	return die(stage);
}

static void *reap(void *arg)
{
	harness_wait(*(pid_t *)arg);
	return NULL;
}

/* From here on only those who sleep can see a death. */
static void let_die(struct stage *stage, pid_t *child, pthread_t *reaper)
{
	kill_mpd();
	if (stage->is_reaped)
		assert_int_equal(pthread_create(reaper, NULL, reap, child), 0);
	assert_int_equal(mp_queue_put(stage->go, "g", 1, PATIENCE), 0);
}

static void end(struct stage *stage, pid_t *child, pthread_t *reaper)
{
	if (stage->is_reaped)
		pthread_join(*reaper, NULL);
	else
		assert_int_equal(harness_wait(*child), -SIGKILL);
	assert_int_equal(raw_mpd_count(), 0);
}

static int waits_for_a_lock(void *arg)
{
	struct stage stage = { .is_reaped = arg != NULL };
	pthread_t reaper;
	int64_t begin_ns;
	pid_t child;
	char byte;

	begin(&stage);
	child = harness_fork(hold_and_die, &stage);
	assert_int_equal(mp_queue_get(stage.told, &byte, 1, PATIENCE), 1);
	let_die(&stage, &child, &reaper);
	begin_ns = harness_now_ns();
	assert_int_equal(mp_lock_acquire(stage.lock, PATIENCE), MP_OWNER_DIED);
	print_message("%.0f ms\n", (double)(harness_now_ns() - begin_ns) / 1e6);
	end(&stage, &child, &reaper);
	return 0;
}

static void holder_s_death_is_seen_by_who_waits_for_its_lock(void **state)
{
	harness_join(harness_fork(waits_for_a_lock, NULL));
	harness_join(harness_fork(waits_for_a_lock, ""));
}

/* Nobody in particular holds up a getter; the message comes back when the claimer, its neighbour,
 * is known to be dead. */
static int waits_for_a_message(void *arg)
{
	struct stage stage = { .is_reaped = arg != NULL };
	struct mp_slot slot;
	pthread_t reaper;
	int64_t begin_ns;
	pid_t child;
	char byte;

	begin(&stage);
	assert_int_equal(mp_queue_put(stage.queue, "m", 1, PATIENCE), 0);
	child = harness_fork(claim_and_die, &stage);
	assert_int_equal(mp_queue_get(stage.told, &byte, 1, PATIENCE), 1);
	let_die(&stage, &child, &reaper);
	begin_ns = harness_now_ns();
	assert_true(MP_OK(mp_queue_claim(stage.queue, PATIENCE, &slot)));
	print_message("%.0f ms\n", (double)(harness_now_ns() - begin_ns) / 1e6);
	assert_int_equal(slot.flags, MP_REDELIVERED);
	assert_int_equal(mp_queue_ack(stage.queue, &slot), 0);
	end(&stage, &child, &reaper);
	return 0;
}

static void neighbour_s_death_is_seen_by_who_waits_for_nobody(void **state)
{
	harness_join(harness_fork(waits_for_a_message, NULL));
	harness_join(harness_fork(waits_for_a_message, ""));
}

/* --- a child that ends before it takes part --- */

static pid_t pipe_keeper; /* 0: not yet */

/* Another thread of the parent that forks just then: its child has the pipe too. */
static void fork_one_more(void)
{
	if (pipe_keeper)
		return;
	pipe_keeper = -1;
	pipe_keeper = fork();
	if (pipe_keeper == 0)
		for (;;)
			pause();
}

static void end_at_once(void)
{
	if (!pipe_keeper)
		_exit(3);
}

static int start_nothing(void *arg)
{
	return 0;
}

static int starts_a_child_that_ends(void *arg)
{
	struct stage stage = { .is_reaped = false };
	mp_process *process = NULL;

	begin(&stage);
	assert_int_equal(pthread_atfork(NULL, fork_one_more, end_at_once), 0);
	assert_int_equal(mp_process_start(stage.segment, NULL, start_nothing, NULL, &process),
			 -ECHILD);
	assert_null(process);
	harness_kill(pipe_keeper);
	mp_segment_close(stage.segment);
	return 0;
}

static void child_that_ends_before_it_takes_part_keeps_nobody_waiting(void **state)
{
	harness_join(harness_fork(starts_a_child_that_ends, NULL));
}

/* --- mpd alone --- */

struct actor {
	int told[2];
	struct raw_segment segment; /* what it told; fd and seg are its own */
};

static int idle(void *arg)
{
	for (;;)
		pause();
	return 0;
}

/* Attaches, and leaves a child that has its connection and nothing else. */
static int attach_and_fork(void *arg)
{
	struct actor *actor = arg;
	struct raw raw;
	pid_t child;

	raw_connect(&raw);
	raw_attach(&raw, "s", 0, &actor->segment);
	child = harness_fork(idle, NULL);
	assert_int_equal(write(actor->told[1], &actor->segment, sizeof actor->segment),
			 sizeof actor->segment);
	assert_int_equal(write(actor->told[1], &child, sizeof child), sizeof child);
	return idle(NULL);
}

static int start_mpd(void *arg)
{
	enter_without_pidfd();
	raw_start(NULL, NULL);
	return 0;
}

static void start_actor(struct actor *actor, int (*act)(void *arg), pid_t *ret_pid)
{
	assert_int_equal(pipe2(actor->told, O_CLOEXEC), 0);
	*ret_pid = harness_fork(act, actor);
	assert_int_equal(read(actor->told[0], &actor->segment, sizeof actor->segment),
			 sizeof actor->segment);
}

static void connection_kept_by_a_forked_child_hides_no_death_from_mpd(void **state)
{
	struct raw_segment own, theirs;
	struct actor actor;
	struct raw raw;
	pid_t pid, child;

	harness_join(harness_fork(start_mpd, NULL));
	raw_connect(&raw);
	raw_attach(&raw, "s", 0, &own);
	start_actor(&actor, attach_and_fork, &pid);
	assert_int_equal(read(actor.told[0], &child, sizeof child), sizeof child);
	theirs = actor.segment;
	theirs.seg = own.seg;
	harness_kill(pid);
	assert_true(harness_until(raw_is_swept, &theirs, PATIENCE_MS));
	/* And who lives is not taken for dead by the same looks. */
	assert_false(raw_is_swept(&own));
	assert_int_equal(kill(child, SIGKILL), 0);
	close(actor.told[0]);
	close(actor.told[1]);
	raw_close(&raw);
	raw_forget(&own);
}

/* --- the peer's pid is another process's by now --- */

/* Says ATTACHED to an mpd that is stopped, and dies before it reads that. */
static int attach_to_a_stopped_mpd(void *arg)
{
	struct actor *actor = arg;
	struct raw_segment *segment = &actor->segment;
	struct proto_attached attached;
	struct raw raw;

	raw_connect(&raw);
	assert_int_equal(raw_open(&raw, "s", 0, 0, segment), 0);
	assert_int_equal(seg_map(segment->fd, false, &segment->seg), 0);
	assert_int_equal(slot_claim_client(segment->seg, raw_lock_byte(&raw), "raw", 0,
					   &segment->client, &segment->generation), 0);
	program_stop((pid_t)raw.welcome.pid);
	attached = (struct proto_attached){ .segment = segment->opened.segment,
					    .client = segment->client,
					    .generation = segment->generation };
	raw_send(&raw, PROTO_ATTACHED, &attached, sizeof attached);
	assert_int_equal(write(actor->told[1], segment, sizeof *segment), sizeof *segment);
	return idle(NULL);
}

/* A child of that pid, with all that is mapped here; 0 in it, -errno. */
static pid_t fork_as(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid,
				   .set_tid_size = 1 };
	long got = syscall(SYS_clone3, &args, sizeof args);

	return got < 0 ? -errno : (pid_t)got;
}

static int start_mpd_without_peerpidfd(void *arg)
{
	world_enter(&no_peerpidfd, 1);
	raw_start(NULL, NULL);
	return 0;
}

static void process_that_got_the_pid_later_is_not_watched_in_its_place(void **state)
{
	struct raw_segment own, theirs;
	struct actor actor;
	pid_t pid, impostor;
	struct raw raw;

	harness_join(harness_fork(start_mpd_without_peerpidfd, NULL));
	raw_connect(&raw);
	raw_attach(&raw, "s", 0, &own);
	start_actor(&actor, attach_to_a_stopped_mpd, &pid);
	theirs = actor.segment;
	theirs.seg = own.seg;
	harness_sleep_ms(30); /* start times are told in ticks of 10 ms */
	harness_kill(pid);
	impostor = fork_as(pid);
	if (impostor == 0)
		_exit(idle(NULL));
	assert_int_equal(kill((pid_t)raw.welcome.pid, SIGCONT), 0);
	close(actor.told[0]);
	close(actor.told[1]);
	if (impostor > 0) {
		assert_int_equal(impostor, pid);
		assert_true(harness_until(raw_is_swept, &theirs, PATIENCE_MS));
		harness_kill(impostor);
	}
	assert_false(raw_is_swept(&own));
	raw_close(&raw);
	raw_forget(&own);
	if (impostor < 0)
		harness_skip("a process of a given pid cannot be made here");
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(holder_s_death_is_seen_by_who_waits_for_its_lock),
	HARNESS_TEST_WITH_MPD(neighbour_s_death_is_seen_by_who_waits_for_nobody),
	HARNESS_TEST_WITH_MPD(child_that_ends_before_it_takes_part_keeps_nobody_waiting),
	HARNESS_TEST_WITH_MPD(connection_kept_by_a_forked_child_hides_no_death_from_mpd),
	HARNESS_TEST_WITH_MPD(process_that_got_the_pid_later_is_not_watched_in_its_place),
};

HARNESS_MAIN(tests)
