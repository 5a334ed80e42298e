/* SPDX-License-Identifier: MIT
 *
 * See syscall_stepper.h. Knows: seizing, PTRACE_EVENT_FORK. Does not know: mpd.
 */
#include "syscall_stepper.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <linux/ptrace.h>

#define SYSCALL_STOP (SIGTRAP | 0x80)

static void *as_data(unsigned long value)
{
	return (void *)(uintptr_t)value;
}

/* What it has stopped for and is to get: 0 unless that is a signal. */
static unsigned long signal_of(int status)
{
	return status >> 16 ? 0 : (unsigned long)WSTOPSIG(status);
}

/* Stop it and wait for that. */
static int seize(pid_t pid, unsigned long options)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, as_data(options)) < 0)
		return -errno;
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) != pid)
		return -errno;
	return WIFSTOPPED(status) ? 0 : -ESRCH;
}

/* From here on its children are its own affair. */
static void let_parent_go(struct stepper *stepper)
{
	int status;

	if (!stepper->is_parent_held)
		return;
	stepper->is_parent_held = false;
	ptrace(PTRACE_INTERRUPT, stepper->parent, NULL, NULL);
	if (waitpid(stepper->parent, &status, __WALL) == stepper->parent && WIFSTOPPED(status))
		ptrace(PTRACE_DETACH, stepper->parent, NULL, as_data(signal_of(status)));
}

static void kill_children_of(pid_t pid)
{
	char path[64];
	FILE *file;
	int child;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &child) == 1)
		kill(child, SIGKILL);
	if (file)
		fclose(file);
}

static void kill_it(struct stepper *stepper)
{
	stepper->has_killed = true;
	let_parent_go(stepper);
	if (stepper->with)
		kill(stepper->with, SIGKILL);
	if (stepper->is_with_children)
		kill_children_of(stepper->pid);
	kill(stepper->pid, SIGKILL);
}

static void note_call(struct stepper *stepper)
{
	struct __ptrace_syscall_info info;
	void *size = as_data(sizeof info);

	if (ptrace(PTRACE_GET_SYSCALL_INFO, stepper->pid, size, &info) > 0 &&
	    info.op == PTRACE_SYSCALL_INFO_ENTRY)
		stepper->call = (int)info.entry.nr;
}

static bool is_counted(const struct stepper *stepper)
{
	const int *call = stepper->uncounted;

	while (call && *call >= 0 && *call != stepper->call)
		call++;
	return !call || *call < 0;
}

/* It stands: at a call, or for a signal, which it is given. */
static void go_on(struct stepper *stepper, int status)
{
	unsigned long signal = signal_of(status);

	if (WSTOPSIG(status) == SYSCALL_STOP) {
		signal = 0;
		note_call(stepper);
		if (is_counted(stepper) && ++stepper->stops == stepper->kill_at) {
			kill_it(stepper);
			return;
		}
	}
	ptrace(PTRACE_SYSCALL, stepper->pid, NULL, as_data(signal));
}

static void parent_stands(struct stepper *stepper, int status)
{
	ptrace(PTRACE_CONT, stepper->parent, NULL, as_data(signal_of(status)));
}

/* Looks before it reaps: who is reaped here is shown to the parent next. False: it is over. */
static bool take_turn(struct stepper *stepper)
{
	siginfo_t info = { 0 };
	int status;

	if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL | __WNOTHREAD) < 0)
		return false;
	if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) {
		let_parent_go(stepper);
		waitpid(info.si_pid, &status, __WALL);
		stepper->pid = 0;
		return false;
	}
	if (waitpid(info.si_pid, &status, __WALL) != info.si_pid)
		return true;
	if (!WIFSTOPPED(status)) { /* killed between the two looks */
		let_parent_go(stepper);
		stepper->pid = 0;
		return false;
	}
	if (info.si_pid == stepper->parent) {
		parent_stands(stepper, status);
		return true;
	}
	stepper->pid = info.si_pid;
	go_on(stepper, status);
	return true;
}

static int begin(struct stepper *stepper)
{
	unsigned long options = PTRACE_O_TRACESYSGOOD;
	int error;

	if (stepper->parent == 0) {
		error = seize(stepper->pid, options);
		return error < 0 || ptrace(PTRACE_SYSCALL, stepper->pid, NULL, NULL) == 0 ? error
											: -errno;
	}
	error = seize(stepper->parent, options | PTRACE_O_TRACEFORK);
	stepper->is_parent_held = error == 0;
	return error < 0 || ptrace(PTRACE_CONT, stepper->parent, NULL, NULL) == 0 ? error : -errno;
}

static void *run(void *arg)
{
	struct stepper *stepper = arg;

	stepper->error = begin(stepper);
	sem_post(&stepper->is_begun);
	while (stepper->error == 0 && take_turn(stepper))
		;
	return NULL;
}

int stepper_begin(struct stepper *stepper)
{
	if (stepper->parent)
		stepper->pid = 0;
	stepper->stops = 0;
	stepper->has_killed = false;
	sem_init(&stepper->is_begun, 0, 0);
	if (pthread_create(&stepper->thread, NULL, run, stepper) != 0)
		return -EAGAIN;
	while (sem_wait(&stepper->is_begun) < 0 && errno == EINTR)
		;
	if (stepper->error == 0)
		return 0;
	pthread_join(stepper->thread, NULL);
	return stepper->error;
}

/* SIGKILL needs no tracer. */
bool stepper_end(struct stepper *stepper)
{
	if (!stepper->has_killed && stepper->pid)
		kill(stepper->pid, SIGKILL);
	pthread_join(stepper->thread, NULL);
	sem_destroy(&stepper->is_begun);
	return stepper->has_killed;
}
