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
#include "object.h"
#include "opts.h"
#include "sweep.h"
#include "wait.h"

#include <errno.h>
#include <stdlib.h>

static int make_event(struct seg *seg, struct self *me, void *object, const void *opts)
{
	(void)seg;
	(void)me;
	(void)object;
	(void)opts;
	return 0; /* zeroes: not set */
}

static void compare_event(void *object, const void *opts, struct opts_difference *difference)
{
	(void)object;
	(void)opts;
	(void)difference;
}

static bool recover_event(struct seg *seg, void *object, struct sweep *sweep)
{
	(void)seg;
	(void)object;
	(void)sweep;
	return true;
}

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

static bool event_blocks(struct seg *seg, void *object, struct walk *walk, object_each each,
			 void *arg)
{
	(void)seg;
	(void)object;
	(void)walk;
	(void)each;
	(void)arg;
	return true;
}

extern const struct object_type event_type;
const struct object_type event_type = {
	.kind = OBJECT_EVENT,
	.name = "event",
	.bytes = sizeof(struct shm_event),
	.recover = recover_event,
	.waiters = event_waiters,
	.is_ready = event_is_ready,
	.progress = event_progress,
	.blocks = event_blocks,
};

static int make_handle(const struct object_handle *handle, mp_event **ret_event)
{
	mp_event *event = malloc(sizeof *event);

	if (!event) {
		if (object_drop_handle(handle))
			object_let_go(handle->seg, handle->index);
		return explain(-ENOMEM, "no memory for a handle of an event");
	}
	*event = (mp_event){ .handle = *handle, .seg = handle->seg, .shared = handle->object };
	*ret_event = event;
	return 0;
}

int mp_event_open(mp_segment *segment, const char *name, const struct mp_event_opts *opts,
		  mp_event **ret_event)
{
	KEEP_ERRNO;
	static const struct mp_event_opts defaults;
	const struct mp_event_opts *wish = opts ? opts : &defaults;
	struct object_request request = { .name = name,
					  .flags = wish->flags,
					  .type = &event_type,
					  .bytes = sizeof(struct shm_event),
					  .compare = compare_event,
					  .make = make_event,
					  .opts = wish };
	struct opts_of what = { "event", name };
	struct object_handle handle;
	int error = opts_check_handles(what, segment, "ret_event", ret_event);

	if (error == 0)
		error = opts_check_flags(what, wish->flags, MP_EXISTING | MP_EXCLUSIVE,
					 "MP_EXISTING MP_EXCLUSIVE");
	if (error == 0)
		error = opts_check_reserved(what, wish->reserved0, wish->reserved,
					    ARRAY_LEN(wish->reserved));
	if (error == 0)
		error = object_open(object_seg(segment), &request, &handle);
	return error < 0 ? error : make_handle(&handle, ret_event);
}

int mp_event_from_id(mp_segment *segment, uint64_t id, mp_event **ret_event)
{
	KEEP_ERRNO;
	struct object_handle handle;
	int error = opts_check_handles((struct opts_of){ "event", "(by id)" }, segment,
				       "ret_event", ret_event);

	if (error == 0)
		error = object_from_id(object_seg(segment), id, &event_type, &handle);
	return error < 0 ? error : make_handle(&handle, ret_event);
}

mp_event *mp_event_close(mp_event *event)
{
	KEEP_ERRNO;
	if (!event)
		return NULL;
	if (object_drop_handle(&event->handle))
		object_let_go(event->seg, event->handle.index);
	free(event);
	return NULL;
}

int mp_event_unlink(mp_segment *segment, const char *name)
{
	KEEP_ERRNO;
	int error = opts_check_handles((struct opts_of){ "event", name }, segment, "name", name);

	return error < 0 ? error : object_unlink(object_seg(segment), name, &event_type);
}

uint64_t mp_event_id(const mp_event *event)
{
	return event ? event->handle.id : 0;
}

/* A thread that has done nothing here yet needs no slot to ring others: taking one is not for a
 * signal handler. That the process takes part is enough: its death is swept and audited. */
static int ringer(const mp_event *event, struct self **ret_me)
{
	*ret_me = self_peek(event->seg);
	return likely(*ret_me) ? 0 : self_join(event->seg);
}

static void ring_all(mp_event *event, struct self *me)
{
	if (unlikely(wait_has_sleepers(&event->shared->waiters)))
		wait_wake_all(event->seg, me, &event->shared->waiters);
}

int mp_event_set(mp_event *event)
{
	struct self *me;
	uint64_t word;
	int error;

	if (unlikely(!event))
		return opts_refuse_null(__func__, "event");
	error = ringer(event, &me);
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
	int error;

	if (unlikely(!event))
		return opts_refuse_null(__func__, "event");
	error = ringer(event, &me);
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
	int error = self_get(event->seg, &me);

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
