/* SPDX-License-Identifier: MIT
 *
 * What the machine can do at all. Knows: line, raw(n), the placement of the two CPUs. Does not
 * know: the product.
 */
#ifndef TESTS_BENCH_PROBES_H
#define TESTS_BENCH_PROBES_H

#include "bench.h"

enum placement { NEAR, FAR, DISTURBED, PLACEMENTS };

extern const char *const placement_names[PLACEMENTS];

/* One locked addition to a word nobody else touches; the unit in which distance is told. */
extern const struct row probe_rmw;
/* One word there and back between the two CPUs, spinning. */
extern const struct row probe_line;
/* The barest hand-off of so many bytes there and back: one flag, a copy in and a copy out on each
 * side. NULL if no probe of that size exists. */
const struct row *probe_raw(size_t bytes);
const struct row *probe_raw_at(unsigned index); /* NULL after the last */

/* Where the host has put the two CPUs, from the medians of line and rmw. */
enum placement placement_of(double line_ns, double rmw_ns);

void probes_open(void);

#endif
