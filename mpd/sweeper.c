/* SPDX-License-Identifier: MIT
 *
 * See sweeper.h. Segments take turns: the one that could not be finished comes last the next time.
 */
#include "sweeper.h"

#include "log.h"
#include "loop.h"

#include "libshm/recover.h"

#include <string.h>

/* Somebody held on to what is to be freed, or says so for ever. */
#define FREE_AGAIN_NS INT64_C(4000000)

struct job {
	bool is_pending;
	unsigned turns;
	struct recovery recovery;
};

static void next_turn(void *arg, unsigned events);

static struct job jobs[REGISTRY_RECORDS];
static struct turn turn = { .looks_left = SWEEPER_LOOKS };
static struct loop_timer timer = { .deadline_ns = DEADLINE_NEVER, .fn = next_turn };
static unsigned first; /* in this turn */

static void go_on_by(int64_t deadline_ns)
{
	if (deadline_ns < timer.deadline_ns)
		loop_timer_set(&timer, deadline_ns);
}

static void tell(const struct segment *segment, struct job *job)
{
	if (job->turns > 1)
		log_debug("'%s': repaired in %u turns", segment->record->name, job->turns);
	job->turns = 0;
}

/* False: not in this turn. */
static bool work_on(struct segment *segment)
{
	struct job *job = &jobs[segment_index(segment)];

	job->turns++;
	if (!recover_some(segment->seg, &job->recovery, &turn))
		return false;
	tell(segment, job);
	store_relaxed(&segment->record->adoptions, 0); /* it has not killed us */
	job->is_pending = segment->seg->is_free_due;
	job->recovery.is_swept = job->recovery.is_audited = job->is_pending;
	if (job->is_pending)
		go_on_by(clock_now_ns() + FREE_AGAIN_NS);
	return true;
}

static void next_turn(void *arg, unsigned events)
{
	unsigned begin = first;

	turn.looks_left = SWEEPER_LOOKS;
	for (unsigned n = 0; n < REGISTRY_RECORDS; n++) {
		unsigned i = (begin + n) % REGISTRY_RECORDS;
		struct segment *segment = jobs[i].is_pending ? segment_at(i) : NULL;

		if (!segment || work_on(segment))
			continue;
		first = (i + 1) % REGISTRY_RECORDS;
		go_on_by(clock_now_ns());
		return;
	}
}

/* At once, as far as this turn of the loop allows; the next one has all looks again. */
static void begin(struct segment *segment)
{
	jobs[segment_index(segment)].is_pending = true;
	work_on(segment);
	go_on_by(clock_now_ns());
}

void sweeper_add(struct segment *segment)
{
	if (!segment->seg)
		return;
	recover_all_again(&jobs[segment_index(segment)].recovery);
	begin(segment);
}

void sweeper_bury(struct segment *segment, uint32_t client, uint32_t generation)
{
	recover_mark_dead(segment->seg, client, generation);
	sweeper_add(segment);
}

void sweeper_free(struct segment *segment)
{
	struct job *job = &jobs[segment_index(segment)];

	if (!segment->seg)
		return;
	if (!job->is_pending)
		job->recovery.is_swept = job->recovery.is_audited = true;
	recover_free_again(&job->recovery);
	begin(segment);
}

void sweeper_end(struct segment *segment)
{
	memset(&jobs[segment_index(segment)], 0, sizeof jobs[0]);
}
