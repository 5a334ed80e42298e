/* SPDX-License-Identifier: MIT
 *
 * See trace.h. Knows: how to watch a process that steps itself (stepper.c), how to see that it
 * sleeps.
 *
 * An instruction is named by its address and the how manieth time it is reached: that finds it
 * again at full speed. One that repeats itself (rep movs) is one instruction.
 */
#include "trace.h"

#include "clock.h"
#include "image.h"
#include "require.h"
#include "scene.h"
#include "slot.h"
#include "stepper.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#define SEEN_BITS 16
#define SEEN_MAX (1u << SEEN_BITS)
#define BLOCKED_NS INT64_C(3000000)

struct seen {
	uint64_t address;
	uint32_t count;
};

/* Of one who watches. */
struct stepping {
	struct scene *scene;
	enum role role;
	struct trace *trace;
	struct seen *seen;
	struct stepper *stepper;
	void (*each)(struct scene *scene, unsigned k, bool is_changed);
	unsigned read; /* of the stepper's list */
	bool was_blocked;
};

static enum role playing;
static struct stepper *stepper;
static const struct breakpoint *wanted;
static uint64_t next[STEPS_MAX]; /* of the wanted one, see breakpoint.h */

static uint32_t occurrence(struct seen *seen, uint64_t address)
{
	uint32_t at = (uint32_t)((address * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - SEEN_BITS));

	while (seen[at].address && seen[at].address != address)
		at = (at + 1) % SEEN_MAX;
	seen[at].address = address;
	return ++seen[at].count;
}

static void be_stepped(struct scene *scene)
{
	for (enum role role = 0; role < ROLES; role++)
		stepper_watch(scene->parties[role].seg->base, scene->parties[role].seg->size);
	stepper->is_done = &scene->ledgers[playing].is_done;
	stepper_begin(stepper);
	scene_perform(scene, playing);
	for (;;)
		pause();
}

/* Nobody wakes it, or SURVIVOR does now, unless it has its own operation to do. */
static bool goes_on(struct stepping *stepping)
{
	if (!stepping->scene->operation->unblock || stepping->was_blocked ||
	    stepping->role != VICTIM || stepping->scene->other)
		return false;
	scene_unblock(stepping->scene);
	stepping->was_blocked = true;
	return true;
}

static bool is_call(uint64_t address)
{
	const uint8_t *code = (const uint8_t *)(uintptr_t)address;

	return code[0] == 0x0f && code[1] == 0x05;
}

static void note_step(struct stepping *stepping, uint64_t address, bool is_change)
{
	struct trace *trace = stepping->trace;
	unsigned last = trace->count - 1;
	bool is_after_call;

	if (trace->count > 0 && trace->steps[last].address == address) {
		trace->steps[last].is_change |= is_change;
		return;
	}
	require(trace->count < STEPS_MAX);
	is_after_call = trace->count > 0 && is_call(trace->steps[last].address);
	trace->steps[trace->count++] =
		(struct trace_step){ .address = address,
				     .occurrence = occurrence(stepping->seen, address),
				     .is_change = is_change,
				     .is_after_call = is_after_call,
				     .is_blocked = stepping->was_blocked };
}

/* What the stepper has written down, up to its last step: that is one it may stand before. */
static void read_steps(struct stepping *stepping, unsigned until)
{
	for (; stepping->read < until; stepping->read++) {
		const struct step *step = &stepping->stepper->steps[stepping->read];

		note_step(stepping, step->address, step->is_change);
	}
}

static void look(struct stepping *stepping)
{
	struct stepper *shared = stepping->stepper;

	read_steps(stepping, atomic_load(&shared->count) - 1);
	stepping->each(stepping->scene, stepping->trace->count,
		       image_update(stepping->scene->current));
	atomic_store(&shared->state, STEPPING);
	syscall(SYS_futex, &shared->state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* False: it sleeps in the kernel and stays there. */
static bool is_getting_on(struct stepping *stepping, unsigned *count)
{
	const struct stepper *shared = stepping->stepper;
	unsigned now = atomic_load(&shared->count);
	bool is_same = now == *count;

	require(!scene_has_ended(stepping->scene, stepping->role, 0));
	*count = now;
	/* Asleep there, not because it has come to a change in between. */
	if (!is_same || !scene_is_asleep(stepping->scene, stepping->role) ||
	    atomic_load(&shared->count) != now)
		return true;
	read_steps(stepping, now); /* these before it slept */
	return goes_on(stepping);
}

static void wait_for_the_stepper(struct stepper *shared)
{
	struct timespec blocked = { .tv_nsec = BLOCKED_NS };

	syscall(SYS_futex, &shared->state, FUTEX_WAIT, STEPPING, &blocked, NULL, 0);
}

static void watch_to_the_end(struct stepping *stepping)
{
	struct stepper *shared = stepping->stepper;
	enum stepper_state state;
	unsigned count = 0;

	while ((state = atomic_load(&shared->state)) != OVER) {
		if (state == AT_CHANGE) {
			look(stepping);
			continue;
		}
		wait_for_the_stepper(shared);
		if (atomic_load(&shared->state) == STEPPING && !is_getting_on(stepping, &count)) {
			stepping->trace->is_asleep = true;
			break;
		}
	}
	read_steps(stepping, atomic_load(&shared->count));
	stepping->trace->is_endless = atomic_load(&shared->is_endless);
	if (stepping->each)
		stepping->each(stepping->scene, stepping->trace->count,
			       image_update(stepping->scene->current));
}

static void *share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	require(memory != MAP_FAILED);
	return memory;
}

static void begin_stepping(struct stepping *stepping)
{
	stepping->stepper = stepper = share(sizeof *stepper);
	stepper->stops_at_changes = stepping->each;
	stepper->first = (uint64_t)(uintptr_t)scene_perform;
	playing = stepping->role;
	scene_clone(stepping->scene, stepping->role, be_stepped);
}

void trace_run(struct scene *scene, enum role role, struct trace *ret_trace,
	       void (*each)(struct scene *scene, unsigned k, bool is_changed))
{
	struct stepping stepping = { .scene = scene, .role = role, .trace = ret_trace,
				     .each = each };
	struct seg *seg = scene->parties[CHECKER].seg;

	*ret_trace = (struct trace){ .steps = share(STEPS_MAX * sizeof *ret_trace->steps) };
	require(madvise(ret_trace->steps, STEPS_MAX * sizeof *ret_trace->steps, MADV_DONTFORK) ==
		0); /* a clone has no use for it */
	stepping.seen = share(SEEN_MAX * sizeof *stepping.seen);
	if (scene->pids[SLEEPER])
		kill(scene->pids[SLEEPER], SIGSTOP); /* what it does would be in the copies */
	if (each)
		scene->current = image_make(seg->fd, seg->base, seg->size);
	begin_stepping(&stepping);
	watch_to_the_end(&stepping);
	scene_end_clone(scene, role);
	scene->current = image_free(scene->current);
	munmap(stepping.seen, SEEN_MAX * sizeof *stepping.seen);
	munmap(stepping.stepper, sizeof *stepping.stepper);
}

void trace_end(struct trace *trace)
{
	munmap(trace->steps, STEPS_MAX * sizeof *trace->steps);
	trace->steps = NULL;
}

/* Is it the first, the end, or one that changes the segment? */
static bool is_point(const struct trace *trace, unsigned k)
{
	return k == 0 || k == trace->count ||
	       (k + 1 < trace->count && trace->steps[k + 1].is_change);
}

unsigned trace_points(const struct trace *trace, unsigned most, unsigned *ret_points)
{
	unsigned all = 0, count = 0, last = UINT32_MAX;

	for (unsigned k = 0; k <= trace->count; k++)
		all += is_point(trace, k);
	for (unsigned k = 0, i = 0; k <= trace->count; k++) {
		unsigned bucket;

		if (!is_point(trace, k))
			continue;
		bucket = all > most ? i * most / all : i;
		i++;
		if (bucket == last)
			continue;
		ret_points[count++] = k;
		last = bucket;
	}
	return count;
}

static void play(struct scene *scene)
{
	if (wanted)
		breakpoint_arm(wanted);
	scene_perform(scene, playing);
	if (playing == SURVIVOR && scene->other && scene->other->settle)
		scene->other->settle(scene, &scene->parties[SURVIVOR]);
	_exit(EXIT_PLAYED);
}

/* What comes after each earlier occurrence of step k. */
static void find_next(const struct trace *trace, unsigned k)
{
	unsigned count = 0;

	for (unsigned i = 0; i < k; i++)
		if (trace->steps[i].address == trace->steps[k].address)
			next[count++] = trace->steps[i + 1].address;
	require(count == trace->steps[k].occurrence - 1);
}

static unsigned count_between(const struct trace *trace, unsigned from, unsigned k)
{
	unsigned count = 0;

	for (unsigned i = from + 1; i <= k; i++)
		count += trace->steps[i].address == trace->steps[k].address;
	return count;
}

/* At step k; or at the last before it where one can stop, and then step by step. */
static void find_way(const struct trace *trace, unsigned k, struct breakpoint *breakpoint)
{
	unsigned last = k;

	while (last > 0 && !breakpoint_is_possible(trace->steps[last].address))
		last--;
	breakpoint->address = trace->steps[last].address;
	breakpoint->occurrence = trace->steps[last].occurrence;
	breakpoint->next = next;
	find_next(trace, last);
	if (last == k)
		return;
	breakpoint->walk_to = trace->steps[k].address;
	breakpoint->walk_occurrence = count_between(trace, last, k);
}

void trace_start_until(struct scene *scene, enum role role, const struct trace *trace, unsigned k,
		       bool is_kill)
{
	struct ledger *ledger = &scene->ledgers[role];
	struct breakpoint breakpoint = { .is_stopped = is_kill ? NULL : &ledger->is_stopped,
					 .may_go_on = &ledger->may_go_on };

	if (k < trace->count)
		find_way(trace, k, &breakpoint);
	playing = role;
	wanted = k < trace->count ? &breakpoint : NULL; /* the clone has its own copy of all this */
	scene_clone(scene, role, play);
}

void earlier_stands(struct scene *scene)
{
	struct party *party = &scene->parties[EARLIER];
	const struct context *context = scene->context;
	struct trace trace;
	unsigned points[4], count, k;
	int status;

	trace_run(scene, EARLIER, &trace, NULL);
	count = trace_points(&trace, 4, points);
	k = points[context->at + 1 < count ? context->at : count - 2]; /* the last is its end */
	scene_rewind(scene);
	trace_start_until(scene, EARLIER, &trace, k, true);
	status = scene_wait(scene, EARLIER, 20000);
	if (status != SIGKILL)
		fprintf(stderr, "crash: %s, %s: step %u of %u is not reached: %#x\n",
			scene->operation->name, context->name, k, trace.count, (unsigned)status);
	require(status == SIGKILL);
	if (context->earlier == EARLIER_DIED)
		require(slot_mark_dead(scene->parties[CHECKER].seg, party->client,
				       party->generation));
	trace_end(&trace);
}
