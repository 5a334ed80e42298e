/* SPDX-License-Identifier: MIT
 *
 * Every state a death can leave: the victim is stepped, and after each instruction that changed the
 * segment a copy is recovered and judged. SIGKILL leaves exactly what the instructions before it
 * stored, so this covers every k; what the kernel knows (sleepers, descriptors) is left to kills.
 * Knows: when a copy is worth a judgement. Does not know: what the operations do, what is right.
 */
#include "mode.h"

#include "scene.h"
#include "trace.h"

static void judge_state(struct scene *scene, unsigned k, bool is_changed)
{
	if (k > 0 && !is_changed)
		return;
	if (limits.stops_at_first && atomic_load(&totals->failures) > 0)
		return;
	scene->at = "snapshot";
	scene->step = k;
	atomic_fetch_add(&totals->states, 1);
	scene_judge_copy(scene);
}

void mode_snapshot(struct scene *scene, struct trace *ret_trace)
{
	trace_run(scene, VICTIM, ret_trace, judge_state);
	atomic_fetch_add(&totals->instructions, ret_trace->count);
	scene_rewind(scene);
}
