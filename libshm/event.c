/* SPDX-License-Identifier: MIT
 *
 * Events: one word {set, epoch}. Knows: its transitions, the row of the table of kinds. Does not
 * know: how to sleep, who is alive.
 *
 * Nobody owns an event, so a death leaves nothing to repair in it, but rings that are owed:
 *
 * | killed after              | the word says | who wakes the sleepers                          |
 * | set: the CAS, no ring     | set           | the audit after the sweep, the next set or clear |
 * | set: bits taken, no ring  | set           | the audit: a sleeper without its bit is missed   |
 * | clear: rang, no CAS       | set           | they are awake                                  |
 * | clear: the CAS            | not set       | they were rung before it                        |
 * | wait: bit set             | as it was     | the sweep takes the bit                         |
 *
 * Overlaps: every change is one CAS of the word. A wait is over when it sees SET or another epoch
 * than it began with, so set and clear together are never missed by who is awake. Who is asleep is
 * rung by the set; if its setter is held up before that, by the clear, before the word says "not
 * set": from then on nothing in the word tells the audit that a ring is owed. The clear's CAS is
 * from the very word that it had read before it looked for sleepers: who announces himself after
 * that look and re-checks before the CAS sees SET, after it the new epoch. With a blind "not set" a
 * second set between look and clear could die with its rings.
 */
#include "event_internal.h"

#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "handle.h"
#include "opts.h"
#include "wait.h"

#include <errno.h>

static struct shm_waiters *event_waiters(void *object, unsigned condition)
{
	struct shm_event *shared = object;

	return condition == WAIT_SET ? &shared->waiters : NULL;
}

static bool event_is_ready(struct seg *seg, void *object, unsigned condition, uint32_t client)
{
	struct shm_event *shared = object;

	(void)seg;
	(void)condition;
	(void)client;
	return load_seqcst(&shared->word) & EVENT_SET;
}

static uint64_t event_progress(struct seg *seg, void *object, unsigned condition)
{
	struct shm_event *shared = object;

	(void)seg;
	(void)condition;
	return load_relaxed(&shared->word);
}

extern const struct object_type event_type;
const struct object_type event_type = {
	.kind = OBJECT_EVENT,
	.name = "event",
	.bytes = sizeof(struct shm_event),
	.waiters = event_waiters,
	.is_ready = event_is_ready,
	.progress = event_progress,
};

static int fill_handle(struct object_handle *handle)
{
	((mp_event *)handle)->shared = handle->object;
	return 0;
}

static const struct handle_life life = {
	.type = &event_type,
	.ret_name = "ret_event",
	.handle_bytes = sizeof(mp_event),
	.fill = fill_handle,
};

int mp_event_open(mp_segment *segment, const char *name, const struct mp_event_opts *opts,
		  mp_event **ret_event)
{
	static const struct mp_event_opts defaults;
	const struct mp_event_opts *given = opts ? opts : &defaults;
	struct handle_wish wish = HANDLE_WISH(segment, name, given, ret_event);
	struct object_handle *handle;
	int error = handle_open(&life, &wish, &handle);

	if (error == 0)
		*ret_event = (mp_event *)handle;
	return error;
}

int mp_event_from_id(mp_segment *segment, uint64_t id, mp_event **ret_event)
{
	struct object_handle *handle;
	int error = handle_from_id(&life, segment, id, ret_event, &handle);

	if (error == 0)
		*ret_event = (mp_event *)handle;
	return error;
}

mp_event *mp_event_close(mp_event *event)
{
	handle_close(&life, event ? &event->handle : NULL);
	return NULL;
}

int mp_event_unlink(mp_segment *segment, const char *name)
{
	return handle_unlink(&life, segment, name);
}

uint64_t mp_event_id(const mp_event *event)
{
	return event ? event->handle.id : 0;
}

/* A thread that has done nothing here yet needs no slot to ring others: taking one is not for a
 * signal handler. That the process takes part is enough: its death is swept and audited. */
static inline int ringer(const char *call, const mp_event *event, struct self **ret_me)
{
	if (unlikely(!event))
		return opts_refuse_null(call, "event");
	*ret_me = self_peek(event->handle.seg);
	return likely(*ret_me) ? 0 : self_join(event->handle.seg);
}

static void ring_all(mp_event *event, struct self *me)
{
	if (unlikely(wait_has_sleepers(&event->shared->waiters)))
		wait_wake_all(event->handle.seg, me, &event->shared->waiters);
}

int mp_event_set(mp_event *event)
{
	struct self *me;
	uint64_t word;
	int error = ringer(__func__, event, &me);

	if (unlikely(error < 0))
		return error;
	word = load_relaxed(&event->shared->word);
	/* edge event_set: release -> the acquire of is_set and wait. seq_cst: before the look for
	 * sleepers. One that finds it set rings too: whoever set it may be held up before that. */
	while (!(word & EVENT_SET) &&
	       !cas_seqcst(&event->shared->word, &word, (word | EVENT_SET) + EVENT_EPOCH))
		;
	ring_all(event, me);
	return 0;
}

int mp_event_clear(mp_event *event)
{
	struct self *me;
	uint64_t word;
	int error = ringer(__func__, event, &me);

	if (unlikely(error < 0))
		return error;
	word = load_seqcst(&event->shared->word);
	do {
		if (!(word & EVENT_SET))
			return 0;
		ring_all(event, me); /* before it, and of this very set: see above */
	} while (!cas_seqcst(&event->shared->word, &word, word & ~EVENT_SET));
	return 0;
}

int mp_event_is_set(const mp_event *event)
{
	/* edge event_set: acquire */
	return event ? (int)(load_acquire(&event->shared->word) & EVENT_SET)
		     : opts_refuse_null(__func__, "event");
}

struct event_wait {
	struct shm_event *shared;
	uint64_t began; /* the word then */
};

/* edge event_set: acquire */
static bool is_over(void *arg)
{
	struct event_wait *wait = arg;
	uint64_t word = load_seqcst(&wait->shared->word);

	return (word & EVENT_SET) || word != wait->began;
}

static cold int explain_wait(const mp_event *event, int error)
{
	return explain(error, "event '%s': %s", object_name(&event->handle),
		       error == -ETIMEDOUT ? "nobody has set it in that time"
					   : wait_trouble(error));
}

static noinline_ int wait_slow(mp_event *event, uint64_t began, int64_t timeout)
{
	KEEP_ERRNO;
	struct event_wait wait = { event->shared, began };
	struct wait_point point = { .set = &event->shared->waiters,
				    .record = event->handle.offset | WAIT_SET,
				    .is_ready = is_over,
				    .object = &wait };
	int64_t now = clock_now_ns(), deadline_ns = clock_deadline_ns(timeout);
	struct self *me;
	int error = self_get(event->handle.seg, &me);

	if (error < 0)
		return error;
	add_relaxed(&event->shared->waits, 1);
	while (!is_over(&wait) && error == 0) {
		error = wait_until(me, &point, deadline_ns);
		if (error == 0 && clock_is_past(deadline_ns))
			error = -ETIMEDOUT;
	}
	add_relaxed(&event->shared->wait_ns, (uint64_t)(clock_now_ns() - now));
	return is_over(&wait) ? 0 : explain_wait(event, error);
}

int mp_event_wait(mp_event *event, int64_t timeout)
{
	uint64_t word;

	if (unlikely(!event))
		return opts_refuse_null(__func__, "event");
	word = load_acquire(&event->shared->word); /* edge event_set: acquire */
	if (likely(word & EVENT_SET))
		return 0;
	if (timeout <= 0)
		return explain_later(-EAGAIN, "event", object_raw_name(&event->handle),
				     "it is not set");
	return wait_slow(event, word, timeout);
}
