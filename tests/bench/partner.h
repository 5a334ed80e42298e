/* SPDX-License-Identifier: MIT
 *
 * The other process. Knows: how it is started, told what to play, and pinned. Does not know: rows.
 */
#ifndef TESTS_BENCH_PARTNER_H
#define TESTS_BENCH_PARTNER_H

#include "bench.h"

/* Start it; from here on this process is pinned to the first CPU and it to the second. Everything
 * that both use must be open. False if there are not two CPUs. */
bool partner_start(void);
void partner_stop(void);

/* A measurement of the row, this process's part of it on the first CPU. */
void partner_measure(struct run *run);

/* Allocate a run that partner and children can write to. */
struct run *partner_run(void);

#endif
