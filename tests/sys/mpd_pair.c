/* SPDX-License-Identifier: MIT
 *
 * See mpd_pair.h. Knows: /proc/PID of the two. Does not know: what is tested.
 */
#include "mpd_pair.h"

#include "harness.h"
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 10000
#define REGISTRY_LINK "/memfd:mpd:registry"
#define SEGMENT_LINK "/memfd:libshm:"
#define REGISTRY_HEAD_BYTES 4096
#define REGISTRY_BYTES (REGISTRY_HEAD_BYTES + REGISTRY_RECORDS * sizeof(struct registry_record))

/* --- the processes --- */

static void become_supervisor(int gate, const char *grace_ms)
{
	const char *path = getenv("MP_MPD"), *endpoint = getenv("MP_ENDPOINT");
	char byte;

	if (read(gate, &byte, 1) != 1)
		_exit(1);
	close_range(3, ~0U, 0);
	execl(path, "mpd", "--supervise", "--endpoint", endpoint, "--grace", grace_ms, NULL);
	_exit(1);
}

void mpd_pair_hold(struct mpd_pair *pair, const char *grace_ms)
{
	int gate[2];

	assert_non_null(getenv("MP_MPD"));
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	pair->supervisor = fork();
	assert_true(pair->supervisor >= 0);
	if (pair->supervisor == 0) {
		close(gate[1]);
		become_supervisor(gate[0], grace_ms);
	}
	close(gate[0]);
	pair->gate = gate[1];
}

/* It may have been killed where it stood. */
void mpd_pair_let_begin(struct mpd_pair *pair)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, former;

	assert_int_equal(sigaction(SIGPIPE, &ignore, &former), 0);
	(void)!write(pair->gate, "", 1);
	assert_int_equal(sigaction(SIGPIPE, &former, NULL), 0);
	close(pair->gate);
	pair->gate = -1;
}

void mpd_pair_start(struct mpd_pair *pair, const char *grace_ms)
{
	mpd_pair_hold(pair, grace_ms);
	mpd_pair_let_begin(pair);
}

bool mpd_pair_is_dead(pid_t pid)
{
	char state = program_state(pid);

	return !state || state == 'Z' || state == 'X';
}

/* Who steps it may have waited for it too. */
bool mpd_pair_is_kept(struct mpd_pair *pair)
{
	int status = 0;

	if (!pair->supervisor)
		return false;
	if (!mpd_pair_is_dead(pair->supervisor))
		return true;
	if (waitpid(pair->supervisor, &status, 0) == pair->supervisor &&
	    !(WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
	    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		fail_msg("the supervisor has ended with status %x", (unsigned)status);
	pair->supervisor = 0;
	return false;
}

int mpd_pair_await(struct mpd_pair *pair)
{
	int code = harness_wait(pair->supervisor);

	pair->supervisor = 0;
	mpd_pair_forget_registry(pair);
	return code;
}

void mpd_pair_reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

pid_t mpd_pair_child(const struct mpd_pair *pair)
{
	char path[64];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pair->supervisor,
		 (int)pair->supervisor);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%d", &pid) != 1)
		pid = 0;
	fclose(file);
	return (pid_t)pid;
}

/* --- its descriptors --- */

static bool is_link_to(const char *target, ssize_t length, const char *beginning)
{
	size_t wanted = strlen(beginning);

	return length >= (ssize_t)wanted && memcmp(target, beginning, wanted) == 0;
}

/* The file has mode 0: its owner opens it for a moment, as mpd does in its last resort. */
static int open_registry(DIR *folder)
{
	struct dirent *entry;
	char target[64];
	int fd = -1;

	while (fd < 0 && (entry = readdir(folder)) != NULL) {
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target);

		if (!is_link_to(target, length, REGISTRY_LINK) ||
		    fchmodat(dirfd(folder), entry->d_name, 0600, 0) < 0)
			continue;
		fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
		fchmodat(dirfd(folder), entry->d_name, 0, 0);
	}
	return fd;
}

static DIR *open_descriptors(const struct mpd_pair *pair)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pair->supervisor);
	return opendir(path);
}

static bool map_registry(struct mpd_pair *pair)
{
	DIR *folder = open_descriptors(pair);
	int fd = folder ? open_registry(folder) : -1;
	uint8_t *base;

	if (folder)
		closedir(folder);
	if (fd < 0)
		return false;
	base = mmap(NULL, REGISTRY_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(base != MAP_FAILED);
	close(fd);
	pair->records = (const struct registry_record *)(void *)(base + REGISTRY_HEAD_BYTES);
	return true;
}

static bool has_registry_or_is_dead(void *arg)
{
	struct mpd_pair *pair = arg;

	return map_registry(pair) || mpd_pair_is_dead(pair->supervisor);
}

bool mpd_pair_look_at_registry(struct mpd_pair *pair)
{
	mpd_pair_forget_registry(pair);
	assert_true(harness_until(has_registry_or_is_dead, pair, PATIENCE_MS));
	return pair->records != NULL;
}

void mpd_pair_forget_registry(struct mpd_pair *pair)
{
	if (pair->records)
		munmap((void *)((uintptr_t)pair->records - REGISTRY_HEAD_BYTES), REGISTRY_BYTES);
	pair->records = NULL;
}

unsigned mpd_pair_count_stored(const struct mpd_pair *pair)
{
	DIR *folder = open_descriptors(pair);
	struct dirent *entry;
	unsigned count = 0;
	char target[64];

	while (folder && (entry = readdir(folder)) != NULL) {
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target);

		count += is_link_to(target, length, SEGMENT_LINK);
	}
	if (folder)
		closedir(folder);
	return count;
}
