/* SPDX-License-Identifier: MIT
 *
 * Nobody dies: VICTIM runs to its end, settles and lives on, and everything is judged without a
 * recovery. Knows: that a recovery repairs what an operation forgets, a wake or a free, so that no
 * death shows it. Does not know: what is judged.
 */
#include "mode.h"

#include "clock.h"
#include "scene.h"
#include "trace.h"

#include <time.h>
#include <unistd.h>

#define END_MS 10000

static void live(struct scene *scene)
{
	struct party *victim = &scene->parties[VICTIM];

	scene_perform(scene, VICTIM);
	if (scene->operation->settle)
		scene->operation->settle(scene, victim);
	atomic_store(&victim->ledger->is_stopped, 1);
	for (;;)
		pause();
}

static bool comes_to_its_end(struct scene *scene)
{
	int64_t until = clock_now_ns() + END_MS * INT64_C(1000000);
	bool can_be_unblocked = scene->operation->unblock;
	struct timespec nap = { .tv_nsec = 30000 };

	while (!atomic_load(&scene->ledgers[VICTIM].is_stopped)) {
		if (clock_now_ns() > until || scene_has_ended(scene, VICTIM, 0))
			return false;
		nanosleep(&nap, NULL);
		if (can_be_unblocked && scene_is_asleep(scene, VICTIM)) {
			scene_unblock(scene);
			can_be_unblocked = false;
		}
	}
	return true;
}

static void judge_the_living(struct scene *scene)
{
	scene->is_alive = true;
	scene->is_dead[VICTIM] = scene->is_swept[VICTIM] = scene->operation->leaves;
	scene->is_swept[EARLIER] = scene->operation->recovers;
	atomic_fetch_add(&totals->states, 1);
	scene_judge_real(scene);
	scene->is_alive = false;
	scene->is_dead[VICTIM] = true;
	scene->is_swept[VICTIM] = scene->is_swept[EARLIER] = false;
}

void mode_live(struct scene *scene, const struct trace *trace)
{
	if (trace->is_asleep || trace->is_endless)
		return; /* nobody brings what it waits for */
	scene->at = "alive after instruction";
	scene->step = trace->count;
	scene_clone(scene, VICTIM, live);
	if (comes_to_its_end(scene)) {
		judge_the_living(scene);
	} else {
		complain(scene, "it does not come to its end");
		atomic_fetch_add(&totals->failures, 1);
	}
	scene_rewind(scene);
}
