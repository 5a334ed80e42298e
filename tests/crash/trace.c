/* SPDX-License-Identifier: MIT
 *
 * See trace.h. Knows: single steps, how to see that a stepped process sleeps.
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

#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define STEPS_MAX 400000
#define IDLE_MAX 40000
#define SEEN_BITS 16
#define SEEN_MAX (1u << SEEN_BITS)
#define BLOCKED_NS INT64_C(3000000)

struct seen {
	uint64_t address;
	uint32_t count;
};

struct stepping {
	struct scene *scene;
	enum role role;
	struct trace *trace;
	struct seen *seen;
	void (*each)(struct scene *scene, unsigned k, bool is_changed);
	bool was_blocked;
	unsigned idle; /* steps since the last that changed the segment */
};

static enum role playing;
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
	signal(SIGTRAP, SIG_DFL);
	require(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	__asm__ volatile("int3");
	scene_perform(scene, playing);
	for (;;)
		pause();
}

static uint64_t address_of(pid_t pid)
{
	struct user_regs_struct registers;

	require(ptrace(PTRACE_GETREGS, pid, NULL, &registers) == 0);
	return registers.rip;
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

/* False: it sleeps in the kernel and stays there. */
static bool step(struct stepping *stepping)
{
	pid_t pid = stepping->scene->pids[stepping->role];
	int64_t until = clock_now_ns() + BLOCKED_NS;
	int status;

	require(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		sched_yield();
		if (clock_now_ns() < until)
			continue;
		if (scene_is_asleep(stepping->scene, stepping->role) && !goes_on(stepping))
			return false;
		until = clock_now_ns() + BLOCKED_NS;
	}
	require(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	return true;
}

static void note_step(struct stepping *stepping, uint64_t address, bool is_change)
{
	struct trace *trace = stepping->trace;
	unsigned last = trace->count - 1;

	if (trace->count > 0 && trace->steps[last].address == address) {
		trace->steps[last].is_change |= is_change;
		return;
	}
	require(trace->count < STEPS_MAX);
	trace->steps[trace->count++] =
		(struct trace_step){ .address = address,
				     .occurrence = occurrence(stepping->seen, address),
				     .is_change = is_change,
				     .is_blocked = stepping->was_blocked };
}

static void look(struct stepping *stepping)
{
	bool is_changed = image_update(stepping->scene->current);

	if (stepping->each)
		stepping->each(stepping->scene, stepping->trace->count, is_changed);
	note_step(stepping, address_of(stepping->scene->pids[stepping->role]), is_changed);
	stepping->idle = is_changed ? 0 : stepping->idle + 1;
}

static void step_to_the_end(struct stepping *stepping)
{
	atomic_int *is_done = &stepping->scene->ledgers[stepping->role].is_done;

	/* One that waits for EARLIER, who only stands there, has no end. */
	while (!atomic_load(is_done) && stepping->idle < IDLE_MAX) {
		look(stepping);
		if (step(stepping))
			continue;
		stepping->trace->is_asleep = true;
		break;
	}
	stepping->trace->is_endless = stepping->idle == IDLE_MAX;
	if (stepping->each)
		stepping->each(stepping->scene, stepping->trace->count,
			       image_update(stepping->scene->current));
}

void trace_run(struct scene *scene, enum role role, struct trace *ret_trace,
	       void (*each)(struct scene *scene, unsigned k, bool is_changed))
{
	struct stepping stepping = { .scene = scene, .role = role, .trace = ret_trace,
				     .each = each };
	struct seg *seg = scene->parties[CHECKER].seg;
	int status;

	*ret_trace = (struct trace){ .steps = calloc(STEPS_MAX, sizeof *ret_trace->steps) };
	stepping.seen = calloc(SEEN_MAX, sizeof *stepping.seen);
	require(ret_trace->steps && stepping.seen);
	if (scene->pids[SLEEPER])
		kill(scene->pids[SLEEPER], SIGSTOP); /* what it does would be in the copies */
	scene->current = image_make(seg->fd, seg->base, seg->size);
	playing = role;
	scene_clone(scene, role, be_stepped);
	require(waitpid(scene->pids[role], &status, 0) == scene->pids[role]);
	require(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	/* The way there is another one without a tracer. */
	while (address_of(scene->pids[role]) != (uint64_t)(uintptr_t)scene_perform)
		require(step(&stepping));
	step_to_the_end(&stepping);
	scene_end_clone(scene, role);
	scene->current = image_free(scene->current);
	free(stepping.seen);
}

void trace_end(struct trace *trace)
{
	free(trace->steps);
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
	if (wanted && !breakpoint_arm(wanted))
		_exit(1);
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

void trace_start_until(struct scene *scene, enum role role, const struct trace *trace, unsigned k,
		       bool is_kill)
{
	struct ledger *ledger = &scene->ledgers[role];
	struct breakpoint breakpoint = { .is_stopped = is_kill ? NULL : &ledger->is_stopped,
					 .may_go_on = &ledger->may_go_on };

	if (k < trace->count) {
		breakpoint.address = trace->steps[k].address;
		breakpoint.occurrence = trace->steps[k].occurrence;
		breakpoint.next = next;
		find_next(trace, k);
	}
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
