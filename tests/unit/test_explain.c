/* SPDX-License-Identifier: MIT
 *
 * Proves: every public call that fails leaves a sentence of its own, which names the object where
 * there is one and ends with the name of the error.
 */
#include "harness.h"

#include "clock.h"
#include "explain.h"
#include "objects.h"

#include <libshm.h>
#include <libshm/observe.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define OLDER "an older sentence"

/* The call fails with `error`, and says so about `name` (NULL: there is no object to name). */
#define REFUSED(call, error, name)                                                                 \
	do {                                                                                       \
		explain(-EINVAL, OLDER);                                                           \
		check_sentence(#call, (call), (error), (name));                                    \
	} while (0)

static void check_sentence(const char *call, int result, int error, const char *name)
{
	const char *text = mp_explain();

	if (result != error)
		fail_msg("%s: %d, not %d (%s)", call, result, error, text);
	if (strstr(text, OLDER))
		fail_msg("%s: %d leaves no sentence", call, result);
	if (name && !strstr(text, name))
		fail_msg("%s: no '%s' in: %s", call, name, text);
	if (!strstr(text, mp_strerror(error)))
		fail_msg("%s: no '%s' in: %s", call, mp_strerror(error), text);
	for (const char *c = text; *c; c++)
		assert_true((unsigned char)*c >= ' ' && *c != 127);
}

static const char long_name[] =
	"a_name_of_more_than_sixty_three_bytes_which_is_longer_than_any_name_may_be";

/* --- somebody else, and signals --- */

static void *hold(void *lock)
{
	return mp_lock_acquire(lock, MP_NOW) < 0 ? lock : NULL;
}

/* Held by a process, not a thread: so it stays held when this thread has ended. */
static mp_lock *held_elsewhere(mp_segment *segment, const char *name)
{
	struct mp_lock_opts opts = { .kind = MP_LOCK_PLAIN };
	pthread_t thread;
	void *failed;
	mp_lock *lock;

	assert_int_equal(mp_lock_open(segment, name, &opts, &lock), 0);
	assert_int_equal(pthread_create(&thread, NULL, hold, lock), 0);
	pthread_join(thread, &failed);
	assert_null(failed);
	return lock;
}

static void do_nothing(int number)
{
	(void)number;
}

static void expect_signal(struct seg *seg)
{
	struct sigaction action = { .sa_handler = do_nothing };
	/* Again and again: on a busy machine the first may come before the wait. */
	struct itimerval soon = { .it_value = { .tv_usec = 30000 },
				  .it_interval = { .tv_usec = 30000 } };

	seg->is_interruptible = true;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
}

/* --- locks --- */

static void failures_to_open_a_lock_are_explained(void **state)
{
	struct mp_lock_opts kind = { .kind = 9 }, death = { .on_owner_death = 9 };
	struct mp_lock_opts recursive = { .kind = MP_LOCK_RECURSIVE };
	struct mp_lock_opts existing = { .flags = MP_EXISTING }, new = { .flags = MP_EXCLUSIVE };
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue;
	mp_lock *lock, *other;

	assert_int_equal(mp_lock_open(segment, "l", NULL, &lock), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	REFUSED(mp_lock_open(segment, "x", &kind, &other), -EINVAL, "'x'");
	REFUSED(mp_lock_open(segment, "x", &death, &other), -EINVAL, "'x'");
	REFUSED(mp_lock_open(segment, "", NULL, &other), -EINVAL, NULL);
	REFUSED(mp_lock_open(segment, "a/b", NULL, &other), -EINVAL, "'a/b'");
	REFUSED(mp_lock_open(segment, "a\nb", NULL, &other), -EINVAL, "'a\\x0ab'");
	REFUSED(mp_lock_open(segment, long_name, NULL, &other), -ENAMETOOLONG, "a_name_of_more");
	REFUSED(mp_lock_open(segment, "x", &existing, &other), -ENOENT, "'x'");
	REFUSED(mp_lock_open(segment, "l", &new, &other), -EEXIST, "'l'");
	REFUSED(mp_lock_open(segment, "l", &recursive, &other), -EPROTO,
		"kind is checked, not recursive");
	REFUSED(mp_lock_open(segment, "q", NULL, &other), -EPROTO, "'q'");
	REFUSED(mp_lock_open(segment, "l", NULL, NULL), -EINVAL, "'l'");
	REFUSED(mp_lock_open(NULL, "l", NULL, &other), -EINVAL, "'l'");
	REFUSED(mp_lock_from_id(segment, 77, &other), -ESTALE, "0x4d");
	REFUSED(mp_lock_from_id(segment, mp_queue_id(queue), &other), -EPROTO, "lock");
	REFUSED(mp_lock_from_id(segment, mp_lock_id(lock), NULL), -EINVAL, "ret_lock");
	REFUSED(mp_lock_from_id(NULL, 77, &other), -EINVAL, "segment");
	REFUSED(mp_lock_unlink(segment, "x"), -ENOENT, "'x'");
	REFUSED(mp_lock_unlink(segment, "q"), -EPROTO, "'q'");
	REFUSED(mp_lock_unlink(segment, ""), -EINVAL, NULL);
	REFUSED(mp_lock_unlink(segment, NULL), -EINVAL, NULL);
	REFUSED(mp_lock_unlink(NULL, "l"), -EINVAL, "'l'");
	REFUSED(mp_lock_unlink(segment, long_name), -ENAMETOOLONG, "a_name_of_more");
	mp_lock_close(lock);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void failures_of_a_lock_are_explained(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_lock *held = held_elsewhere(segment, "held"), *mine;
	struct mp_who who;

	assert_int_equal(mp_lock_open(segment, "mine", NULL, &mine), 0);
	REFUSED(mp_lock_owner(mine, &who), -ENOENT, "'mine'");
	REFUSED(mp_lock_owner(held, NULL), -EINVAL, "'held'");
	REFUSED(mp_lock_release(mine), -EOVERFLOW, "'mine'");
	REFUSED(mp_lock_repair(mine), -EINVAL, "'mine'");
	assert_int_equal(mp_lock_acquire(mine, MP_NOW), 0);
	REFUSED(mp_lock_acquire(mine, MP_NOW), -EDEADLK, "'mine'");
	assert_int_equal(mp_lock_release(mine), 0);
	REFUSED(mp_lock_acquire(held, MP_NOW), -EAGAIN, "'held'");
	REFUSED(mp_lock_acquire(held, MP_MSEC(1)), -ETIMEDOUT, "'held'");
	expect_signal(objects.seg);
	REFUSED(mp_lock_acquire(held, MP_FOREVER), -EINTR, "'held'");
	mp_lock_close(held);
	mp_lock_close(mine);
	objects_end(&objects);
}

static void *die_holding(void *lock)
{
	return mp_lock_acquire(lock, MP_NOW) < 0 ? lock : NULL;
}

static void what_a_death_leaves_is_explained(void **state)
{
	struct mp_lock_opts opts = { .on_owner_death = MP_OWNER_POISON };
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	char process[32];
	pthread_t thread;
	mp_lock *lock;

	assert_int_equal(mp_lock_open(segment, "l", &opts, &lock), 0);
	assert_int_equal(pthread_create(&thread, NULL, die_holding, lock), 0);
	pthread_join(thread, NULL);
	snprintf(process, sizeof process, "process %d", getpid());
	REFUSED(mp_lock_acquire(lock, MP_NOW), -ENOTRECOVERABLE, "'l'");
	REFUSED(mp_lock_acquire(lock, MP_SEC(1)), -ENOTRECOVERABLE, process);
	mp_lock_close(lock);
	objects_end(&objects);
}

/* --- queues --- */

static void failures_to_open_a_queue_are_explained(void **state)
{
	struct mp_queue_opts large = { .capacity = (1 << 24) + 1 }, seven = { .capacity = 7 };
	struct mp_queue_opts existing = { .flags = MP_EXISTING }, new = { .flags = MP_EXCLUSIVE };
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue, *other;
	mp_lock *lock;

	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_lock_open(segment, "l", NULL, &lock), 0);
	REFUSED(mp_queue_open(segment, "x", &large, &other), -EINVAL, "'x'");
	REFUSED(mp_queue_open(segment, "a/b", NULL, &other), -EINVAL, "'a/b'");
	REFUSED(mp_queue_open(segment, long_name, NULL, &other), -ENAMETOOLONG, "a_name_of_more");
	REFUSED(mp_queue_open(segment, "x", &existing, &other), -ENOENT, "'x'");
	REFUSED(mp_queue_open(segment, "q", &new, &other), -EEXIST, "'q'");
	REFUSED(mp_queue_open(segment, "q", &seven, &other), -EPROTO, ", not 7");
	REFUSED(mp_queue_open(segment, "l", NULL, &other), -EPROTO, "'l'");
	REFUSED(mp_queue_open(segment, "q", NULL, NULL), -EINVAL, "'q'");
	REFUSED(mp_queue_open(NULL, "q", NULL, &other), -EINVAL, "'q'");
	REFUSED(mp_queue_from_id(segment, 77, &other), -ESTALE, "0x4d");
	REFUSED(mp_queue_from_id(segment, mp_lock_id(lock), &other), -EPROTO, "queue");
	REFUSED(mp_queue_from_id(segment, mp_queue_id(queue), NULL), -EINVAL, "ret_queue");
	REFUSED(mp_queue_from_id(NULL, 77, &other), -EINVAL, "segment");
	REFUSED(mp_queue_unlink(segment, "x"), -ENOENT, "'x'");
	REFUSED(mp_queue_unlink(segment, "l"), -EPROTO, "'l'");
	REFUSED(mp_queue_unlink(segment, NULL), -EINVAL, NULL);
	REFUSED(mp_queue_unlink(NULL, "q"), -EINVAL, "'q'");
	mp_lock_close(lock);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void failures_to_put_are_explained(void **state)
{
	struct mp_queue_opts one = { .capacity = 1, .message_bytes = 100 };
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	char large[101] = { 0 };
	mp_queue *queue;

	assert_int_equal(mp_queue_open(segment, "q", &one, &queue), 0);
	REFUSED(mp_queue_put(queue, NULL, 1, MP_NOW), -EINVAL, "'q'");
	REFUSED(mp_queue_put(queue, large, sizeof large, MP_NOW), -EMSGSIZE, "'q'");
	assert_int_equal(mp_queue_put(queue, "x", 1, MP_NOW), 0);
	REFUSED(mp_queue_put(queue, "x", 1, MP_NOW), -EAGAIN, "'q'");
	REFUSED(mp_queue_put(queue, large, 100, MP_NOW), -EAGAIN, "'q'");
	REFUSED(mp_queue_put(queue, "x", 1, MP_MSEC(1)), -ETIMEDOUT, "'q'");
	expect_signal(objects.seg);
	REFUSED(mp_queue_put(queue, "x", 1, MP_FOREVER), -EINTR, "'q'");
	assert_int_equal(mp_queue_close_input(queue), 0);
	REFUSED(mp_queue_put(queue, "x", 1, MP_NOW), -EPIPE, "'q'");
	mp_queue_close(queue);
	objects_end(&objects);
}

static void failures_to_get_are_explained(void **state)
{
	struct mp_message_info info;
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue;
	char buf[8];

	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	REFUSED(mp_queue_get(queue, buf, 8, MP_NOW), -EAGAIN, "'q'");
	REFUSED(mp_queue_get(queue, buf, 8, MP_MSEC(1)), -ETIMEDOUT, "'q'");
	REFUSED(mp_queue_get_info(queue, buf, 8, MP_NOW, &info), -EAGAIN, "'q'");
	REFUSED(mp_queue_get_info(queue, buf, 8, MP_NOW, NULL), -EINVAL, "'q'");
	expect_signal(objects.seg);
	REFUSED(mp_queue_get(queue, buf, 8, MP_FOREVER), -EINTR, "'q'");
	assert_int_equal(mp_queue_put(queue, "123", 3, MP_NOW), 0);
	REFUSED(mp_queue_get(queue, buf, 2, MP_NOW), -EMSGSIZE, "'q'");
	assert_int_equal(mp_queue_get(queue, buf, 8, MP_NOW), 3);
	assert_int_equal(mp_queue_close_input(queue), 0);
	REFUSED(mp_queue_get(queue, buf, 8, MP_FOREVER), -EPIPE, "'q'");
	mp_queue_close(queue);
	objects_end(&objects);
}

static void failures_to_reserve_are_explained(void **state)
{
	struct mp_queue_opts one = { .capacity = 1, .message_bytes = 100 };
	struct mp_slot slot = { .len = 0 }, now, later, forever;
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue;

	assert_int_equal(mp_queue_open(segment, "q", &one, &queue), 0);
	assert_int_equal(mp_queue_put(queue, "x", 1, MP_NOW), 0);
	REFUSED(mp_queue_reserve(queue, 101, MP_NOW, &slot), -EMSGSIZE, "'q'");
	REFUSED(mp_queue_reserve(queue, 1, MP_NOW, NULL), -EINVAL, "'q'");
	REFUSED(mp_queue_commit(queue, &slot), -EINVAL, "'q'");
	REFUSED(mp_queue_abandon(queue, &slot), -EINVAL, "'q'");
	assert_int_equal(mp_queue_reserve(queue, 1, MP_NOW, &now), 0);
	assert_int_equal(mp_queue_reserve(queue, 1, MP_MSEC(1), &later), 0);
	assert_int_equal(mp_queue_reserve(queue, 1, MP_FOREVER, &forever), 0);
	REFUSED(mp_queue_commit(queue, &now), -EAGAIN, "'q'");
	REFUSED(mp_queue_commit(queue, &later), -ETIMEDOUT, "'q'");
	expect_signal(objects.seg);
	REFUSED(mp_queue_commit(queue, &forever), -EINTR, "'q'");
	now.len = 1 << 20;
	REFUSED(mp_queue_commit(queue, &now), -EINVAL, "'q'");
	now.len = 1;
	assert_int_equal(mp_queue_close_input(queue), 0);
	REFUSED(mp_queue_commit(queue, &now), -EPIPE, "'q'");
	REFUSED(mp_queue_reserve(queue, 1, MP_NOW, &slot), -EPIPE, "'q'");
	assert_int_equal(mp_queue_abandon(queue, &now), 0);
	assert_int_equal(mp_queue_abandon(queue, &later), 0);
	assert_int_equal(mp_queue_abandon(queue, &forever), 0);
	mp_queue_close(queue);
	objects_end(&objects);
}

static void failures_to_claim_are_explained(void **state)
{
	struct mp_slot slot = { .len = 0 };
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue;

	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	REFUSED(mp_queue_claim(queue, MP_NOW, &slot), -EAGAIN, "'q'");
	REFUSED(mp_queue_claim(queue, MP_MSEC(1), &slot), -ETIMEDOUT, "'q'");
	REFUSED(mp_queue_claim(queue, MP_NOW, NULL), -EINVAL, "'q'");
	expect_signal(objects.seg);
	REFUSED(mp_queue_claim(queue, MP_FOREVER, &slot), -EINTR, "'q'");
	REFUSED(mp_queue_ack(queue, &slot), -EINVAL, "'q'");
	REFUSED(mp_queue_return(queue, &slot), -EINVAL, "'q'");
	assert_int_equal(mp_queue_close_input(queue), 0);
	REFUSED(mp_queue_claim(queue, MP_FOREVER, &slot), -EPIPE, "'q'");
	mp_queue_close(queue);
	objects_end(&objects);
}

static void full_segment_is_explained(void **state)
{
	struct mp_queue_opts large = { .capacity = 1 << 24 }, half = { .capacity = 1 << 15 };
	struct mp_slot slot, *slots = calloc(1000, sizeof *slots);
	struct objects objects = { .seg = harness_segment(4 << 20) };
	mp_segment *segment = &objects.handle;
	unsigned count = 0, queues = 0;
	mp_queue *queue, *other[8];
	char message[70000] = { 0 };
	int result;

	objects.handle = (struct mp_segment){ .seg = objects.seg, .users = 1 };
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	REFUSED(mp_queue_open(segment, "x", &large, &other[0]), -ENOSPC, "'x'");
	assert_non_null(strstr(mp_explain(), "1073741824"));
	while ((result = mp_queue_open(segment, NULL, &half, &other[queues])) == 0)
		queues++;
	REFUSED(mp_queue_open(segment, "x", &half, &other[7]), -ENOSPC, "'x'");
	while (mp_queue_reserve(queue, sizeof message, MP_NOW, &slots[count]) == 0)
		count++;
	REFUSED(mp_queue_reserve(queue, sizeof message, MP_NOW, &slot), -ENOSPC, "'q'");
	REFUSED(mp_queue_put(queue, message, sizeof message, MP_NOW), -ENOSPC, "'q'");
	while (count > 0)
		assert_int_equal(mp_queue_abandon(queue, &slots[--count]), 0);
	while (queues > 0)
		mp_queue_close(other[--queues]);
	mp_queue_close(queue);
	free(slots);
	objects_end(&objects);
}

/* --- threads and engines --- */

struct users {
	mp_queue *queue;
	mp_lock *lock;
};

static int come_too_late(void *arg)
{
	struct users *users = arg;
	struct mp_slot slot = { .len = 0 };
	char buf[8];

	REFUSED(mp_queue_get(users->queue, buf, 8, MP_NOW), -ENOSPC, "'s'");
	REFUSED(mp_queue_put(users->queue, buf, 8, MP_NOW), -ENOSPC, "'s'");
	REFUSED(mp_queue_claim(users->queue, MP_NOW, &slot), -ENOSPC, "'s'");
	REFUSED(mp_queue_reserve(users->queue, 1, MP_NOW, &slot), -ENOSPC, "'s'");
	REFUSED(mp_queue_commit(users->queue, &slot), -ENOSPC, "'s'");
	REFUSED(mp_queue_abandon(users->queue, &slot), -ENOSPC, "'s'");
	REFUSED(mp_queue_ack(users->queue, &slot), -ENOSPC, "'s'");
	REFUSED(mp_queue_return(users->queue, &slot), -ENOSPC, "'s'");
	REFUSED(mp_queue_close_input(users->queue), -ENOSPC, "'s'");
	REFUSED(mp_lock_acquire(users->lock, MP_NOW), -ENOSPC, "'s'");
	assert_non_null(strstr(mp_explain(), "max_sleepers"));
	REFUSED(mp_lock_release(users->lock), -ENOSPC, "'s'");
	REFUSED(mp_lock_repair(users->lock), -ENOSPC, "'s'");
	return 0;
}

/* A child is a client of its own, and its one thread is one too many for this segment; so is what
 * stands for the process in a plain lock. */
static void thread_too_many_is_explained(void **state)
{
	struct mp_segment_opts opts = { .max_sleepers = 3 };
	struct mp_lock_opts plain = { .kind = MP_LOCK_PLAIN };
	mp_segment *segment;
	struct users users;
	mp_lock *lock;

	assert_int_equal(mp_segment_open("s", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &users.queue), 0);
	assert_int_equal(mp_lock_open(segment, "l", NULL, &users.lock), 0);
	harness_join(harness_fork(come_too_late, &users));
	assert_int_equal(mp_lock_open(segment, "p", &plain, &lock), 0);
	REFUSED(mp_lock_acquire(lock, MP_NOW), -ENOSPC, "'s'");
	REFUSED(mp_lock_release(lock), -ENOSPC, "'s'");
	mp_lock_close(lock);
	mp_lock_close(users.lock);
	mp_queue_close(users.queue);
	mp_segment_close(segment);
}

/* In a process that has not opened the segment: nobody made it before `arg` was asked for. */
static int come_second(const struct mp_segment_opts *opts, int error, const char *advice)
{
	struct mp_segment_opts existing = { .flags = MP_EXISTING | MP_NO_SPAWN };
	mp_segment *segment = NULL;
	int result;

	do {
		harness_sleep_ms(1);
		result = mp_segment_open("ready", &existing, &segment);
	} while (result == -ENOENT || result == -ECONNREFUSED);
	assert_int_equal(result, 0);
	REFUSED(mp_segment_open("s", opts, &segment), error, "'s'");
	assert_non_null(strstr(mp_explain(), advice));
	mp_segment_close(segment);
	return 0;
}

static int be_one_too_many(void *unused)
{
	(void)unused;
	return come_second(NULL, -ENOSPC, "max_clients");
}

static int want_another_size(void *unused)
{
	struct mp_segment_opts small = { .size_bytes = 32 << 20 };

	(void)unused;
	return come_second(&small, -EPROTO, "size");
}

static void open_for(int (*second)(void *))
{
	struct mp_segment_opts one = { .max_clients = 3 };
	pid_t child = harness_fork(second, NULL);
	mp_segment *segment, *ready;

	assert_int_equal(mp_segment_open("s", &one, &segment), 0);
	assert_int_equal(mp_segment_open("ready", NULL, &ready), 0);
	harness_join(child);
	mp_segment_close(ready);
	mp_segment_close(segment);
}

static void process_too_many_is_explained(void **state)
{
	open_for(be_one_too_many);
}

static void another_shape_is_explained(void **state)
{
	open_for(want_another_size);
}

static void engine_that_is_none_is_explained(void **state)
{
	struct mp_queue_opts one = { .capacity = 1 };
	struct mp_slot slot, reserved;
	struct objects objects;
	mp_segment *segment;
	mp_queue *queue, *full;
	mp_lock *held;
	char buf[8];

	setenv("MP_WAIT_ENGINE", "bogus", 1);
	segment = objects_begin(&objects);
	held = held_elsewhere(segment, "l");
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_open(segment, "f", &one, &full), 0);
	assert_int_equal(mp_queue_put(full, "x", 1, MP_NOW), 0);
	assert_int_equal(mp_queue_reserve(full, 1, MP_SEC(1), &reserved), 0);
	REFUSED(mp_lock_acquire(held, MP_SEC(1)), -EINVAL, "'l'");
	assert_non_null(strstr(mp_explain(), "MP_WAIT_ENGINE"));
	REFUSED(mp_queue_get(queue, buf, 8, MP_SEC(1)), -EINVAL, "'q'");
	assert_non_null(strstr(mp_explain(), "MP_WAIT_ENGINE"));
	REFUSED(mp_queue_claim(queue, MP_SEC(1), &slot), -EINVAL, "'q'");
	assert_non_null(strstr(mp_explain(), "MP_WAIT_ENGINE"));
	REFUSED(mp_queue_put(full, "x", 1, MP_SEC(1)), -EINVAL, "'f'");
	assert_non_null(strstr(mp_explain(), "MP_WAIT_ENGINE"));
	REFUSED(mp_queue_commit(full, &reserved), -EINVAL, "'f'");
	assert_non_null(strstr(mp_explain(), "MP_WAIT_ENGINE"));
	assert_int_equal(mp_queue_abandon(full, &reserved), 0);
	mp_queue_close(full);
	mp_queue_close(queue);
	mp_lock_close(held);
	objects_end(&objects);
}

/* --- segments, processes, tools --- */

static void failures_of_segments_are_explained(void **state)
{
	struct mp_segment_opts existing = { .flags = MP_EXISTING }, new = { .flags = MP_EXCLUSIVE };
	struct mp_segment_opts small = { .size_bytes = 32 << 20 };
	struct mp_segment_opts elsewhere = { .flags = MP_NO_SPAWN, .endpoint = "/tmp/no/socket" };
	mp_segment *segment, *other;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	REFUSED(mp_segment_open(NULL, NULL, &other), -EINVAL, NULL);
	REFUSED(mp_segment_open("", NULL, &other), -EINVAL, NULL);
	REFUSED(mp_segment_open("s", NULL, NULL), -EINVAL, "'s'");
	REFUSED(mp_segment_open("a/b", NULL, &other), -EINVAL, "'a/b'");
	REFUSED(mp_segment_open("a\nb", NULL, &other), -EINVAL, "'a\\x0ab'");
	REFUSED(mp_segment_open(long_name, NULL, &other), -ENAMETOOLONG, "a_name_of_more");
	REFUSED(mp_segment_open("x", &existing, &other), -ENOENT, "'x'");
	REFUSED(mp_segment_open("s", &new, &other), -EEXIST, "'s'");
	REFUSED(mp_segment_open("s", &small, &other), -EPROTO, "'s'");
	REFUSED(mp_segment_open("x", &elsewhere, &other), -ECONNREFUSED, "/tmp/no/socket");
	REFUSED(mp_segment_unlink("x"), -ENOENT, "'x'");
	REFUSED(mp_segment_unlink(NULL), -EINVAL, NULL);
	REFUSED(mp_segment_unlink("a/b"), -EINVAL, "'a/b'");
	REFUSED(mp_segment_unlink(long_name), -ENAMETOOLONG, "a_name_of_more");
	REFUSED(mp_segment_info(NULL, &(struct mp_segment_info){ .clients = 0 }), -EINVAL,
		"segment");
	REFUSED(mp_segment_info(segment, NULL), -EINVAL, "'s'");
	mp_segment_close(segment);
}

static void without_mpd_the_endpoint_is_named(void **state)
{
	setenv("MP_ENDPOINT", "/tmp/no/such/mpd.sock", 1);
	REFUSED(mp_segment_unlink("x"), -ECONNREFUSED, "/tmp/no/such/mpd.sock");
}

static int sleep_until_killed(void *unused)
{
	(void)unused;
	pause();
	return 0;
}

static int return_at_once(void *unused)
{
	(void)unused;
	return 0;
}

static void failures_of_processes_are_explained(void **state)
{
	struct mp_process_opts named = { .name = "child" };
	mp_segment *segment;
	mp_process *process;
	int exitcode;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	REFUSED(mp_process_start(NULL, &named, return_at_once, NULL, &process), -EINVAL, "'child'");
	REFUSED(mp_process_start(segment, &named, NULL, NULL, &process), -EINVAL, "'child'");
	assert_int_equal(mp_process_start(segment, &named, sleep_until_killed, NULL, &process), 0);
	REFUSED(mp_process_join(process, MP_NOW), -EAGAIN, "'child'");
	REFUSED(mp_process_join(process, MP_MSEC(1)), -ETIMEDOUT, "'child'");
	REFUSED(mp_process_exitcode(process, &exitcode), -EBUSY, "'child'");
	REFUSED(mp_process_exitcode(process, NULL), -EINVAL, "'child'");
	explain(-EINVAL, OLDER);
	assert_ptr_equal(mp_process_close(process), process);
	check_sentence("mp_process_close", -EBUSY, -EBUSY, "'child'");
	assert_int_equal(mp_process_kill(process), 0);
	assert_int_equal(mp_process_join(process, MP_SEC(10)), 0);
	assert_null(mp_process_close(process));
	assert_int_equal(mp_process_start(segment, &named, return_at_once, NULL, &process), 0);
	assert_int_equal(waitpid(mp_process_pid(process), NULL, 0), mp_process_pid(process));
	REFUSED(mp_process_join(process, MP_FOREVER), -ECHILD, "'child'");
	REFUSED(mp_process_exitcode(process, &exitcode), -ECHILD, "'child'");
	assert_null(mp_process_close(process));
	mp_segment_close(segment);
}

static void failures_to_observe_are_explained(void **state)
{
	char endless[200] = { 0 }, name[MP_OBSERVE_NAME];
	const struct mp_snapshot *snapshot;
	struct mp_endpoint_info info;
	mp_observer *observer;

	memset(endless, 'x', sizeof endless - 1);
	REFUSED(mp_observe_open(endless, &observer), -EINVAL, "xxxx");
	REFUSED(mp_observe_open(NULL, NULL), -EINVAL, "ret_observer");
	REFUSED(mp_observe_refresh(NULL), -EINVAL, "observer");
	REFUSED(mp_observe_endpoint(NULL, &info), -EINVAL, "observer");
	REFUSED(mp_observe_name(NULL, 0, name), -EINVAL, "observer");
	REFUSED(mp_observe_snapshot(NULL, 0, &snapshot), -EINVAL, "observer");
	setenv("MP_ENDPOINT", "/tmp/no/such/mpd.sock", 1);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	REFUSED(mp_observe_endpoint(observer, NULL), -EINVAL, "ret_info");
	REFUSED(mp_observe_name(observer, 7, name), -EINVAL, "7");
	REFUSED(mp_observe_snapshot(observer, 7, &snapshot), -EINVAL, "7");
	mp_observe_close(observer);
}

/* --- options that mean nothing --- */

#define BAD(call, field) REFUSED(call, -EINVAL, field)

static void options_that_mean_nothing_are_refused(void **state)
{
	struct mp_queue_opts queue_keep = { .flags = MP_KEEP };
	struct mp_queue_opts queue_reserved0 = { .reserved0 = 1 };
	struct mp_queue_opts queue_reserved = { .reserved[13] = 1 };
	struct mp_lock_opts lock_flags = { .flags = 64 }, lock_reserved0 = { .reserved0 = 1 };
	struct mp_lock_opts lock_reserved = { .reserved[0] = 1 };
	struct mp_process_opts process_flags = { .flags = 77 };
	struct mp_process_opts process_reserved0 = { .reserved0 = 1 };
	struct mp_process_opts process_reserved = { .reserved[13] = 1 };
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_process *process;
	mp_queue *queue;
	mp_lock *lock;

	BAD(mp_queue_open(segment, "x", &queue_keep, &queue), "flags has 0x4");
	BAD(mp_queue_open(segment, "x", &queue_reserved0, &queue), "opts.reserved0");
	BAD(mp_queue_open(segment, "x", &queue_reserved, &queue), "opts.reserved[13]");
	BAD(mp_lock_open(segment, "x", &lock_flags, &lock), "flags has 0x40");
	BAD(mp_lock_open(segment, "x", &lock_reserved0, &lock), "opts.reserved0");
	BAD(mp_lock_open(segment, "x", &lock_reserved, &lock), "opts.reserved[0]");
	BAD(mp_process_start(segment, &process_flags, return_at_once, NULL, &process),
	    "flags has 0x4d");
	BAD(mp_process_start(segment, &process_reserved0, return_at_once, NULL, &process),
	    "opts.reserved0");
	BAD(mp_process_start(segment, &process_reserved, return_at_once, NULL, &process),
	    "opts.reserved[13]");
	objects_end(&objects);
}

static void segment_options_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		struct mp_segment_opts opts;
		int error;
		const char *says;
	} cases[] = {
		{ { .size_bytes = 4096 }, -EINVAL, "size_bytes is 4096, at least" },
		{ { .size_bytes = UINT64_MAX }, -EINVAL, "size_bytes is 18446744073709551615" },
		{ { .max_clients = 1 }, -EINVAL, "max_clients is 1, it must be from 3 to 1024" },
		{ { .max_clients = 5000 }, -EINVAL, "max_clients is 5000" },
		{ { .max_sleepers = 2 }, -EINVAL, "max_sleepers is 2, it must be from 3 to 512" },
		{ { .max_sleepers = 513 }, -EINVAL, "max_sleepers is 513" },
		{ { .flags = 64 }, -EINVAL, "flags has 0x40" },
		{ { .flags = MP_READ_ONLY }, -ENOTSUP, "MP_READ_ONLY" },
		{ { .mode = 07777 }, -EINVAL, "mode is 07777" },
		{ { .gid = -5 }, -EINVAL, "gid is -5" },
		{ { .reserved0 = 1 }, -EINVAL, "reserved0" },
		{ { .reserved[8] = 1 }, -EINVAL, "reserved[8]" },
		{ { .owner = "" }, -EINVAL, "owner is empty" },
		{ { .owner = "no such user" }, -EINVAL, "there is no user of that name" },
	};
	mp_segment *segment;

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		REFUSED(mp_segment_open("s", &cases[i].opts, &segment), cases[i].error, "'s'");
		if (!strstr(mp_explain(), cases[i].says))
			fail_msg("no '%s' in: %s", cases[i].says, mp_explain());
	}
}

static void size_that_is_asked_for_in_the_sentence_is_enough(void **state)
{
	struct mp_segment_opts opts = { .size_bytes = 1 };
	mp_segment *segment;
	const char *least;

	REFUSED(mp_segment_open("s", &opts, &segment), -EINVAL, "at least ");
	least = strstr(mp_explain(), "at least ") + strlen("at least ");
	opts.size_bytes = strtoull(least, NULL, 10);
	assert_int_equal(mp_segment_open("s", &opts, &segment), 0);
	mp_segment_close(segment);
}

static void endpoint_in_a_missing_directory_is_named(void **state)
{
	struct mp_segment_opts opts = { .endpoint = "/tmp/no such directory/mpd.sock" };
	int64_t began = clock_now_ns();
	mp_segment *segment;

	REFUSED(mp_segment_open("s", &opts, &segment), -ECONNREFUSED,
		"'/tmp/no such directory/mpd.sock'");
	assert_non_null(strstr(mp_explain(), "No such file or directory"));
	assert_true(clock_now_ns() - began < MP_SEC(2));
}

static void sentence_of_a_try_outlives_the_object(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_queue *queue;
	char buf[8];

	assert_int_equal(mp_queue_open(segment, "gone", NULL, &queue), 0);
	assert_int_equal(mp_queue_get(queue, buf, 8, MP_NOW), -EAGAIN);
	assert_int_equal(mp_queue_unlink(segment, "gone"), 0);
	mp_queue_close(queue);
	objects_end(&objects);
	assert_non_null(strstr(mp_explain(), "'gone'"));
}

static const struct harness_test tests[] = {
	HARNESS_TEST(failures_to_open_a_lock_are_explained),
	HARNESS_TEST(failures_of_a_lock_are_explained),
	HARNESS_TEST(what_a_death_leaves_is_explained),
	HARNESS_TEST(failures_to_open_a_queue_are_explained),
	HARNESS_TEST(failures_to_put_are_explained),
	HARNESS_TEST(failures_to_get_are_explained),
	HARNESS_TEST(failures_to_reserve_are_explained),
	HARNESS_TEST(failures_to_claim_are_explained),
	HARNESS_TEST(full_segment_is_explained),
	HARNESS_TEST_WITH_MPD(thread_too_many_is_explained),
	HARNESS_TEST_WITH_MPD(process_too_many_is_explained),
	HARNESS_TEST(engine_that_is_none_is_explained),
	HARNESS_TEST_WITH_MPD(failures_of_segments_are_explained),
	HARNESS_TEST_WITH_MPD(another_shape_is_explained),
	HARNESS_TEST(without_mpd_the_endpoint_is_named),
	HARNESS_TEST_WITH_MPD(failures_of_processes_are_explained),
	HARNESS_TEST(failures_to_observe_are_explained),
	HARNESS_TEST(options_that_mean_nothing_are_refused),
	HARNESS_TEST(segment_options_that_make_no_sense_are_refused),
	HARNESS_TEST_WITH_MPD(size_that_is_asked_for_in_the_sentence_is_enough),
	HARNESS_TEST(endpoint_in_a_missing_directory_is_named),
	HARNESS_TEST(sentence_of_a_try_outlives_the_object),
};

HARNESS_MAIN(tests)
