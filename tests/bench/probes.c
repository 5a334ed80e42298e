/* SPDX-License-Identifier: MIT
 *
 * What the machine can do at all. Knows: line, raw(n), the placement of the two CPUs. Does not
 * know: the product.
 *
 * raw(n) is the fastest of the hand-offs that were tried. Up to 56 bytes: flag and bytes in one
 * cache line. 64: the bytes in the next line. Above: one place that both ways share, so that each
 * CPU writes what it has just read; places of their own or used in turn take a third longer.
 */
#include "probes.h"

#include <string.h>

#define FLAG_BYTES 56
#define LINE_BYTES 64
#define AREA_BYTES (UINT32_C(1) << 20)
#define STOP UINT64_MAX
#define RMW_PER_LAP 1000
/* A round trip of a line against a locked addition at home: 40 to 70 between CPUs that share a
 * cache, above 200 between those that do not, on two machines of different makers. */
#define FAR_FROM 120
/* No two CPUs of a machine are that far apart: one of the processes did not run. */
#define NOWHERE_FROM 1000

struct side {
	_Alignas(64) _Atomic uint64_t turn;
	unsigned char bytes[FLAG_BYTES];
	_Alignas(64) unsigned char area[AREA_BYTES];
};

static struct side *side; /* 0: there, 1: back */

const char *const placement_names[PLACEMENTS] = { "near", "far", "disturbed" };

static uint64_t wait_turn(struct side *from, uint64_t turn)
{
	uint64_t now;

	do
		now = atomic_load_explicit(&from->turn, memory_order_acquire);
	while (now != turn && now != STOP);
	return now;
}

static void give_turn(struct side *to, uint64_t turn)
{
	atomic_store_explicit(&to->turn, turn, memory_order_release);
}

static unsigned char *place(struct side *of, size_t bytes)
{
	if (bytes <= FLAG_BYTES)
		return of->bytes;
	return bytes <= LINE_BYTES ? of->area : side[0].area;
}

static void begin(struct run *run)
{
	give_turn(&side[1], 0);
	run_begin(run);
}

static void run_line(struct run *run)
{
	uint64_t turn = 0;

	begin(run);
	do {
		give_turn(&side[0], ++turn);
		wait_turn(&side[1], turn);
	} while (run_lap(run, 1));
	give_turn(&side[0], STOP);
}

static void echo_line(struct run *run)
{
	for (uint64_t turn = 1; wait_turn(&side[0], turn) != STOP; turn++)
		give_turn(&side[1], turn);
	give_turn(&side[0], 0);
}

static void run_raw(struct run *run)
{
	size_t bytes = run->row->bytes;
	unsigned char *there = place(&side[0], bytes), *back = place(&side[1], bytes);
	uint64_t turn = 0;

	begin(run);
	do {
		memcpy(there, run->buffer, bytes);
		give_turn(&side[0], ++turn);
		wait_turn(&side[1], turn);
		memcpy(run->buffer, back, bytes);
	} while (run_lap(run, 1));
	give_turn(&side[0], STOP);
}

static void echo_raw(struct run *run)
{
	size_t bytes = run->row->bytes;
	unsigned char *there = place(&side[0], bytes), *back = place(&side[1], bytes);

	for (uint64_t turn = 1; wait_turn(&side[0], turn) != STOP; turn++) {
		memcpy(run->buffer, there, bytes);
		memcpy(back, run->buffer, bytes);
		give_turn(&side[1], turn);
	}
	give_turn(&side[0], 0);
}

static void run_rmw(struct run *run)
{
	_Atomic uint64_t word = 0;

	run_begin(run);
	do {
		for (unsigned i = 0; i < RMW_PER_LAP; i++)
			atomic_fetch_add(&word, 1);
	} while (run_lap(run, RMW_PER_LAP));
}

const struct row probe_rmw = { .name = "rmw", .unit = "ns", .run = run_rmw };
const struct row probe_line = { .name = "line", .unit = "ns", .run = run_line, .other = echo_line };

#define RAW(label, size)                                                                           \
	{ .name = "raw_" label, .unit = "ns", .bytes = (size), .run = run_raw, .other = echo_raw }

static const struct row raws[] = {
	RAW("8", 8),	    RAW("48", 48),	 RAW("64", 64),
	RAW("1K", 1 << 10), RAW("64K", 1 << 16), RAW("1M", 1 << 20),
};

const struct row *probe_raw_at(unsigned index)
{
	return index < sizeof raws / sizeof raws[0] ? &raws[index] : NULL;
}

const struct row *probe_raw(size_t bytes)
{
	const struct row *raw;

	for (unsigned i = 0; (raw = probe_raw_at(i)); i++)
		if (raw->bytes == bytes)
			return raw;
	return NULL;
}

enum placement placement_of(double line_ns, double rmw_ns)
{
	if (!(line_ns > 0) || !(rmw_ns > 0) || line_ns > NOWHERE_FROM * rmw_ns)
		return DISTURBED;
	return line_ns < FAR_FROM * rmw_ns ? NEAR : FAR;
}

void probes_open(void)
{
	side = shared_pages(2 * sizeof *side);
}
