/* SPDX-License-Identifier: MIT
 *
 * Real deaths: for each recorded instruction a clone of the victim runs at full speed and dies
 * there by SIGKILL, in the segment itself, with sleepers asleep in the kernel. Knows: how to find
 * the instruction again. Does not know: what is judged.
 */
#include "mode.h"

#include "clock.h"
#include "require.h"
#include "scene.h"
#include "trace.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define ASLEEP_MS 20000
#define DEATH_MS 5000
#define LOOK_MS 10
#define SETTLED_NS 50000
#define OCCURRENCES_EASY 8

static bool wait_until_asleep(struct scene *scene)
{
	int64_t until = clock_now_ns() + ASLEEP_MS * INT64_C(1000000);
	struct timespec nap = { .tv_nsec = SETTLED_NS };

	while (!scene_is_asleep(scene, VICTIM)) {
		if (clock_now_ns() > until)
			return false;
		nanosleep(&nap, NULL);
	}
	nanosleep(&nap, NULL);
	return true;
}

/* It runs towards its end, or has fallen asleep on the way: true. */
static bool is_asleep_now(struct scene *scene)
{
	int64_t until = clock_now_ns() + DEATH_MS * INT64_C(1000000);

	while (!scene_has_ended(scene, VICTIM, LOOK_MS))
		if (scene_is_asleep(scene, VICTIM) || clock_now_ns() > until)
			return true;
	return false;
}

/* The victim has died at step k, or (false) went another way and never came there. */
static bool kill_at(struct scene *scene, const struct trace *trace, unsigned k)
{
	trace_start_until(scene, VICTIM, trace, k, true);
	if (is_asleep_now(scene)) {
		if (!trace->steps[k].is_blocked) {
			scene_end_clone(scene, VICTIM);
			return false;
		}
		scene_unblock(scene);
	}
	return scene_wait(scene, VICTIM, DEATH_MS) == SIGKILL;
}

static void kill_asleep(struct scene *scene, const struct trace *trace)
{
	trace_start_until(scene, VICTIM, trace, trace->count, true);
	require(wait_until_asleep(scene));
	scene_end_clone(scene, VICTIM);
}

static void judge_death(struct scene *scene, unsigned k)
{
	scene->step = k;
	atomic_fetch_add(&totals->kills, 1);
	scene_judge_real(scene);
	scene_rewind(scene);
}

static bool is_over(void)
{
	return limits.stops_at_first && atomic_load(&totals->failures) > 0;
}

/* When not each instruction is asked for: every change of the segment, every return from the
 * kernel, and of the rest each so many, but for later turns of loops, which take long to find
 * again. */
static bool is_chosen(const struct trace *trace, unsigned k)
{
	unsigned stride = limits.kills ? (trace->count + limits.kills - 1) / limits.kills : 1;

	if (stride <= 1 || trace->steps[k].is_change || trace->steps[k].is_after_call)
		return true;
	return k % stride == 0 && trace->steps[k].occurrence <= OCCURRENCES_EASY;
}

void mode_kill(struct scene *scene, const struct trace *trace)
{

	scene->at = "killed at instruction";
	for (unsigned k = 0; k < trace->count && !is_over(); k++) {
		if (!is_chosen(trace, k))
			continue;
		if (kill_at(scene, trace, k)) {
			judge_death(scene, k);
			continue;
		}
		atomic_fetch_add(&totals->missed, 1);
		scene_rewind(scene);
	}
	if (!trace->is_asleep || is_over())
		return;
	kill_asleep(scene, trace);
	judge_death(scene, trace->count);
}
