/* SPDX-License-Identifier: MIT
 *
 * The event count: announce, re-check, sleep, ring, hand on. Knows: wait sets, doorbells, tokens,
 * tickets. Does not know: any kernel interface (park.h), what a condition means (its is_ready).
 *
 * The losing order and the winning one:
 *
 *     sleeper            waker               sleeper                 waker
 *     ready? no                              bit := 1  (seq_cst)
 *                        publish                                     publish (seq_cst)
 *                        look: no bit        ready? yes -> leaves
 *     bit := 1                               or: ready? no           look: bit -> claims, rings
 *     sleeps for ever
 *
 * "ready? no" and "look: no bit" together are impossible: all four accesses are seq_cst.
 *
 *   S1 read the bell  S2 record  S3 bit  S4 re-check  S5 bell += ASLEEP, fails when rung since S1
 *   S5b does mpd watch? else ring it  S6 sleep  S7 bell -= ASLEEP  S8 take the bit back: gone means
 *   that a wake was spent on this thread  S9 the caller takes the thing, or comes back  S10 whoever
 *   leaves with nothing hands on a spent wake  S11 the record ends
 *
 *   W1 look  W2 choose the oldest (any choice is correct)  W3 take his bit: a token that owes one
 *   ring  W4 bell += 2  W5 the kernel woke nobody though it said ASLEEP: he is stopped, ring the
 *   next  W6 others are left: ask mpd for attention, the rung one may be stopped as well
 *
 * Which may overlap: everything with everything. W3 against S8: exactly one sees the bit. A late W4
 * on a reused slot is a spurious wake. A death between W3 and W4, or after S8 with a spent wake, is
 * answered by the audit (recover.c): it rings who waits for something ready or has lost his bit.
 * After a crash nothing here needs repair: the next owner of the slot resets bell and record.
 */
#include "wait.h"

#include "clock.h"
#include "errno_kept.h"
#include "probe.h"
#include "shmref.h"
#include "slot.h"
#include "spin.h"

#include <errno.h>

#define BELL_ASLEEP UINT32_C(1)
#define BELL_RING UINT32_C(2)
#define LOOK_AGAIN_NS INT64_C(250000000)

/* Spinning pays only while somebody else can run meanwhile. */
static bool may_spin(struct self *me)
{
	const struct shm_header *header = me->seg->header;
	uint32_t live = load_relaxed(&header->threads_live), asleep = load_relaxed(&header->asleep);

	if (me->seg->usable_cpus < 2 || live - asleep > me->seg->usable_cpus)
		return false;
	if (me->spin_failures < SPIN_FAILURES_MAX)
		return true;
	return ++me->spin_skips % SPIN_RETRY_PERIOD == 0;
}

static bool spin(struct self *me, const struct wait_point *point, int64_t deadline_ns)
{
	int64_t end;

	if (!may_spin(me))
		return false;
	end = clock_now_ns() + SPIN_BUDGET_NS;
	if (end > deadline_ns)
		end = deadline_ns;
	do {
		for (unsigned i = 0; i < SPIN_LOOKS_PER_CLOCK; i++) {
			if (point->is_ready(point->object)) {
				me->spin_failures = 0;
				count_own(&me->shared->spins_won, 1);
				return true;
			}
			cpu_relax();
		}
	} while (clock_now_ns() < end);
	if (me->spin_failures < SPIN_FAILURES_MAX)
		me->spin_failures++;
	return false;
}

static bool add_watch(struct self *me, uint32_t client, struct park_watch *ret_watch)
{
	struct seg *seg = me->seg;
	uint64_t word = slot_client_word(seg, client);
	uint32_t generation = client_word_generation(word);
	bool is_gone = false;

	if (client == SLOT_NONE || client == me->client)
		return false;
	ret_watch->fd = slot_pidfd(seg, client, generation, &is_gone);
	ret_watch->key = who_make(client, generation);
	/* DEAD already: whoever said so may have died too, before he swept it. */
	if ((is_gone || client_word_state(word) == SLOT_DEAD) && seg->hooks)
		seg->hooks->client_died(seg, client, generation);
	return ret_watch->fd >= 0;
}

/* Somebody whom no descriptor watches, though /proc tells of his end. */
static bool is_unwatched(struct self *me, uint32_t client)
{
	return client != SLOT_NONE && client != me->client &&
	       slot_is_of_our_namespace(me->seg, client);
}

/* Whose death must end this sleep: whoever the object depends on, and the neighbour in slot order,
 * so that even without mpd each death is seen by somebody who sleeps. Where one of them cannot be
 * watched (no pidfd_open, no descriptor left), the next look asks for him again. */
static unsigned choose_watches(struct self *me, const struct wait_point *point,
			       struct park_watch *watches, bool *ret_looks_again)
{
	uint32_t blocker = point->blocker ? point->blocker(point->object) : SLOT_NONE;
	uint32_t neighbour = slot_next_live(me->seg, me->client);
	unsigned count = 0;

	*ret_looks_again = blocker != SLOT_NONE;
	if (add_watch(me, blocker, &watches[count]))
		count++;
	if (neighbour == blocker)
		return count;
	if (add_watch(me, neighbour, &watches[count]))
		count++;
	else
		*ret_looks_again |= is_unwatched(me, neighbour);
	return count;
}

static void report_deaths(struct self *me, const struct park_watch *watches, unsigned count)
{
	struct seg *seg = me->seg;

	count_own(&me->shared->deaths_seen, 1);
	for (unsigned i = 0; i < count; i++) {
		uint32_t client = who_slot(watches[i].key);
		uint32_t generation = who_generation(watches[i].key);

		if (seg->hooks && slot_is_dead(seg, client, generation))
			seg->hooks->client_died(seg, client, generation);
	}
}

/* S6: in the kernel. A sleep that ends only to look again must not hide a signal behind its end. */
static int park(struct self *me, uint32_t value, int64_t deadline_ns, bool is_look,
		const struct park_watch *watches, unsigned count)
{
	struct shm_thread *shared = me->shared;
	int result;

	if (is_look && me->seg->is_interruptible && me->engine->prepare)
		me->engine->prepare(me->park, &shared->bell, value, watches, count);
	count_own(&shared->sleeps[me->engine->engine], 1);
	add_relaxed(&me->seg->header->asleep, 1);
	result = me->engine->sleep(me->park, &shared->bell, value, deadline_ns, watches, count);
	sub_relaxed(&me->seg->header->asleep, 1);
	count_own(&shared->wakeups, 1);
	if (result == -EINTR && !me->seg->is_interruptible)
		result = PARK_RUNG;
	return result;
}

/* S1, S2: before any bit is set. The record is what mptop and the audit read. */
static uint32_t open_record(struct self *me, struct wait_point *point)
{
	struct shm_thread *shared = me->shared;
	/* Ours is not set now; one that somebody forged would make each S5 fail. */
	uint32_t seen = and_seqcst(&shared->bell, ~BELL_ASLEEP) & ~BELL_ASLEEP;

	if (point->turns++ == 0) {
		store_relaxed(&me->seg->tickets[me->thread],
			      add_relaxed(&me->seg->header->next_ticket, 1));
		store_relaxed(&shared->waiting_since_ns, (uint64_t)clock_now_ns());
		count_own(&shared->epoch, 1);
	} else {
		count_own(&shared->spurious, 1);
	}
	store_relaxed(&shared->records[0], point->record);
	store_release(&shared->record_count, 1);
	return seen;
}

/* Somebody in particular holds us up: it may hand on to another whom we do not watch, or be stopped
 * between its release and its ring. Look again now and then; who waits for nobody sleeps on. */
static int64_t next_look(bool looks_again, int64_t deadline_ns)
{
	int64_t look;

	if (!looks_again)
		return deadline_ns;
	look = clock_now_ns() + LOOK_AGAIN_NS;
	return look < deadline_ns ? look : deadline_ns;
}

static void ring_mpd(struct seg *seg)
{
	add_seqcst(&seg->threads[SLOT_MPD].bell, BELL_RING);
	park_wake(&seg->threads[SLOT_MPD].bell);
}

/* Who should ring us may be stopped before it does: as long as somebody sleeps, mpd looks. It alone
 * writes the word, and clears it before it looks for ASLEEP: it sees ours, or we see 0. */
static void be_watched(struct seg *seg)
{
	if (unlikely(!load_seqcst(&seg->header->watched)))
		ring_mpd(seg);
}

static int sleep_announced(struct self *me, const struct wait_point *point, uint32_t seen,
			   int64_t deadline_ns)
{
	struct park_watch watches[PARK_WATCHES_MAX];
	bool looks_again;
	unsigned count = choose_watches(me, point, watches, &looks_again);
	int64_t until = next_look(looks_again, deadline_ns);
	bool is_ready = point->mark ? point->mark(point->object) : point->is_ready(point->object);
	int result;

	if (is_ready || !cas_seqcst(&me->shared->bell, &seen, seen | BELL_ASLEEP)) /* S4, S5 */
		return PARK_RUNG;
	be_watched(me->seg); /* S5b */
	result = park(me, seen | BELL_ASLEEP, until, until < deadline_ns, watches, count);
	and_seqcst(&me->shared->bell, ~BELL_ASLEEP); /* S7 */
	if (result == PARK_DEATH)
		report_deaths(me, watches, count);
	return result == -ETIMEDOUT && until < deadline_ns ? PARK_RUNG : result;
}

int wait_until(struct self *me, struct wait_point *point, int64_t deadline_ns)
{
	KEEP_ERRNO;
	atom64 *leaf = &point->set->leaf[me->thread / 64];
	uint64_t bit = UINT64_C(1) << (me->thread % 64);
	bool is_spent;
	uint32_t seen;
	int result;

	if (spin(me, point, deadline_ns))
		return 0;
	result = self_park(me);
	if (result < 0)
		return result;
	seen = open_record(me, point);
	or_seqcst(leaf, bit); /* S3 */
	result = sleep_announced(me, point, seen, deadline_ns);
	is_spent = !(and_seqcst(leaf, ~bit) & bit); /* S8 */
	if (result < 0 && is_spent && point->is_ready(point->object)) {
		count_own(&me->shared->handed_on, 1);
		wait_wake_one_slow(me->seg, me, point->set); /* S10 */
	}
	if (!point->keeps_record)
		wait_end(me); /* S11 */
	return result < 0 ? result : 0;
}

void wait_end(struct self *me)
{
	swap_seqcst(&me->shared->record_count, 0);
}

const char *wait_trouble(int error)
{
	switch (error) {
	case -EINTR:
		return "a signal ended the wait, nothing was done";
	case -EINVAL:
		return "MP_WAIT_ENGINE names no engine; set it to uring or futex, or unset it";
	case -ENOMEM:
		return "there is no memory for this thread's sleep";
	default:
		return probe_refusal();
	}
}

bool wait_ring(struct seg *seg, uint32_t thread)
{
	atom32 *bell = &seg->threads[thread].bell;

	if (!(add_seqcst(bell, BELL_RING) & BELL_ASLEEP)) /* W4 */
		return true;
	return park_wake(bell) > 0; /* W5 */
}

/* The oldest of the set by ticket, SLOT_NONE if it is empty. Bits beyond the table are nobody's. */
static uint32_t choose_oldest(struct seg *seg, struct shm_waiters *set)
{
	uint32_t oldest = SLOT_NONE, oldest_ticket = 0;

	for (unsigned i = 0; i < ARRAY_LEN(set->leaf); i++) {
		uint64_t bits = load_seqcst(&set->leaf[i]); /* W1 */

		for (; bits; bits &= bits - 1) {
			uint32_t thread = i * 64 + lowest_bit(bits);
			uint32_t ticket;

			if (thread >= seg->at.max_threads)
				break;
			ticket = load_relaxed(&seg->tickets[thread]);
			if (oldest == SLOT_NONE || is_before_u32(ticket, oldest_ticket)) {
				oldest = thread;
				oldest_ticket = ticket;
			}
		}
	}
	return oldest;
}

/* First whether somebody is in the slot: an earlier owner's record is gone before it says so. */
bool wait_has_record(struct seg *seg, uint32_t thread, uint64_t record)
{
	struct shm_thread *shared = &seg->threads[thread];

	return thread >= SLOT_FIRST && thread < seg->at.max_threads &&
	       thread_word_state(load_seqcst(&shared->word)) == SLOT_LIVE &&
	       load_seqcst(&shared->record_count) > 0 &&
	       load_relaxed(&shared->records[0]) == record;
}

uint32_t wait_oldest_of_record(struct seg *seg, uint64_t record)
{
	uint32_t high = seg_threads_high(seg), oldest = SLOT_NONE;

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++)
		if (wait_has_record(seg, thread, record) &&
		    (oldest == SLOT_NONE || is_before_u32(load_relaxed(&seg->tickets[thread]),
							  load_relaxed(&seg->tickets[oldest]))))
			oldest = thread;
	return oldest;
}

/* A rung process may be stopped, which io_uring hides from the ringer: where others could act in
 * its place, mpd looks again in some milliseconds. */
static void ask_for_attention(struct seg *seg)
{
	if (load_relaxed(&seg->header->attention) || swap_seqcst(&seg->header->attention, 1))
		return;
	ring_mpd(seg);
}

bool wait_wake_thread(struct seg *seg, struct self *me, struct shm_waiters *set, uint32_t thread)
{
	uint64_t bit = UINT64_C(1) << (thread % 64);

	if (!(and_seqcst(&set->leaf[thread / 64], ~bit) & bit)) /* W3 */
		return false;
	if (me)
		count_own(&me->shared->rings, 1);
	wait_ring(seg, thread);
	if (wait_has_sleepers(set))
		ask_for_attention(seg);
	return true;
}

void wait_wake_one_slow(struct seg *seg, struct self *me, struct shm_waiters *set)
{
	/* Each turn removes a bit, and only a newcomer adds one. */
	for (unsigned turn = 0; turn < 2 * THREADS_MAX; turn++) {
		uint32_t thread = choose_oldest(seg, set);
		uint64_t bit = UINT64_C(1) << (thread % 64);

		if (thread == SLOT_NONE)
			return;
		if (!(and_seqcst(&set->leaf[thread / 64], ~bit) & bit)) /* W3 */
			continue;
		if (me)
			count_own(&me->shared->rings, 1);
		if (wait_ring(seg, thread))
			break;
	}
	if (wait_has_sleepers(set))
		ask_for_attention(seg);
}

void wait_wake_all(struct seg *seg, struct self *me, struct shm_waiters *set)
{
	for (unsigned i = 0; i < ARRAY_LEN(set->leaf); i++) {
		uint64_t bits = load_seqcst(&set->leaf[i]) ? swap_seqcst(&set->leaf[i], 0) : 0;

		for (; bits && i * 64 + lowest_bit(bits) < seg->at.max_threads; bits &= bits - 1) {
			wait_ring(seg, i * 64 + lowest_bit(bits));
			if (me)
				count_own(&me->shared->rings, 1);
		}
	}
}
