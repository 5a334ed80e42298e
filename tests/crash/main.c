/* SPDX-License-Identifier: MIT
 *
 * The crash matrix: every operation in every context dies in every mode. Knows: jobs, workers,
 * options, totals. Does not know: any operation, any mode.
 *
 * The last line on standard output is for programs: see report().
 */
#include "libshm/memory_room.h"
#include "clock.h"
#include "code.h"
#include "crash.h"
#include "mode.h"
#include "require.h"
#include "scene.h"
#include "trace.h"

#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define WORKERS_MAX 64
#define JOB_SECONDS 3600
#define PROGRESS_NS INT64_C(15000000000)

const struct family *const families[] = { &lock_family, &event_family, &sem_family,
					  &barrier_family, &cond_family, &rwlock_family,
					  &queue_family, &object_family, &arena_family,
					  &attach_family, &recovery_family };
const unsigned family_count = sizeof families / sizeof *families;
struct totals *totals;
struct limits limits;

struct job {
	const struct operation *operation, *other;
	const struct context *context;
};

static struct options {
	const char *filter;
	unsigned workers;
	bool has_snapshots, has_lives, has_kills, has_pairs, is_verbose;
} options = { .has_snapshots = true, .has_lives = true, .has_kills = true, .has_pairs = true };

static bool is_over(void)
{
	return limits.stops_at_first && atomic_load(&totals->failures) > 0;
}

static void run_single(const struct job *job)
{
	static struct scene scene;
	struct trace trace;

	scene_begin(&scene, job->operation, job->context, NULL);
	if (options.has_snapshots) {
		mode_snapshot(&scene, &trace);
	} else {
		trace_run(&scene, VICTIM, &trace, NULL);
		scene_rewind(&scene);
	}
	if (options.is_verbose)
		printf("  %s, %s: %u instructions%s\n", job->operation->name, job->context->name,
		       trace.count, trace.is_asleep ? ", asleep at the end" : "");
	fflush(stdout);
	if (options.has_lives)
		mode_live(&scene, &trace);
	if (options.has_kills)
		mode_kill(&scene, &trace);
}

static void run_pair(const struct job *job)
{
	static struct scene scene;

	scene_begin(&scene, job->operation, job->context, job->other);
	mode_pair(&scene);
}

static void say(const struct job *job)
{
	if (options.is_verbose)
		printf("%s, %s%s%s\n", job->operation->name, job->context->name,
		       job->other ? ", with " : "", job->other ? job->other->name : "");
	fflush(stdout);
}

/* --- workers: each job is a process --- */

static pid_t workers[WORKERS_MAX];
static unsigned running;

/* Long work shows that it goes on. */
static void tell_progress(void)
{
	static int64_t told_ns;
	int64_t now = clock_now_ns();

	if (!told_ns)
		told_ns = now;
	if (now - told_ns < PROGRESS_NS)
		return;
	told_ns = now;
	printf("so far: %lu states, %lu kills, %lu pairs, %lu failures\n",
	       atomic_load(&totals->states), atomic_load(&totals->kills),
	       atomic_load(&totals->pairs), atomic_load(&totals->failures));
	fflush(stdout);
}

/* 0: the first that is free. */
static unsigned worker_of(pid_t pid)
{
	unsigned i = 0;

	while (i + 1 < options.workers && workers[i] != pid)
		i++;
	return i;
}

static void reap_one(void)
{
	int status;
	pid_t pid = wait(&status);

	tell_progress();
	if (pid < 0)
		return;
	workers[worker_of(pid)] = 0;
	running--;
	if (status == 0)
		return;
	fprintf(stderr, "crash: a scene ended with status %#x: its results are void\n",
		(unsigned)status);
	atomic_fetch_add(&totals->failures, 1);
}

/* Parties that take turns are faster on one CPU than waking each other on another. One that wakes
 * up meanwhile is to run beside them. */
static void stay_on_cpu(unsigned worker)
{
	cpu_set_t usable, here;
	unsigned cpu = 0, left;

	if (sched_getaffinity(0, sizeof usable, &usable) < 0)
		return;
	for (left = worker % (unsigned)CPU_COUNT(&usable); left || !CPU_ISSET(cpu, &usable); cpu++)
		left -= CPU_ISSET(cpu, &usable) != 0;
	CPU_ZERO(&here);
	CPU_SET(cpu, &here);
	sched_setaffinity(0, sizeof here, &here);
}

static void run_job(const struct job *job)
{
	unsigned worker;
	pid_t pid;

	if (is_over())
		return;
	while (running >= options.workers)
		reap_one();
	say(job);
	worker = worker_of(0);
	pid = fork();
	require(pid >= 0);
	if (pid == 0) {
		alarm(JOB_SECONDS);
		if (!job->other && !job->context->has_sleeper)
			stay_on_cpu(worker);
		if (job->other)
			run_pair(job);
		else
			run_single(job);
		_exit(0);
	}
	workers[worker] = pid;
	running++;
}

static bool is_wanted(const struct operation *operation)
{
	return !options.filter || strstr(operation->name, options.filter);
}

static void run_singles(const struct operation *operation)
{
	const struct family *family = operation->family;

	for (unsigned i = 0; i < family->context_count; i++)
		if (operation->contexts >> i & 1)
			run_job(&(struct job){ .operation = operation,
					       .context = &family->contexts[i] });
}

static bool can_be_paired(const struct operation *a, const struct operation *b)
{
	/* EARLIER does what one of two recoverers expects: both expect the same. */
	return a->variant == b->variant && !(a->is_exclusive && b->is_exclusive) &&
	       (!a->rival || !b->rival || a == b);
}

static void run_pair_in(const struct operation *operation, const struct operation *other,
			uint32_t contexts)
{
	for (unsigned i = 0; i < 32; i++)
		if (contexts >> i & 1)
			run_job(&(struct job){ .operation = operation,
					       .other = other,
					       .context = &operation->family->contexts[i] });
}

static void run_pairs(const struct operation *operation)
{
	const struct family *family = operation->family;
	uint32_t contexts = operation->contexts & family->pair_contexts;

	for (unsigned i = 0; i < family->operation_count; i++) {
		const struct operation *other = &family->operations[i];

		if (can_be_paired(operation, other))
			run_pair_in(operation, other, contexts & other->contexts);
	}
	if (operation->beside)
		run_pair_in(operation,
			    scene_operation_named(operation->beside, operation->variant),
			    contexts);
}

static void run_all(void)
{
	for (unsigned f = 0; f < family_count; f++)
		for (unsigned i = 0; i < families[f]->operation_count; i++) {
			const struct operation *operation = &families[f]->operations[i];

			if (!is_wanted(operation))
				continue;
			atomic_fetch_add(&totals->operations, 1);
			if (options.has_snapshots || options.has_lives || options.has_kills)
				run_singles(operation);
			if (options.has_pairs)
				run_pairs(operation);
		}
	while (running > 0)
		reap_one();
}

/* --- options --- */

static const char usage[] =
	"usage: crash [--filter TEXT] [--modes snapshot,live,kill,pair] [--kills N]\n"
	"             [--points N] [--workers N] [--stop-at-first] [--verbose]\n"
	"  --kills N     about N kills for each operation in a context (0: each instruction)\n"
	"  --points N    stops of each of two in a pair\n";

static unsigned usable_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static void choose_modes(const char *modes)
{
	options.has_snapshots = strstr(modes, "snapshot");
	options.has_lives = strstr(modes, "live");
	options.has_kills = strstr(modes, "kill");
	options.has_pairs = strstr(modes, "pair");
}

static bool read_options(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "filter", required_argument, NULL, 'f' },
		{ "modes", required_argument, NULL, 'm' },
		{ "kills", required_argument, NULL, 'k' },
		{ "points", required_argument, NULL, 'p' },
		{ "workers", required_argument, NULL, 'w' },
		{ "stop-at-first", no_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'f': options.filter = optarg; break;
		case 'm': choose_modes(optarg); break;
		case 'k': limits.kills = (unsigned)atoi(optarg); break;
		case 'p': limits.points = (unsigned)atoi(optarg); break;
		case 'w': options.workers = (unsigned)atoi(optarg); break;
		case 's': limits.stops_at_first = true; break;
		case 'v': options.is_verbose = true; break;
		default: return false;
		}
	}
	if (options.workers == 0 || options.workers > WORKERS_MAX)
		options.workers = usable_cpus();
	return optind == argc;
}

static void report(void)
{
	printf("crash: %lu operations, %lu instructions, %lu states, %lu kills, %lu pairs, "
	       "%lu failures\n",
	       atomic_load(&totals->operations), atomic_load(&totals->instructions),
	       atomic_load(&totals->states), atomic_load(&totals->kills),
	       atomic_load(&totals->pairs), atomic_load(&totals->failures));
}

int main(int argc, char **argv)
{
	limits.points = 6;
	if (!read_options(argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	require(totals != MAP_FAILED);
	code_begin();
	memory_room_set_source(NULL); /* what the kernel answers is not the operations' own */
	run_all();
	printf("left out: %lu kills came too late, %lu pairs were held up before they met\n",
	       atomic_load(&totals->missed), atomic_load(&totals->held_up));
	report();
	return atomic_load(&totals->failures) > 0;
}
