/* SPDX-License-Identifier: MIT
 *
 * Proves: a client that writes random words over its whole segment, all the time, harms nobody
 * else. Others in that segment get answers or errors in time; mpd goes on, sweeps them when they
 * are killed, and serves; mptop and mpctl look at the segment and end; a sibling segment of the
 * same mpd works as ever, and deaths in it are swept.
 *
 * HOSTILE_SEED repeats the words of a run, though not the moments at which they are written.
 */
#include "harness.h"
#include "harness_mpd.h"
#include "hostile_crew.h"
#include "program.h"
#include "vandal.h"

#include "libshm/client.h"
#include "libshm/slotword.h"

#include <libshm.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEATHS 60
#define TOOLS_EACH 12   /* deaths */
#define MORTALS_EACH 10 /* deaths */
#define LIFE_US 30000   /* of a victim, at most */
#define PATIENCE_MS 20000
#define FDS_OF_A_SEGMENT (24 + 8) /* fewer than there are deaths */

struct siege {
	struct crew *crew;
	uint64_t random;
	pid_t vandal, innocent, ping, pong;
	mp_segment *sibling;
	pid_t mpd_pid;
	unsigned mpd_fds;
};

static unsigned count_fds(pid_t pid)
{
	unsigned count = 0;
	char path[40];
	DIR *folder;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	folder = opendir(path);
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void choose_seed(struct siege *siege)
{
	const char *text = getenv("HOSTILE_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	siege->crew->seed = text ? strtoull(text, NULL, 0)
				 : (uint64_t)now.tv_nsec * UINT64_C(2654435761) + 1;
	siege->random = siege->crew->seed;
	printf("# HOSTILE_SEED=%llu\n", (unsigned long long)siege->crew->seed);
	fflush(stdout);
}

static void begin(struct siege *siege)
{
	*siege = (struct siege){ .vandal = 0 };
	siege->crew = mmap(NULL, sizeof *siege->crew, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(siege->crew != MAP_FAILED);
	choose_seed(siege);
	assert_int_equal(mp_segment_open("sibling", NULL, &siege->sibling), 0);
	siege->mpd_pid = harness_find_mpd();
	siege->mpd_fds = count_fds(siege->mpd_pid);
	siege->ping = harness_fork(crew_ping, siege->crew);
	siege->pong = harness_fork(crew_pong, siege->crew);
	siege->innocent = harness_fork(crew_innocent, siege->crew);
	siege->vandal = harness_fork(crew_vandal, siege->crew);
}

/* Killed by us, and by nothing before that. */
static void kill_alive(pid_t child)
{
	int code;

	kill(child, SIGKILL);
	code = harness_wait(child);
	if (code != -SIGKILL)
		fail_msg("a client ended with %d by itself", code);
}

/* Clients of the hostile segment die in the middle of what they do. */
static void one_death(struct siege *siege)
{
	pid_t victim = harness_fork(crew_innocent, siege->crew);
	long us = (long)(vandal_random(&siege->random) % LIFE_US);

	nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
	kill_alive(victim);
}

static uint32_t count_clients(const struct siege *siege)
{
	struct mp_segment_info info;

	assert_int_equal(mp_segment_info(siege->sibling, &info), 0);
	return info.clients;
}

static bool has_four_clients(void *arg)
{
	return count_clients(arg) == 4;
}

static bool has_three_clients(void *arg)
{
	return count_clients(arg) == 3;
}

/* Nobody waits for what this one holds: only mpd notices. */
static void one_death_in_the_sibling(struct siege *siege)
{
	pid_t mortal;

	assert_true(harness_until(has_three_clients, siege, PATIENCE_MS));
	mortal = harness_fork(crew_mortal, siege->crew);
	assert_true(harness_until(has_four_clients, siege, PATIENCE_MS));
	kill_alive(mortal);
	assert_true(harness_until(has_three_clients, siege, PATIENCE_MS));
}

static void expect_tool(const char *tool, const char *first, const char *second)
{
	char *path = strdup(program_built(tool));
	char *const argv[] = { path, (char *)(uintptr_t)first, (char *)(uintptr_t)second, NULL };
	struct program program;

	program_run(&program, argv, PATIENCE_MS / 1000);
	if (program.code < 0 || program.code > 3 || strstr(program.text, "Sanitizer"))
		fail_msg("%s %s ended with %d and said:\n%s", tool, first, program.code,
			 program.text);
	program_free(&program);
	free(path);
}

static void look_with_tools(void)
{
	expect_tool("mptop/mptop", "--json", NULL);
	expect_tool("mpd/mpctl", "list", NULL);
	expect_tool("mpd/mpctl", "info", "hostile");
}

static void expect_running(pid_t child, const char *name)
{
	if (waitpid(child, NULL, WNOHANG) != 0)
		fail_msg("%s has ended by itself", name);
}

/* What a call may wait for: a guard or two that were forged, each for as long as the crew says. */
static void expect_all_well(const struct siege *siege)
{
	int64_t began_ns = atomic_load(&siege->crew->began_ns);

	expect_running(siege->innocent, "the innocent client");
	expect_running(siege->vandal, "the vandal");
	expect_running(siege->ping, "ping");
	expect_running(siege->pong, "pong");
	if (began_ns && harness_now_ns() - began_ns > PATIENCE_MS * INT64_C(1000000))
		fail_msg("a call of the innocent client does not end");
}

struct awaited {
	_Atomic uint64_t *counter;
	uint64_t value;
};

static bool has_come(void *arg)
{
	struct awaited *awaited = arg;

	return atomic_load(awaited->counter) >= awaited->value;
}

static void expect_progress(_Atomic uint64_t *counter, const char *name)
{
	struct awaited awaited = { counter, atomic_load(counter) + 1 };

	if (!harness_until(has_come, &awaited, PATIENCE_MS))
		fail_msg("no progress of %s", name);
}

static void besiege(struct siege *siege)
{
	for (unsigned i = 0; i < DEATHS * harness_scale(); i++) {
		one_death(siege);
		expect_all_well(siege);
		if (i % TOOLS_EACH == TOOLS_EACH - 1)
			look_with_tools();
		if (i % MORTALS_EACH == MORTALS_EACH - 1) {
			one_death_in_the_sibling(siege);
			expect_progress(&siege->crew->rounds, "the sibling segment");
			expect_progress(&siege->crew->strikes, "the vandal");
			expect_progress(&siege->crew->calls, "the innocent client");
		}
	}
}

/* A forged slot may look like that of a process that lives, us: then the segment is kept, with a
 * pidfd for each slot, until we leave. */
static bool has_let_go(void *arg)
{
	const struct siege *siege = arg;

	return count_fds(siege->mpd_pid) <= siege->mpd_fds + FDS_OF_A_SEGMENT;
}

static void expect_new_segment(void)
{
	mp_segment *after;
	mp_queue *queue;

	assert_int_equal(mp_segment_open("after", NULL, &after), 0);
	assert_int_equal(mp_queue_open(after, "queue", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, "x", 1, MP_NOW), 0);
	mp_queue_close(queue);
	mp_segment_close(after);
}

static void end(struct siege *siege)
{
	struct crew *crew = siege->crew;

	atomic_store(&crew->is_over, 1);
	harness_join(siege->vandal);
	harness_join(siege->innocent);
	harness_join(siege->ping);
	harness_join(siege->pong);
	assert_int_equal(crew->under_lock, 2 * atomic_load(&crew->rounds));
	assert_int_equal(harness_find_mpd(), siege->mpd_pid);
	expect_new_segment();
	assert_true(harness_until(has_let_go, siege, PATIENCE_MS));
	printf("# %llu words, %llu calls, %llu of them answered, %llu rounds beside\n",
	       (unsigned long long)atomic_load(&crew->strikes) * 64,
	       (unsigned long long)atomic_load(&crew->calls),
	       (unsigned long long)atomic_load(&crew->answers),
	       (unsigned long long)atomic_load(&crew->rounds));
	mp_segment_close(siege->sibling);
	munmap(crew, sizeof *crew);
}

static void random_words_over_a_live_segment_harm_nobody_else(void **state)
{
	struct siege siege;

	(void)state;
	begin(&siege);
	besiege(&siege);
	/* While it is held: the next open of the name makes another. */
	assert_int_equal(mp_segment_unlink("hostile"), 0);
	end(&siege);
}

/* The private mpd leaves when no segment is left: the harness waits for that. */
static void slots_in_states_that_do_not_exist_keep_no_segment_alive(void **state)
{
	mp_segment *segment;
	struct seg *seg;

	(void)state;
	assert_int_equal(mp_segment_open("forged", NULL, &segment), 0);
	seg = segment->seg;
	assert_int_equal(seg_commit(seg, seg->at.clients, 32 * sizeof(struct shm_client)), 0);
	for (unsigned i = 16; i < 32; i++)
		store_relaxed(&seg->clients[i].word,
			      client_word((enum slot_state)(i % 16), i, (uint32_t)getpid(), i));
	store_relaxed(&seg->header->clients_high, 32);
	mp_segment_close(segment);
}

/* A queue of many cells, that hundreds of clients which never were have left, the sweep says. */
#define LONG_CELLS (1u << 18)
#define LONG_DEATHS 200
#define LONG_FIRST 16

struct forgery {
	mp_segment *segment;
	int ready[2];
	int64_t longest_ns; /* that a request has waited */
};

static void forge_deaths(struct seg *seg, uint32_t object)
{
	assert_int_equal(seg_commit(seg, seg->at.clients,
				    (LONG_FIRST + LONG_DEATHS) * sizeof(struct shm_client)), 0);
	assert_int_equal(seg_commit(seg, seg->at.touched,
				    (uint64_t)(LONG_FIRST + LONG_DEATHS) * seg->at.max_objects / 8),
			 0);
	for (uint32_t i = LONG_FIRST; i < LONG_FIRST + LONG_DEATHS; i++) {
		or_relaxed(&seg_touched(seg, i)[object / 64], UINT64_C(1) << (object % 64));
		store_relaxed(&seg->clients[i].word, client_word(SLOT_DEAD, 1, 1, 1));
	}
	store_relaxed(&seg->header->clients_high, LONG_FIRST + LONG_DEATHS);
}

static int forge_and_wait(void *arg)
{
	struct mp_queue_opts opts = { .capacity = LONG_CELLS };
	struct forgery *forgery = arg;
	mp_segment *segment;
	mp_queue *queue;

	assert_int_equal(mp_segment_open("long", NULL, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "queue", &opts, &queue), 0);
	forge_deaths(segment->seg, who_slot(mp_queue_id(queue)));
	assert_int_equal(write(forgery->ready[1], "x", 1), 1);
	for (;;)
		pause();
	return 0;
}

static bool is_swept(void *arg)
{
	struct seg *seg = ((struct forgery *)arg)->segment->seg;
	uint64_t word = load_relaxed(&seg->clients[LONG_FIRST + LONG_DEATHS - 1].word);

	return client_word_state(word) == SLOT_FREE;
}

static bool is_answered(struct forgery *forgery)
{
	int64_t begin_ns = harness_now_ns(), waited_ns;
	int result = mp_segment_unlink("nobody");

	waited_ns = harness_now_ns() - begin_ns;
	if (waited_ns > forgery->longest_ns)
		forgery->longest_ns = waited_ns;
	return result == -ENOENT;
}

/* How many requests were answered while the sweep was under way. */
static unsigned count_answers(struct forgery *forgery)
{
	unsigned count = 0;
	pid_t child;
	char byte;

	assert_int_equal(pipe(forgery->ready), 0);
	assert_int_equal(mp_segment_open("long", NULL, &forgery->segment), 0);
	child = harness_fork(forge_and_wait, forgery);
	assert_int_equal(read(forgery->ready[0], &byte, 1), 1);
	harness_kill(child);
	forgery->longest_ns = 0;
	while (count < 1000 && is_answered(forgery) && !is_swept(forgery))
		count++;
	assert_true(harness_until(is_swept, forgery, PATIENCE_MS));
	mp_segment_close(forgery->segment);
	close(forgery->ready[0]);
	close(forgery->ready[1]);
	return count;
}

/* Two may be answered before the death was noticed, and one when all is over. */
static bool are_several_answered(void *arg)
{
	unsigned count = count_answers(arg);

	printf("# %u requests were answered during the sweep, the longest waited %.1f ms\n", count,
	       (double)((struct forgery *)arg)->longest_ns / 1e6);
	return count > 5;
}

static void requests_are_answered_between_the_pieces_of_a_long_sweep(void **state)
{
	struct forgery forgery;

	(void)state;
	assert_true(harness_retry(are_several_answered, &forgery, 5));
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(requests_are_answered_between_the_pieces_of_a_long_sweep),
	HARNESS_TEST_WITH_MPD(slots_in_states_that_do_not_exist_keep_no_segment_alive),
	HARNESS_TEST_WITH_MPD(random_words_over_a_live_segment_harm_nobody_else),
};

HARNESS_MAIN(tests)
