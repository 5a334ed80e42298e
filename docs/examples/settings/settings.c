/* SPDX-License-Identifier: MIT
 *
 * settings: what many processes read and one writes, and a writer that is killed in the middle of
 * it. Knows: a read-write lock, an event to begin with and one to stop. Does not know: what the
 * settings are for, how a death is noticed.
 *
 * Nobody may read what a dead writer left half done, so the lock is made with MP_OWNER_POISON:
 * whoever comes next is refused, and one of them repairs. Therefore a writer first keeps what was
 * there before.
 */
#include <libshm.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define READERS 3
#define LIMITS 64
#define CHANGES 500 /* of each of two writers */

/* Whole when each limit is that of its version. */
struct settings {
	uint32_t version;
	uint32_t limit[LIMITS];
};

/* In shared memory; all but the counters is guarded by the lock. */
struct board {
	struct settings now, before;
	_Atomic bool is_changing; /* so `before` is whole, and `now` is not */
	_Atomic unsigned reads, repairs;
};

static mp_segment *app;
static mp_rwlock *lock;
static mp_event *ready, *halfway, *stop;
static struct board *board;
static pid_t parent;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "settings: %s: %s\n", what, mp_explain());
	exit(1);
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "settings: %s\n", what);
	exit(1);
}

/* Readers without anybody to stop them would read for ever. */
static void end_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		exit(1);
}

static void give_back(void)
{
	if (mp_rwlock_release(lock) < 0)
		die("release");
}

/* Of all who were refused one comes in here, to write; if it is killed too, the next one does. */
static void repair(void)
{
	int result = mp_rwlock_repair(lock);

	if (result == -EINVAL) /* somebody else has done it */
		return;
	if (result < 0)
		die("repair");
	if (atomic_load(&board->is_changing))
		board->now = board->before;
	atomic_store(&board->is_changing, false);
	atomic_fetch_add(&board->repairs, 1);
	give_back();
}

static void get_in(int (*acquire)(mp_rwlock *rwlock, int64_t timeout))
{
	int result;

	while ((result = acquire(lock, MP_FOREVER)) == -ENOTRECOVERABLE)
		repair();
	if (result < 0)
		die("acquire");
}

/* --- who reads --- */

static struct settings look(void)
{
	struct settings copy;

	get_in(mp_rwlock_acquire_read);
	copy = board->now;
	give_back();
	for (unsigned i = 0; i < LIMITS; i++)
		if (copy.limit[i] != copy.version)
			fail("a reader saw half a change");
	atomic_fetch_add(&board->reads, 1);
	return copy;
}

static int read_on(void *unused)
{
	uint32_t version = 0;

	(void)unused;
	end_with_parent();
	if (mp_event_wait(ready, MP_FOREVER) < 0)
		die("wait");
	while (!mp_event_is_set(stop)) {
		uint32_t seen = look().version;

		if (seen < version)
			fail("a reader saw an old version again");
		version = seen;
	}
	if (look().version != 2 * CHANGES)
		fail("a reader missed the last version");
	return 0;
}

/* --- who writes --- */

/* Until somebody kills us. */
static _Noreturn void stay(void)
{
	if (mp_event_set(halfway) < 0)
		die("set");
	for (;;)
		pause();
}

static void change(uint32_t version, bool stays_halfway)
{
	get_in(mp_rwlock_acquire_write);
	board->before = board->now;
	atomic_exchange(&board->is_changing, true);
	for (unsigned i = 0; i < LIMITS; i++) {
		if (stays_halfway && i == LIMITS / 2)
			stay();
		board->now.limit[i] = version;
	}
	board->now.version = version;
	atomic_store(&board->is_changing, false);
	give_back();
}

static int write_first(void *unused)
{
	(void)unused;
	end_with_parent();
	change(1, false);
	if (mp_event_set(ready) < 0)
		die("set");
	for (uint32_t version = 2; version <= CHANGES; version++)
		change(version, false);
	change(CHANGES + 1, true);
	return 1;
}

static int write_on(void *unused)
{
	(void)unused;
	end_with_parent();
	for (uint32_t version = look().version + 1; version <= 2 * CHANGES; version++)
		change(version, false);
	return 0;
}

/* --- the whole --- */

static void open_all(void)
{
	struct mp_rwlock_opts poison = { .on_owner_death = MP_OWNER_POISON };
	char name[32];

	parent = getpid();
	/* A name of its own: two runs at once do not meet. */
	snprintf(name, sizeof(name), "settings.%d", (int)parent);
	if (mp_segment_open(name, NULL, &app) < 0 ||
	    mp_rwlock_open(app, "settings", &poison, &lock) < 0 ||
	    mp_event_open(app, "ready", NULL, &ready) < 0 ||
	    mp_event_open(app, "halfway", NULL, &halfway) < 0 ||
	    mp_event_open(app, "stop", NULL, &stop) < 0)
		die("open");
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (board == MAP_FAILED)
		fail("no memory");
}

static void close_all(void)
{
	munmap(board, sizeof(*board));
	mp_event_close(stop);
	mp_event_close(halfway);
	mp_event_close(ready);
	mp_rwlock_close(lock);
	mp_segment_close(app);
}

static mp_process *start(int (*run)(void *arg))
{
	mp_process *process;

	if (mp_process_start(app, NULL, run, NULL, &process) < 0)
		die("start");
	return process;
}

static void expect_end(mp_process *process, int expected)
{
	int exitcode;

	if (mp_process_join(process, MP_FOREVER) < 0 ||
	    mp_process_exitcode(process, &exitcode) < 0)
		die("join");
	if (exitcode != expected)
		fail("a process did not end as it should");
	mp_process_close(process);
}

static void write_with_two_writers(void)
{
	mp_process *writer = start(write_first);
	int result;

	do
		result = mp_event_wait(halfway, MP_SEC(1));
	while (result == -ETIMEDOUT && mp_process_is_alive(writer));
	if (result < 0 || mp_process_kill(writer) < 0)
		die("kill");
	expect_end(writer, -SIGKILL);
	expect_end(start(write_on), 0);
}

int main(void)
{
	mp_process *reader[READERS];

	open_all();
	for (unsigned i = 0; i < READERS; i++)
		reader[i] = start(read_on);
	write_with_two_writers();
	if (mp_event_set(stop) < 0)
		die("set");
	for (unsigned i = 0; i < READERS; i++)
		expect_end(reader[i], 0);
	printf("versions: %u\nreads: %u\nrepairs: %u\n", look().version,
	       atomic_load(&board->reads), atomic_load(&board->repairs));
	close_all();
	return 0;
}
