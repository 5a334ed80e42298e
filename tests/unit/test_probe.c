/* SPDX-License-Identifier: MIT
 *
 * Proves: where io_uring is refused, in each way containers refuse it, futexes are chosen and the
 * reason is known; where it is asked for and refused, that is an error; and that finding out is
 * noticed by nobody. That everything works there is tests/sys/test_kernels.c's.
 */
#include "harness.h"
#include "world.h"

#include "probe.h"
#include "uring_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RULES_MAX 3

/* How io_uring is refused, and what is said about it. */
static const struct refusal {
	const char *name;
	struct world_rule rules[RULES_MAX];
	unsigned count;
	enum probe_reason reason;
} refusals[] = {
	{ "EPERM", { WORLD_URING(WORLD_FAILS(EPERM)) }, 3, PROBE_FORBIDDEN },
	{ "ENOSYS", { WORLD_URING(WORLD_FAILS(ENOSYS)) }, 3, PROBE_MISSING },
	{ "the process is killed", { WORLD_URING(WORLD_KILLS) }, 3, PROBE_KILLS },
	{ "the thread is killed", { WORLD_URING(WORLD_KILLS_THREAD) }, 3, PROBE_KILLS },
	{ "SIGSYS", { WORLD_URING(WORLD_SIGNALS) }, 3, PROBE_KILLS },
	{ "who sets up a ring is killed",
	  { { SYS_io_uring_setup, WORLD_ANY, 0, WORLD_KILLS } }, 1, PROBE_KILLS },
	{ "who enters a ring is killed",
	  { { SYS_io_uring_enter, WORLD_ANY, 0, WORLD_KILLS } }, 1, PROBE_KILLS },
	{ "who asks for opcodes is killed",
	  { { SYS_io_uring_register, 1, IORING_REGISTER_PROBE, WORLD_KILLS } }, 1, PROBE_KILLS },
	{ "no rings may be registered, or the process is killed",
	  { { SYS_io_uring_register, 1, IORING_REGISTER_RING_FDS, WORLD_KILLS } }, 1,
	  PROBE_KILLS },
	{ "no opcodes are told",
	  { { SYS_io_uring_register, 1, IORING_REGISTER_PROBE, WORLD_FAILS(EINVAL) } }, 1,
	  PROBE_NO_WORDS },
	{ "a ring cannot be entered",
	  { { SYS_io_uring_enter, WORLD_ANY, 0, WORLD_FAILS(EPERM) } }, 1, PROBE_UNTRUE },
	{ "a kernel before 6.1 knows no such ring",
	  { { SYS_io_uring_setup, WORLD_ANY, 0, WORLD_FAILS(EINVAL) } }, 1, PROBE_NO_WORDS },
	{ "there are no descriptors left",
	  { { SYS_io_uring_setup, WORLD_ANY, 0, WORLD_FAILS(EMFILE) } }, 1, PROBE_NO_RING },
};

#define KILLING (&refusals[2])

static bool refusal_signals(const struct refusal *refusal)
{
	return refusal->rules[0].answer == WORLD_SIGNALS;
}

static void enter(const struct refusal *refusal)
{
	world_enter(refusal->rules, refusal->count);
}

static void in_each_world(int (*fn)(void *arg))
{
	for (unsigned i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		int code = harness_wait(harness_fork(fn, (void *)(uintptr_t)&refusals[i]));

		if (code)
			fail_msg("%s: %d", refusals[i].name, code);
	}
}

static int falls_back(void *arg)
{
	const struct refusal *refusal = arg;
	const struct park_ops *engine = NULL;

	unsetenv("MP_WAIT_ENGINE");
	enter(refusal);
	assert_int_equal(probe_engine(&engine), 0);
	assert_ptr_equal(engine, &park_futex);
	assert_int_equal(probe_reason(), refusal->reason);
	assert_true(strlen(probe_reason_text(probe_reason())) > 0);
	return 0;
}

static void refused_uring_falls_back_to_futex_and_says_why(void **state)
{
	in_each_world(falls_back);
}

static int insists(void *arg)
{
	const struct refusal *refusal = arg;
	const struct park_ops *engine = NULL;

	setenv("MP_WAIT_ENGINE", "uring", 1);
	enter(refusal);
	assert_true(probe_engine(&engine) < 0);
	assert_null(engine);
	assert_non_null(strstr(probe_refusal(), probe_reason_text(refusal->reason)));
	assert_non_null(strstr(probe_refusal(), "unset"));
	return 0;
}

static void refused_uring_that_was_asked_for_is_an_error(void **state)
{
	in_each_world(insists);
}

static int asks_for(void *name)
{
	const struct park_ops *engine = NULL;
	int result;

	setenv("MP_WAIT_ENGINE", name, 1);
	result = probe_engine(&engine);
	return result < 0 ? -result : strcmp(engine->name, name) != 0;
}

static void engine_that_is_asked_for_is_used(void **state)
{
	harness_join(harness_fork(asks_for, (void *)(uintptr_t) "futex"));
	assert_int_equal(harness_wait(harness_fork(asks_for, (void *)(uintptr_t) "steam")), EINVAL);
}

static void reason_that_is_none_has_a_text_too(void **state)
{
	assert_string_equal(probe_reason_text(PROBE_NONE), "");
	assert_string_equal(probe_reason_text(UINT32_MAX), "?");
}

/* --- the child that asks is nobody's business --- */

/* Shared with every child, however it was made. */
struct notes {
	atom32 sigsys, sigchld;
};

static struct notes *notes;

static void note_signal(int number)
{
	add_seqcst(number == SIGSYS ? &notes->sigsys : &notes->sigchld, 1);
}

static void watch_signal(int number)
{
	struct sigaction action = { .sa_handler = note_signal };

	assert_int_equal(sigaction(number, &action, NULL), 0);
}

static void begin_notes(void)
{
	notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	assert_ptr_not_equal(notes, MAP_FAILED);
	watch_signal(SIGSYS);
	watch_signal(SIGCHLD);
}

static void probe_in(const struct refusal *refusal)
{
	const struct park_ops *engine = NULL;

	unsetenv("MP_WAIT_ENGINE");
	enter(refusal);
	assert_int_equal(probe_engine(&engine), 0);
	assert_ptr_equal(engine, &park_futex);
}

static int has_handlers(void *arg)
{
	sigset_t before, after;
	struct sigaction action;

	begin_notes();
	sigprocmask(SIG_SETMASK, NULL, &before);
	probe_in(arg);
	sigprocmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(load_seqcst(&notes->sigsys), 0);
	assert_int_equal(load_seqcst(&notes->sigchld), 0);
	for (int number = 1; number < SIGRTMAX; number++)
		assert_int_equal(sigismember(&before, number), sigismember(&after, number));
	assert_int_equal(sigaction(SIGSYS, NULL, &action), 0);
	assert_ptr_equal(action.sa_handler, note_signal);
	/* And it is still the application's: its own forbidden call is told to it. */
	if (refusal_signals(arg)) {
		syscall(SYS_io_uring_setup, 0, NULL);
		assert_int_equal(load_seqcst(&notes->sigsys), 1);
	}
	return 0;
}

static void handlers_of_the_application_see_nothing_of_it(void **state)
{
	in_each_world(has_handlers);
}

static int ignores_children(void *arg)
{
	signal(SIGCHLD, SIG_IGN);
	probe_in(arg);
	assert_int_equal(probe_reason(), ((const struct refusal *)arg)->reason);
	return 0;
}

static void program_that_ignores_its_children_learns_the_same(void **state)
{
	in_each_world(ignores_children);
}

/* As a supervisor does: any child that ends. */
static void *wait_for_any(void *arg)
{
	int status;

	return (void *)(intptr_t)waitpid(-1, &status, 0);
}

static int supervises(void *arg)
{
	void *reaped = NULL;
	pthread_t waiter;
	pid_t child;
	int status;

	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		for (;;)
			pause();
	assert_int_equal(pthread_create(&waiter, NULL, wait_for_any, NULL), 0);
	probe_in(arg);
	assert_int_equal(kill(child, SIGKILL), 0);
	pthread_join(waiter, &reaped);
	assert_int_equal((pid_t)(intptr_t)reaped, child);
	/* Nothing else is left, of whatever kind. */
	assert_int_equal(waitpid(-1, &status, __WALL | WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void wait_for_any_child_does_not_find_it_and_no_zombie_stays(void **state)
{
	in_each_world(supervises);
}

static bool has_core(int directory)
{
	return faccessat(directory, "core", F_OK, 0) == 0;
}

static int allows_cores(void *arg)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	char name[] = "/tmp/libshm-core-XXXXXX";
	int directory;
	bool has;

	assert_non_null(mkdtemp(name));
	directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(directory >= 0);
	assert_int_equal(chdir(name), 0);
	assert_int_equal(setrlimit(RLIMIT_CORE, &all), 0);
	probe_in(arg);
	has = has_core(directory);
	unlinkat(directory, "core", 0);
	close(directory);
	rmdir(name);
	assert_false(has);
	return 0;
}

static void child_that_was_killed_leaves_no_core(void **state)
{
	char pattern[8] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);

	assert_true(read(fd, pattern, sizeof pattern - 1) > 0);
	close(fd);
	if (strcmp(pattern, "core\n") != 0)
		harness_skip("cores go elsewhere here");
	harness_join(harness_fork(allows_cores, (void *)(uintptr_t)KILLING));
}

/* The filter of one thread is not the others': what counts is who asks. */
static void *probe_in_thread(void *arg)
{
	probe_in(KILLING);
	return NULL;
}

static int is_filtered_in_one_thread(void *arg)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, probe_in_thread, NULL), 0);
	pthread_join(thread, NULL);
	return probe_reason() == PROBE_KILLS ? 0 : 1;
}

static void filter_of_one_thread_is_seen(void **state)
{
	harness_join(harness_fork(is_filtered_in_one_thread, NULL));
}

/* --- the machine's own switch --- */

#define SWITCH "/proc/sys/kernel/io_uring_disabled"

static bool set_switch(const char *value)
{
	int fd = open(SWITCH, O_WRONLY | O_CLOEXEC);
	bool is_set = write(fd, value, 1) == 1;

	close(fd);
	return is_set;
}

/* Outlives whoever is killed here: puts the value back when nobody has the pipe's other end. */
static pid_t guard_switch(int *ret_end, const char *value)
{
	int ends[2];
	char byte;
	pid_t guard;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	guard = fork();
	assert_true(guard >= 0);
	if (guard) {
		close(ends[0]);
		*ret_end = ends[1];
		return guard;
	}
	setsid();
	close(ends[1]);
	while (read(ends[0], &byte, 1) < 0)
		;
	_exit(set_switch(value) ? 0 : 1);
}

static int is_nobody(void *arg)
{
	const struct park_ops *engine = NULL;

	unsetenv("MP_WAIT_ENGINE");
	close(*(int *)arg);
	assert_int_equal(setresuid(65534, 65534, 65534), 0);
	assert_int_equal(probe_engine(&engine), 0);
	assert_ptr_equal(engine, &park_futex);
	assert_int_equal(probe_reason(), PROBE_FORBIDDEN);
	return 0;
}

/* 1 forbids it to those without privileges, in the whole machine. */
static void switch_of_the_machine_is_obeyed(void **state)
{
	char before[4] = "";
	pid_t guard;
	int fd, end, code;

	if (!getenv("MP_TEST_SYSCTL"))
		harness_skip("it changes kernel.io_uring_disabled for a moment; MP_TEST_SYSCTL=1");
	fd = open(SWITCH, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, before, sizeof before - 1) < 1 || before[0] != '0' || getuid() != 0)
		harness_skip("not root, or it is forbidden already");
	close(fd);
	guard = guard_switch(&end, before);
	code = set_switch("1") ? harness_wait(harness_fork(is_nobody, &end)) : -1;
	close(end);
	harness_join(guard);
	if (code < 0)
		harness_skip("the switch cannot be written here");
	assert_int_equal(code, 0);
}

static const struct harness_test tests[] = {
	HARNESS_TEST(refused_uring_falls_back_to_futex_and_says_why),
	HARNESS_TEST(refused_uring_that_was_asked_for_is_an_error),
	HARNESS_TEST(engine_that_is_asked_for_is_used),
	HARNESS_TEST(reason_that_is_none_has_a_text_too),
	HARNESS_TEST(handlers_of_the_application_see_nothing_of_it),
	HARNESS_TEST(program_that_ignores_its_children_learns_the_same),
	HARNESS_TEST(wait_for_any_child_does_not_find_it_and_no_zombie_stays),
	HARNESS_TEST(child_that_was_killed_leaves_no_core),
	HARNESS_TEST(filter_of_one_thread_is_seen),
	HARNESS_TEST(switch_of_the_machine_is_obeyed),
};

HARNESS_MAIN(tests)
