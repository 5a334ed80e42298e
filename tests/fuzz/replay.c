/* SPDX-License-Identifier: MIT
 *
 * Plays inputs that are kept, without libFuzzer: replay CORPUS FINDINGS. Knows: files, children,
 * TAP. Does not know: the target.
 *
 * The corpus is one case, each finding is one of its own. Inputs are played by a child, all in one;
 * when it dies or one takes too long, that input has failed and a new child goes on behind it.
 */
#include "input.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define INPUT_BYTES_MAX (1 << 16)
#define PATIENCE_S 60 /* a sanitizer on a busy machine; an input takes a millisecond */

struct folder {
	const char *path;
	struct dirent **names;
	int count;
};

/* Shared with the child: which input it is at. */
static volatile int *at;

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A folder that is not there has no inputs. */
static struct folder list(const char *path)
{
	struct folder folder = { .path = path };

	folder.count = scandir(path, &folder.names, is_input, alphasort);
	if (folder.count < 0)
		folder.count = 0;
	return folder;
}

static void forget(struct folder *folder)
{
	for (int i = 0; i < folder->count; i++)
		free(folder->names[i]);
	free(folder->names);
}

static void play_file(const char *folder, const char *name)
{
	static uint8_t bytes[INPUT_BYTES_MAX];
	char path[4096];
	ssize_t count;
	int fd;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	count = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
	if (fd >= 0)
		close(fd);
	if (count < 0) {
		fprintf(stderr, "%s cannot be read\n", path);
		_exit(1);
	}
	LLVMFuzzerTestOneInput(bytes, (size_t)count);
}

static void play(const struct folder *folder, int first, int end)
{
	for (*at = first; *at < end; ++*at) {
		alarm(PATIENCE_S);
		play_file(folder->path, folder->names[*at]->d_name);
	}
	/* Handlers of exit are the target's: what it left is removed, leaks are found. */
	exit(0);
}

/* How many of these inputs fail; each is named. */
static int failures(const struct folder *folder, int first, int end)
{
	int failed = 0;

	for (int next = first; next < end; next = *at + 1) {
		int status;
		pid_t child = fork();

		if (child == 0)
			play(folder, next, end);
		if (child < 0 || waitpid(child, &status, 0) != child)
			return failed + 1;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			break;
		failed++;
		printf("# %s/%s: %s %d\n", folder->path,
		       *at < end ? folder->names[*at]->d_name : "the end",
		       WIFSIGNALED(status) ? "signal" : "exit code",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		fflush(stdout);
	}
	return failed;
}

static int say(int number, int failed, const char *name, const char *more)
{
	printf("%sok %d - %s %s\n", failed ? "not " : "", number, name, more);
	fflush(stdout);
	return failed != 0;
}

int main(int argc, char **argv)
{
	struct folder corpus, findings;
	int bad;

	if (argc != 3) {
		fprintf(stderr, "usage: replay CORPUS FINDINGS\n");
		return 2;
	}
	at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	corpus = list(argv[1]);
	findings = list(argv[2]);
	printf("1..%d\n", 1 + findings.count);
	fflush(stdout);
	/* An empty corpus shows nothing. */
	bad = say(1, corpus.count == 0 || failures(&corpus, 0, corpus.count), "corpus",
		  "is survived");
	for (int i = 0; i < findings.count; i++)
		bad |= say(i + 2, failures(&findings, i, i + 1), findings.names[i]->d_name,
			   "is survived");
	forget(&corpus);
	forget(&findings);
	return bad;
}
