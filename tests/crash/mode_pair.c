/* SPDX-License-Identifier: MIT
 *
 * Two in the middle: VICTIM stands before step i of its operation, SURVIVOR before step j of
 * another, in both orders; VICTIM is killed and recovered while SURVIVOR stands there; SURVIVOR
 * goes on to its end; then everything is judged. One that cannot reach its step because the other
 * holds it up simply goes on when the other has died. Knows: which steps meet, in which order who
 * goes on. Does not know: what the operations do, what is right after them.
 */
#include "mode.h"

#include "clock.h"
#include "newcomer.h"
#include "recover.h"
#include "require.h"
#include "scene.h"
#include "slot.h"
#include "trace.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define POINTS_MAX 64
#define LATE_FACTOR 5 /* only one of them is stopped at so many points */
#define REACH_NS INT64_C(200000000)
#define HELD_UP_NS INT64_C(1000000)
#define FINISH_MS 10000
#define RECOVER_MS 10000

struct pairing {
	struct scene *scene;
	struct trace traces[2]; /* VICTIM's, SURVIVOR's */
	unsigned points[2][POINTS_MAX];
	unsigned counts[2];
};

/* It sleeps, for its whole time, because of the other: on its bell, or beside a guard. */
static bool is_held_up(struct scene *scene, enum role role)
{
	const struct ledger *ledger = &scene->ledgers[role];
	struct timespec nap = { .tv_nsec = HELD_UP_NS };

	if (!scene_is_sleeping(scene, role))
		return false;
	nanosleep(&nap, NULL);
	return scene_is_sleeping(scene, role) && !atomic_load(&ledger->is_stopped);
}

/* Up to `most` of its steps, its end always: what was acknowledged is known there alone. */
static void choose_points(struct pairing *pairing, enum role role, unsigned most)
{
	const struct trace *trace = &pairing->traces[role];
	unsigned *points = pairing->points[role];
	unsigned count = trace_points(trace, most > 1 ? most - 1 : 1, points);

	if (points[count - 1] != trace->count)
		points[count++] = trace->count;
	pairing->counts[role] = count;
}

/* False: it is held up, or has reached its end on another way. */
static bool reach(struct pairing *pairing, enum role role, unsigned k)
{
	struct scene *scene = pairing->scene;
	struct ledger *ledger = &scene->ledgers[role];
	int64_t until = clock_now_ns() + REACH_NS;
	struct timespec nap = { .tv_nsec = 10000 };

	trace_start_until(scene, role, &pairing->traces[role], k, false);
	while (!atomic_load(&ledger->is_stopped) && !atomic_load(&ledger->is_done)) {
		if (clock_now_ns() > until || is_held_up(scene, role))
			return false;
		nanosleep(&nap, NULL);
	}
	return atomic_load(&ledger->is_stopped) || k == pairing->traces[role].count;
}

/* In a clone: mpd's part while SURVIVOR stands. */
static void recover_now(struct scene *scene)
{
	struct party *victim = &scene->parties[VICTIM];

	recover_client(scene->parties[SLEEPER].seg, victim->client, victim->generation);
}

/* Recovery waits for nobody, whatever SURVIVOR holds. */
static void recover_while_it_stands(struct scene *scene)
{
	struct party *victim = &scene->parties[VICTIM];
	int status;

	slot_mark_dead(scene->parties[CHECKER].seg, victim->client, victim->generation);
	scene_clone(scene, SLEEPER, recover_now);
	status = scene_wait(scene, SLEEPER, RECOVER_MS);
	scene->is_dead[SLEEPER] = status != 0;
	scene->is_swept[VICTIM] = status == 0;
	if (status == 0)
		return;
	complain(scene, "the recovery beside a survivor does not end well: %#x", (unsigned)status);
	atomic_fetch_add(&totals->failures, 1);
}

static void finish(struct pairing *pairing)
{
	struct scene *scene = pairing->scene;
	int status;

	atomic_store(&scene->ledgers[SURVIVOR].may_go_on, 1);
	status = scene_wait(scene, SURVIVOR, FINISH_MS);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_PLAYED)
		return;
	complain(scene, "the survivor does not end well: %#x", (unsigned)status);
	atomic_fetch_add(&totals->failures, 1);
}

static void run_one(struct pairing *pairing, unsigned i, unsigned j, enum role first)
{
	struct scene *scene = pairing->scene;
	unsigned points[2] = { pairing->points[VICTIM][i], pairing->points[SURVIVOR][j] };
	enum role second = first == VICTIM ? SURVIVOR : VICTIM;
	bool both;

	scene->step = points[VICTIM];
	scene->other_step = points[SURVIVOR];
	both = reach(pairing, first, points[first]);
	both &= reach(pairing, second, points[second]);
	scene_end_clone(scene, VICTIM);
	recover_while_it_stands(scene);
	finish(pairing);
	atomic_fetch_add(both ? &totals->pairs : &totals->held_up, 1);
	scene_judge_real(scene);
	scene_rewind(scene);
}

/* Two recover the same: SURVIVOR is late, the slots of the dead have other owners already. */
static void run_late(struct pairing *pairing, unsigned point)
{
	struct scene *scene = pairing->scene;
	bool is_good;

	scene->at = "late recoverer, dead at";
	scene->step = 0;
	scene->other_step = point;
	reach(pairing, SURVIVOR, point);
	reach(pairing, VICTIM, 0);
	scene_end_clone(scene, VICTIM);
	recover_while_it_stands(scene);
	newcomers_come(scene);
	finish(pairing);
	is_good = newcomers_go(scene);
	atomic_fetch_add(&totals->failures, !is_good);
	atomic_fetch_add(&totals->pairs, 1);
	scene_judge_real(scene);
	scene_rewind(scene);
}

static bool is_over(void)
{
	return limits.stops_at_first && atomic_load(&totals->failures) > 0;
}

static void late_recoverers(struct pairing *pairing)
{
	unsigned points[POINTS_MAX], most = limits.points * LATE_FACTOR, count;

	count = trace_points(&pairing->traces[SURVIVOR], most < POINTS_MAX ? most : POINTS_MAX,
			     points);
	for (unsigned i = 0; i < count && !is_over(); i++)
		run_late(pairing, points[i]);
}

void mode_pair(struct scene *scene)
{
	struct pairing pairing = { .scene = scene };
	unsigned most = limits.points < POINTS_MAX ? limits.points : POINTS_MAX;

	scene->at = "pair at";
	for (enum role role = VICTIM; role <= SURVIVOR; role++) {
		trace_run(scene, role, &pairing.traces[role], NULL);
		scene_rewind(scene);
		choose_points(&pairing, role, most);
	}
	for (unsigned i = 0; i < pairing.counts[VICTIM]; i++)
		for (unsigned j = 0; j < pairing.counts[SURVIVOR] && !is_over(); j++) {
			run_one(&pairing, i, j, VICTIM);
			run_one(&pairing, i, j, SURVIVOR);
		}
	if (scene->operation->recovers && scene->other == scene->operation)
		late_recoverers(&pairing);
	trace_end(&pairing.traces[VICTIM]);
	trace_end(&pairing.traces[SURVIVOR]);
}
