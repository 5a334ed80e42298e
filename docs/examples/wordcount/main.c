/* SPDX-License-Identifier: MIT
 *
 * wordcount: count words with several processes, and prove that killing one changes nothing.
 * Knows: options and the order of the whole. Does not know: how any of it is done.
 *
 * Read on in this order: job.h (what is shared), worker.c (one worker), collect.c (the parent),
 * totals.c (a lock whose holder may die), crew.c (processes), reference.c (the other count).
 */
#include "collect.h"
#include "crew.h"
#include "files.h"
#include "job.h"
#include "memory.h"
#include "reference.h"
#include "report.h"
#include "screen.h"
#include "totals.h"
#include "watch.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LOOK_PERIOD_NS 20000000
#define STALL_NS 3000000000

struct options {
	unsigned workers;
	bool is_killing;
	bool is_break_count;
	const char *mptop;
	pid_t parent; /* whose end is ours; 0: nobody's */
	char *const *names;
};

/* Since when nothing has come in. */
struct stall {
	uint64_t messages;
	int64_t since_ns;
	bool is_told;
};

struct run {
	struct options options;
	struct file_list list;
	struct job job;
	struct collector collector;
	struct crew crew;
	struct watch watch;
	uint32_t fed; /* paths that are in the queue or were */
	int64_t start_ns;
	int64_t looked_ns;
	struct stall stall;
	bool has_shown;
};

static volatile sig_atomic_t caught; /* the signal that asked us to end */
static uint32_t files_total;
static int64_t counting_since_ns;

static void on_signal(int number)
{
	caught = number;
}

static void usage(FILE *to)
{
	fputs("usage: ./run demo wordcount [--workers N] [--no-kill] [DIR...]\n"
	      "\n"
	      "Counts the words of every regular file below each DIR (default: what Debian has\n"
	      "under /usr/share/common-licenses and /usr/share/doc) with N processes (default 4),\n"
	      "kills one of them on the way, and compares with a count made by one process.\n"
	      "\n"
	      "  --workers N   1 to 64\n"
	      "  --no-kill     kill nobody\n"
	      "\n"
	      "The program itself (docs/examples/wordcount in the build directory) also has\n"
	      "\n"
	      "  --mptop PATH  look at the job with that mptop, in the middle and at the end\n"
	      "  --parent PID  end when that process, which started this one, is gone\n",
	      to);
}

enum {
	OPTION_WORKERS = 1,
	OPTION_NO_KILL,
	OPTION_MPTOP,
	OPTION_PARENT,
	OPTION_BREAK_COUNT,
	OPTION_HELP,
};

static const struct option option_table[] = {
	{ "workers", required_argument, NULL, OPTION_WORKERS },
	{ "no-kill", no_argument, NULL, OPTION_NO_KILL },
	{ "mptop", required_argument, NULL, OPTION_MPTOP },
	{ "parent", required_argument, NULL, OPTION_PARENT },
	{ "break-count", no_argument, NULL, OPTION_BREAK_COUNT }, /* for a test: must fail */
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 },
};

/* What was printed has arrived, or the program has failed. */
static int end_output(int result)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return result;
	fprintf(stderr, "wordcount: standard output: %s\n",
		errno ? strerror(errno) : "what was printed before is lost");
	return result ? result : 1;
}

static _Noreturn void refuse(const char *what, const char *value)
{
	fprintf(stderr, "wordcount: %s, not '%s'\n", what, value);
	exit(2);
}

static long parse_number(const char *text, long most, const char *what)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end == text || *end || number < 1 || number > most)
		refuse(what, text);
	return number;
}

static void check_names(char *const *names)
{
	for (; *names; names++)
		if (!**names)
			refuse("DIR is the name of a directory or file", *names);
}

static void parse(struct options *options, int argc, char **argv)
{
	int option;

	argv[0] = (char *)"wordcount"; /* getopt begins its sentences with it */
	*options = (struct options){ .workers = 4, .is_killing = true };
	while ((option = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
		switch (option) {
		case OPTION_WORKERS:
			options->workers =
				(unsigned)parse_number(optarg, WORKERS_MAX, "--workers is 1 to 64");
			break;
		case OPTION_NO_KILL:
			options->is_killing = false;
			break;
		case OPTION_MPTOP:
			options->mptop = optarg;
			break;
		case OPTION_PARENT:
			options->parent =
				(pid_t)parse_number(optarg, INT_MAX, "--parent is a process id");
			break;
		case OPTION_BREAK_COUNT:
			options->is_break_count = true;
			break;
		case OPTION_HELP:
			usage(stdout);
			exit(end_output(0));
		default:
			usage(stderr);
			exit(2);
		}
	}
	options->names = argv + optind;
	check_names(options->names);
}

/* A failure of libshm has its sentence; ours have said theirs. */
static int explain(const char *what, int result)
{
	if (result < 0)
		fprintf(stderr, "wordcount: %s: %s\n", what, mp_explain());
	return result;
}

static void hold_last(struct run *run)
{
	if (run->options.is_killing && !run->crew.is_kill_over && run->fed + 1 == run->list.count)
		atomic_store(&run->job.board->hold_at, (int32_t)run->fed);
}

/* Give the workers as many paths as fit. The parent never waits here: it must take counts, or the
 * workers would wait for it while it waits for them. */
static int feed(struct run *run)
{
	int result = 0;

	while (run->fed < run->list.count && result >= 0) {
		const char *path = run->list.paths[run->fed];
		size_t len = sizeof(struct path_message) + strlen(path) + 1;
		struct path_message *message = memory_resize(NULL, len);

		hold_last(run);
		message->file = run->fed;
		memcpy(message->path, path, strlen(path) + 1);
		result = mp_queue_put(run->job.paths, message, len, MP_NOW);
		free(message);
		if (result >= 0)
			run->fed++;
	}
	return result == -EAGAIN ? 0 : explain("paths", result);
}

static void look_at_stall(struct run *run, int64_t now)
{
	struct stall *stall = &run->stall;

	if (!stall->since_ns || stall->messages != run->collector.messages)
		*stall = (struct stall){ .messages = run->collector.messages, .since_ns = now };
	if (stall->is_told || now - stall->since_ns < STALL_NS)
		return;
	stall->is_told = crew_tell_stopped(&run->crew);
}

/* Each 20 ms: who has died, how far we are. */
static int look(struct run *run)
{
	int64_t now = now_ns();
	struct totals totals;
	int result;

	if (now - run->looked_ns < LOOK_PERIOD_NS)
		return 0;
	run->looked_ns = now;
	watch_show(&run->watch, false);
	result = crew_replace(&run->crew);
	if (result < 0)
		return result;
	look_at_stall(run, now);
	/* Not for ever: who holds it may be stopped. */
	result = totals_read(&run->job, &totals, MP_MSEC(20));
	if (result < 0)
		return result == -ETIMEDOUT ? 0 : explain("totals", result);
	screen_progress(run->collector.files_done, run->list.count, totals.bytes,
			now - run->start_ns);
	return 0;
}

/* A third done: kill one. Half done: show it. */
static void stage(struct run *run)
{
	uint32_t done = run->collector.files_done;

	if (run->options.is_killing && done >= run->list.count / 3)
		crew_kill_one(&run->crew);
	if (!run->has_shown && done >= run->list.count / 2) {
		run->has_shown = true;
		watch_start(&run->watch, "in the middle");
	}
}

static int count_all(struct run *run)
{
	int result = 0;

	while (run->collector.files_done < run->list.count && result >= 0 && !caught) {
		result = feed(run);
		if (result < 0)
			break;
		result = collect_one(&run->collector, MP_MSEC(20));
		if (result == -ETIMEDOUT)
			result = 0;
		if (result < 0)
			return explain("counts", result);
		stage(run);
		result = look(run);
	}
	screen_end();
	return result;
}

/* The workers find the queue closed and leave by themselves. */
static int finish(struct run *run)
{
	int result;

	watch_show(&run->watch, true);
	watch_start(&run->watch, "at the end");
	watch_show(&run->watch, true);
	result = explain("paths", mp_queue_close_input(run->job.paths));
	return result < 0 ? result : crew_join(&run->crew);
}

static int is_stopped(uint32_t files_done, uint64_t bytes)
{
	screen_progress(files_done, files_total, bytes, now_ns() - counting_since_ns);
	return caught;
}

static int verify(struct run *run)
{
	struct reference reference;
	struct totals totals;
	int result = explain("totals", totals_read(&run->job, &totals, MP_FOREVER));

	if (result < 0)
		return 1;
	if (run->options.is_break_count && run->collector.tally.count > 0)
		run->collector.tally.words[0].count++;
	screen_line("counting again in a single process");
	counting_since_ns = now_ns();
	result = reference_count(&reference, &run->list, is_stopped);
	screen_end();
	if (result == 0)
		result = report_verify(&run->collector.tally, &totals, &reference, run->list.count);
	reference_free(&reference);
	return result;
}

static int work(struct run *run)
{
	int64_t wall_ns;
	int result;

	collect_open(&run->collector, &run->job);
	result = crew_start(&run->crew, &run->job, run->options.workers);
	if (result >= 0)
		result = count_all(run);
	wall_ns = now_ns() - run->start_ns;
	if (result >= 0 && !caught)
		result = finish(run);
	if (result < 0 || caught)
		return 1;
	report_words(&run->collector.tally);
	report_figures(&run->collector, wall_ns);
	return verify(run);
}

static int run_job(struct run *run)
{
	int result = 1;

	run->start_ns = now_ns();
	run->watch.program = run->options.mptop;
	if (explain("starting", job_open(&run->job, &run->list)) >= 0)
		result = work(run);
	crew_end(&run->crew);
	watch_show(&run->watch, true);
	collect_close(&run->collector);
	job_close(&run->job);
	return caught ? 128 + caught : result != 0;
}

/* No SA_RESTART: what waits looks at `caught` soon. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/* Its death comes to us as a signal, unless it was dead before we asked for that. */
static void follow_parent(pid_t parent)
{
	if (!parent)
		return;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		caught = SIGTERM;
}

static int is_interrupted(void)
{
	return caught;
}

static int find_files(struct run *run)
{
	if (run->options.names[0])
		return files_find(&run->list, run->options.names, is_interrupted);
	return files_find_default(&run->list, is_interrupted);
}

static void report_unreadable(const struct file_list *list)
{
	if (list->unreadable)
		printf("%u %s not be read: %s%s (%s)\n", list->unreadable,
		       list->unreadable == 1 ? "directory could" : "directories could",
		       list->unreadable == 1 ? "" : "the first is ",
		       screen_safe(list->first_unreadable), strerror(list->first_error));
}

int main(int argc, char **argv)
{
	static struct run run;
	int result;

	setlocale(LC_CTYPE, "");
	parse(&run.options, argc, argv);
	catch_signals();
	follow_parent(run.options.parent);
	result = find_files(&run);
	if (result < 0)
		return caught ? 128 + caught : 1;
	report_unreadable(&run.list);
	files_total = run.list.count;
	printf("counting words in %u files with %u workers\n", run.list.count, run.options.workers);
	result = run_job(&run);
	files_free(&run.list);
	return end_output(result);
}
