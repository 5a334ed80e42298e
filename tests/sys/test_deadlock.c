/* SPDX-License-Identifier: MIT
 *
 * Proves: mptop names a cycle of locks between processes, tells scripts so by its exit code, and
 * sees none where there is none.
 */
#include "harness.h"
#include "program.h"

#include <libshm.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct scene {
	mp_lock *left, *right;
	_Atomic uint32_t arrived; /* who holds his first lock */
	_Atomic uint32_t go;      /* both may ask for the other's */
	_Atomic uint32_t finished;
};

struct actor {
	struct scene *scene;
	mp_lock *mine, *other;
};

static bool may_go(void *arg)
{
	return atomic_load(&((struct scene *)arg)->go) != 0;
}

static bool have_both_arrived(void *arg)
{
	return atomic_load(&((struct scene *)arg)->arrived) == 2;
}

static bool has_one_finished(void *arg)
{
	return atomic_load(&((struct scene *)arg)->finished) == 1;
}

static int embrace(void *arg)
{
	struct actor *actor = arg;

	assert_int_equal(mp_lock_acquire(actor->mine, MP_SEC(5)), 0);
	atomic_fetch_add(&actor->scene->arrived, 1);
	assert_true(harness_until(may_go, actor->scene, 20000));
	assert_true(MP_OK(mp_lock_acquire(actor->other, MP_SEC(30))));
	assert_int_equal(mp_lock_release(actor->other), 0);
	assert_int_equal(mp_lock_release(actor->mine), 0);
	atomic_fetch_add(&actor->scene->finished, 1);
	return 0;
}

/* Runs mptop as a script would; again for a while, because a wait begins after it was asked for. */
static void expect_mptop(int code, struct program *program)
{
	char *path = strdup(program_built("mptop/mptop"));
	char *argv[] = { path, "--once", "--fail-on=deadlock", NULL };
	int64_t deadline_ns = harness_now_ns() + INT64_C(5000000000);

	for (;;) {
		program_run(program, argv, 20);
		if (program->code == code || harness_now_ns() > deadline_ns)
			break;
		program_free(program);
		harness_sleep_ms(50);
	}
	free(path);
	if (program->code != code)
		fail_msg("mptop ended with %d and said:\n%s", program->code, program->text);
}

static mp_segment *open_scene(struct scene **ret_scene)
{
	struct scene *scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mp_segment *segment;

	assert_true(scene != MAP_FAILED);
	assert_int_equal(mp_segment_open("embrace", NULL, &segment), 0);
	assert_int_equal(mp_lock_open(segment, "left-hand", NULL, &scene->left), 0);
	assert_int_equal(mp_lock_open(segment, "right-hand", NULL, &scene->right), 0);
	*ret_scene = scene;
	return segment;
}

static void close_scene(struct scene *scene, mp_segment *segment)
{
	mp_lock_close(scene->left);
	mp_lock_close(scene->right);
	mp_segment_close(segment);
	munmap(scene, sizeof(*scene));
}

static void cycle_of_two_locks_is_named_and_ends_with_a_death(void **state)
{
	struct scene *scene;
	mp_segment *segment = open_scene(&scene);
	struct actor actors[] = { { scene, scene->left, scene->right },
				  { scene, scene->right, scene->left } };
	pid_t first = harness_fork(embrace, &actors[0]), second = harness_fork(embrace, &actors[1]);
	struct program program;

	assert_true(harness_until(have_both_arrived, scene, 5000));
	expect_mptop(0, &program); /* each holds one, nobody waits */
	program_free(&program);
	atomic_store(&scene->go, 1);
	expect_mptop(3, &program);
	if (!strstr(program.text, "left-hand") || !strstr(program.text, "right-hand"))
		fail_msg("mptop does not name both locks:\n%s", program.text);
	program_free(&program);
	harness_kill(first);
	assert_true(harness_until(has_one_finished, scene, 5000));
	harness_join(second);
	expect_mptop(0, &program);
	program_free(&program);
	close_scene(scene, segment);
}

static int wait_for_left(void *arg)
{
	struct scene *scene = arg;

	assert_true(MP_OK(mp_lock_acquire(scene->left, MP_SEC(30))));
	assert_int_equal(mp_lock_release(scene->left), 0);
	return 0;
}

static void waiting_without_a_cycle_is_no_deadlock(void **state)
{
	struct scene *scene;
	mp_segment *segment = open_scene(&scene);
	struct program program;
	pid_t waiters[3];

	assert_int_equal(mp_lock_acquire(scene->left, MP_SEC(5)), 0);
	for (unsigned i = 0; i < 3; i++)
		waiters[i] = harness_fork(wait_for_left, scene);
	harness_sleep_ms(100);
	for (unsigned i = 0; i < 3; i++) {
		expect_mptop(0, &program);
		program_free(&program);
	}
	assert_int_equal(mp_lock_release(scene->left), 0);
	for (unsigned i = 0; i < 3; i++)
		harness_join(waiters[i]);
	close_scene(scene, segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(cycle_of_two_locks_is_named_and_ends_with_a_death),
	HARNESS_TEST_WITH_MPD(waiting_without_a_cycle_is_no_deadlock),
};

HARNESS_MAIN(tests)
