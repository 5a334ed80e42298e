/* SPDX-License-Identifier: MIT
 *
 * Programs of this build, run as a user would. Knows: where they were built, exec, captured
 * output. Does not know: what they do.
 */
#include "program.h"

#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* build/tests/sys/test_x is three below the build directory. */
const char *program_built(const char *path)
{
	static char text[4096];
	char self[2048];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(len > 0);
	self[len] = '\0';
	for (int i = 0; i < 3; i++) {
		assert_non_null(strrchr(self, '/'));
		*strrchr(self, '/') = '\0';
	}
	snprintf(text, sizeof(text), "%s/%s", self, path);
	return text;
}

void program_start(struct program *program, char *const *argv)
{
	*program = (struct program){ .output = memfd_create("program-output", MFD_CLOEXEC) };
	assert_true(program->output >= 0);
	fflush(NULL);
	program->pid = fork();
	assert_true(program->pid >= 0);
	if (program->pid)
		return;
	dup2(program->output, STDOUT_FILENO);
	dup2(program->output, STDERR_FILENO);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

static void take_output(struct program *program)
{
	off_t size = lseek(program->output, 0, SEEK_END);

	assert_true(size >= 0);
	program->text = calloc(1, (size_t)size + 1);
	assert_non_null(program->text);
	assert_int_equal(pread(program->output, program->text, (size_t)size, 0), size);
	close(program->output);
}

static bool has_ended(void *arg)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t) * (pid_t *)arg, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid != 0;
}

void program_wait(struct program *program, unsigned seconds)
{
	bool is_over = harness_until(has_ended, &program->pid, seconds * 1000);

	if (!is_over)
		kill(program->pid, SIGKILL);
	program->code = harness_wait(program->pid);
	take_output(program);
	if (!is_over)
		fail_msg("it did not end in %u s; it had said:\n%s", seconds, program->text);
}

void program_run(struct program *program, char *const *argv, unsigned seconds)
{
	program_start(program, argv);
	program_wait(program, seconds);
}

void program_free(struct program *program)
{
	free(program->text);
	program->text = NULL;
}

char program_state(pid_t pid)
{
	char path[32], line[512] = "";
	const char *end_of_name;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	if (!stat)
		return 0;
	if (!fgets(line, sizeof(line), stat))
		line[0] = '\0';
	fclose(stat);
	end_of_name = strrchr(line, ')');
	return end_of_name && end_of_name[1] ? end_of_name[2] : 0;
}

static bool is_stopped(void *arg)
{
	return program_state(*(pid_t *)arg) == 'T';
}

void program_stop(pid_t pid)
{
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_true(harness_until(is_stopped, &pid, 5000));
}
