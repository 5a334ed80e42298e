/* SPDX-License-Identifier: MIT
 *
 * What always-on tracking costs. Knows: the library, and the same library with its counters and
 * held-lock lists built out (untracked.py). Does not know: what they track.
 *
 * Measured in a forked child: the other library is then alone in its process, and gone after it.
 */
#include "rows.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAIRS_A_LAP 1000

struct library {
	const char *path; /* NULL: the one we are linked with */
};

struct calls {
	int (*open_segment)(const char *name, const struct mp_segment_opts *opts,
			    mp_segment **ret_segment);
	mp_segment *(*close_segment)(mp_segment *segment);
	int (*open_lock)(mp_segment *segment, const char *name, const struct mp_lock_opts *opts,
			 mp_lock **ret_lock);
	int (*acquire)(mp_lock *lock, int64_t timeout);
	int (*release)(mp_lock *lock);
};

const struct library library_tracked = { NULL };
const struct library library_untracked = { UNTRACKED_LIBRARY };

static void *find(void *handle, const char *name)
{
	void *symbol = dlsym(handle, name);

	if (!symbol)
		bench_fail(dlerror());
	return symbol;
}

static struct calls load(const struct library *library)
{
	void *handle = library->path ? dlopen(library->path, RTLD_NOW | RTLD_LOCAL)
				     : RTLD_DEFAULT;
	struct calls calls;

	if (library->path && !handle)
		bench_fail(dlerror());
	*(void **)&calls.open_segment = find(handle, "mp_segment_open");
	*(void **)&calls.close_segment = find(handle, "mp_segment_close");
	*(void **)&calls.open_lock = find(handle, "mp_lock_open");
	*(void **)&calls.acquire = find(handle, "mp_lock_acquire");
	*(void **)&calls.release = find(handle, "mp_lock_release");
	return calls;
}

static void measure(struct run *run)
{
	struct calls calls = load(run->row->arg);
	mp_segment *segment;
	mp_lock *lock;

	check(calls.open_segment("bench-tracking", NULL, &segment));
	check(calls.open_lock(segment, "lock", NULL, &lock));
	run_begin(run);
	do {
		for (unsigned i = 0; i < PAIRS_A_LAP; i++) {
			check(calls.acquire(lock, MP_FOREVER));
			check(calls.release(lock));
		}
	} while (run_lap(run, PAIRS_A_LAP));
	calls.close_segment(segment);
}

void pairs_of_library(struct run *run)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		bench_fail("cannot fork");
	if (child == 0) {
		measure(run);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status != 0)
		bench_fail("the child that measures tracking failed");
}
