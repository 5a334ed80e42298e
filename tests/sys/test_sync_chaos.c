/* SPDX-License-Identifier: MIT
 *
 * Proves: whoever meets others at locks, semaphores, events, conditions, read-write locks and
 * barriers may be killed at any time, and those who live go on: nobody sleeps who should be awake,
 * what is guarded is whole or somebody is told, permits are conserved. For seconds, or a minute at
 * night.
 */
#include "harness.h"
#include "sync_worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN_NS INT64_C(3000000000)
#define HANG_MS 60000
#define EXIT_MS 60000

struct chaos {
	struct sync_field field;
	pid_t workers[SYNC_WORKERS];
	uint64_t random;
	unsigned kills[ACT_COUNT], all_kills;
};

static uint64_t next(struct chaos *chaos)
{
	chaos->random ^= chaos->random << 13;
	chaos->random ^= chaos->random >> 7;
	chaos->random ^= chaos->random << 17;
	return chaos->random;
}

/* --- before --- */

static void open_objects(struct sync_field *field)
{
	mp_segment *segment;

	assert_int_equal(mp_segment_open("chaos", NULL, &segment), 0);
	field->segment = segment;
	assert_int_equal(mp_lock_open(segment, "lock", NULL, &field->lock), 0);
	assert_int_equal(mp_lock_open(segment, "fair", &(struct mp_lock_opts){ .fair = 1 },
				      &field->fair_lock), 0);
	assert_int_equal(mp_lock_open(segment, "conditions", NULL, &field->cond_lock), 0);
	assert_int_equal(mp_sem_open(segment, "permits", NULL, &field->sem), 0);
	assert_int_equal(mp_sem_open(segment, "owned",
				     &(struct mp_sem_opts){ .initial = OWNED_PERMITS, .owned = 1 },
				     &field->owned_sem), 0);
	assert_int_equal(mp_event_open(segment, "event", NULL, &field->event), 0);
	assert_int_equal(mp_cond_open(segment, "things", field->cond_lock, NULL, &field->cond), 0);
	assert_int_equal(mp_rwlock_open(segment, "rwlock",
					&(struct mp_rwlock_opts){
						.on_owner_death = MP_OWNER_POISON },
					&field->rwlock), 0);
	assert_int_equal(mp_barrier_open(segment, "two", &(struct mp_barrier_opts){ .parties = 2 },
					 &field->barrier), 0);
}

static void begin(struct chaos *chaos)
{
	struct timespec now;

	*chaos = (struct chaos){ 0 };
	clock_gettime(CLOCK_REALTIME, &now);
	chaos->random = (uint64_t)now.tv_nsec | 1;
	printf("seed %llu\n", (unsigned long long)chaos->random);
	open_objects(&chaos->field);
	chaos->field.books = mmap(NULL, sizeof(*chaos->field.books), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(chaos->field.books != MAP_FAILED);
}

static void start_worker(struct chaos *chaos, unsigned number)
{
	uint64_t random = next(chaos);

	fflush(NULL);
	chaos->workers[number] = fork();
	assert_true(chaos->workers[number] >= 0);
	if (chaos->workers[number] == 0)
		_exit(sync_work(&chaos->field, number, random));
}

/* --- meanwhile --- */

/* This process is never killed: things come, and the event is set now and then. */
static void feed(struct chaos *chaos)
{
	struct sync_field *field = &chaos->field;

	assert_true(mp_lock_acquire(field->cond_lock, SYNC_PATIENCE) >= 0);
	atomic_fetch_add(&field->books->things, 1);
	atomic_fetch_add(&field->books->made, 1);
	assert_true(mp_cond_notify(field->cond, 1) >= 0);
	assert_int_equal(mp_lock_release(field->cond_lock), 0);
	assert_int_equal(mp_event_set(field->event), 0);
	if (next(chaos) % 2)
		assert_int_equal(mp_event_clear(field->event), 0);
}

static void kill_one(struct chaos *chaos, unsigned number)
{
	int status;

	assert_int_equal(kill(chaos->workers[number], SIGKILL), 0);
	assert_int_equal(waitpid(chaos->workers[number], &status, 0), chaos->workers[number]);
	if (!WIFSIGNALED(status))
		fail_msg("worker %u has ended by itself, with %d", number, WEXITSTATUS(status));
	chaos->kills[atomic_load(&chaos->field.books->desks[number].act)]++;
	chaos->all_kills++;
	start_worker(chaos, number);
}

struct progress {
	struct chaos *chaos;
	uint64_t before[SYNC_WORKERS];
};

/* Each one, not only some: fed, as always. */
static bool have_all_moved(void *arg)
{
	struct progress *progress = arg;

	feed(progress->chaos);
	for (unsigned i = 0; i < SYNC_WORKERS; i++)
		if (atomic_load(&progress->chaos->field.books->desks[i].rounds) ==
		    progress->before[i])
			return false;
	return true;
}

static void expect_progress(struct chaos *chaos)
{
	struct progress progress = { .chaos = chaos };

	for (unsigned i = 0; i < SYNC_WORKERS; i++)
		progress.before[i] = atomic_load(&chaos->field.books->desks[i].rounds);
	if (harness_until(have_all_moved, &progress, HANG_MS))
		return;
	for (unsigned i = 0; i < SYNC_WORKERS; i++)
		print_error("worker %u, process %d: %s%s\n", i, (int)chaos->workers[i],
			    sync_act_names[atomic_load(&chaos->field.books->desks[i].act)],
			    atomic_load(&chaos->field.books->desks[i].rounds) == progress.before[i]
				    ? ", hangs" : "");
	fail_msg("somebody sleeps who should not");
}

static void kill_for(struct chaos *chaos, int64_t ns)
{
	int64_t end = harness_now_ns() + ns;

	for (unsigned i = 0; harness_now_ns() < end; i++) {
		usleep((useconds_t)(next(chaos) % 4000));
		feed(chaos);
		if (i % 2)
			kill_one(chaos, (unsigned)(next(chaos) % SYNC_WORKERS));
		if (i % 100 == 99)
			expect_progress(chaos);
	}
}

/* --- after --- */

static bool are_all_gone(void *arg)
{
	struct chaos *chaos = arg;

	feed(chaos);
	for (unsigned i = 0; i < SYNC_WORKERS; i++) {
		int status;

		if (!chaos->workers[i] || waitpid(chaos->workers[i], &status, WNOHANG) == 0)
			continue;
		assert_int_equal(status, 0);
		chaos->workers[i] = 0;
	}
	for (unsigned i = 0; i < SYNC_WORKERS; i++)
		if (chaos->workers[i])
			return false;
	return true;
}

static void end_workers(struct chaos *chaos)
{
	struct sync_field *field = &chaos->field;

	expect_progress(chaos);
	assert_true(mp_lock_acquire(field->cond_lock, SYNC_PATIENCE) >= 0);
	atomic_store(&field->books->is_over, 1);
	assert_true(mp_cond_notify_all(field->cond) >= 0);
	assert_int_equal(mp_lock_release(field->cond_lock), 0);
	assert_int_equal(mp_event_set(field->event), 0);
	assert_true(harness_until(are_all_gone, chaos, EXIT_MS));
}

static void expect_within(const char *what, int64_t found, int64_t booked, unsigned kills)
{
	if (found < booked - (int64_t)kills || found > booked + (int64_t)kills)
		fail_msg("%lld %s, %lld are booked, and %u were killed there", (long long)found,
			 what, (long long)booked, kills);
}

static void expect_lock_free(mp_lock *lock)
{
	assert_true(mp_lock_acquire(lock, SYNC_PATIENCE) >= 0);
	assert_int_equal(mp_lock_release(lock), 0);
	assert_int_equal(mp_lock_is_locked(lock), 0);
}

/* What was held by the dead is back, and nothing else is. */
static void expect_conserved(struct chaos *chaos)
{
	struct sync_field *field = &chaos->field;
	struct sync_books *books = field->books;

	expect_lock_free(field->lock);
	expect_lock_free(field->fair_lock);
	expect_lock_free(field->cond_lock);
	for (unsigned i = 0; i < OWNED_PERMITS; i++)
		assert_int_equal(mp_sem_acquire(field->owned_sem, SYNC_PATIENCE), 0);
	assert_int_equal(mp_sem_acquire(field->owned_sem, MP_NOW), -EAGAIN);
	assert_int_equal(mp_sem_release(field->owned_sem, OWNED_PERMITS), 0);
	expect_within("permits", mp_sem_value(field->sem),
		      (int64_t)(atomic_load(&books->given) - atomic_load(&books->taken)),
		      chaos->kills[ACT_SEM]);
	expect_within("things", atomic_load(&books->things),
		      (int64_t)(atomic_load(&books->made) - atomic_load(&books->used)),
		      chaos->kills[ACT_COND]);
	if (mp_rwlock_acquire_write(field->rwlock, SYNC_PATIENCE) == -ENOTRECOVERABLE)
		assert_int_equal(mp_rwlock_repair(field->rwlock), MP_OWNER_DIED);
	assert_int_equal(mp_rwlock_release(field->rwlock), 0);
	assert_int_equal(mp_rwlock_acquire_write(field->rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_release(field->rwlock), 0);
	assert_int_equal(mp_barrier_reset(field->barrier), 0);
	assert_int_equal(mp_barrier_waiting(field->barrier), 0);
	assert_int_equal(mp_barrier_is_broken(field->barrier), 0);
}

static void say_what_was_done(const struct chaos *chaos)
{
	struct sync_books *books = chaos->field.books;

	for (unsigned i = 0; i < ACT_COUNT; i++)
		printf("%s: %llu times, %u killed there\n", sync_act_names[i],
		       (unsigned long long)atomic_load(&books->acts[i]), chaos->kills[i]);
	printf("%u kills, %llu deaths told, %llu met, %llu meetings broken\n", chaos->all_kills,
	       (unsigned long long)atomic_load(&books->deaths_told),
	       (unsigned long long)atomic_load(&books->met),
	       (unsigned long long)atomic_load(&books->broken));
}

static void close_objects(struct sync_field *field)
{
	mp_barrier_close(field->barrier);
	mp_rwlock_close(field->rwlock);
	mp_cond_close(field->cond);
	mp_event_close(field->event);
	mp_sem_close(field->owned_sem);
	mp_sem_close(field->sem);
	mp_lock_close(field->cond_lock);
	mp_lock_close(field->fair_lock);
	mp_lock_close(field->lock);
	mp_segment_close(field->segment);
}

static void whoever_is_killed_at_any_object_holds_nobody_up(void **state)
{
	struct chaos chaos;

	begin(&chaos);
	for (unsigned i = 0; i < SYNC_WORKERS; i++)
		start_worker(&chaos, i);
	kill_for(&chaos, RUN_NS * harness_scale());
	end_workers(&chaos);
	say_what_was_done(&chaos);
	expect_conserved(&chaos);
	for (unsigned i = 0; i < ACT_COUNT; i++)
		assert_true(atomic_load(&chaos.field.books->acts[i]) > 0);
	close_objects(&chaos.field);
	munmap(chaos.field.books, sizeof(*chaos.field.books));
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(whoever_is_killed_at_any_object_holds_nobody_up),
};

HARNESS_MAIN(tests)
