/* SPDX-License-Identifier: MIT
 *
 * Proves: what rwlock.h promises, in threads over one mapping and in processes that die.
 */
#include "harness.h"

#include "objects.h"
#include "rwlock_internal.h"

#include <libshm/observe.h>
#include <libshm/process.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READERS 4
#define ROUNDS 300

static mp_rwlock *open_rwlock(mp_segment *segment, const char *name, uint32_t on_owner_death)
{
	struct mp_rwlock_opts opts = { .on_owner_death = on_owner_death };
	mp_rwlock *rwlock = NULL;

	assert_int_equal(mp_rwlock_open(segment, name, &opts, &rwlock), 0);
	return rwlock;
}

/* --- another thread --- */

struct party {
	mp_rwlock *rwlock;
	int (*acquire)(mp_rwlock *rwlock, int64_t timeout);
	int64_t timeout;
	pthread_t thread;
	atomic_int result; /* 99: not yet */
	atomic_bool may_leave, keeps;
	int released;
};

static void *take_part(void *arg)
{
	struct party *party = arg;
	int result = party->acquire(party->rwlock, party->timeout);

	party->result = result;
	while (result >= 0 && !party->may_leave)
		harness_sleep_ms(1);
	party->released = result >= 0 && !party->keeps ? mp_rwlock_release(party->rwlock) : 0;
	return NULL;
}

static void begin(struct party *party, mp_rwlock *rwlock,
		  int (*acquire)(mp_rwlock *rwlock, int64_t timeout), int64_t timeout)
{
	memset(party, 0, sizeof *party);
	party->rwlock = rwlock;
	party->acquire = acquire;
	party->timeout = timeout;
	party->result = 99;
	assert_int_equal(pthread_create(&party->thread, NULL, take_part, party), 0);
}

static int await(struct party *party)
{
	while (party->result == 99)
		harness_sleep_ms(1);
	return party->result;
}

static int end(struct party *party)
{
	party->may_leave = true;
	pthread_join(party->thread, NULL);
	assert_int_equal(party->released, 0);
	return party->result;
}

/* What another thread is told that tries once, and gives back at once what it gets. */
static int other(mp_rwlock *rwlock, int (*acquire)(mp_rwlock *rwlock, int64_t timeout))
{
	struct party party;

	begin(&party, rwlock, acquire, MP_NOW);
	return end(&party);
}

static void *release_only(void *arg)
{
	struct party *party = arg;

	party->released = mp_rwlock_release(party->rwlock);
	return NULL;
}

static int release_elsewhere(mp_rwlock *rwlock)
{
	struct party party = { .rwlock = rwlock };

	pthread_create(&party.thread, NULL, release_only, &party);
	pthread_join(party.thread, NULL);
	return party.released;
}

/* --- one process --- */

static void many_read_together_and_nobody_writes_meanwhile(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);
	struct party readers[READERS];

	for (unsigned i = 0; i < READERS; i++) {
		begin(&readers[i], rwlock, mp_rwlock_acquire_read, MP_FOREVER);
		assert_int_equal(await(&readers[i]), 0);
	}
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), -EAGAIN);
	assert_non_null(strstr(mp_explain(), "'l'"));
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0); /* it left no trace */
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(end(&readers[i]), 0);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static void one_writes_and_nobody_else_is_in(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);

	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_FOREVER), 0);
	assert_int_equal(other(rwlock, mp_rwlock_acquire_read), -EAGAIN);
	assert_int_equal(other(rwlock, mp_rwlock_acquire_write), -EAGAIN);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(other(rwlock, mp_rwlock_acquire_read), 0);
	assert_int_equal(other(rwlock, mp_rwlock_acquire_write), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

/* Else it would wait for the writer that waits for it. */
static void who_reads_may_do_it_again_though_a_writer_waits(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);
	struct party writer;

	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0);
	begin(&writer, rwlock, mp_rwlock_acquire_write, MP_FOREVER);
	harness_segment_await_asleep(objects.seg, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(mp_rwlock_release(rwlock), 0);
		assert_int_equal(writer.result, 99);
	}
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(end(&writer), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static void what_would_wait_for_itself_is_refused(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);

	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_FOREVER), -EDEADLK);
	assert_non_null(strstr(mp_explain(), "reads"));
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_FOREVER), -EDEADLK);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_FOREVER), -EDEADLK);
	assert_non_null(strstr(mp_explain(), "writes"));
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(mp_rwlock_release(rwlock), -EOVERFLOW);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static void who_does_not_hold_it_cannot_give_it_back(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);

	assert_int_equal(mp_rwlock_release(rwlock), -EOVERFLOW);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0);
	assert_int_equal(release_elsewhere(rwlock), -EPERM);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), 0);
	assert_int_equal(release_elsewhere(rwlock), -EPERM);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static void waits_are_over_in_time_and_leave_nothing(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);
	struct party holder;

	begin(&holder, rwlock, mp_rwlock_acquire_write, MP_FOREVER);
	assert_int_equal(await(&holder), 0);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_MSEC(20)), -ETIMEDOUT);
	assert_non_null(strstr(mp_explain(), "writes"));
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_MSEC(20)), -ETIMEDOUT);
	end(&holder);
	begin(&holder, rwlock, mp_rwlock_acquire_read, MP_FOREVER);
	assert_int_equal(await(&holder), 0);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_MSEC(20)), -ETIMEDOUT);
	assert_non_null(strstr(mp_explain(), "still reads"));
	assert_int_equal(other(rwlock, mp_rwlock_acquire_read), 0); /* not held back any more */
	end(&holder);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static void writer_that_gives_up_lets_in_whom_it_held_back(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);
	struct party writer, reader;

	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0);
	begin(&writer, rwlock, mp_rwlock_acquire_write, MP_MSEC(100));
	while (rwlock_is_free(rwlock->shared))
		harness_sleep_ms(1);
	begin(&reader, rwlock, mp_rwlock_acquire_read, MP_FOREVER);
	assert_int_equal(end(&writer), -ETIMEDOUT);
	assert_int_equal(await(&reader), 0);
	assert_int_equal(end(&reader), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

/* --- who goes first, counted --- */

static void writer_that_waits_is_overtaken_by_no_reader(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);
	struct party writer;

	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0);
	begin(&writer, rwlock, mp_rwlock_acquire_write, MP_FOREVER);
	harness_segment_await_asleep(objects.seg, 1);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(other(rwlock, mp_rwlock_acquire_read), -EAGAIN);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(end(&writer), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static void readers_that_wait_are_in_before_any_writer_comes_again(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);
	struct party readers[READERS];

	for (unsigned round = 0; round < 10 * harness_scale(); round++) {
		assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_FOREVER), 0);
		for (unsigned i = 0; i < READERS; i++)
			begin(&readers[i], rwlock, mp_rwlock_acquire_read, MP_FOREVER);
		harness_segment_await_asleep(objects.seg, READERS);
		assert_int_equal(mp_rwlock_release(rwlock), 0);
		/* At once: nobody of them can have run yet, and all are in. */
		assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), -EAGAIN);
		for (unsigned i = 0; i < READERS; i++)
			assert_int_equal(end(&readers[i]), 0);
	}
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

struct crowd {
	mp_rwlock *rwlock;
	atomic_bool is_over;
	atomic_uint waiting;    /* 1: the reader's READ_WAIT may be set */
	atomic_uint overtakings;
};

static void *write_again_and_again(void *arg)
{
	struct crowd *crowd = arg;

	while (!crowd->is_over) {
		if (mp_rwlock_acquire_write(crowd->rwlock, MP_FOREVER) != 0)
			return arg;
		crowd->overtakings += crowd->waiting;
		if (mp_rwlock_release(crowd->rwlock) != 0)
			return arg;
	}
	return NULL;
}

/* They come again without a pause; asleep it is overtaken by who is about to write, and no more. */
static void *sleep_to_read(void *arg)
{
	struct crowd *crowd = arg;
	int result = mp_rwlock_acquire_read(crowd->rwlock, MP_FOREVER);

	crowd->waiting = 0;
	return result == 0 && mp_rwlock_release(crowd->rwlock) == 0 ? NULL : arg;
}

static void reader_is_not_overtaken_again_and_again(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);
	struct crowd crowd = { .rwlock = rwlock };
	pthread_t writers[2], reader;
	void *failed;

	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), 0);
	pthread_create(&reader, NULL, sleep_to_read, &crowd);
	harness_segment_await_asleep(objects.seg, 1);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&writers[i], NULL, write_again_and_again, &crowd);
	harness_segment_await_asleep(objects.seg, 3);
	crowd.waiting = 1;
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	pthread_join(reader, &failed);
	assert_null(failed);
	assert_int_equal(crowd.overtakings, 0);
	crowd.is_over = true;
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(writers[i], &failed);
		assert_null(failed);
	}
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

/* --- what it guards: plain words, for ThreadSanitizer too --- */

struct ledger {
	mp_rwlock *rwlock;
	uint64_t left, right;
};

static void *move_money(void *arg)
{
	struct ledger *ledger = arg;

	for (unsigned i = 0; i < ROUNDS * harness_scale(); i++) {
		if (mp_rwlock_acquire_write(ledger->rwlock, MP_FOREVER) != 0)
			return arg;
		ledger->left++;
		ledger->right--;
		if (mp_rwlock_release(ledger->rwlock) != 0)
			return arg;
	}
	return NULL;
}

static void *count_money(void *arg)
{
	struct ledger *ledger = arg;
	bool is_right = true;

	for (unsigned i = 0; i < ROUNDS * harness_scale(); i++) {
		if (mp_rwlock_acquire_read(ledger->rwlock, MP_FOREVER) != 0)
			return arg;
		is_right &= ledger->left + ledger->right == 0;
		if (mp_rwlock_release(ledger->rwlock) != 0)
			return arg;
	}
	return is_right ? NULL : arg;
}

static void who_reads_never_sees_what_is_half_written(void **state)
{
	struct objects objects;
	struct ledger ledger = { .rwlock = open_rwlock(objects_begin(&objects), "l", 0) };
	pthread_t threads[4];
	void *failed;

	for (unsigned i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, i % 2 ? count_money : move_money, &ledger);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(ledger.left, 2 * ROUNDS * harness_scale());
	mp_rwlock_close(ledger.rwlock);
	objects_end(&objects);
}

/* --- life --- */

static void what_makes_no_sense_is_refused(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_rwlock *rwlock = open_rwlock(segment, "l", MP_OWNER_POISON), *same;
	struct mp_rwlock_opts report = { .on_owner_death = MP_OWNER_REPORT };

	assert_int_equal(mp_rwlock_open(NULL, "l", NULL, &same), -EINVAL);
	assert_int_equal(mp_rwlock_open(segment, "l", NULL, NULL), -EINVAL);
	assert_int_equal(mp_rwlock_open(segment, "m",
					&(struct mp_rwlock_opts){ .on_owner_death = 9 }, &same),
			 -EINVAL);
	assert_int_equal(mp_rwlock_open(segment, "m",
					&(struct mp_rwlock_opts){ .reserved = { 1 } }, &same),
			 -EINVAL);
	assert_int_equal(mp_rwlock_open(segment, "l", &report, &same), -EPROTO);
	assert_int_equal(mp_rwlock_open(segment, "l", NULL, &same), 0);
	mp_rwlock_close(same);
	assert_int_equal(mp_rwlock_from_id(segment, mp_rwlock_id(rwlock), &same), 0);
	assert_int_equal(mp_rwlock_repair(same), -EINVAL);
	mp_rwlock_close(same);
	assert_int_equal(mp_rwlock_unlink(segment, "l"), 0);
	assert_int_equal(mp_rwlock_unlink(segment, "l"), -ENOENT);
	assert_int_equal(mp_rwlock_from_id(segment, mp_rwlock_id(rwlock), &same), -ESTALE);
	assert_int_equal(mp_rwlock_acquire_read(NULL, MP_NOW), -EINVAL);
	assert_int_equal(mp_rwlock_acquire_write(NULL, MP_NOW), -EINVAL);
	assert_int_equal(mp_rwlock_release(NULL), -EINVAL);
	assert_int_equal(mp_rwlock_repair(NULL), -EINVAL);
	assert_int_equal(mp_rwlock_id(NULL), 0);
	assert_null(mp_rwlock_close(NULL));
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static void end_as_holder(mp_rwlock *rwlock, int (*acquire)(mp_rwlock *rwlock, int64_t timeout))
{
	struct party party;

	begin(&party, rwlock, acquire, MP_FOREVER);
	party.keeps = true;
	assert_int_equal(end(&party), 0);
}

static void thread_that_ends_gives_back_what_it_holds(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);

	end_as_holder(rwlock, mp_rwlock_acquire_read);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_FOREVER), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	end_as_holder(rwlock, mp_rwlock_acquire_write);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_FOREVER), MP_OWNER_DIED);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static void first_reader_after_a_death_is_told_and_no_other(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);

	end_as_holder(rwlock, mp_rwlock_acquire_write);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), MP_OWNER_DIED);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0);
	assert_int_equal(other(rwlock, mp_rwlock_acquire_read), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(load_relaxed(&rwlock->shared->word), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

/* It may have been about to tell others. */
static void reader_that_was_told_and_ends_inside_leaves_it_to_the_next(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", 0);
	struct party told;

	end_as_holder(rwlock, mp_rwlock_acquire_write);
	begin(&told, rwlock, mp_rwlock_acquire_read, MP_NOW);
	told.keeps = true;
	assert_int_equal(end(&told), MP_OWNER_DIED);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), MP_OWNER_DIED);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static int repair(mp_rwlock *rwlock, int64_t timeout)
{
	(void)timeout;
	return mp_rwlock_repair(rwlock);
}

static void poisoned_lock_is_closed_to_all_until_it_is_repaired(void **state)
{
	struct objects objects;
	mp_rwlock *rwlock = open_rwlock(objects_begin(&objects), "l", MP_OWNER_POISON);
	struct party repairer;

	end_as_holder(rwlock, mp_rwlock_acquire_write);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_FOREVER), -ENOTRECOVERABLE);
	assert_non_null(strstr(mp_explain(), "mp_rwlock_repair"));
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_FOREVER), -ENOTRECOVERABLE);
	begin(&repairer, rwlock, repair, MP_NOW);
	repairer.keeps = true;
	assert_int_equal(end(&repairer), MP_OWNER_DIED);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), -ENOTRECOVERABLE);
	assert_int_equal(mp_rwlock_repair(rwlock), MP_OWNER_DIED);
	assert_int_equal(other(rwlock, mp_rwlock_acquire_read), -EAGAIN);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

static void last_handle_gives_back_what_its_process_holds(void **state)
{
	struct objects objects;
	mp_segment *segment = objects_begin(&objects);
	mp_rwlock *rwlock = open_rwlock(segment, "l", 0), *same = open_rwlock(segment, "l", 0);

	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), 0);
	mp_rwlock_close(same);
	assert_int_equal(lock_word_is_free(load_relaxed(&rwlock->shared->word)), false);
	mp_rwlock_close(rwlock);
	rwlock = open_rwlock(segment, "l", 0);
	assert_int_equal(mp_rwlock_acquire_read(rwlock, MP_NOW), MP_OWNER_DIED);
	mp_rwlock_close(rwlock);
	rwlock = open_rwlock(segment, "l", 0);
	assert_int_equal(mp_rwlock_acquire_write(rwlock, MP_NOW), MP_OWNER_DIED);
	assert_int_equal(mp_rwlock_release(rwlock), 0);
	mp_rwlock_close(rwlock);
	objects_end(&objects);
}

/* --- processes --- */

static int read_and_stay(void *arg)
{
	int result = mp_rwlock_acquire_read(arg, MP_FOREVER);

	if (result < 0)
		return 1;
	for (;;)
		pause();
}

static int write_and_stay(void *arg)
{
	int result = mp_rwlock_acquire_write(arg, MP_FOREVER);

	if (result < 0)
		return 1;
	for (;;)
		pause();
}

struct world {
	mp_segment *segment;
	mp_rwlock *rwlock;
	mp_process *victim;
};

static void begin_world(struct world *world, int (*does)(void *arg))
{
	assert_int_equal(mp_segment_open("s", NULL, &world->segment), 0);
	world->rwlock = open_rwlock(world->segment, "l", 0);
	assert_int_equal(mp_process_start(world->segment, NULL, does, world->rwlock,
					  &world->victim), 0);
}

static void kill_victim(struct world *world)
{
	assert_int_equal(mp_process_kill(world->victim), 0);
	assert_int_equal(mp_process_join(world->victim, MP_FOREVER), 0);
}

static void end_world(struct world *world)
{
	mp_process_close(world->victim);
	mp_rwlock_close(world->rwlock);
	mp_segment_close(world->segment);
}

static void await_reader(struct world *world)
{
	while (rwlock_any_reader(world->segment->seg, world->rwlock->shared) == SLOT_NONE)
		harness_sleep_ms(1);
}

static void await_writer(struct world *world)
{
	while (load_relaxed(&world->rwlock->shared->entered) == 0)
		harness_sleep_ms(1);
}

static void killed_reader_gives_its_share_back_and_nobody_is_told(void **state)
{
	struct world world;

	begin_world(&world, read_and_stay);
	await_reader(&world);
	assert_int_equal(mp_rwlock_acquire_write(world.rwlock, MP_NOW), -EAGAIN);
	kill_victim(&world);
	assert_int_equal(mp_rwlock_acquire_write(world.rwlock, MP_FOREVER), 0);
	assert_int_equal(mp_rwlock_release(world.rwlock), 0);
	end_world(&world);
}

static void *kill_in_a_while(void *arg)
{
	struct world *world = arg;

	while (load_relaxed(&world->segment->seg->header->asleep) == 0)
		harness_sleep_ms(1);
	return mp_process_kill(world->victim) == 0 ? NULL : arg;
}

static void death_of_a_reader_wakes_the_writer_that_waits_for_it(void **state)
{
	struct world world;
	pthread_t killer;
	void *failed;

	begin_world(&world, read_and_stay);
	await_reader(&world);
	pthread_create(&killer, NULL, kill_in_a_while, &world);
	assert_int_equal(mp_rwlock_acquire_write(world.rwlock, MP_FOREVER), 0);
	assert_int_equal(mp_rwlock_release(world.rwlock), 0);
	pthread_join(killer, &failed);
	assert_null(failed);
	assert_int_equal(mp_process_join(world.victim, MP_FOREVER), 0);
	end_world(&world);
}

static void killed_writer_is_reported_to_one_who_comes_in(void **state)
{
	struct world world;
	pthread_t killer;
	void *failed;

	begin_world(&world, write_and_stay);
	await_writer(&world);
	pthread_create(&killer, NULL, kill_in_a_while, &world);
	assert_int_equal(mp_rwlock_acquire_read(world.rwlock, MP_FOREVER), MP_OWNER_DIED);
	assert_int_equal(mp_rwlock_release(world.rwlock), 0);
	assert_int_equal(mp_rwlock_acquire_write(world.rwlock, MP_NOW), 0);
	assert_int_equal(mp_rwlock_release(world.rwlock), 0);
	pthread_join(killer, &failed);
	assert_null(failed);
	assert_int_equal(mp_process_join(world.victim, MP_FOREVER), 0);
	end_world(&world);
}

static void writer_killed_while_it_waits_for_readers_is_reported_to_nobody(void **state)
{
	struct world world;
	mp_segment *segment;

	assert_int_equal(mp_segment_open("s", NULL, &segment), 0);
	world = (struct world){ .segment = segment, .rwlock = open_rwlock(segment, "l", 0) };
	assert_int_equal(mp_rwlock_acquire_read(world.rwlock, MP_NOW), 0);
	assert_int_equal(mp_process_start(segment, NULL, write_and_stay, world.rwlock,
					  &world.victim), 0);
	harness_segment_await_asleep(segment->seg, 1);
	assert_false(rwlock_is_free(world.rwlock->shared));
	kill_victim(&world);
	while (!rwlock_is_free(world.rwlock->shared))
		harness_sleep_ms(1);
	assert_int_equal(mp_rwlock_release(world.rwlock), 0);
	assert_int_equal(mp_rwlock_acquire_write(world.rwlock, MP_FOREVER), 0);
	assert_int_equal(mp_rwlock_release(world.rwlock), 0);
	end_world(&world);
}

static void tools_see_who_is_in_and_who_waits(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	struct world world;

	begin_world(&world, read_and_stay);
	await_reader(&world);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->sync_count, 1);
	assert_string_equal(snapshot->syncs[0].kind, "rwlock");
	assert_string_equal(snapshot->syncs[0].state, "read 1");
	kill_victim(&world);
	assert_int_equal(mp_rwlock_acquire_write(world.rwlock, MP_FOREVER), 0);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_string_equal(snapshot->syncs[0].state, "written");
	assert_int_equal(snapshot->syncs[0].changes, 1);
	assert_int_equal(mp_rwlock_release(world.rwlock), 0);
	mp_observe_close(observer);
	end_world(&world);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(many_read_together_and_nobody_writes_meanwhile),
	HARNESS_TEST(one_writes_and_nobody_else_is_in),
	HARNESS_TEST(who_reads_may_do_it_again_though_a_writer_waits),
	HARNESS_TEST(what_would_wait_for_itself_is_refused),
	HARNESS_TEST(who_does_not_hold_it_cannot_give_it_back),
	HARNESS_TEST(waits_are_over_in_time_and_leave_nothing),
	HARNESS_TEST(writer_that_gives_up_lets_in_whom_it_held_back),
	HARNESS_TEST(writer_that_waits_is_overtaken_by_no_reader),
	HARNESS_TEST(readers_that_wait_are_in_before_any_writer_comes_again),
	HARNESS_TEST(reader_is_not_overtaken_again_and_again),
	HARNESS_TEST(who_reads_never_sees_what_is_half_written),
	HARNESS_TEST(what_makes_no_sense_is_refused),
	HARNESS_TEST(thread_that_ends_gives_back_what_it_holds),
	HARNESS_TEST(first_reader_after_a_death_is_told_and_no_other),
	HARNESS_TEST(reader_that_was_told_and_ends_inside_leaves_it_to_the_next),
	HARNESS_TEST(poisoned_lock_is_closed_to_all_until_it_is_repaired),
	HARNESS_TEST(last_handle_gives_back_what_its_process_holds),
	HARNESS_TEST_WITH_MPD(killed_reader_gives_its_share_back_and_nobody_is_told),
	HARNESS_TEST_WITH_MPD(death_of_a_reader_wakes_the_writer_that_waits_for_it),
	HARNESS_TEST_WITH_MPD(killed_writer_is_reported_to_one_who_comes_in),
	HARNESS_TEST_WITH_MPD(writer_killed_while_it_waits_for_readers_is_reported_to_nobody),
	HARNESS_TEST_WITH_MPD(tools_see_who_is_in_and_who_waits),
};

HARNESS_MAIN(tests)
