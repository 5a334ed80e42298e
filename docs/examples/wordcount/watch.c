/* SPDX-License-Identifier: MIT
 *
 * One look at the job with mptop while it runs. Knows: running a program and keeping its output.
 * Does not know: what the program prints.
 */
#include "watch.h"

#include "screen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000

static _Noreturn void run(const struct watch *watch)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(watch->output, STDOUT_FILENO);
	dup2(watch->output, STDERR_FILENO);
	execl(watch->program, watch->program, "--once", (char *)NULL);
	perror(watch->program);
	_exit(127);
}

void watch_start(struct watch *watch, const char *title)
{
	watch->title = title;
	if (!watch->program || watch->pid)
		return;
	watch->output = memfd_create("wordcount-mptop", MFD_CLOEXEC);
	if (watch->output < 0)
		return;
	fflush(stdout);
	watch->pid = fork();
	if (watch->pid == 0)
		run(watch);
	if (watch->pid < 0) {
		close(watch->output);
		watch->pid = 0;
	}
}

static void print(struct watch *watch)
{
	char buf[4096];
	ssize_t got;
	off_t at = 0;

	screen_line("--- mptop --once, %s", watch->title);
	while ((got = pread(watch->output, buf, sizeof(buf), at)) > 0) {
		fwrite(buf, 1, (size_t)got, stdout);
		at += got;
	}
	screen_line("---");
	close(watch->output);
}

void watch_show(struct watch *watch, bool is_last)
{
	int status, ended;

	if (!watch->pid)
		return;
	ended = waitpid(watch->pid, &status, WNOHANG);
	for (int i = 0; is_last && ended == 0 && i < WAIT_MS; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		ended = waitpid(watch->pid, &status, WNOHANG);
	}
	if (ended == 0 && !is_last)
		return;
	if (ended == 0) {
		kill(watch->pid, SIGKILL);
		waitpid(watch->pid, &status, 0);
	}
	watch->pid = 0;
	print(watch);
}
