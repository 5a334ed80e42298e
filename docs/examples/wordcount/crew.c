/* SPDX-License-Identifier: MIT
 *
 * The worker processes: start, replace, kill one on purpose, end. Knows: mp_process, and how to be
 * sure of what a process is at. Does not know: what they count.
 */
#include "crew.h"

#include "screen.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define JOIN_SECONDS 30
#define JOIN_TELL_SECONDS 3 /* then whoever is stopped is named */
#define SPARE_WORKERS 1000
#define STOP_TRIES 200 /* of 1 ms: a busy machine needs some */
#define STOP_FAILURES 5

static int start_one(struct crew *crew, unsigned number)
{
	char name[32];
	struct mp_process_opts opts = { .name = name };
	int result;

	snprintf(name, sizeof(name), "worker-%u", number);
	crew->workers[number] = (struct worker){ .job = crew->job, .number = number };
	do /* -ECHILD: somebody killed it before it had begun */
		result = mp_process_start(crew->job->segment, &opts, worker_run,
					  &crew->workers[number], &crew->processes[number]);
	while (++crew->starts <= crew->count + SPARE_WORKERS && result == -ECHILD);
	if (result < 0)
		fprintf(stderr, "wordcount: starting %s: %s\n", name, mp_explain());
	return result;
}

int crew_start(struct crew *crew, struct job *job, unsigned count)
{
	int result = 0;

	*crew = (struct crew){ .job = job, .count = count };
	for (unsigned i = 0; i < count && result >= 0; i++)
		result = start_one(crew, i);
	return result < 0 ? result : 0;
}

/* 1: a signal had ended it, so it may have left work; -ECANCELED: it failed, and has said why. */
static int bury(struct crew *crew, unsigned number)
{
	int exitcode = 0;
	int result = mp_process_join(crew->processes[number], MP_SEC(1));

	if (result >= 0)
		result = mp_process_exitcode(crew->processes[number], &exitcode);
	if (result < 0) {
		fprintf(stderr, "wordcount: joining worker-%u: %s\n", number, mp_explain());
		return result;
	}
	crew->processes[number] = mp_process_close(crew->processes[number]);
	atomic_store(&crew->job->board->desks[number].file, NO_FILE);
	return exitcode > 0 ? -ECANCELED : exitcode < 0;
}

/* Whoever kills workers faster than they can work must not keep us here for ever. */
static int replace(struct crew *crew, unsigned number)
{
	return crew->starts > crew->count + SPARE_WORKERS ? -ECANCELED : start_one(crew, number);
}

int crew_replace(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		int result;

		if (mp_process_is_alive(crew->processes[i]))
			continue;
		result = bury(crew, i);
		if (result >= 0)
			result = replace(crew, i);
		if (result < 0)
			return result;
	}
	return 0;
}

/* By SIGSTOP. A traced process shows 't' (also at each of its system calls), and it is ours once
 * the signal is no longer pending: from there to the next SIGCONT it runs no instruction. */
static bool is_stopped(int pid)
{
	unsigned long long pending = ~0ULL, stop = 1ULL << (SIGSTOP - 1);
	char path[32], line[256], state = '?';
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = fopen(path, "re");
	if (!status)
		return false;
	while (fgets(line, sizeof(line), status)) {
		sscanf(line, "State: %c", &state);
		sscanf(line, "ShdPnd: %llx", &pending);
	}
	fclose(status);
	return state == 'T' || (state == 't' && !(pending & stop));
}

bool crew_tell_stopped(struct crew *crew)
{
	bool is_any = false;

	for (unsigned i = 0; i < crew->count; i++) {
		int pid = mp_process_pid(crew->processes[i]);

		if (pid <= 0 || !is_stopped(pid))
			continue;
		screen_line("worker-%u (pid %d) is stopped; to let it go on: kill -CONT %d", i, pid,
			    pid);
		is_any = true;
	}
	return is_any;
}

/* Only a stopped process stays in the middle of its file while we look. */
static bool stop(struct crew *crew, int pid)
{
	if (kill(pid, SIGSTOP) == 0) {
		for (unsigned i = 0; i < STOP_TRIES; i++) {
			if (is_stopped(pid))
				return true;
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		}
	}
	crew->stop_failures++;
	return false;
}

/* Whoever is held at the last file goes on. */
static void end_kill(struct crew *crew)
{
	crew->is_kill_over = true;
	atomic_store(&crew->job->board->hold_at, NO_FILE);
}

static void kill_stopped(struct crew *crew, unsigned number, int pid, int32_t file)
{
	if (mp_process_kill(crew->processes[number]) < 0 ||
	    mp_process_join(crew->processes[number], MP_SEC(JOIN_SECONDS)) < 0)
		screen_line("worker-%u (pid %d) could not be killed: %s", number, pid,
			    mp_explain());
	else
		screen_line("killed worker-%u (pid %d) with SIGKILL in the middle of %s", number,
			    pid, screen_safe(crew->job->list->paths[file]));
	end_kill(crew);
}

void crew_kill_one(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count && !crew->is_kill_over; i++) {
		struct desk *desk = &crew->job->board->desks[i];
		int pid = mp_process_pid(crew->processes[i]);
		int32_t file;

		if (atomic_load(&desk->file) == NO_FILE || pid <= 0)
			continue;
		if (stop(crew, pid) && (file = atomic_load(&desk->file)) != NO_FILE)
			kill_stopped(crew, i, pid, file);
		else
			kill(pid, SIGCONT);
	}
	if (crew->is_kill_over || crew->stop_failures < STOP_FAILURES)
		return;
	screen_line("killed nobody: no worker stops when it is sent SIGSTOP");
	end_kill(crew);
}

static int join_one(struct crew *crew, unsigned number)
{
	int result = mp_process_join(crew->processes[number], MP_SEC(JOIN_TELL_SECONDS));

	if (result == -ETIMEDOUT) {
		crew_tell_stopped(crew);
		result = mp_process_join(crew->processes[number], MP_SEC(JOIN_SECONDS));
	}
	if (result >= 0)
		return bury(crew, number);
	fprintf(stderr, "wordcount: worker-%u does not end: %s\n", number, mp_explain());
	return result;
}

int crew_join(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		int result = join_one(crew, i);

		while (result == 1) {
			result = replace(crew, i);
			if (result >= 0)
				result = join_one(crew, i);
		}
		if (result < 0)
			return result;
	}
	return 0;
}

void crew_end(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++)
		if (crew->processes[i] && mp_process_terminate(crew->processes[i]) < 0)
			fprintf(stderr, "wordcount: worker-%u: %s\n", i, mp_explain());
	for (unsigned i = 0; i < crew->count; i++) {
		if (!crew->processes[i])
			continue;
		if (mp_process_join(crew->processes[i], MP_SEC(1)) < 0 &&
		    (mp_process_kill(crew->processes[i]) < 0 ||
		     mp_process_join(crew->processes[i], MP_SEC(JOIN_SECONDS)) < 0))
			fprintf(stderr, "wordcount: worker-%u: %s\n", i, mp_explain());
		crew->processes[i] = mp_process_close(crew->processes[i]);
	}
}
