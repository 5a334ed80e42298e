/* SPDX-License-Identifier: MIT
 *
 * See doctor.h.
 *
 * Going to sleep, against a ringer that comes at the same time:
 *
 *   mpd                                     ringer
 *   value = bell                            ring a sleeper (its bell + 2)
 *   attention: swap 1 -> 0                  if swap(attention, 1) was 0:
 *   moved since the last look? stay awake       bell + 2, FUTEX_WAKE
 *   FUTEX_WAIT(bell == value)
 *
 * A ringer before mpd's swap has rung its sleeper before that swap: mpd sees the moved bell. One
 * after it finds 0 and changes mpd's bell: the wait returns at once.
 */
#include "doctor.h"

#include "log.h"
#include "loop.h"

#include "libshm/recover.h"

#include <string.h>

#define LOOK_NS INT64_C(4000000)
#define QUIET_NS INT64_C(100000000)
#define QUIET_LOOKS 3 /* one notes who is missed, one rings; time passes also while we stand */
#define POLL_ASLEEP_NS INT64_C(10000000) /* engines that cannot wait on a word */
#define POLL_AWAKE_NS INT64_C(100000000)

struct patient {
	loop_id bell;
	bool is_attended;
	uint64_t moved;         /* how often all bells had been rung at the last look */
	int64_t quiet_since_ns; /* ... since when that is the same, */
	unsigned quiet_looks;   /* ... and for how many looks */
	uint64_t memory[THREADS_MAX]; /* recover_audit_stalled's */
};

static struct patient patients[REGISTRY_RECORDS];
static struct loop_timer look_timer;
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

static void look_by(int64_t deadline_ns)
{
	if (deadline_ns < look_timer.deadline_ns)
		loop_timer_set(&look_timer, deadline_ns);
}

static void begin_attention(struct segment *segment)
{
	struct patient *patient = patient_of(segment);
	int64_t now = clock_now_ns();

	if (patient->is_attended)
		return;
	patient->is_attended = true;
	patient->moved = count_rings(segment->seg);
	patient->quiet_since_ns = now;
	patient->quiet_looks = 0;
	memset(patient->memory, 0, sizeof(patient->memory));
	look_by(now + LOOK_NS);
}

static void bell_rang(void *arg, unsigned events)
{
	struct segment *segment = arg;

	patient_of(segment)->bell = 0;
	begin_attention(segment);
}

static bool has_moved(struct segment *segment)
{
	struct patient *patient = patient_of(segment);
	uint64_t rings = count_rings(segment->seg);

	if (rings == patient->moved)
		return false;
	patient->moved = rings;
	patient->quiet_since_ns = clock_now_ns();
	patient->quiet_looks = 0;
	return true;
}

/* See the two columns above. A client that keeps ringing costs one look each 4 ms, no more: the
 * bell is waited for only when all is quiet. */
static void try_to_sleep(struct segment *segment)
{
	struct patient *patient = patient_of(segment);
	atom32 *bell = &segment->seg->threads[SLOT_MPD].bell;
	uint32_t value = load_seqcst(bell);

	swap_seqcst(&segment->seg->header->attention, 0);
	if (has_moved(segment)) {
		swap_seqcst(&segment->seg->header->attention, 1);
		return;
	}
	patient->is_attended = false;
	if (loop_has_words())
		patient->bell = loop_add_word(bell, value, bell_rang, segment);
}

static void look_at(struct segment *segment)
{
	struct patient *patient = patient_of(segment);
	int64_t now = clock_now_ns();
	unsigned rings = recover_audit_stalled(segment->seg, patient->memory);

	if (rings)
		log_debug("'%s': rang %u sleepers again", segment->record->name, rings);
	if (!has_moved(segment) && ++patient->quiet_looks >= QUIET_LOOKS &&
	    now - patient->quiet_since_ns >= QUIET_NS)
		try_to_sleep(segment);
}

/* Without words to wait for: has anybody asked for attention since the last look? */
static int64_t poll_attention(struct segment *segment)
{
	struct shm_header *header = segment->seg->header;

	if (load_seqcst(&header->attention))
		begin_attention(segment);
	return load_relaxed(&header->asleep) ? POLL_ASLEEP_NS : POLL_AWAKE_NS;
}

static void look(void *arg, unsigned events)
{
	int64_t now = clock_now_ns();

	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		struct segment *segment = segment_at(i);

		if (!segment || !segment->seg)
			continue;
		if (patients[i].is_attended)
			look_at(segment);
		if (patients[i].is_attended)
			look_by(now + LOOK_NS);
		else if (!patients[i].bell)
			look_by(now + poll_attention(segment));
	}
}

void doctor_begin(struct segment *segment)
{
	look_timer.fn = look;
	if (begun++ == 0)
		look_timer.deadline_ns = DEADLINE_NEVER;
	/* The first looks find what was asked for while nobody was here. */
	begin_attention(segment);
}

void doctor_end(struct segment *segment)
{
	struct patient *patient = patient_of(segment);

	loop_remove(&patient->bell);
	memset(patient, 0, sizeof(*patient));
}
