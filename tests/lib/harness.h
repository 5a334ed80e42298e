/* SPDX-License-Identifier: MIT
 *
 * The runner of every test executable. Knows: cmocka, TAP, one process for each test, what a test
 * may not leave behind. Does not know: what is tested.
 *
 * Each test runs in a process of its own, so a crash or a hang costs one test and not the rest.
 * After it, nothing may be left: open descriptors, threads, child processes, mappings of segments,
 * grandchildren. Asserts are cmocka's; they work in the test's own thread and in children made by
 * harness_fork(), but not in other threads (a thread hands its finding back).
 *
 *	static void put_on_full_queue_with_now_returns_eagain(void **state) { ... }
 *
 *	static const struct harness_test tests[] = {
 *		HARNESS_TEST(put_on_full_queue_with_now_returns_eagain),
 *		HARNESS_TEST_WITH_MPD(second_open_of_a_name_finds_the_same_segment),
 *	};
 *
 *	HARNESS_MAIN(tests)
 *
 * Options of the executable: --filter TEXT, --list, --no-fork (for a debugger).
 * Environment: MP_TEST_SCALE (1; 20 in nightly runs), MP_TEST_TIMEOUT (seconds a test, 60), MP_MPD.
 */
#ifndef TESTS_LIB_HARNESS_H
#define TESTS_LIB_HARNESS_H

#ifdef NDEBUG
#error "tests need assert(): do not build them with NDEBUG"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

struct harness_test {
	const char *name; /* a sentence */
	void (*run)(void **state);
	bool with_mpd; /* in a directory of its own, with MP_ENDPOINT and MP_MPD set */
};

#define HARNESS_TEST(function) { #function, function, false }
#define HARNESS_TEST_WITH_MPD(function) { #function, function, true }

int harness_main(int argc, char **argv, const struct harness_test *tests, size_t count);

#define HARNESS_MAIN(tests)                                                                        \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return harness_main(argc, argv, (tests), sizeof(tests) / sizeof((tests)[0]));      \
	}

/* End this test as skipped, and say why. */
void harness_skip(const char *reason) __attribute__((noreturn));

/* How many times longer than usual this run may take; 1 unless MP_TEST_SCALE says more. */
unsigned harness_scale(void);

/* A child that runs fn(arg) and exits with what it returns, or with 1 when an assert fails in it;
 * its output appears with the test's. Never returns -1: a failing fork fails the test. */
pid_t harness_fork(int (*fn)(void *arg), void *arg);

/* Wait for a child: its exit code, or minus the signal that ended it. */
int harness_wait(pid_t child);

/* Wait for a child and fail the test unless it exited with 0. */
void harness_join(pid_t child);

/* SIGKILL a child and reap it. */
void harness_kill(pid_t child);

int64_t harness_now_ns(void);
void harness_sleep_ms(unsigned ms);

/* Ask each millisecond until `is_true(arg)`; false when `ms` are over. */
bool harness_until(bool (*is_true)(void *arg), void *arg, unsigned ms);

/* Measure time again until `is_good(arg)`, up to `times`: a machine that had no time for us looks
 * like a fault, but a fault stays. False when none was good. */
bool harness_retry(bool (*is_good)(void *arg), void *arg, unsigned times);

/* The directory and socket of HARNESS_TEST_WITH_MPD; usable by hand too. */
struct harness_endpoint {
	char directory[64];
	char socket[96];
};

/* A fresh directory; MP_ENDPOINT is its mpd.sock and MP_MPD the mpd of this build. */
void harness_endpoint_begin(struct harness_endpoint *endpoint);
/* Wait until mpd has left by itself and remove the directory; false when it stayed. */
bool harness_endpoint_end(struct harness_endpoint *endpoint);

/* The endpoint of the running test made with HARNESS_TEST_WITH_MPD. */
const struct harness_endpoint *harness_endpoint(void);

#endif
