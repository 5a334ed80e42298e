/* SPDX-License-Identifier: MIT
 *
 * The benchmark. Knows: options, how long, the order of batches. Does not know: what is measured,
 * how it is shown. docs/performance.md says how to read it.
 */
#include "output.h"
#include "partner.h"
#include "rows.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define BATCHES_MAX 16
#define ROUNDS_MAX 32
#define STAMPS 1000
#define SKIPPED 77

struct effort {
	unsigned rounds;
	double duration_ns, warm_ns; /* of one row in one round */
	int64_t limit_ns;            /* no round begins after it */
	unsigned killed_after_s;     /* a watchdog: somebody spins for ever */
};

static const struct effort quick = { 2, 8e6, 2e6, INT64_C(10000000000), 60 };
static const struct effort full = { 9, 30e6, 5e6, INT64_C(200000000000), 600 };

mp_segment *bench_segment;

static struct batch batches[BATCHES_MAX];
static unsigned batch_count;

/* The price of reading the clock, taken off each lap. */
static double stamp_ns(void)
{
	int64_t least = INT64_MAX;

	for (unsigned round = 0; round < STAMPS; round++) {
		int64_t began = now_ns(), now = began;

		for (unsigned i = 0; i < STAMPS; i++)
			now = now_ns();
		if (now - began < least)
			least = now - began;
	}
	return (double)least / STAMPS;
}

static void print_machine(FILE *to)
{
	struct mp_segment_info info;
	struct utsname kernel;
	char date[32];
	time_t now = time(NULL);

	uname(&kernel);
	check(mp_segment_info(bench_segment, &info));
	strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
	fprintf(to, "# %s %s, %ld CPUs, engine %s, libshm %s, %s\n", kernel.machine,
		kernel.release, sysconf(_SC_NPROCESSORS_ONLN), info.engine, mp_version(), date);
	fflush(to);
}

/* One round over the batches that still want one; false if none does. */
static bool go_round(struct run *run, unsigned rounds, unsigned round)
{
	bool is_wanted = false;

	for (unsigned i = 0; i < batch_count; i++) {
		if (batches[i].kept >= rounds)
			continue;
		is_wanted = true;
		batch_measure(&batches[i], run, round);
	}
	return is_wanted;
}

/* Rounds go on beyond their number for batches that were disturbed, while there is time. */
static void measure(const struct effort *effort)
{
	struct run *run = partner_run();
	int64_t began = now_ns();

	run->duration_ns = effort->duration_ns;
	run->warm_ns = effort->warm_ns;
	run->stamp_ns = stamp_ns();
	for (unsigned round = 0; round < ROUNDS_MAX; round++)
		if ((round > 0 && now_ns() - began > effort->limit_ns) ||
		    !go_round(run, effort->rounds, round))
			return;
}

static int usage(void)
{
	fputs("usage: bench [--json] [--quick]\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const struct effort *effort = &full;
	bool is_json = false;
	int code = setup_main(argc, argv);

	if (code >= 0)
		return code;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			is_json = true;
		else if (strcmp(argv[i], "--quick") == 0)
			effort = &quick;
		else
			return usage();
	}
	alarm(effort->killed_after_s);
	check(mp_segment_open("bench", NULL, &bench_segment));
	print_machine(is_json ? stderr : stdout);
	probes_open();
	rows_open();
	if (!partner_start()) {
		fputs("bench: two CPUs are needed\n", stderr);
		return SKIPPED;
	}
	batch_count = batch_cut(rows, row_count, batches, BATCHES_MAX);
	measure(effort);
	partner_stop();
	for (unsigned i = 0; i < batch_count; i++)
		batch_settle(&batches[i]);
	(is_json ? output_json : output_table)(rows, row_count, batches, batch_count);
	mp_segment_close(bench_segment);
	return 0;
}
