/* SPDX-License-Identifier: MIT
 *
 * See doctor.h.
 *
 * mpd is with a segment in one of three ways:
 *
 *   attending   a look each 4 ms, until 100 ms and some looks long nobody was rung
 *   watching    `watched` is 1, somebody sleeps: a look after as long a time as nobody was rung
 *   resting     `watched` is 0: nothing but its bell wakes it
 *
 * Giving up attention, against a ringer that comes at the same time:
 *
 *   mpd                                     ringer
 *   value = bell                            ring a sleeper (its bell + 2)
 *   attention: swap 1 -> 0                  if swap(attention, 1) was 0:
 *   rung since the last look? stay awake        bell + 2, FUTEX_WAKE
 *   FUTEX_WAIT(bell == value)
 *
 * A ringer before mpd's swap has rung its sleeper before that swap: mpd sees the moved bell. One
 * after it finds 0 and changes mpd's bell: the wait returns at once.
 *
 * Going to rest, against a thread that falls asleep at the same time:
 *
 *   mpd                                     sleeper
 *   value = bell                            its bell: ASLEEP (seq_cst)
 *   watched: swap 1 -> 0                    watched is 0 (seq_cst)?
 *   anybody ASLEEP? swap 0 -> 1, watch          bell + 2, FUTEX_WAKE
 *   FUTEX_WAIT(bell == value)
 *
 * Either mpd sees ASLEEP, or the sleeper sees 0 after mpd's swap and so rings after `value` was
 * read. `watched` has one writer, so whoever else dies or is stopped at any step leaves it right: a
 * sleeper that never rang holds up itself alone, the next one finds 0 too. mpd killed anywhere
 * leaves 1 and nobody looks, or 0 and rings that nobody hears: its successor begins with looks.
 * Who dies between swap(attention, 1) and its ring leaves 1 that nobody was told of: each look
 * reads the word.
 */
#include "doctor.h"

#include "log.h"
#include "loop.h"
#include "sweeper.h"

#include "libshm/recover.h"
#include "libshm/slotword.h"

#include <string.h>

#define LOOK_NS INT64_C(4000000)
#define LOOKS_A_TURN 65536 /* at words: some milliseconds at most, then others are served */
#define QUIET_NS INT64_C(100000000)
#define QUIET_LOOKS 3 /* one notes who is missed, one rings; time passes also while we stand */
#define WATCH_FIRST_NS INT64_C(20000000)
/* With the look after it, which rings, a second. */
#define WATCH_LAST_NS INT64_C(960000000)
#define POLL_ASLEEP_NS INT64_C(10000000) /* engines that cannot wait on a word */
#define POLL_AWAKE_NS INT64_C(100000000)

struct patient {
	loop_id bell; /* 0: not listened to, the next look does what it asks for */
	bool is_attended;
	int64_t look_ns;        /* the next look, DEADLINE_NEVER at rest, 0: no patient */
	uint64_t moved;         /* how often all bells had been rung at the last look */
	int64_t quiet_since_ns; /* ... since when that is the same, */
	unsigned quiet_looks;   /* ... and for how many looks */
	uint32_t ticket;        /* the next one at the last look */
	bool is_looking;        /* a look is to be gone on with in the next turn of the loop */
	uint32_t bell_value;    /* ... at its beginning */
	struct stalled_audit audit;
};

static struct patient patients[REGISTRY_RECORDS];
static struct loop_timer look_timer;
static struct turn turn;
static unsigned first; /* in this turn */
static unsigned begun;

static struct patient *patient_of(const struct segment *segment)
{
	return &patients[segment_index(segment)];
}

/* Rings alone: who wakes up clears ASLEEP, and two of those would hide a ring. */
static uint64_t count_rings(struct seg *seg)
{
	uint32_t high = seg_threads_high(seg);
	uint64_t sum = 0;

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++)
		sum += load_relaxed(&seg->threads[thread].bell) >> 1;
	return sum;
}

/* A dead one counts until it is swept. */
static bool is_anybody_asleep(struct seg *seg)
{
	uint32_t high = seg_threads_high(seg);

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++)
		if (load_seqcst(&seg->threads[thread].bell) & 1 &&
		    thread_word_is_live(load_relaxed(&seg->threads[thread].word)))
			return true;
	return false;
}

static void look_by(int64_t deadline_ns)
{
	if (deadline_ns < look_timer.deadline_ns)
		loop_timer_set(&look_timer, deadline_ns);
}

static void look_in(struct patient *patient, int64_t ns)
{
	patient->look_ns = clock_now_ns() + ns;
	look_by(patient->look_ns);
}

static void be_unquiet(struct patient *patient)
{
	patient->quiet_since_ns = clock_now_ns();
	patient->quiet_looks = 0;
}

/* Not a look at once, nor listening again before it: a client that keeps ringing costs one look
 * each 4 ms, no more. */
static void wake_up(struct segment *segment)
{
	struct patient *patient = patient_of(segment);

	swap_seqcst(&segment->seg->header->watched, 1);
	patient->moved = count_rings(segment->seg);
	be_unquiet(patient);
	/* Behind the mark, which only grows, nothing was noted yet. */
	memset(patient->audit.memory, 0,
	       seg_threads_high(segment->seg) * sizeof(patient->audit.memory[0]));
	look_in(patient, LOOK_NS);
}

static void bell_rang(void *arg, unsigned events)
{
	struct segment *segment = arg;

	patient_of(segment)->bell = 0;
	wake_up(segment);
}

static bool has_moved(struct segment *segment)
{
	struct patient *patient = patient_of(segment);
	uint64_t rings = count_rings(segment->seg);

	if (rings == patient->moved)
		return false;
	patient->moved = rings;
	be_unquiet(patient);
	return true;
}

static void attend_if_asked(struct segment *segment)
{
	struct patient *patient = patient_of(segment);

	if (patient->is_attended || !load_seqcst(&segment->seg->header->attention))
		return;
	patient->is_attended = true;
	be_unquiet(patient);
}

/* See the first two columns above. */
static bool give_up_attention(struct segment *segment)
{
	struct patient *patient = patient_of(segment);

	swap_seqcst(&segment->seg->header->attention, 0);
	if (has_moved(segment)) {
		swap_seqcst(&segment->seg->header->attention, 1);
		return false;
	}
	patient->is_attended = false;
	return true;
}

/* See the second two columns above. Where threads fall asleep for moments only, each look would
 * find nobody by chance, and the next sleeper would have to ring. */
static bool may_rest(struct segment *segment)
{
	struct patient *patient = patient_of(segment);
	struct shm_header *header = segment->seg->header;
	uint32_t ticket = load_relaxed(&header->next_ticket);
	bool is_newly_asleep = ticket != patient->ticket;

	patient->ticket = ticket;
	if (!patient->bell || is_newly_asleep || is_anybody_asleep(segment->seg))
		return false;
	swap_seqcst(&header->watched, 0);
	if (!is_anybody_asleep(segment->seg))
		return true;
	swap_seqcst(&header->watched, 1);
	return false;
}

/* Doubles by itself while nobody is rung. */
static int64_t watch_ns(const struct patient *patient, int64_t now)
{
	int64_t quiet_ns = now - patient->quiet_since_ns;

	if (quiet_ns < WATCH_FIRST_NS)
		return WATCH_FIRST_NS;
	return quiet_ns < WATCH_LAST_NS ? quiet_ns : WATCH_LAST_NS;
}

/* False: it goes on in the next turn. */
static bool audit(struct segment *segment)
{
	struct patient *patient = patient_of(segment);

	if (!recover_audit_stalled(segment->seg, &patient->audit, &turn))
		return false;
	if (patient->audit.rings)
		log_debug("'%s': rang %u sleepers again", segment->record->name,
			  patient->audit.rings);
	if (!has_moved(segment))
		patient->quiet_looks++;
	/* Whoever is missed for the first time is rung at the next look. */
	if (patient->audit.is_any_new && !patient->is_attended)
		be_unquiet(patient);
	if (segment->seg->is_free_due)
		sweeper_free(segment);
	return true;
}

static bool is_quiet(const struct patient *patient, int64_t now)
{
	return patient->quiet_looks >= QUIET_LOOKS && now - patient->quiet_since_ns >= QUIET_NS;
}

/* The bell is read before anything else: whoever rings during the look is listened to after it. */
static void begin_look(struct segment *segment)
{
	struct patient *patient = patient_of(segment);

	if (patient->is_looking)
		return;
	patient->is_looking = true;
	patient->bell_value = load_seqcst(&segment->seg->threads[SLOT_MPD].bell);
	attend_if_asked(segment);
}

static void end_look(struct segment *segment, int64_t now)
{
	struct patient *patient = patient_of(segment);

	patient->is_looking = false;
	if (patient->is_attended && !(is_quiet(patient, now) && give_up_attention(segment))) {
		look_in(patient, LOOK_NS);
		return;
	}
	if (!patient->bell && loop_has_words())
		patient->bell = loop_add_word(&segment->seg->threads[SLOT_MPD].bell,
					      patient->bell_value, bell_rang, segment);
	if (may_rest(segment))
		patient->look_ns = DEADLINE_NEVER;
	else
		look_in(patient, watch_ns(patient, now));
}

/* False: it goes on in the next turn. */
static bool look_at(struct segment *segment, int64_t now)
{
	begin_look(segment);
	if (!audit(segment)) {
		look_in(patient_of(segment), 0);
		return false;
	}
	end_look(segment, now);
	return true;
}

/* Where many segments are quiet their looks fall together. */
static bool is_due(const struct patient *patient, int64_t now)
{
	int64_t early_ns = patient->is_attended ? 0 : watch_ns(patient, now) / 2;

	return patient->look_ns != DEADLINE_NEVER && patient->look_ns - early_ns <= now;
}

/* Without words to wait for: has anybody asked for attention since the last look? */
static bool is_asked(struct segment *segment)
{
	struct patient *patient = patient_of(segment);
	struct shm_header *header = segment->seg->header;

	if (patient->bell || patient->is_attended)
		return false;
	look_by(clock_now_ns() + (load_relaxed(&header->asleep) ? POLL_ASLEEP_NS : POLL_AWAKE_NS));
	return load_seqcst(&header->attention);
}

/* The one that could not be finished comes last the next time. */
static void look(void *arg, unsigned events)
{
	int64_t now = clock_now_ns();
	unsigned begin = first;
	bool is_over = false; /* then only when the next looks are due */

	turn.looks_left = LOOKS_A_TURN;
	for (unsigned n = 0; n < REGISTRY_RECORDS; n++) {
		unsigned i = (begin + n) % REGISTRY_RECORDS;
		struct segment *segment = segment_at(i);

		if (!segment || !segment->seg || !patients[i].look_ns)
			continue;
		if (!is_over && (is_asked(segment) || is_due(&patients[i], now)) &&
		    !look_at(segment, now)) {
			first = (i + 1) % REGISTRY_RECORDS;
			is_over = true;
		}
		look_by(patients[i].look_ns);
	}
}

void doctor_begin(struct segment *segment)
{
	look_timer.fn = look;
	if (begun++ == 0)
		look_timer.deadline_ns = DEADLINE_NEVER;
	/* The first looks find what was asked for while nobody was here. */
	wake_up(segment);
}

void doctor_end(struct segment *segment)
{
	struct patient *patient = patient_of(segment);

	loop_remove(&patient->bell);
	memset(patient, 0, sizeof(*patient));
}
