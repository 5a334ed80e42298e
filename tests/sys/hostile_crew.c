/* SPDX-License-Identifier: MIT
 *
 * The processes of the test of a hostile client: it, those it harms, those it must not harm. Knows:
 * what each does. Does not know: who is killed when, what mpd and the tools have to say.
 */
#include "hostile_crew.h"

#include "harness.h"
#include "vandal.h"

#include "libshm/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STRIKE_WORDS 64
#define STRIKE_PAUSE_NS 20000
#define ROUND_PAUSE_NS 200000
/* A guard may be forged for ever: ten seconds for each are too long for a test. */
#define GUARD_PATIENCE_NS INT64_C(100000000)
#define FENCE_BYTES (UINT64_C(4) << 30)
#define SHORT MP_MSEC(2)
#define LONG MP_SEC(30)
#define HANDLES_LIFE 64 /* calls with the same handles, */
#define SEGMENT_LIFE 8  /* and handles with the same map */

static void pause_ns(long ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

/* Small, so that few words are harmless. */
static int open_hostile(mp_segment **ret_segment)
{
	static const struct mp_segment_opts opts = { .size_bytes = 8 << 20, .max_clients = 24,
						     .max_sleepers = 48 };
	int result = mp_segment_open("hostile", &opts, ret_segment);

	if (result == -EPROTO)
		result = mp_segment_open("hostile", NULL, ret_segment);
	if (result == 0)
		(*ret_segment)->seg->guard_patience_ns = GUARD_PATIENCE_NS;
	return result;
}

int crew_vandal(void *arg)
{
	struct crew *crew = arg;
	uint64_t random = crew->seed;
	mp_segment *segment;

	assert_int_equal(open_hostile(&segment), 0);
	while (!atomic_load(&crew->is_over)) {
		vandal_strike(segment, &random, STRIKE_WORDS);
		atomic_fetch_add(&crew->strikes, 1);
		pause_ns(STRIKE_PAUSE_NS);
	}
	return 0;
}

/* --- in the same segment --- */

struct innocent {
	struct crew *crew;
	uint64_t random;
	mp_segment *segment;
	mp_queue *queue;
	mp_lock *lock;
};

static void begin_call(struct innocent *me)
{
	atomic_fetch_add(&me->crew->calls, 1);
	atomic_store(&me->crew->began_ns, harness_now_ns());
}

/* Errors have a sentence, and it ends. */
static bool end_call(struct innocent *me, int64_t result)
{
	atomic_store(&me->crew->began_ns, 0);
	if (result >= 0)
		atomic_fetch_add(&me->crew->answers, 1);
	else
		assert_true(strlen(mp_explain()) < 4096);
	return result >= 0;
}

#define CALL(me, call) (begin_call(me), end_call(me, (call)))

static void open_handles(struct innocent *me)
{
	struct mp_queue_opts opts = { .capacity = 32 };

	if (!CALL(me, mp_queue_open(me->segment, "queue", &opts, &me->queue)))
		me->queue = NULL;
	if (!CALL(me, mp_lock_open(me->segment, "lock", NULL, &me->lock)))
		me->lock = NULL;
}

static void close_handles(struct innocent *me)
{
	begin_call(me);
	me->queue = mp_queue_close(me->queue);
	me->lock = mp_lock_close(me->lock);
	end_call(me, 0);
	CALL(me, mp_queue_unlink(me->segment, "queue"));
	CALL(me, mp_lock_unlink(me->segment, "lock"));
}

/* What was given lies where it can be read. */
static void work_on_a_message(struct innocent *me)
{
	struct mp_slot slot;

	if (!CALL(me, mp_queue_claim(me->queue, SHORT, &slot)))
		return;
	for (size_t i = 0; i < slot.len; i += 64)
		(void)((const volatile uint8_t *)slot.data)[i];
	if (vandal_random(&me->random) % 2)
		CALL(me, mp_queue_ack(me->queue, &slot));
	else
		CALL(me, mp_queue_return(me->queue, &slot));
}

static void use_queue(struct innocent *me)
{
	static uint8_t data[70000];
	static const size_t sizes[] = { 5, 48, 300, 5000, sizeof data };
	size_t size = sizes[vandal_random(&me->random) % 5];

	switch (vandal_random(&me->random) % 4) {
	case 0:
		CALL(me, mp_queue_put(me->queue, data, size, SHORT));
		break;
	case 1:
		CALL(me, mp_queue_get(me->queue, data, size, SHORT));
		break;
	case 2:
		work_on_a_message(me);
		break;
	default:
		CALL(me, mp_queue_size(me->queue));
	}
}

static void use_lock(struct innocent *me)
{
	struct mp_who who;
	bool is_mine = CALL(me, mp_lock_acquire(me->lock, SHORT));

	CALL(me, mp_lock_owner(me->lock, &who));
	if (is_mine)
		CALL(me, mp_lock_release(me->lock));
}

static void use_handles(struct innocent *me)
{
	struct mp_segment_info info;

	open_handles(me);
	for (unsigned i = 0; i < HANDLES_LIFE && !atomic_load(&me->crew->is_over); i++) {
		if (me->queue)
			use_queue(me);
		if (me->lock)
			use_lock(me);
		CALL(me, mp_segment_info(me->segment, &info));
	}
	close_handles(me);
}

/* What is mapped next lies below it: a step too far ends here, and not in another segment. */
static void map_a_fence(void)
{
	assert_true(mmap(NULL, FENCE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0) != MAP_FAILED);
}

int crew_innocent(void *arg)
{
	struct innocent me = { .crew = arg };

	map_a_fence();
	me.random = me.crew->seed ^ (uint64_t)getpid() << 32;
	while (!atomic_load(&me.crew->is_over)) {
		if (!CALL(&me, open_hostile(&me.segment)))
			continue;
		for (unsigned i = 0; i < SEGMENT_LIFE && !atomic_load(&me.crew->is_over); i++)
			use_handles(&me);
		begin_call(&me);
		mp_segment_close(me.segment);
		end_call(&me, 0);
	}
	return 0;
}

/* --- in the sibling --- */

struct player {
	mp_segment *segment;
	mp_queue *there, *back;
	mp_lock *lock;
};

static void enter(struct player *player)
{
	assert_int_equal(mp_segment_open("sibling", NULL, &player->segment), 0);
	assert_int_equal(mp_queue_open(player->segment, "there", NULL, &player->there), 0);
	assert_int_equal(mp_queue_open(player->segment, "back", NULL, &player->back), 0);
	assert_int_equal(mp_lock_open(player->segment, "lock", NULL, &player->lock), 0);
}

static void leave(struct player *player)
{
	mp_lock_close(player->lock);
	mp_queue_close(player->back);
	mp_queue_close(player->there);
	mp_segment_close(player->segment);
}

static void count_one(struct crew *crew, struct player *player)
{
	assert_int_equal(mp_lock_acquire(player->lock, LONG), 0);
	crew->under_lock++;
	assert_int_equal(mp_lock_release(player->lock), 0);
}

int crew_ping(void *arg)
{
	struct crew *crew = arg;
	struct player player;
	uint64_t answer;

	enter(&player);
	for (uint64_t i = 1; !atomic_load(&crew->is_over); i++) {
		assert_int_equal(mp_queue_put(player.there, &i, sizeof i, LONG), 0);
		count_one(crew, &player);
		assert_int_equal(mp_queue_get(player.back, &answer, sizeof answer, LONG),
				 sizeof answer);
		assert_int_equal(answer, i);
		atomic_store(&crew->rounds, i);
		pause_ns(ROUND_PAUSE_NS);
	}
	assert_int_equal(mp_queue_close_input(player.there), 0);
	leave(&player);
	return 0;
}

int crew_pong(void *arg)
{
	struct crew *crew = arg;
	struct player player;
	uint64_t number;
	int result;

	enter(&player);
	while ((result = (int)mp_queue_get(player.there, &number, sizeof number, LONG)) >= 0) {
		count_one(crew, &player);
		assert_int_equal(mp_queue_put(player.back, &number, sizeof number, LONG), 0);
	}
	assert_int_equal(result, -EPIPE);
	leave(&player);
	return 0;
}

int crew_mortal(void *arg)
{
	struct player player;
	mp_lock *lock;

	(void)arg;
	enter(&player);
	assert_int_equal(mp_lock_open(player.segment, "mortal", NULL, &lock), 0);
	assert_true(mp_lock_acquire(lock, LONG) >= 0);
	for (;;)
		pause();
	return 0;
}
