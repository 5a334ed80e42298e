/* SPDX-License-Identifier: MIT
 *
 * Proves: whichever call of mpctl or mptop fails once, the command does what it was asked for, or
 * ends with a code and a sentence; it never crashes, says nothing, or says 0 of half a result (but
 * mptop says in the result which segment it could not look at), and no message is lost, no lock is
 * left held, no file half written.
 */
#include "fault.h"
#include "harness.h"
#include "mpctl_world.h"

#include "libshm/cc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRONG_SHOWN_MAX 8
#define SENTENCE_BYTES 12
#define DEATH 128 /* sh: and the signal */
#define NEAR_EVERY_NTH 100

/* A script with $F and $M, mpctl and mptop whose calls fail; what it must write where it ends
 * with 0; and a script that sees whether what was asked for is so: $CODE and $TEXT are what the
 * first one ended with and wrote. */
struct scenario {
	const char *before, *act, *needle, *after;
};

static void run_script(const char *script, struct program *program)
{
	mpctl_run(program, script);
}

static int run_and_forget(const char *script)
{
	struct program program;

	run_script(script, &program);
	program_free(&program);
	return program.code;
}

static const char *judge_result(const struct scenario *scenario, const struct program *program)
{
	char code[16];

	if (program->code < 0 || program->code > DEATH)
		return "it crashes";
	if (program->code == 0 && !strstr(program->text, scenario->needle))
		return "it says 0 of half a result";
	if (program->code != 0 && strlen(program->text) < SENTENCE_BYTES)
		return "it ends without a word";
	snprintf(code, sizeof code, "%d", program->code);
	setenv("CODE", code, 1);
	setenv("TEXT", program->text, 1);
	return run_and_forget(scenario->after) == 0 ? NULL : "what it says is not so";
}

static const char *run_case(const struct scenario *scenario, const struct fault_plan *plan)
{
	struct program program;
	const char *wrong;

	assert_int_equal(run_and_forget(scenario->before), 0);
	fault_arm(plan, FAULT_GUESTS);
	run_script(scenario->act, &program);
	fault_disarm();
	wrong = judge_result(scenario, &program);
	if (wrong)
		print_message("    it ended with %d and wrote: %s\n", program.code, program.text);
	program_free(&program);
	return wrong;
}

static unsigned run_place(const struct scenario *scenario, struct fault_plan plan, unsigned *cases)
{
	unsigned wrong = 0;

	for (unsigned i = 0; (plan.error = fault_error(plan.call, i)) != 0; i++) {
		const char *what;

		if (harness_scale() == 1 && i > 0)
			break;
		what = run_case(scenario, &plan);
		++*cases;
		if (!what)
			continue;
		wrong++;
		print_message("%s: the %u. %s answers %s: %s\n", scenario->act, plan.nth,
			      fault_name(plan.call), fault_error_name(plan.error), what);
	}
	return wrong;
}

/* The first of each kind; at night all of them. */
static unsigned places(unsigned count)
{
	unsigned most = harness_scale() == 1 ? 1 : NEAR_EVERY_NTH;

	return count < most ? count : most;
}

static void run_scenario(const struct scenario *scenario)
{
	unsigned counts[FAULT_KINDS], cases = 0, wrong = 0;
	const char *what = run_case(scenario, NULL);

	if (what)
		fail_msg("%s: %s, though nothing fails", scenario->act, what);
	for (unsigned i = 0; i < FAULT_KINDS; i++)
		counts[i] = fault_count((enum fault_call)i);
	for (unsigned call = 0; call < FAULT_KINDS; call++)
		for (unsigned nth = 1; nth <= places(counts[call]); nth++)
			if (wrong < WRONG_SHOWN_MAX)
				wrong += run_place(scenario,
						   (struct fault_plan){ (enum fault_call)call,
									nth, 0 }, &cases);
	print_message("%s: %u cases, %u wrong\n", scenario->act, cases, wrong);
	assert_int_equal(wrong, 0);
	assert_true(cases > 0);
}

static void run_all(const struct scenario *scenarios, unsigned count)
{
	char page[128];
	struct raw raw;

	snprintf(page, sizeof page, "%s/page", harness_endpoint()->directory);
	fault_begin(page);
	setenv("F", MPCTL_FAULTY, 1);
	setenv("M", MPTOP_FAULTY, 1);
	mpctl_begin(&raw);
	for (unsigned i = 0; i < count; i++)
		run_scenario(&scenarios[i]);
	mpctl_end(&raw);
	unlink(page);
}

#define ONE_MESSAGE "$C get -a app/jobs; $C put app/jobs a"

static void mpctl_tells_what_is_or_why_not_whichever_call_fails(void **state)
{
	static const struct scenario scenarios[] = {
		{ ONE_MESSAGE, "$F list", "app", "true" },
		{ ONE_MESSAGE, "$F info app", "jobs", "true" },
		{ ONE_MESSAGE, "$F --json info app", "}\n", "true" },
	};

	run_all(scenarios, ARRAY_LEN(scenarios));
}

static void mpctl_does_what_it_says_whichever_call_fails(void **state)
{
	static const struct scenario scenarios[] = {
		{ "$C put app/jobs a && $C get -a app/jobs", "$F put app/jobs two", "",
		  "got=$($C get -a app/jobs)\n"
		  "case $CODE in 0) [ \"$got\" = two ];;"
		  "*) [ -z \"$got\" ] || [ \"$got\" = two ];; esac" },
		/* Failing, it has given the message back, or it had written it. */
		{ ONE_MESSAGE, "$F get app/jobs", "a\n",
		  "got=$($C get -a app/jobs)\n"
		  "case $CODE in 0) [ -z \"$got\" ];;"
		  "*) [ \"$got\" = a ] || echo \"$TEXT\" | grep -qx a;; esac" },
		{ "true", "$F lock app/l -- echo done", "done", "$C lock -t 20 app/l -- true" },
		{ ONE_MESSAGE, "$F snapshot app $D/s", "",
		  "case $CODE in 0) $T --file $D/s --once | grep -q jobs;;"
		  "*) [ ! -e $D/s ];; esac; code=$?\n"
		  "rm -f $D/s; [ -z \"$(ls -A $D)\" ] && exit $code" },
		{ ONE_MESSAGE, "$F rm app", "",
		  "case $CODE in 0) ! $C list | grep -q app;; esac" },
	};

	run_all(scenarios, ARRAY_LEN(scenarios));
}

static void mptop_shows_what_is_or_says_why_not_whichever_call_fails(void **state)
{
	static const struct scenario scenarios[] = {
		/* A segment that cannot be looked at just now is shown with its reason. */
		{ ONE_MESSAGE, "$M --json", "}\n", "[ $CODE != 0 ] || echo \"$TEXT\" |"
		  "grep -qe jobs -e '\"error\":\"[^\"]'" },
		{ ONE_MESSAGE, "$M --once", "app", "[ $CODE != 0 ] || echo \"$TEXT\" |"
		  "grep -qe jobs -e 'Segment app: .'" },
	};

	run_all(scenarios, ARRAY_LEN(scenarios));
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(mpctl_tells_what_is_or_why_not_whichever_call_fails),
	HARNESS_TEST_WITH_MPD(mpctl_does_what_it_says_whichever_call_fails),
	HARNESS_TEST_WITH_MPD(mptop_shows_what_is_or_says_why_not_whichever_call_fails),
};

HARNESS_MAIN(tests)
