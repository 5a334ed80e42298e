/* SPDX-License-Identifier: MIT
 *
 * A scene and its clones. Knows: a segment without mpd, clients of it that live in one process,
 * forks that stay the clients they were. Does not know: instructions, what an operation promises.
 */
#ifndef TESTS_CRASH_SCENE_H
#define TESTS_CRASH_SCENE_H

#include "crash.h"

/* In a process of its own, which the scene never leaves. `other`: SURVIVOR's in a pair, or NULL. */
void scene_begin(struct scene *scene, const struct operation *operation,
		 const struct context *context, const struct operation *other);

/* The row of that name in any family. */
const struct operation *scene_operation_named(const char *name, uint32_t variant);
/* What that party does: EARLIER the rival, SURVIVOR the other one of a pair. */
const struct operation *scene_operation_of(const struct scene *scene, enum role role);

/* A fork that goes on as the same client. `run` must not return to the caller's caller. */
pid_t scene_clone(struct scene *scene, enum role role, void (*run)(struct scene *scene));
/* SIGKILL and reap, if it runs. */
void scene_end_clone(struct scene *scene, enum role role);
/* Has it ended, or does within that time? Does not reap it. */
bool scene_has_ended(struct scene *scene, enum role role, unsigned milliseconds);
/* Wait for its end: its status; -1 when it took too long (and was killed). */
int scene_wait(struct scene *scene, enum role role, unsigned milliseconds);

/* Everything as it was when the scene had begun; SLEEPER, if there is one, asleep. */
void scene_rewind(struct scene *scene);
/* Is that party in the kernel, asleep on its doorbell? */
bool scene_is_asleep(struct scene *scene, enum role role);
/* Is it asleep anywhere in the kernel? */
bool scene_is_sleeping(struct scene *scene, enum role role);
/* SURVIVOR does what lets the sleeping victim go on. */
void scene_unblock(struct scene *scene);

/* In a clone: run the party's operation and note what became of it. */
void scene_perform(struct scene *scene, enum role role);

/* In a CHECKER clone: what mpd does when it sees the death, then the family's questions. */
void scene_judge(struct scene *scene);
/* Judge a copy of the segment as the image has it; false and counted if it is bad. */
bool scene_judge_copy(struct scene *scene);
/* Judge the segment itself. */
bool scene_judge_real(struct scene *scene);

#endif
