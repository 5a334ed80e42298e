/* SPDX-License-Identifier: MIT
 *
 * Proves: in an interruptible segment a signal ends each blocking call, whichever sleep of the
 * thread it hits, however long the call would wait and whichever engine sleeps; in any other
 * segment the call goes on to its end.
 */
#include "harness.h"

#include "clock.h"
#include "objects.h"
#include "probe.h"

#include <libshm/barrier.h>
#include <libshm/cond.h>
#include <libshm/queue.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

enum { SIGNAL_AFTER_MS = 60, WAITS = 3 };

struct scene {
	struct objects objects;
	mp_queue *empty;
	mp_queue *full;
	mp_lock *lock; /* somebody else holds it */
	mp_barrier *barrier; /* the other never comes */
	mp_lock *free_lock;
	mp_cond *cond; /* of the free one */
	struct mp_slot reserved, reserved_for_ever;
	pthread_t holder;
	atom32 is_held, may_release;
};

struct call {
	const char *name;
	int (*run)(struct scene *scene, int64_t timeout);
};

static int get(struct scene *scene, int64_t timeout)
{
	char buf[8];

	return mp_queue_get(scene->empty, buf, sizeof buf, timeout);
}

static int get_info(struct scene *scene, int64_t timeout)
{
	struct mp_message_info info;
	char buf[8];

	return mp_queue_get_info(scene->empty, buf, sizeof buf, timeout, &info);
}

static int claim(struct scene *scene, int64_t timeout)
{
	struct mp_slot slot;

	return mp_queue_claim(scene->empty, timeout, &slot);
}

static int put(struct scene *scene, int64_t timeout)
{
	return mp_queue_put(scene->full, "x", 1, timeout);
}

static int put_large(struct scene *scene, int64_t timeout)
{
	char large[200] = { 0 };

	return mp_queue_put(scene->full, large, sizeof large, timeout);
}

static int commit(struct scene *scene, int64_t timeout)
{
	return mp_queue_commit(scene->full, timeout == MP_FOREVER ? &scene->reserved_for_ever
								  : &scene->reserved);
}

static int acquire(struct scene *scene, int64_t timeout)
{
	return mp_lock_acquire(scene->lock, timeout);
}

/* What it breaks is whole again for the next. */
static int meet(struct scene *scene, int64_t timeout)
{
	int error = mp_barrier_reset(scene->barrier);

	return error < 0 ? error : mp_barrier_wait(scene->barrier, timeout, NULL);
}

/* With the lock held again. */
static int wait_for_cond(struct scene *scene, int64_t timeout)
{
	int error = mp_lock_acquire(scene->free_lock, MP_FOREVER), result;

	if (error < 0)
		return error;
	result = mp_cond_wait(scene->cond, timeout);
	error = mp_lock_release(scene->free_lock);
	return error < 0 ? error : result;
}

static int never(void *arg)
{
	(void)arg;
	return 0;
}

static int wait_for_never(struct scene *scene, int64_t timeout)
{
	int error = mp_lock_acquire(scene->free_lock, MP_FOREVER), result;

	if (error < 0)
		return error;
	result = mp_cond_wait_for(scene->cond, never, NULL, timeout);
	error = mp_lock_release(scene->free_lock);
	return error < 0 ? error : result;
}

static const struct call calls[] = {
	{ "get", get }, { "get_info", get_info }, { "claim", claim }, { "put", put },
	{ "put_large", put_large }, { "commit", commit }, { "acquire", acquire },
	{ "meet", meet },
	{ "cond_wait", wait_for_cond }, { "cond_wait_for", wait_for_never },
};

static atom32 signals_handled, signals_early;
static unsigned handler_ms;
static struct shm_thread *_Atomic waiting; /* the thread whose sleep is to be ended */

static void alarm_after_ms(unsigned ms)
{
	struct itimerval timer = { .it_value = { .tv_usec = ms * 1000 } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Has the signal come out of the kernel with the thread? One that has said that it sleeps may not
 * have got there yet. */
static bool was_in_kernel(const void *context)
{
#ifdef __x86_64__
	return ((const ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] == -EINTR;
#else
	return true;
#endif
}

/* A busy machine may have kept the thread from its sleep until now: then comes another. */
static bool is_early(const void *context)
{
	struct shm_thread *thread = atomic_load(&waiting);

	if (!thread || (load_relaxed(&thread->bell) & 1 && was_in_kernel(context)))
		return false;
	add_relaxed(&signals_early, 1);
	alarm_after_ms(SIGNAL_AFTER_MS);
	return true;
}

static void handle(int number, siginfo_t *info, void *context)
{
	int64_t ends = clock_now_ns() + MP_MSEC(handler_ms);

	(void)number;
	(void)info;
	if (is_early(context))
		return;
	add_relaxed(&signals_handled, 1);
	while (handler_ms && clock_now_ns() < ends)
		;
}

static void block_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(how, &set, NULL);
}

static void *hold(void *arg)
{
	struct scene *scene = arg;

	if (mp_lock_acquire(scene->lock, MP_NOW) < 0)
		return arg;
	store_release(&scene->is_held, 1);
	while (!load_acquire(&scene->may_release))
		clock_sleep_ns(1000000);
	return mp_lock_release(scene->lock) < 0 ? arg : NULL;
}

static void begin(struct scene *scene, const char *engine, bool is_interruptible)
{
	struct mp_queue_opts one = { .capacity = 1 };
	/* No SA_RESTART. */
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
	mp_segment *segment;

	const struct park_ops *probed;

	memset(scene, 0, sizeof *scene);
	setenv("MP_WAIT_ENGINE", engine, 1);
	if (probe_engine(&probed) < 0)
		harness_skip("this kernel or container has no such engine");
	segment = objects_begin(&scene->objects);
	scene->objects.seg->is_interruptible = is_interruptible;
	assert_int_equal(mp_queue_open(segment, "empty", NULL, &scene->empty), 0);
	assert_int_equal(mp_queue_open(segment, "full", &one, &scene->full), 0);
	assert_int_equal(mp_lock_open(segment, "lock", NULL, &scene->lock), 0);
	assert_int_equal(mp_barrier_open(segment, "barrier",
					 &(struct mp_barrier_opts){ .parties = 2 },
					 &scene->barrier), 0);
	assert_int_equal(mp_lock_open(segment, "free", NULL, &scene->free_lock), 0);
	assert_int_equal(mp_cond_open(segment, "cond", scene->free_lock, NULL, &scene->cond), 0);
	assert_int_equal(mp_queue_put(scene->full, "x", 1, MP_NOW), 0);
	assert_int_equal(mp_queue_reserve(scene->full, 1, MP_SEC(5), &scene->reserved), 0);
	assert_int_equal(mp_queue_reserve(scene->full, 1, MP_FOREVER, &scene->reserved_for_ever),
			 0);
	block_signals(SIG_BLOCK); /* threads that do not wait here must not get them */
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(pthread_create(&scene->holder, NULL, hold, scene), 0);
	while (!load_acquire(&scene->is_held))
		harness_sleep_ms(1);
}

static void end(struct scene *scene)
{
	void *failed;

	store_release(&scene->may_release, 1);
	pthread_join(scene->holder, &failed);
	assert_null(failed);
	assert_int_equal(mp_queue_abandon(scene->full, &scene->reserved), 0);
	assert_int_equal(mp_queue_abandon(scene->full, &scene->reserved_for_ever), 0);
	mp_queue_close(scene->empty);
	mp_queue_close(scene->full);
	mp_lock_close(scene->lock);
	mp_barrier_close(scene->barrier);
	mp_cond_close(scene->cond);
	mp_lock_close(scene->free_lock);
	objects_end(&scene->objects);
}

static void unblock_signals_for_me(struct scene *scene)
{
	struct self *me;

	if (self_get(scene->objects.seg, &me) == 0)
		atomic_store(&waiting, me->shared);
	block_signals(SIG_UNBLOCK);
}

/* One thread that waits several times: its first sleep arms what the later ones find armed. */
struct waiter {
	struct scene *scene;
	const struct call *call;
	int64_t timeout;
	int results[WAITS];
	int64_t took_ns[WAITS];
	int signals[WAITS]; /* that came in its sleep */
	int early[WAITS];
};

static void *wait_several_times(void *arg)
{
	struct waiter *waiter = arg;

	unblock_signals_for_me(waiter->scene);
	for (int i = 0; i < WAITS; i++) {
		int64_t began = clock_now_ns();

		store_relaxed(&signals_handled, 0);
		store_relaxed(&signals_early, 0);
		alarm_after_ms(SIGNAL_AFTER_MS);
		waiter->results[i] = waiter->call->run(waiter->scene, waiter->timeout);
		waiter->took_ns[i] = clock_now_ns() - began;
		waiter->signals[i] = (int)load_relaxed(&signals_handled);
		waiter->early[i] = (int)load_relaxed(&signals_early);
		alarm_after_ms(0);
	}
	return NULL;
}

static void run_waiter(struct scene *scene, const struct call *call, int64_t timeout,
		       struct waiter *ret_waiter)
{
	pthread_t thread;

	*ret_waiter = (struct waiter){ .scene = scene, .call = call, .timeout = timeout };
	assert_int_equal(pthread_create(&thread, NULL, wait_several_times, ret_waiter), 0);
	pthread_join(thread, NULL);
}

/* One in its sleep; ThreadSanitizer delivers it after that, which looks early. */
static bool had_signal(const struct waiter *waiter, int i)
{
	return waiter->signals[i] == 1 || (waiter->signals[i] == 0 && waiter->early[i] > 0);
}

static void signal_ends_each(const char *engine)
{
	static const int64_t timeouts[] = { MP_SEC(5), MP_FOREVER };
	struct waiter waiter;
	struct scene scene;

	begin(&scene, engine, true);
	for (unsigned i = 0; i < ARRAY_LEN(calls); i++)
		for (unsigned t = 0; t < ARRAY_LEN(timeouts); t++) {
			run_waiter(&scene, &calls[i], timeouts[t], &waiter);
			for (int n = 0; n < WAITS; n++) {
				if (waiter.results[n] != -EINTR || !had_signal(&waiter, n))
					fail_msg("%s under %s, wait %d: %d after %d signals",
						 calls[i].name, engine, n, waiter.results[n],
						 waiter.signals[n]);
				assert_true(waiter.took_ns[n] < MP_SEC(5));
			}
		}
	end(&scene);
}

static void signal_ends_each_wait_in_uring(void **state)
{
	signal_ends_each("uring");
}

static void signal_ends_each_wait_in_futex(void **state)
{
	signal_ends_each("futex");
}

static void goes_on(const char *engine)
{
	struct waiter waiter;
	struct scene scene;

	begin(&scene, engine, false);
	for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
		if (calls[i].run == commit)
			continue; /* its timeout is the reserve's */
		run_waiter(&scene, &calls[i], MP_MSEC(3 * SIGNAL_AFTER_MS), &waiter);
		for (int n = 0; n < WAITS; n++) {
			assert_int_equal(waiter.results[n], -ETIMEDOUT);
			assert_true(had_signal(&waiter, n));
			assert_true(waiter.took_ns[n] >= MP_MSEC(3 * SIGNAL_AFTER_MS));
		}
	}
	end(&scene);
}

static void other_segments_wait_on_in_uring(void **state)
{
	goes_on("uring");
}

static void other_segments_wait_on_in_futex(void **state)
{
	goes_on("futex");
}

static int signal_parent(void *unused)
{
	(void)unused;
	harness_sleep_ms(SIGNAL_AFTER_MS);
	return kill(getppid(), SIGUSR1);
}

static void *get_for_ever(void *arg)
{
	static int result;

	block_signals(SIG_UNBLOCK);
	result = get(arg, MP_FOREVER);
	return &result;
}

static void signal_from_another_process_ends_a_first_wait(void **state)
{
	struct scene scene;
	pthread_t thread;
	void *result;
	pid_t child;

	begin(&scene, "uring", true);
	assert_int_equal(pthread_create(&thread, NULL, get_for_ever, &scene), 0);
	harness_segment_await_asleep(scene.objects.seg, 1);
	child = harness_fork(signal_parent, NULL);
	pthread_join(thread, &result);
	assert_int_equal(*(int *)result, -EINTR);
	harness_join(child);
	end(&scene);
}

/* A lock waiter looks again each 250 ms: a handler that is still running then hides from the
 * waiter which of the two ended its sleep. */
static void *acquire_for_ever(void *arg)
{
	static int result;

	unblock_signals_for_me(arg);
	alarm_after_ms(240);
	result = acquire(arg, MP_FOREVER);
	return &result;
}

static void handler_that_outlasts_a_look_again_loses_no_signal(void **state)
{
	struct scene scene;
	pthread_t thread;
	void *result;

	begin(&scene, "uring", true);
	handler_ms = 40;
	assert_int_equal(pthread_create(&thread, NULL, acquire_for_ever, &scene), 0);
	pthread_join(thread, &result);
	assert_int_equal(*(int *)result, -EINTR);
	end(&scene);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(signal_ends_each_wait_in_uring),
	HARNESS_TEST(signal_ends_each_wait_in_futex),
	HARNESS_TEST(other_segments_wait_on_in_uring),
	HARNESS_TEST(other_segments_wait_on_in_futex),
	HARNESS_TEST(signal_from_another_process_ends_a_first_wait),
	HARNESS_TEST(handler_that_outlasts_a_look_again_loses_no_signal),
};

HARNESS_MAIN(tests)
