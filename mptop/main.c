/* SPDX-License-Identifier: MIT
 *
 * mptop: what the processes of libshm do, who waits for whom. Knows: options, batch or screen, exit
 * codes. Does not know: how anything is drawn.
 */
#include "options.h"
#include "print.h"
#include "screen.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Rates need two looks; a single print waits that long between them unless -d says otherwise. */
#define ONCE_DELAY_S 0.2

static void sleep_s(double seconds)
{
	struct timespec left = { .tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

static int complain(int error)
{
	fprintf(stderr, "mptop: %s\n", mp_strerror(error));
	return EXIT_FAILED;
}

static void print_sample(const struct model *model, const struct options *options)
{
	if (options->is_json)
		print_json(stdout, model);
	else
		print_text(stdout, model, options->view);
}

static int run_batch(struct model *model, const struct options *options)
{
	unsigned samples = options->samples ? options->samples : 1;
	double delay_s = options->has_delay || samples > 1 ? options->delay_s : ONCE_DELAY_S;
	int status = EXIT_FINE;
	int result = model_sample(model);

	for (unsigned i = 0; i < samples && result >= 0; i++) {
		sleep_s(delay_s);
		result = model_sample(model);
		if (result < 0)
			break;
		print_sample(model, options);
		if (options->fails_on_deadlock && model->cycle_count)
			status = EXIT_DEADLOCK;
		if (ferror(stdout))
			return EXIT_FAILED;
	}
	return result < 0 ? complain(result) : status;
}

static int run_screen(struct model *model, const struct options *options)
{
	int result = screen_run(model, options);

	if (result == -ENOTTY) {
		fputs("mptop: this terminal (TERM) cannot be used; try --once\n", stderr);
		return EXIT_FAILED;
	}
	return result < 0 ? complain(result) : EXIT_FINE;
}

int main(int argc, char **argv)
{
	struct options options;
	struct model model;
	int result = options_parse(argc, argv, &options);

	if (result)
		return result > 0 ? EXIT_FINE : EXIT_USAGE;
	/* A reader that leaves (| head) is an end, not a crash. */
	signal(SIGPIPE, SIG_IGN);
	result = model_open(&model, options.endpoint, options.file);
	if (result < 0) {
		fprintf(stderr, "mptop: %s\n", mp_explain());
		return EXIT_FAILED;
	}
	if (options.is_once || options.is_json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		result = run_batch(&model, &options);
	else
		result = run_screen(&model, &options);
	model_close(&model);
	return result;
}
