/* SPDX-License-Identifier: MIT
 *
 * Proves: wordcount counts any tree of files right although a worker is killed, notices a wrong
 * count, and leaves nothing behind.
 */
#include "harness.h"
#include "program.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define SMALL_FILES 300
#define BIG_LINES 150000
#define RUN_SECONDS 50
#define KILLS_WANTED 20
#define KILL_RUNS_MAX 50

/* What the tree holds, counted while it is made. */
struct tree {
	char directory[64];
	unsigned files;
	unsigned long long bytes;
	unsigned long long zebras; /* the most frequent word */
};

static void write_all(int fd, const char *text, size_t len)
{
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static void add_file(struct tree *tree, int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	write_all(fd, text, strlen(text));
	tree->files++;
	tree->bytes += strlen(text);
}

/* Names and contents that a careless program stumbles over. */
static void add_odd_files(struct tree *tree, int dir)
{
	static const char *const names[] = { "a b", "new\nline", "\xff\xfe\x80", "-rf", ".hidden",
					     "percent%s%n", "tab\there", "d\xc3\xa9j\xc3\xa0" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		add_file(tree, dir, names[i], "Zebra ZEBRA zebra\n");
		tree->zebras += 3;
	}
	add_file(tree, dir, "empty", "");
	add_file(tree, dir, "no-end-of-line", "zebra");
	tree->zebras++;
	add_file(tree, dir, "not-really.gz", "zebra that is no gzip\n");
	tree->zebras++;
	assert_int_equal(linkat(dir, "a b", dir, "a b again", 0), 0);
	tree->files++;
	tree->bytes += strlen("Zebra ZEBRA zebra\n");
	tree->zebras += 3;
	assert_int_equal(symlinkat("a b", dir, "a symbolic link"), 0);
	assert_int_equal(mkfifoat(dir, "a fifo", 0600), 0);
}

static void add_long_word(struct tree *tree, int dir)
{
	char text[300];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	add_file(tree, dir, "one-long-word", text);
}

static void add_gzip(struct tree *tree, int dir)
{
	int fd = openat(dir, "packed.gz", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	gzFile file = gzdopen(fd, "wb");

	assert_non_null(file);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(gzputs(file, "zebra packed\n"), 13);
	assert_int_equal(gzclose(file), Z_OK);
	tree->files++;
	tree->bytes += 5000 * 13;
	tree->zebras += 5000;
}

/* Many words in many parts, and words across the borders of the reads. */
static void add_big_file(struct tree *tree, int dir)
{
	int fd = openat(dir, "big", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *file = fdopen(fd, "w");

	assert_non_null(file);
	for (unsigned i = 0; i < BIG_LINES; i++)
		tree->bytes += (unsigned)fprintf(file, "zebra word%u and-also%u\n", i % 50000,
						 i % 7);
	assert_int_equal(fclose(file), 0);
	tree->files++;
	tree->zebras += BIG_LINES;
}

static void add_small_files(struct tree *tree, int dir)
{
	char name[32], text[4096];

	assert_int_equal(mkdirat(dir, "below", 0700), 0);
	for (unsigned i = 0; i < SMALL_FILES; i++) {
		size_t len = 0;

		for (unsigned word = 0; word < 100 + i; word++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "w%u ",
						word * i % 97);
		snprintf(name, sizeof(name), "below/%u.txt", i);
		add_file(tree, dir, name, text);
	}
}

static void make_tree(struct tree *tree)
{
	int dir;

	*tree = (struct tree){ .directory = "/tmp/libshm-words-XXXXXX" };
	assert_non_null(mkdtemp(tree->directory));
	dir = open(tree->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	add_odd_files(tree, dir);
	add_long_word(tree, dir);
	add_gzip(tree, dir);
	add_big_file(tree, dir);
	add_small_files(tree, dir);
	close(dir);
}

static void remove_tree(struct tree *tree)
{
	struct program program;
	char *const argv[] = { "rm", "-rf", "--", tree->directory, NULL };

	program_run(&program, argv, 20);
	assert_int_equal(program.code, 0);
	program_free(&program);
}

static void expect_text(const struct program *program, const char *text)
{
	if (!strstr(program->text, text))
		fail_msg("'%s' is missing in:\n%s", text, program->text);
}

static void expect_number(const struct program *program, const char *name,
			  unsigned long long number)
{
	char line[64];

	snprintf(line, sizeof(line), "\n%s: %llu\n", name, number);
	expect_text(program, line);
}

static unsigned long number_of(const struct program *program, const char *name)
{
	const char *at = strstr(program->text, name);

	if (!at)
		fail_msg("'%s' is missing in:\n%s", name, program->text);
	return strtoul(at + strlen(name), NULL, 10);
}

static void expect_code(const struct program *program, int code)
{
	if (program->code != code)
		fail_msg("it ended with %d and said:\n%s", program->code, program->text);
}

/* argv[0] and the directory are filled in here. */
static void run_wordcount(struct program *program, struct tree *tree, char *option, char *value)
{
	char *path = strdup(program_built("docs/examples/wordcount/wordcount"));
	char *argv[] = { path, tree->directory, option, value, NULL };

	assert_non_null(path);
	program_run(program, argv, RUN_SECONDS);
	free(path);
}

static void expect_right(const struct program *program, const struct tree *tree)
{
	char line[64];

	expect_code(program, 0);
	expect_number(program, "files", tree->files);
	expect_number(program, "bytes", tree->bytes);
	snprintf(line, sizeof(line), "%12llu  zebra\n", tree->zebras);
	expect_text(program, line);
	expect_text(program, "\nverified: equal to a single-process count\n");
	expect_text(program, "\nwall: ");
	expect_text(program, "\nmessages: ");
	expect_text(program, "\nengine: ");
}

static void result_is_right_although_a_worker_is_killed(void **state)
{
	struct program program;
	struct tree tree;

	make_tree(&tree);
	for (unsigned i = 0; i < 3; i++) {
		run_wordcount(&program, &tree, NULL, NULL);
		expect_right(&program, &tree);
		expect_text(&program, "killed worker-");
		assert_true(number_of(&program, "\nredelivered: ") >= 1);
		program_free(&program);
	}
	remove_tree(&tree);
}

static void only_worker_may_be_the_one_that_is_killed(void **state)
{
	struct program program;
	struct tree tree;

	make_tree(&tree);
	run_wordcount(&program, &tree, "--workers", "1");
	expect_right(&program, &tree);
	expect_text(&program, "killed worker-0");
	program_free(&program);
	remove_tree(&tree);
}

static void nothing_is_redelivered_when_nobody_is_killed(void **state)
{
	struct program program;
	struct tree tree;

	make_tree(&tree);
	run_wordcount(&program, &tree, "--no-kill", NULL);
	expect_right(&program, &tree);
	assert_null(strstr(program.text, "killed"));
	expect_number(&program, "redelivered", 0);
	program_free(&program);
	remove_tree(&tree);
}

static void one_wrong_count_fails_the_verification(void **state)
{
	struct program program;
	struct tree tree;

	make_tree(&tree);
	run_wordcount(&program, &tree, "--break-count", NULL);
	expect_code(&program, 1);
	expect_text(&program, "verification FAILED: word \"zebra\"");
	assert_null(strstr(program.text, "verified:"));
	program_free(&program);
	remove_tree(&tree);
}

static void mptop_shows_the_job_in_the_middle_and_at_the_end(void **state)
{
	char *mptop = strdup(program_built("mptop/mptop"));
	struct program program;
	struct tree tree;

	make_tree(&tree);
	run_wordcount(&program, &tree, "--mptop", mptop);
	expect_right(&program, &tree);
	expect_text(&program, "--- mptop --once, in the middle");
	expect_text(&program, "--- mptop --once, at the end");
	expect_text(&program, "worker-");
	expect_text(&program, "totals");
	expect_text(&program, "paths");
	program_free(&program);
	free(mptop);
	remove_tree(&tree);
}

static void directory_without_files_is_counted_too(void **state)
{
	struct tree tree = { .directory = "/tmp/libshm-words-XXXXXX" };
	struct program program;

	assert_non_null(mkdtemp(tree.directory));
	run_wordcount(&program, &tree, NULL, NULL);
	expect_code(&program, 0);
	expect_number(&program, "files", 0);
	expect_text(&program, "\nverified: equal to a single-process count\n");
	program_free(&program);
	remove_tree(&tree);
}

/* Over in no time; still one is killed. */
static void worker_is_killed_although_there_is_one_file_only(void **state)
{
	struct tree tree = { .directory = "/tmp/libshm-words-XXXXXX" };
	struct program program;
	int dir;

	assert_non_null(mkdtemp(tree.directory));
	dir = open(tree.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	add_file(&tree, dir, "one", "zebra\n");
	tree.zebras = 1;
	close(dir);
	run_wordcount(&program, &tree, NULL, NULL);
	expect_right(&program, &tree);
	expect_text(&program, "killed worker-");
	expect_number(&program, "redelivered", 1);
	program_free(&program);
	remove_tree(&tree);
}

static void missing_directory_is_an_error(void **state)
{
	struct tree tree = { .directory = "/nowhere/at/all" };
	struct program program;

	run_wordcount(&program, &tree, NULL, NULL);
	expect_code(&program, 1);
	expect_text(&program, "/nowhere/at/all: No such file or directory");
	program_free(&program);
}

#define CHILDREN_MAX 64

static unsigned find_children(pid_t parent, pid_t children[CHILDREN_MAX])
{
	char path[64], text[1024] = "", *at = text, *end;
	unsigned count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	file = fopen(path, "re");
	if (!file)
		harness_skip("this kernel does not tell the children of a process");
	if (fgets(text, sizeof(text), file))
		for (; count < CHILDREN_MAX && (children[count] = (pid_t)strtol(at, &end, 10)) > 0;
		     at = end)
			count++;
	fclose(file);
	return count;
}

/* A single child may be the start of mpd. */
static bool has_workers(void *arg)
{
	pid_t children[CHILDREN_MAX];

	return find_children(*(pid_t *)arg, children) > 1;
}

static void interrupt_ends_it_with_its_workers(void **state)
{
	char *path = strdup(program_built("docs/examples/wordcount/wordcount"));
	struct program program;
	struct tree tree;
	char *argv[60] = { path, "--no-kill" };

	make_tree(&tree);
	for (unsigned i = 2; i < 59; i++)
		argv[i] = tree.directory;
	program_start(&program, argv);
	assert_true(harness_until(has_workers, &program.pid, 10000));
	assert_int_equal(kill(program.pid, SIGINT), 0);
	program_wait(&program, 20);
	expect_code(&program, 130);
	assert_null(strstr(program.text, "verified"));
	program_free(&program);
	remove_tree(&tree);
	free(path);
}

/* SIGKILL one of its workers; 1 if that one lived. */
static unsigned kill_a_worker(pid_t parent, unsigned choice)
{
	pid_t children[CHILDREN_MAX], chosen;
	unsigned count = find_children(parent, children);

	if (count < 2)
		return 0;
	chosen = children[choice % count];
	return program_state(chosen) != 'Z' && kill(chosen, SIGKILL) == 0;
}

static bool has_ended(void *arg)
{
	char state = program_state(*(pid_t *)arg);

	return state == 0 || state == 'Z';
}

/* One whole run of ten times the tree; how many were killed in it depends on the machine. */
static unsigned kill_during_a_run(struct tree *tree, unsigned choice)
{
	char *path = strdup(program_built("docs/examples/wordcount/wordcount"));
	char *argv[13] = { path, "--no-kill" };
	struct program program;
	unsigned killed = 0;

	for (unsigned i = 2; i < 12; i++)
		argv[i] = tree->directory;
	program_start(&program, argv);
	for (unsigned i = 0; i < 200 && !has_ended(&program.pid); i++) {
		harness_sleep_ms(3 + i % 11);
		killed += kill_a_worker(program.pid, choice + i);
	}
	program_wait(&program, RUN_SECONDS);
	expect_code(&program, 0);
	expect_number(&program, "files", 10 * tree->files);
	expect_text(&program, "\nverified: equal to a single-process count\n");
	print_message("%u killed, %lu redelivered\n", killed,
		      number_of(&program, "\nredelivered: "));
	program_free(&program);
	free(path);
	return killed;
}

/* Attempts that break off, and attempts that are made twice. A fast machine ends a run before many
 * were killed, so it makes more runs. */
static void workers_killed_all_the_time_change_nothing(void **state)
{
	unsigned killed = 0;
	struct tree tree;

	make_tree(&tree);
	for (unsigned run = 0; run < KILL_RUNS_MAX && killed <= KILLS_WANTED; run++)
		killed += kill_during_a_run(&tree, run);
	assert_true(killed > KILLS_WANTED);
	remove_tree(&tree);
}

static unsigned count_entries(const char *directory)
{
	DIR *all = opendir(directory);
	unsigned count = 0;

	assert_non_null(all);
	while (readdir(all))
		count++;
	closedir(all);
	return count;
}

static void nothing_of_it_stays_in_dev_shm(void **state)
{
	unsigned before = count_entries("/dev/shm");
	struct program program;
	struct tree tree;

	make_tree(&tree);
	run_wordcount(&program, &tree, NULL, NULL);
	expect_right(&program, &tree);
	assert_int_equal(count_entries("/dev/shm"), before);
	program_free(&program);
	remove_tree(&tree);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(result_is_right_although_a_worker_is_killed),
	HARNESS_TEST_WITH_MPD(only_worker_may_be_the_one_that_is_killed),
	HARNESS_TEST_WITH_MPD(nothing_is_redelivered_when_nobody_is_killed),
	HARNESS_TEST_WITH_MPD(workers_killed_all_the_time_change_nothing),
	HARNESS_TEST_WITH_MPD(one_wrong_count_fails_the_verification),
	HARNESS_TEST_WITH_MPD(mptop_shows_the_job_in_the_middle_and_at_the_end),
	HARNESS_TEST_WITH_MPD(directory_without_files_is_counted_too),
	HARNESS_TEST_WITH_MPD(worker_is_killed_although_there_is_one_file_only),
	HARNESS_TEST(missing_directory_is_an_error),
	HARNESS_TEST_WITH_MPD(interrupt_ends_it_with_its_workers),
	HARNESS_TEST_WITH_MPD(nothing_of_it_stays_in_dev_shm),
};

HARNESS_MAIN(tests)
