/* SPDX-License-Identifier: MIT
 *
 * Proves: whoever is killed inside the arena, at whichever instruction, one sweep makes it whole:
 * nothing lost, nothing freed that somebody else owns, every free block found again.
 *
 * Two ways. A victim is stepped through one operation, instruction by instruction; after each one
 * that changed the segment a copy of it is swept and checked. And victims that work in a loop are
 * really killed, at any time.
 */
#include "harness_segment.h"

#include "arena.h"
#include "memory_room.h"
#include "shmref.h"
#include "slot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define SEGMENT_BYTES (5 * MIB)
/* The header and the words of the run with most blocks. */
#define RUN_HEAD_BYTES 7680
#define TABLE_BYTES 4096

static struct arena_cache cache;

static bool yes(void *ctx)
{
	return true;
}

/* -- operations that are stepped -------------------------------------------------------------- */

struct scene {
	struct seg *seg;
	uint32_t client; /* the victim */
	uint32_t dead;   /* somebody who died before, for the sweep as victim */
	uint64_t reference;
	const struct operation *operation;
	_Atomic int *is_done;
};

struct operation {
	const char *name;
	void (*set)(struct scene *scene);     /* by the living, before */
	void (*prepare)(struct scene *scene); /* by the victim, not stepped */
	void (*run)(struct scene *scene);
	unsigned linked; /* blocks that may be left LINKED */
};

static uint64_t take(struct scene *scene, struct arena_cache *from, uint32_t client, uint64_t bytes)
{
	uint64_t reference;
	void *data;

	assert_int_equal(arena_alloc(scene->seg, from, client, bytes, &reference, &data), 0);
	return reference;
}

static void nothing(struct scene *scene)
{
}

/* Runs with free blocks between blocks in use, and blocks in the living one's cache. */
static void set_used(struct scene *scene)
{
	static struct arena_cache living;
	uint64_t references[120];

	for (unsigned i = 0; i < 120; i++)
		references[i] = take(scene, &living, scene->seg->client, i % 40 ? 64 : 5000);
	for (unsigned i = 0; i < 120; i += 2)
		assert_int_equal(arena_free(scene->seg, i % 3 ? &living : NULL, scene->seg->client,
					    references[i]), 0);
	assert_int_equal(arena_link(scene->seg, scene->seg->client, references[1]), 0);
}

static void set_holes(struct scene *scene)
{
	uint64_t references[6];

	set_used(scene);
	for (unsigned i = 0; i < 6; i++)
		references[i] = take(scene, NULL, scene->seg->client, 65536 * (1 + i % 3));
	for (unsigned i = 0; i < 6; i += 2)
		assert_int_equal(arena_free(scene->seg, NULL, scene->seg->client, references[i]),
				 0);
}

static void set_full(struct scene *scene)
{
	uint64_t reference;
	void *data;

	set_used(scene);
	while (arena_alloc(scene->seg, NULL, scene->seg->client, 65536, &reference, &data) == 0)
		scene->reference = reference;
}

static void set_one_granule_left(struct scene *scene)
{
	set_full(scene);
	assert_int_equal(arena_free(scene->seg, NULL, scene->seg->client, scene->reference), 0);
}

static void set_dead(struct scene *scene)
{
	static struct arena_cache theirs;

	set_used(scene);
	for (unsigned i = 0; i < 20; i++)
		take(scene, &theirs, scene->dead, 64 + i * 300);
	take(scene, &theirs, scene->dead, 100000);
}

static void hold_small(struct scene *scene)
{
	scene->reference = take(scene, &cache, scene->client, 64);
}

static void hold_large(struct scene *scene)
{
	scene->reference = take(scene, &cache, scene->client, 150000);
}

static void hold_linked(struct scene *scene)
{
	hold_small(scene);
	assert_int_equal(arena_link(scene->seg, scene->client, scene->reference), 0);
}

static void hold_with_full_cache(struct scene *scene)
{
	uint64_t references[ARENA_CACHE_BLOCKS + 40];
	unsigned count = ARENA_CACHE_BLOCKS + 40, class_of_64 = 0;

	for (unsigned i = 0; i < count; i++)
		references[i] = take(scene, &cache, scene->client, 64);
	for (unsigned i = 1; cache.stock[class_of_64].count < ARENA_CACHE_BLOCKS; i++)
		assert_int_equal(arena_free(scene->seg, &cache, scene->client, references[i]), 0);
	scene->reference = references[0];
}

static void run_alloc(struct scene *scene)
{
	take(scene, &cache, scene->client, 64);
}

static void run_alloc_uncached(struct scene *scene)
{
	take(scene, NULL, scene->client, 64);
}

static void run_alloc_medium(struct scene *scene)
{
	take(scene, &cache, scene->client, 10000);
}

static void run_alloc_large(struct scene *scene)
{
	take(scene, &cache, scene->client, 150000);
}

static void run_alloc_in_vain(struct scene *scene)
{
	uint64_t reference;
	void *data;

	assert_int_equal(arena_alloc(scene->seg, &cache, scene->client, 10000, &reference, &data),
			 -ENOSPC);
}

static void run_free(struct scene *scene)
{
	assert_int_equal(arena_free(scene->seg, &cache, scene->client, scene->reference), 0);
}

static void run_free_uncached(struct scene *scene)
{
	assert_int_equal(arena_free(scene->seg, NULL, scene->client, scene->reference), 0);
}

static void run_link(struct scene *scene)
{
	assert_int_equal(arena_link(scene->seg, scene->client, scene->reference), 0);
}

static void run_unlink(struct scene *scene)
{
	assert_int_equal(arena_unlink(scene->seg, scene->client, scene->reference), 0);
}

static void run_flush(struct scene *scene)
{
	arena_flush(scene->seg, &cache, scene->client);
}

static void run_sweep(struct scene *scene)
{
	arena_sweep(scene->seg, scene->dead, yes, NULL);
}

static const struct operation operations[] = {
	{ "alloc, no run yet", nothing, nothing, run_alloc, 0 },
	{ "alloc, refill", set_used, nothing, run_alloc, 0 },
	{ "alloc, warm", set_used, hold_small, run_alloc, 0 },
	{ "alloc without a cache", set_used, nothing, run_alloc_uncached, 0 },
	{ "alloc of four granules' run", set_holes, nothing, run_alloc_medium, 0 },
	{ "alloc of granules", nothing, nothing, run_alloc_large, 0 },
	{ "alloc of granules in holes", set_holes, nothing, run_alloc_large, 0 },
	{ "alloc, one granule left", set_one_granule_left, nothing, run_alloc_medium, 0 },
	{ "alloc, full", set_full, nothing, run_alloc_in_vain, 0 },
	{ "free", set_used, hold_small, run_free, 0 },
	{ "free without a cache", set_used, hold_small, run_free_uncached, 0 },
	{ "free with flush", set_used, hold_with_full_cache, run_free, 0 },
	{ "free of granules", set_holes, hold_large, run_free, 0 },
	{ "link", set_used, hold_small, run_link, 1 },
	{ "unlink", set_used, hold_linked, run_unlink, 1 },
	{ "flush", set_used, hold_with_full_cache, run_flush, 0 },
	{ "sweep", set_dead, nothing, run_sweep, 0 },
};

/* -- copies ----------------------------------------------------------------------------------- */

static uint64_t granule_at(const struct seg *seg, uint32_t granule)
{
	return seg->at.arena + granule * GRANULE_BYTES;
}

static bool copy_if_new(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	if (memcmp(to, from, bytes) == 0)
		return false;
	memcpy(to, from, bytes);
	return true;
}

/* Bring every word that the arena knows into `to`; false if nothing had changed. */
static bool snapshot(struct seg *to, const struct seg *from)
{
	uint32_t high = seg_granules_high(from);
	bool is_new = copy_if_new(to->base, from->base, HEADER_BYTES);

	is_new |= copy_if_new(to->base + to->at.granules, from->base + from->at.granules,
			      TABLE_BYTES);
	for (uint32_t i = 0; i < high; i++)
		is_new |= copy_if_new(to->base + granule_at(to, i),
				      from->base + granule_at(from, i), RUN_HEAD_BYTES);
	return is_new;
}

static struct seg *make_copy(const struct seg *seg)
{
	struct seg *copy = harness_segment(SEGMENT_BYTES);

	assert_true(seg->at.granule_count * sizeof(atom64) <= TABLE_BYTES);
	memcpy(copy->base, seg->base, seg->at.directory);
	copy->client = seg->client;
	copy->client_generation = seg->client_generation;
	return copy;
}

/* -- judging ---------------------------------------------------------------------------------- */

struct judge {
	struct seg *last; /* as the victim left it */
	struct seg *copy; /* swept */
	struct arena_usage before;
	unsigned states, needed_repair, bad;
};

static bool is_whole(struct seg *seg, const struct arena_usage *before, unsigned linked)
{
	struct arena_usage now;

	arena_measure(seg, &now);
	return arena_check(seg) == 0 && now.blocks_held == before->blocks_held &&
	       now.blocks_cached == before->blocks_cached &&
	       now.blocks_linked >= before->blocks_linked &&
	       now.blocks_linked <= before->blocks_linked + linked &&
	       load_relaxed(&seg->header->arena_guard.owner) == 0;
}

/* It is not enough that it looks whole. */
static bool works(struct seg *seg)
{
	static const uint64_t sizes[] = { 64, 5000, 65536 };
	uint64_t references[3];
	unsigned taken = 0, wrong = 0;
	void *data;

	for (unsigned i = 0; i < 3; i++)
		if (arena_alloc(seg, NULL, seg->client, sizes[i], &references[taken], &data) == 0)
			taken++;
	for (unsigned i = 0; i < taken; i++) {
		wrong += arena_at(seg, references[i], NULL) == NULL;
		wrong += arena_free(seg, NULL, seg->client, references[i]) != 0;
		wrong += arena_free(seg, NULL, seg->client, references[i]) != -EINVAL;
	}
	return taken > 0 && wrong == 0 && arena_check(seg) == 0;
}

static void judge_state(struct judge *judge, const struct scene *scene, unsigned step)
{
	unsigned linked = scene->operation->linked;

	if (!snapshot(judge->last, scene->seg) && step > 0)
		return;
	snapshot(judge->copy, judge->last);
	judge->states++;
	judge->needed_repair += !is_whole(judge->copy, &judge->before, linked);
	arena_sweep(judge->copy, scene->client, yes, NULL);
	arena_sweep(judge->copy, scene->dead, yes, NULL);
	if (is_whole(judge->copy, &judge->before, linked) && works(judge->copy))
		return;
	if (judge->bad++ == 0)
		fprintf(stderr, "%s: not whole after instruction %u\n", scene->operation->name,
			step);
}

#define CHILD_CANNOT_TRACE 77

static int be_stepped(void *arg)
{
	struct scene *scene = arg;

	scene->operation->prepare(scene);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		return CHILD_CANNOT_TRACE;
	raise(SIGSTOP);
	scene->operation->run(scene);
	atomic_store(scene->is_done, 1);
	while (pause() < 0)
		;
	return 1;
}

/* Step the child to its end; how many instructions that were. */
static unsigned step_through(pid_t child, struct scene *scene, struct judge *judge)
{
	unsigned steps = 0;
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_CANNOT_TRACE)
		harness_skip("ptrace is refused");
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	while (!atomic_load(scene->is_done)) {
		judge_state(judge, scene, steps);
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		steps++;
	}
	return steps;
}

static void step_operation(const struct operation *operation)
{
	uint32_t generation;
	struct scene scene = { .seg = harness_segment(SEGMENT_BYTES), .operation = operation };
	struct judge judge = { .states = 0 };
	unsigned steps;
	pid_t child;

	scene.client = harness_segment_client(scene.seg, &generation);
	scene.dead = harness_segment_client(scene.seg, &generation);
	scene.is_done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(scene.is_done != MAP_FAILED);
	operation->set(&scene);
	judge.last = make_copy(scene.seg);
	judge.copy = make_copy(scene.seg);
	snapshot(judge.copy, scene.seg);
	arena_sweep(judge.copy, scene.dead, yes, NULL);
	arena_measure(judge.copy, &judge.before);
	child = harness_fork(be_stepped, &scene);
	steps = step_through(child, &scene, &judge);
	harness_kill(child);
	fprintf(stderr, "%s: %u instructions, %u states, %u needed repair, %u bad\n",
		operation->name, steps, judge.states, judge.needed_repair, judge.bad);
	assert_int_equal(judge.bad, 0);
	assert_true(judge.needed_repair > 0);
	munmap((void *)scene.is_done, 4096);
	harness_segment_end(judge.copy);
	harness_segment_end(judge.last);
	harness_segment_end(scene.seg);
}

/* ThreadSanitizer's own instructions would be stepped too, and its memory is not in the copies. */
#ifdef __SANITIZE_THREAD__
#define STEPS_ARE_OURS false
#else
#define STEPS_ARE_OURS true
#endif

static void every_instruction_of_every_operation_can_be_the_last(void **state)
{
	if (!STEPS_ARE_OURS)
		harness_skip("instructions are not stepped under ThreadSanitizer");
	memory_room_set_source(NULL); /* what the kernel answers is not the operations' own */
	for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		step_operation(&operations[i]);
}

/* -- real kills ------------------------------------------------------------------------------- */

struct victim {
	struct seg *seg;
	uint32_t client, generation;
	pid_t pid;
	unsigned seed;
	atom32 *begun; /* shared: it has worked for some rounds */
};

static int work_until_killed(void *arg)
{
	struct victim *me = arg;
	struct seg *seg = harness_segment_map_again(me->seg);
	uint64_t references[200] = { 0 }, size;
	uint32_t x = me->seed;
	void *data;

	seg->client = me->client;
	seg->client_generation = me->generation;
	memset(&cache, 0, sizeof cache); /* the parent's: in a client it is wiped by the fork */
	for (uint64_t round = 0; round < UINT64_MAX; round++, x = x * 1664525 + 1013904223) {
		uint64_t *one = &references[(x >> 8) % 200];
		struct arena_cache *with = x >> 16 & 3 ? &cache : NULL;

		if (round == 200)
			store_release(me->begun, 1);
		if (*one) {
			assert_int_equal(arena_free(seg, with, me->client, *one), 0);
			*one = 0;
			continue;
		}
		size = x >> 20 & 15 ? (x >> 12) % 20000 : (x >> 12) % 200000;
		if (arena_alloc(seg, with, me->client, size, one, &data) == 0)
			memset(data, 1, size < 64 ? size : 64);
	}
	return 1;
}

static bool has_begun(void *arg)
{
	return load_acquire(((struct victim *)arg)->begun);
}

/* It is in the middle of its work, however long the machine took to get it there. */
static void start(struct victim *victim, struct seg *seg, unsigned seed)
{
	victim->seg = seg;
	victim->seed = seed;
	victim->client = harness_segment_client(seg, &victim->generation);
	victim->begun = mmap(NULL, sizeof(*victim->begun), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(victim->begun != MAP_FAILED);
	victim->pid = harness_fork(work_until_killed, victim);
	assert_true(harness_until(has_begun, victim, 10000));
}

static void kill_and_sweep(struct victim *victim)
{
	harness_kill(victim->pid);
	munmap(victim->begun, sizeof(*victim->begun));
	assert_true(slot_mark_dead(victim->seg, victim->client, victim->generation));
	arena_sweep(victim->seg, victim->client, yes, NULL);
	slot_free_client(victim->seg, victim->client, victim->generation);
}

static void own_some(struct seg *seg)
{
	uint64_t reference;
	void *data;

	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(arena_alloc(seg, &cache, seg->client, 50 + i * 700, &reference,
					     &data), 0);
	assert_int_equal(arena_link(seg, seg->client, reference), 0);
}

static void killed_allocators_leave_nothing(void **state)
{
	struct seg *seg = harness_segment(32 * MIB);
	struct arena_usage before, now;
	unsigned owned = 0, kills = 100 * harness_scale();

	own_some(seg);
	arena_measure(seg, &before);
	for (unsigned i = 0; i < kills; i++) {
		struct victim victim;

		start(&victim, seg, i + 1);
		harness_sleep_ms(1 + i % 3);
		kill(victim.pid, SIGSTOP);
		arena_measure(seg, &now);
		owned += now.blocks_cached > before.blocks_cached;
		kill_and_sweep(&victim);
		assert_true(is_whole(seg, &before, 0));
	}
	assert_true(owned > kills / 2);
	harness_segment_end(seg);
}

/* The others go on while one dies and is swept. */
static void allocators_survive_the_killing_of_others(void **state)
{
	struct seg *seg = harness_segment(32 * MIB);
	struct victim victims[3];
	struct arena_usage before;

	own_some(seg);
	arena_measure(seg, &before);
	for (unsigned i = 0; i < 3; i++)
		start(&victims[i], seg, i + 1);
	for (unsigned i = 0; i < 100 * harness_scale(); i++) {
		harness_sleep_ms(i % 3);
		kill_and_sweep(&victims[i % 3]);
		start(&victims[i % 3], seg, i + 4);
	}
	for (unsigned i = 0; i < 3; i++)
		kill_and_sweep(&victims[i]);
	assert_true(is_whole(seg, &before, 0));
	assert_true(works(seg));
	harness_segment_end(seg);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(every_instruction_of_every_operation_can_be_the_last),
	HARNESS_TEST(killed_allocators_leave_nothing),
	HARNESS_TEST(allocators_survive_the_killing_of_others),
};

HARNESS_MAIN(tests)
