/* SPDX-License-Identifier: MIT
 *
 * What a process holds, so that a test can be asked what it left behind.
 * Knows: descriptors, threads, mappings of segments, children, as /proc shows them.
 * Does not know: memory (LeakSanitizer's work).
 */
#include "harness_leaks.h"

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREAD_END_MS 1000

static unsigned count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned count = 0;

	while (tasks && (entry = readdir(tasks)))
		count += entry->d_name[0] != '.';
	if (tasks)
		closedir(tasks);
	return count;
}

static unsigned count_segment_maps(bool print)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned count = 0;

	while (maps && fgets(line, sizeof line, maps)) {
		if (!strstr(line, "memfd:libshm"))
			continue;
		count++;
		if (print)
			fprintf(stderr, "mapped: %s", line);
	}
	if (maps)
		fclose(maps);
	return count;
}

static void list_fds(unsigned char is_open[HARNESS_FDS_MAX])
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;

	memset(is_open, 0, HARNESS_FDS_MAX);
	while (fds && (entry = readdir(fds))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(fds) && fd < HARNESS_FDS_MAX)
			is_open[fd] = 1;
	}
	if (fds)
		closedir(fds);
}

void harness_holdings_take(struct harness_holdings *holdings)
{
	holdings->threads = count_threads();
	holdings->segment_maps = count_segment_maps(false);
	list_fds(holdings->is_open);
}

static bool fds_same(const struct harness_holdings *before)
{
	struct harness_holdings now;
	char link[64], target[256];
	bool same = true;

	list_fds(now.is_open);
	for (int fd = 0; fd < HARNESS_FDS_MAX; fd++) {
		if (!now.is_open[fd] || before->is_open[fd])
			continue;
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		ssize_t len = readlink(link, target, sizeof target - 1);

		target[len > 0 ? len : 0] = 0;
		fprintf(stderr, "left open: descriptor %d, %s\n", fd, target);
		same = false;
	}
	return same;
}

/* ThreadSanitizer starts a thread of its own with the first pthread_create. */
#ifdef __SANITIZE_THREAD__
#define THREADS_OF_THE_SANITIZER 1
#else
#define THREADS_OF_THE_SANITIZER 0
#endif

static bool has_only_threads(void *before)
{
	return count_threads() <= ((const struct harness_holdings *)before)->threads +
					  THREADS_OF_THE_SANITIZER;
}

static bool threads_same(const struct harness_holdings *before)
{
	/* A joined thread stays in /proc for a moment. */
	if (harness_until(has_only_threads, (void *)before, THREAD_END_MS))
		return true;
	fprintf(stderr, "left running: %u threads, %u before\n", count_threads(), before->threads);
	return false;
}

static bool maps_same(const struct harness_holdings *before)
{
	if (count_segment_maps(false) <= before->segment_maps)
		return true;
	count_segment_maps(true);
	return false;
}

static bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

bool harness_holdings_same(const struct harness_holdings *before)
{
	bool same = fds_same(before);

	same = threads_same(before) && same;
	same = maps_same(before) && same;
	if (has_children()) {
		harness_print_children();
		same = false;
	}
	return same;
}

/* Calls visit for each child of the main thread; children of other threads move to it when those
 * end, and the check for threads comes first. */
static unsigned each_child(void (*visit)(pid_t child))
{
	FILE *list = fopen("/proc/thread-self/children", "re");
	unsigned count = 0;
	int child;

	while (list && fscanf(list, "%d", &child) == 1) {
		visit(child);
		count++;
	}
	if (list)
		fclose(list);
	return count;
}

static void print_child(pid_t child)
{
	char path[64], command[256] = "";
	FILE *file;
	size_t len = 0;

	snprintf(path, sizeof path, "/proc/%d/cmdline", child);
	file = fopen(path, "re");
	if (file) {
		len = fread(command, 1, sizeof command - 1, file);
		fclose(file);
	}
	for (size_t i = 0; i + 1 < len; i++)
		if (!command[i])
			command[i] = ' ';
	fprintf(stderr, "left running: process %d %s\n", child, len ? command : "(zombie)");
}

void harness_print_children(void)
{
	each_child(print_child);
}

static void kill_child(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

unsigned harness_end_children(void)
{
	unsigned all = 0, some;

	/* Orphans of the killed come next: this process is their reaper. */
	while ((some = each_child(kill_child)) != 0)
		all += some;
	return all;
}

static bool has_no_children(void *unused)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return !has_children();
}

bool harness_children_left(unsigned ms)
{
	return harness_until(has_no_children, NULL, ms);
}
