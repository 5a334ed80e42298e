/* SPDX-License-Identifier: MIT
 *
 * Proves: workers that are killed at random moments from outside harm nobody. Nobody hangs, every
 * message whose put returned is received, what comes twice says so, the lock works, slots and
 * memory come back; also while mpd is stopped and while mpd itself is killed.
 */
#include "harness.h"
#include "kill_worker.h"
#include "program.h"

#include <libshm.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILLS 1000
#define KILLS_WITHOUT_MPD 100
#define SETTLE_MS 10000
#define HANG_MS 10000

struct killer {
	struct field field;
	pid_t workers[WORKERS];
	uint64_t random;
	unsigned kills[PHASE_COUNT];
	struct mp_segment_info before;
};

static void start_worker(struct killer *killer, unsigned number)
{
	next_random(&killer->random);
	atomic_store(&killer->field.books->desks[number].phase, PHASE_START);
	fflush(NULL);
	killer->workers[number] = fork();
	assert_true(killer->workers[number] >= 0);
	if (killer->workers[number] == 0)
		worker_run(&killer->field, number, killer->random);
}

static void start_missing(struct killer *killer)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (!killer->workers[i])
			start_worker(killer, i);
}

static void kill_one(struct killer *killer, unsigned number)
{
	struct desk *desk = &killer->field.books->desks[number];
	enum phase phase;
	uint64_t id;
	int status;

	assert_int_equal(kill(killer->workers[number], SIGKILL), 0);
	assert_int_equal(waitpid(killer->workers[number], &status, 0), killer->workers[number]);
	assert_true(WIFSIGNALED(status));
	killer->workers[number] = 0;
	phase = atomic_load(&desk->phase);
	id = atomic_load(&desk->hand[0]);
	killer->kills[phase]++;
	if (phase == PHASE_GET && id)
		atomic_fetch_or(&killer->field.books->messages[id], BOOK_IN_DEAD_HAND);
}

static uint64_t count_rounds(const struct killer *killer)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		sum += atomic_load(&killer->field.books->desks[i].rounds);
	return sum;
}

struct progress {
	struct killer *killer;
	uint64_t enough;
};

static bool has_moved(void *arg)
{
	struct progress *progress = arg;

	return count_rounds(progress->killer) >= progress->enough;
}

/* Whoever lives goes on: `rounds` more, or everything hangs. */
static void expect_progress(struct killer *killer, unsigned rounds)
{
	struct progress progress = { killer, count_rounds(killer) + rounds };

	if (harness_until(has_moved, &progress, HANG_MS))
		return;
	for (unsigned i = 0; i < WORKERS; i++)
		print_error("worker %u, process %d: %s\n", i, (int)killer->workers[i],
			    phase_names[atomic_load(&killer->field.books->desks[i].phase)]);
	fail_msg("nobody goes on");
}

static void sleep_us(uint64_t us)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)us * 1000 }, NULL);
}

/* A worker's own finding is an exit, not a kill. */
static void expect_all_alive(const struct killer *killer)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (killer->workers[i])
			assert_int_equal(waitpid(killer->workers[i], NULL, WNOHANG), 0);
}

static void kill_at_random(struct killer *killer, unsigned kills)
{
	for (unsigned i = 0; i < kills; i++) {
		sleep_us(next_random(&killer->random) % 4000);
		expect_all_alive(killer);
		kill_one(killer, (unsigned)(next_random(&killer->random) % WORKERS));
		start_missing(killer);
		if (i % 50 == 49)
			expect_progress(killer, 100);
	}
}

/* --- before and after --- */

static void open_field(struct killer *killer)
{
	static const struct mp_queue_opts opts = { .capacity = QUEUE_CAPACITY };
	struct field *field = &killer->field;
	struct timespec now;

	*killer = (struct killer){ 0 };
	clock_gettime(CLOCK_REALTIME, &now);
	killer->random = (uint64_t)now.tv_nsec * 2654435761u + 1;
	printf("seed %llu\n", (unsigned long long)killer->random);
	killer->field.books = mmap(NULL, sizeof(*killer->field.books), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(killer->field.books != MAP_FAILED);
	assert_int_equal(mp_segment_open("kill", NULL, &field->segment), 0);
	assert_int_equal(mp_queue_open(field->segment, "first", &opts, &field->first), 0);
	assert_int_equal(mp_queue_open(field->segment, "second", &opts, &field->second), 0);
	assert_int_equal(mp_lock_open(field->segment, "counters", NULL, &field->lock), 0);
}

/* Everything that is made on first use and stays is made before the figures are taken. */
static void warm_up(struct killer *killer)
{
	mp_queue *const queues[] = { killer->field.first, killer->field.second };
	struct mp_slot slot;

	for (unsigned i = 0; i < 2; i++) {
		assert_true(MP_OK(mp_queue_put(queues[i], "warm", 4, MP_NOW)));
		assert_true(MP_OK(mp_queue_claim(queues[i], MP_SEC(1), &slot)));
		assert_true(MP_OK(mp_queue_ack(queues[i], &slot)));
	}
	assert_int_equal(mp_lock_acquire(killer->field.lock, MP_SEC(1)), 0);
	assert_int_equal(mp_lock_release(killer->field.lock), 0);
	assert_int_equal(mp_segment_info(killer->field.segment, &killer->before), 0);
}

/* The other side of the books: what is left is taken until the closed queue says that it is empty;
 * before that, what the dead had claimed comes back. */
static void drain(struct killer *killer, mp_queue *queue)
{
	static _Alignas(struct message) unsigned char data[MESSAGE_BYTES_MAX];
	struct mp_message_info info;
	int result;

	assert_true(MP_OK(mp_queue_close_input(queue)));
	while ((result = mp_queue_get_info(queue, data, sizeof(data), MP_SEC(10), &info)) >= 0) {
		worker_check_message((struct message *)data, info.len);
		worker_book_receipt(killer->field.books, ((struct message *)data)->id, info.flags);
	}
	assert_int_equal(result, -EPIPE);
}

static void stop_workers(struct killer *killer)
{
	atomic_store(&killer->field.books->stop, 1);
	for (unsigned i = 0; i < WORKERS; i++)
		if (killer->workers[i])
			harness_join(killer->workers[i]);
}

static void check_books(struct killer *killer)
{
	struct books *books = killer->field.books;
	uint64_t last = atomic_load(&books->last_id);
	uint64_t put_count = 0, lost = 0, in_hand = 0;

	for (uint64_t id = 1; id <= last; id++) {
		uint8_t book = atomic_load(&books->messages[id]);

		put_count += (book & BOOK_PUT) != 0;
		if ((book & (BOOK_PUT | BOOK_GOT)) != BOOK_PUT)
			continue;
		lost += !(book & BOOK_IN_DEAD_HAND);
		in_hand += (book & BOOK_IN_DEAD_HAND) != 0;
	}
	printf("%llu messages put, %llu came again, %llu died in the hand of their getter; "
	       "%llu deaths with the lock\n",
	       (unsigned long long)put_count, (unsigned long long)books->redelivered,
	       (unsigned long long)in_hand, (unsigned long long)books->deaths_reported);
	assert_int_equal(lost, 0);
	assert_true(in_hand <= killer->kills[PHASE_GET]);
	assert_true(put_count > 0);
}

static void print_histogram(const struct killer *killer)
{
	printf("killed in:\n");
	for (unsigned i = 0; i < PHASE_COUNT; i++)
		printf("  %-24s %u\n", phase_names[i], killer->kills[i]);
}

/* Nothing of the dead is left: neither slots nor memory. */
static bool is_as_before(void *arg)
{
	struct killer *killer = arg;
	struct mp_segment_info now;

	return mp_segment_info(killer->field.segment, &now) == 0 &&
	       now.clients == killer->before.clients && now.threads == killer->before.threads &&
	       now.used_bytes == killer->before.used_bytes;
}

static void expect_as_before(struct killer *killer)
{
	struct mp_segment_info now;

	if (harness_until(is_as_before, killer, SETTLE_MS))
		return;
	assert_int_equal(mp_segment_info(killer->field.segment, &now), 0);
	fail_msg("clients %u -> %u, threads %u -> %u, used bytes %llu -> %llu",
		 killer->before.clients, now.clients, killer->before.threads, now.threads,
		 (unsigned long long)killer->before.used_bytes, (unsigned long long)now.used_bytes);
}

static void expect_lock_usable(struct killer *killer)
{
	int result = mp_lock_acquire(killer->field.lock, MP_SEC(5));

	assert_true(MP_OK(result));
	assert_true(result == MP_OWNER_DIED || killer->field.books->a == killer->field.books->b);
	assert_int_equal(mp_lock_release(killer->field.lock), 0);
}

static void close_field(struct killer *killer)
{
	stop_workers(killer);
	expect_lock_usable(killer);
	drain(killer, killer->field.first);
	drain(killer, killer->field.second);
	print_histogram(killer);
	check_books(killer);
	expect_as_before(killer);
	mp_lock_close(killer->field.lock);
	mp_queue_close(killer->field.second);
	mp_queue_close(killer->field.first);
	mp_segment_close(killer->field.segment);
	munmap(killer->field.books, sizeof(*killer->field.books));
}

/* --- mpd --- */

static int find_mpd(void)
{
	struct mp_endpoint_info info = { .mpd_pid = 0 };
	mp_observer *observer;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_true(MP_OK(mp_observe_refresh(observer)));
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	mp_observe_close(observer);
	return info.is_mpd_alive ? (int)info.mpd_pid : 0;
}

/* A busy machine may keep it from answering for a while. */
static bool is_mpd_found(void *arg)
{
	*(int *)arg = find_mpd();
	return *(int *)arg > 0;
}

static int await_mpd(void)
{
	int mpd = 0;

	assert_true(harness_until(is_mpd_found, &mpd, SETTLE_MS));
	return mpd;
}

static bool is_new_mpd(void *arg)
{
	int now = find_mpd();

	return now != 0 && now != *(int *)arg;
}

/* --- the tests --- */

static bool was_hit_everywhere(const struct killer *killer)
{
	static const enum phase wanted[] = { PHASE_PUT, PHASE_GET, PHASE_CLAIM, PHASE_LOCK };

	for (unsigned i = 0; i < 4; i++)
		if (killer->kills[wanted[i]] == 0)
			return false;
	return true;
}

/* Where a kill hits depends on the machine: a slow one kills many at their start. */
static void thousand_kills_lose_nothing(void **state)
{
	struct killer killer;

	open_field(&killer);
	warm_up(&killer);
	start_missing(&killer);
	kill_at_random(&killer, KILLS * harness_scale());
	for (unsigned i = 0; i < 20 && !was_hit_everywhere(&killer); i++)
		kill_at_random(&killer, 100);
	expect_progress(&killer, 100);
	close_field(&killer);
	assert_true(was_hit_everywhere(&killer));
}

/* Nobody new can come in while mpd is stopped, but those who are in go on without it: of four
 * workers three are killed one by one, and the rest has to deal with what they held. */
static void kills_while_mpd_is_stopped_hold_nobody_up(void **state)
{
	unsigned wanted = KILLS_WITHOUT_MPD * harness_scale();
	struct killer killer;

	open_field(&killer);
	warm_up(&killer);
	for (unsigned kills = 0; kills < wanted; kills += WORKERS - 1) {
		int mpd = await_mpd();

		start_missing(&killer);
		expect_progress(&killer, 200);
		program_stop(mpd);
		for (unsigned i = 1; i < WORKERS; i++) {
			sleep_us(next_random(&killer.random) % 4000);
			expect_all_alive(&killer);
			kill_one(&killer, (kills + i) % WORKERS);
			expect_progress(&killer, 50);
		}
		assert_int_equal(kill(mpd, SIGCONT), 0);
	}
	close_field(&killer);
}

static void kills_while_mpd_is_killed_hold_nobody_up(void **state)
{
	struct killer killer;

	open_field(&killer);
	warm_up(&killer);
	start_missing(&killer);
	for (unsigned kills = 0; kills < KILLS_WITHOUT_MPD * harness_scale(); kills += 4) {
		int mpd = await_mpd();

		assert_int_equal(kill(mpd, SIGKILL), 0);
		kill_at_random(&killer, 4);
		expect_progress(&killer, 50);
		assert_true(harness_until(is_new_mpd, &mpd, SETTLE_MS));
	}
	close_field(&killer);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(thousand_kills_lose_nothing),
	HARNESS_TEST_WITH_MPD(kills_while_mpd_is_stopped_hold_nobody_up),
	HARNESS_TEST_WITH_MPD(kills_while_mpd_is_killed_hold_nobody_up),
};

/* A busy machine kills more slowly; meson's own limit comes after this one. */
int main(int argc, char **argv)
{
	setenv("MP_TEST_TIMEOUT", "240", 0);
	return harness_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
