/* SPDX-License-Identifier: MIT
 *
 * Rows whose other side sleeps. Knows: queue, event, condition, futex, pipe and pthread's condition
 * as channels of one word, a lock handed over. Does not know: how often or in which order it is
 * asked.
 *
 * Each side keeps its CPU busy until the other has given up spinning, so that every message finds
 * a sleeper; the busy time is measured and taken off. A row in which threads did not sleep has no
 * value.
 */
#include "rows.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Longer than anybody here spins before sleeping. */
#define ASLEEP_AFTER_NS 60000
#define STOP UINT64_MAX

enum direction { THERE, BACK };

struct channel {
	void (*send)(enum direction direction, uint64_t word);
	uint64_t (*receive)(enum direction direction);
};

struct bell {
	_Alignas(64) _Atomic uint32_t count;
	uint64_t word;
};

/* A word and whether there is one, guarded by whatever lock. */
struct box {
	_Alignas(64) pthread_mutex_t mutex;
	pthread_cond_t filled;
	uint64_t word;
	bool is_full;
};

struct shared {
	struct bell bell[2];
	struct box box[2];
	_Alignas(64) _Atomic uint64_t turn; /* the one in which this side holds the lock */
	_Alignas(64) _Atomic uint64_t seen; /* the one the partner woke up in */
	_Atomic int64_t seen_ns;
};

static struct shared *shared;
static mp_queue *queue[2];
static mp_event *event[2];
static mp_lock *lock[2];
static mp_cond *filled[2];
static int pipe_fd[2][2];

static void make_box(struct box *box)
{
	pthread_mutexattr_t of_mutex;
	pthread_condattr_t of_cond;

	pthread_mutexattr_init(&of_mutex);
	pthread_mutexattr_setpshared(&of_mutex, PTHREAD_PROCESS_SHARED);
	pthread_condattr_init(&of_cond);
	pthread_condattr_setpshared(&of_cond, PTHREAD_PROCESS_SHARED);
	if (pthread_mutex_init(&box->mutex, &of_mutex) || pthread_cond_init(&box->filled, &of_cond))
		bench_fail("no condition of pthread's");
}

void channels_open(void)
{
	shared = shared_pages(sizeof *shared);
	for (enum direction i = THERE; i <= BACK; i++) {
		check(mp_queue_open(bench_segment, NULL, NULL, &queue[i]));
		check(mp_event_open(bench_segment, NULL, NULL, &event[i]));
		check(mp_lock_open(bench_segment, NULL, NULL, &lock[i]));
		check(mp_cond_open(bench_segment, NULL, lock[i], NULL, &filled[i]));
		make_box(&shared->box[i]);
		if (pipe(pipe_fd[i]) < 0)
			bench_fail("no pipe");
	}
}

/* --- channels --- */

static void queue_send_word(enum direction direction, uint64_t word)
{
	check(mp_queue_put(queue[direction], &word, sizeof word, MP_FOREVER));
}

static uint64_t queue_receive_word(enum direction direction)
{
	uint64_t word;

	check(mp_queue_get(queue[direction], &word, sizeof word, MP_FOREVER));
	return word;
}

/* As the futex: the word beside it is the sender's until the event says otherwise. */
static void event_send_word(enum direction direction, uint64_t word)
{
	shared->bell[direction].word = word;
	check(mp_event_set(event[direction]));
}

static uint64_t event_receive_word(enum direction direction)
{
	check(mp_event_wait(event[direction], MP_FOREVER));
	check(mp_event_clear(event[direction]));
	return shared->bell[direction].word;
}

static int is_full(void *box)
{
	return ((struct box *)box)->is_full;
}

static void cond_send_word(enum direction direction, uint64_t word)
{
	struct box *box = &shared->box[direction];

	check(mp_lock_acquire(lock[direction], MP_FOREVER));
	box->word = word;
	box->is_full = true;
	check(mp_cond_notify(filled[direction], 1));
	check(mp_lock_release(lock[direction]));
}

static uint64_t cond_receive_word(enum direction direction)
{
	struct box *box = &shared->box[direction];
	uint64_t word;

	check(mp_lock_acquire(lock[direction], MP_FOREVER));
	check(mp_cond_wait_for(filled[direction], is_full, box, MP_FOREVER));
	box->is_full = false;
	word = box->word;
	check(mp_lock_release(lock[direction]));
	return word;
}

static void pthread_send_word(enum direction direction, uint64_t word)
{
	struct box *box = &shared->box[direction];

	pthread_mutex_lock(&box->mutex);
	box->word = word;
	box->is_full = true;
	pthread_cond_signal(&box->filled);
	pthread_mutex_unlock(&box->mutex);
}

static uint64_t pthread_receive_word(enum direction direction)
{
	struct box *box = &shared->box[direction];
	uint64_t word;

	pthread_mutex_lock(&box->mutex);
	while (!box->is_full)
		pthread_cond_wait(&box->filled, &box->mutex);
	box->is_full = false;
	word = box->word;
	pthread_mutex_unlock(&box->mutex);
	return word;
}

static void futex_send_word(enum direction direction, uint64_t word)
{
	struct bell *bell = &shared->bell[direction];

	bell->word = word;
	atomic_fetch_add_explicit(&bell->count, 1, memory_order_release);
	syscall(SYS_futex, &bell->count, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static uint64_t futex_receive_word(enum direction direction)
{
	static uint32_t seen[2];
	struct bell *bell = &shared->bell[direction];

	while (atomic_load_explicit(&bell->count, memory_order_acquire) == seen[direction])
		syscall(SYS_futex, &bell->count, FUTEX_WAIT, seen[direction], NULL, NULL, 0);
	seen[direction]++;
	return bell->word;
}

static void pipe_send_word(enum direction direction, uint64_t word)
{
	if (write(pipe_fd[direction][1], &word, sizeof word) != sizeof word)
		bench_fail("pipe: write");
}

static uint64_t pipe_receive_word(enum direction direction)
{
	uint64_t word;

	if (read(pipe_fd[direction][0], &word, sizeof word) != sizeof word)
		bench_fail("pipe: read");
	return word;
}

const struct channel channel_queue = { queue_send_word, queue_receive_word };
const struct channel channel_event = { event_send_word, event_receive_word };
const struct channel channel_cond = { cond_send_word, cond_receive_word };
const struct channel channel_pthread_cond = { pthread_send_word, pthread_receive_word };
const struct channel channel_futex = { futex_send_word, futex_receive_word };
const struct channel channel_pipe = { pipe_send_word, pipe_receive_word };

/* --- there and back --- */

void asleep_trips(struct run *run)
{
	const struct channel *channel = run->row->arg;
	int64_t began, busy_ns;

	run_begin(run);
	run_sleep_begins(run);
	do {
		busy_wait(ASLEEP_AFTER_NS);
		began = now_ns();
		channel->send(THERE, 0);
		busy_ns = (int64_t)channel->receive(BACK);
	} while (run_note(run, (double)(now_ns() - began - busy_ns)));
	run_must_have_slept(run, false);
	channel->send(THERE, STOP);
}

void asleep_echo(struct run *run)
{
	const struct channel *channel = run->row->arg;

	while (channel->receive(THERE) != STOP) {
		int64_t began = now_ns();

		busy_wait(ASLEEP_AFTER_NS);
		channel->send(BACK, (uint64_t)(now_ns() - began));
	}
}

/* --- one way: from before the send to after the receive; or what the sender pays --- */

static int64_t wait_until_seen(uint64_t turn)
{
	while (atomic_load_explicit(&shared->seen, memory_order_acquire) != turn)
		bench_pause();
	return atomic_load_explicit(&shared->seen_ns, memory_order_relaxed);
}

static void seen(uint64_t turn)
{
	atomic_store_explicit(&shared->seen_ns, now_ns(), memory_order_relaxed);
	atomic_store_explicit(&shared->seen, turn, memory_order_release);
}

static void wake_turns(struct run *run, bool is_sender)
{
	const struct channel *channel = run->row->arg;
	int64_t began, sent, received;
	uint64_t turn = 0;

	run_begin(run);
	do {
		busy_wait(ASLEEP_AFTER_NS);
		began = now_ns();
		channel->send(THERE, ++turn);
		sent = now_ns();
		received = wait_until_seen(turn);
	} while (run_note(run, (double)((is_sender ? sent : received) - began)));
	channel->send(THERE, STOP);
	wait_until_seen(STOP);
	run_must_have_slept(run, true);
}

void wake(struct run *run)
{
	wake_turns(run, false);
}

void waker_pays(struct run *run)
{
	wake_turns(run, true);
}

void wake_wait(struct run *run)
{
	const struct channel *channel = run->row->arg;
	uint64_t turn;

	run_sleep_begins(run);
	while ((turn = channel->receive(THERE)) != STOP)
		seen(turn);
	run_partner_slept(run);
	seen(STOP);
}

/* --- a lock, from before the release to after the acquire --- */

void hand_over(struct run *run)
{
	const struct mutex *mutex = run->row->arg;
	uint64_t turn = 0;
	int64_t began;

	run_begin(run);
	do {
		mutex->acquire();
		atomic_store(&shared->turn, ++turn);
		busy_wait(ASLEEP_AFTER_NS);
		began = now_ns();
		mutex->release();
	} while (run_note(run, (double)(wait_until_seen(turn) - began)));
	atomic_store(&shared->turn, STOP);
	wait_until_seen(STOP);
	run_must_have_slept(run, true);
}

void hand_over_wait(struct run *run)
{
	const struct mutex *mutex = run->row->arg;
	uint64_t turn, last = atomic_load(&shared->turn);

	run_sleep_begins(run);
	for (;;) {
		while ((turn = atomic_load(&shared->turn)) == last)
			bench_pause();
		if (turn == STOP)
			break;
		mutex->acquire();
		seen(turn);
		mutex->release();
		last = turn;
	}
	run_partner_slept(run);
	seen(STOP);
}
