/* SPDX-License-Identifier: MIT
 *
 * How late the machine itself is. Knows: processors, clocks. Does not know: what is measured.
 */
#include "bystander.h"

#include "harness.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define LATE_NS INT64_C(4000000)
#define PATIENCE_MS 20000

struct bystander {
	int processor;
	_Atomic int64_t late_ns; /* when it last woke up late */
	_Atomic int64_t seen_ns; /* when it last woke up */
};

static int sleep_and_note(void *arg)
{
	struct bystander *me = arg;
	int64_t begin_ns, end_ns;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(me->processor, &set);
	(void)!sched_setaffinity(0, sizeof(set), &set);
	for (;;) {
		begin_ns = harness_now_ns();
		harness_sleep_ms(1);
		end_ns = harness_now_ns();
		if (end_ns - begin_ns > LATE_NS)
			atomic_store(&me->late_ns, end_ns);
		atomic_store(&me->seen_ns, end_ns);
	}
	return 0;
}

void bystanders_begin(struct bystanders *bystanders)
{
	cpu_set_t set;

	*bystanders = (struct bystanders){ .count = 0 };
	bystanders->shared = mmap(NULL, BYSTANDERS_MAX * sizeof(*bystanders->shared),
				  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(bystanders->shared != MAP_FAILED);
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int i = 0; i < CPU_SETSIZE && bystanders->count < BYSTANDERS_MAX; i++) {
		struct bystander *next = &bystanders->shared[bystanders->count];

		if (!CPU_ISSET(i, &set))
			continue;
		next->processor = i;
		bystanders->children[bystanders->count++] = harness_fork(sleep_and_note, next);
	}
}

void bystanders_end(struct bystanders *bystanders)
{
	for (unsigned i = 0; i < bystanders->count; i++)
		harness_kill(bystanders->children[i]);
	munmap(bystanders->shared, BYSTANDERS_MAX * sizeof(*bystanders->shared));
}

struct look {
	struct bystander *bystander;
	int64_t after_ns;
};

static bool was_seen(void *arg)
{
	struct look *look = arg;

	return atomic_load(&look->bystander->seen_ns) > look->after_ns;
}

/* Who is late just now has not said so yet. */
bool bystanders_were_in_time(struct bystanders *bystanders, int64_t begin_ns)
{
	int64_t now_ns = harness_now_ns();
	bool is_any_late = false;

	for (unsigned i = 0; i < bystanders->count; i++) {
		struct look look = { &bystanders->shared[i], now_ns };

		assert_true(harness_until(was_seen, &look, PATIENCE_MS));
		is_any_late |= atomic_load(&look.bystander->late_ns) >= begin_ns;
	}
	return !is_any_late;
}
