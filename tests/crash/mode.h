/* SPDX-License-Identifier: MIT
 *
 * The ways to die, and to live. Knows: their names. Does not know: operations.
 */
#ifndef TESTS_CRASH_MODE_H
#define TESTS_CRASH_MODE_H

#include "crash.h"

struct trace;

/* Steps the victim; the trace is for the next mode. */
void mode_snapshot(struct scene *scene, struct trace *ret_trace);
void mode_kill(struct scene *scene, const struct trace *trace);
/* VICTIM runs to its end and nobody recovers anything. */
void mode_live(struct scene *scene, const struct trace *trace);
/* Of a scene with an `other` operation. */
void mode_pair(struct scene *scene);

#endif
