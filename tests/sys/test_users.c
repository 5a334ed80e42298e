/* SPDX-License-Identifier: MIT
 *
 * Proves: one mpd serves several users by the modes and groups of their segments; who is given
 * nothing neither attaches nor learns a name; a read-only descriptor stays one; all of it survives
 * kill -9 of mpd. Every cell of the table in mpd/access.c is tried by a process of that user.
 */
#include "people.h"
#include "raw_client.h"

#include <libshm.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEEN_MS 10000
#define SIZE (4u << 20)

/* What a plain OPEN does. */
enum { SAME = 0, OWN = 1 };

struct cell {
	uint32_t mode;
	enum people who;
	int existing; /* OPEN with MP_EXISTING */
	int named;    /* OPEN of ALICE's */
	int plain;    /* OPEN: SAME, or he makes one of his OWN */
	bool is_seen; /* LIST, OBSERVE, and numbers mean something */
	int removed;  /* UNLINK; 0 is tried at the end */
};

#define HIDDEN -ENOENT, -EPERM, OWN, false, -ENOENT
#define MAY_LOOK -EPERM, -EPERM, -EPERM, true, -EPERM
#define MAY_ALL 0, 0, SAME, true

static const struct cell cells[] = {
	{ 0600, ALICE, MAY_ALL, 0 },
	{ 0600, BOB, HIDDEN },
	{ 0600, STRANGER, HIDDEN },
	{ 0600, ROOT, -ENOENT, 0, OWN, true, 0 },
	{ 0400, ALICE, -EPERM, -EPERM, -EPERM, true, 0 },
	{ 0400, BOB, HIDDEN },
	{ 0400, STRANGER, HIDDEN },
	{ 0400, ROOT, -ENOENT, 0, OWN, true, 0 },
	{ 0660, ALICE, MAY_ALL, 0 },
	{ 0660, BOB, MAY_ALL, -EPERM },
	{ 0660, STRANGER, HIDDEN },
	{ 0640, BOB, MAY_LOOK },
	{ 0640, STRANGER, HIDDEN },
	{ 0666, BOB, MAY_ALL, -EPERM },
	{ 0666, STRANGER, 0, 0, OWN, true, -EPERM },
	{ 0666, ROOT, 0, 0, OWN, true, 0 },
	{ 0644, BOB, MAY_LOOK },
	{ 0644, STRANGER, -EPERM, -EPERM, OWN, true, -EPERM },
	{ 0606, BOB, HIDDEN }, /* the group's bits count for him, and no others */
	{ 0606, STRANGER, 0, 0, OWN, true, -EPERM },
	{ 0622, BOB, HIDDEN }, /* w alone */
	{ 0622, STRANGER, HIDDEN },
	{ 0711, BOB, HIDDEN }, /* x */
	{ 0711, STRANGER, HIDDEN },
	{ 0060, ALICE, -EPERM, -EPERM, -EPERM, true, 0 },
	{ 0060, BOB, MAY_ALL, -EPERM },
	{ 0060, STRANGER, HIDDEN },
};

/* Numbers of the segments, by mode; ALICE writes, all read. */
static struct proto_opened *made;

static void name_of(uint32_t mode, char ret_name[NAME_BYTES])
{
	memset(ret_name, 0, NAME_BYTES);
	snprintf(ret_name, NAME_BYTES, "mode%04o", mode);
}

static struct proto_open request_of(uint32_t mode, uint32_t flags)
{
	struct proto_open open = { .flags = flags };

	name_of(mode, open.name);
	return open;
}

/* The status; a descriptor comes with 0 and never else. */
static int ask_open(struct raw *raw, const struct proto_open *open, struct proto_opened *ret_opened)
{
	struct wire_fds fds = { 0 };
	int status = raw_ask(raw, PROTO_OPEN, open, sizeof *open, ret_opened, sizeof *ret_opened,
			     &fds);

	assert_int_equal(fds.count, status == 0);
	wire_close_fds(&fds);
	return status;
}

static void make(struct raw *raw, struct proto_open *open, struct proto_opened *ret_opened)
{
	struct raw_segment segment = { .fd = -1 };
	struct wire_fds fds = { 0 };

	assert_int_equal(raw_ask(raw, PROTO_OPEN, open, sizeof *open, &segment.opened,
				 sizeof segment.opened, &fds), 0);
	assert_int_equal(segment.opened.must_format, 1);
	segment.fd = fds.fd[0];
	raw_format(raw, &segment, open->name);
	*ret_opened = segment.opened;
	raw_forget(&segment);
}

static int make_one_of_each_mode(void *arg)
{
	struct raw raw;

	raw_connect(&raw);
	for (unsigned i = 0; i < ARRAY_LEN(cells); i++) {
		struct proto_open open = request_of(cells[i].mode, MP_KEEP);

		open.mode = cells[i].mode;
		open.gid = CREW;
		open.size_bytes = SIZE;
		if (!made[cells[i].mode].segment)
			make(&raw, &open, &made[cells[i].mode]);
	}
	raw_close(&raw);
	return 0;
}

static bool is_listed(struct raw *raw, uint32_t mode)
{
	static uint8_t answer[PROTO_MESSAGE_MAX - sizeof(struct proto_head)];
	const struct proto_list *list = (const void *)answer;
	struct proto_empty empty = { 0 };
	char name[NAME_BYTES];

	name_of(mode, name);
	raw_send(raw, PROTO_LIST, &empty, sizeof empty);
	assert_int_equal(raw_receive_list(raw, answer, sizeof answer), 0);
	for (unsigned i = 0; i < list->count; i++) {
		if (strcmp(list->rows[i].name, name) != 0)
			continue;
		assert_int_equal(list->rows[i].uid, ALICE);
		assert_int_equal(list->rows[i].mode, mode);
		return true;
	}
	return false;
}

static int ask_number(struct raw *raw, enum proto_type type, uint64_t number)
{
	struct proto_segment segment = { number };
	struct wire_fds fds = { 0 };
	int status = raw_ask(raw, type, &segment, sizeof segment, NULL, 0, &fds);

	assert_int_equal(fds.count, type == PROTO_OBSERVE && status == 0);
	wire_close_fds(&fds);
	return status;
}

static int ask_slot(struct raw *raw, enum proto_type type, uint64_t number)
{
	struct proto_attached slot = { .segment = number, .client = 77, .generation = 1 };

	return raw_ask(raw, type, &slot, sizeof slot, NULL, 0, NULL);
}

static void check_numbers(struct raw *raw, uint64_t number, bool is_seen)
{
	assert_int_equal(ask_number(raw, PROTO_OBSERVE, number), is_seen ? 0 : -ESTALE);
	assert_int_equal(ask_number(raw, PROTO_FORMATTED, number), is_seen ? 0 : -ESTALE);
	assert_int_equal(ask_slot(raw, PROTO_ATTACHED, number), is_seen ? -EINVAL : -ESTALE);
	assert_int_equal(ask_slot(raw, PROTO_DETACHED, number), is_seen ? -ENOENT : -ESTALE);
}

static void check_opens(struct raw *raw, const struct cell *cell)
{
	struct proto_open open = request_of(cell->mode, MP_EXISTING);
	struct proto_opened opened;

	assert_int_equal(ask_open(raw, &open, &opened), cell->existing);
	open.owner = ALICE + 1;
	assert_int_equal(ask_open(raw, &open, &opened), cell->named);
	if (cell->named == 0)
		assert_int_equal(opened.generation, made[cell->mode].generation);
	open = request_of(cell->mode, 0);
	if (cell->removed < 0)
		assert_int_equal(raw_unlink(raw, open.name), cell->removed);
	assert_int_equal(ask_open(raw, &open, &opened), cell->plain < 0 ? cell->plain : 0);
	if (cell->plain >= 0) {
		assert_int_equal(opened.must_format, cell->plain == OWN);
		assert_int_equal(opened.generation == made[cell->mode].generation,
				 cell->plain == SAME);
	}
}

static int try_cell(void *arg)
{
	const struct cell *cell = arg;
	struct raw raw;

	print_message("mode %04o, user %u\n", cell->mode, cell->who);
	raw_connect(&raw);
	assert_int_equal(is_listed(&raw, cell->mode), cell->is_seen);
	check_numbers(&raw, made[cell->mode].segment, cell->is_seen);
	check_numbers(&raw, 1u << 30, false); /* never was */
	check_opens(&raw, cell);
	raw_close(&raw);
	return 0;
}

static void try_cells(void)
{
	for (unsigned i = 0; i < ARRAY_LEN(cells); i++)
		people_do(cells[i].who, try_cell, (void *)(uintptr_t)&cells[i]);
}

static int remove_it(void *arg)
{
	const struct cell *cell = arg;
	struct proto_open open = request_of(cell->mode, 0);
	struct raw raw;

	raw_connect(&raw);
	open.owner = ALICE + 1;
	assert_int_equal(raw_ask(&raw, PROTO_UNLINK, &open, sizeof open, NULL, 0, NULL), 0);
	assert_int_equal(raw_ask(&raw, PROTO_UNLINK, &open, sizeof open, NULL, 0, NULL),
			 -ENOENT);
	raw_close(&raw);
	return 0;
}

static void share_memory(void)
{
	size_t bytes = 01000 * sizeof *made;

	made = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(made, MAP_FAILED);
}

static void each_may_do_what_the_table_says_also_after_mpd_was_killed(void **state)
{
	static const struct cell owner = { .mode = 0600, .who = ALICE };
	static const struct cell root = { .mode = 0660, .who = ROOT };

	people_begin(MPD_USER, NULL);
	share_memory();
	people_do(ALICE, make_one_of_each_mode, NULL);
	try_cells();
	people_kill_mpd();
	try_cells();
	people_do(ALICE, remove_it, (void *)(uintptr_t)&owner);
	people_do(ROOT, remove_it, (void *)(uintptr_t)&root);
	people_end();
}

/* The number behind "Name:\t" in /proc/PID/status, as many as there are. */
static unsigned read_ids(pid_t pid, const char *name, unsigned ids[4])
{
	char path[40], line[256];
	unsigned count = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (strncmp(line, name, strlen(name)) == 0)
			count = (unsigned)sscanf(line + strlen(name), "%u %u %u %u", &ids[0],
						 &ids[1], &ids[2], &ids[3]) & 7;
	fclose(file);
	return count > 4 ? 0 : count;
}

static void assert_is_mpd_user_only(pid_t pid)
{
	unsigned ids[4];

	assert_int_equal(read_ids(pid, "Uid:", ids), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(ids[i], MPD_USER);
	assert_int_equal(read_ids(pid, "Gid:", ids), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(ids[i], MPD_USER);
	assert_int_equal(read_ids(pid, "Groups:", ids), 0);
	assert_int_equal(read_ids(pid, "NoNewPrivs:", ids), 1);
	assert_int_equal(ids[0], 1);
}

static int find_it_by_itself(void *arg)
{
	struct mp_segment_opts opts = { .size_bytes = SIZE, .flags = MP_NO_SPAWN };
	struct mp_endpoint_info info;
	mp_observer *observer;
	mp_segment *segment;

	unsetenv("MP_ENDPOINT");
	assert_int_equal(mp_segment_open("mine", &opts, &segment), 0);
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	assert_string_equal(info.endpoint, WIRE_SYSTEM_ENDPOINT);
	mp_observe_close(observer);
	mp_segment_close(segment);
	return 0;
}

static void system_wide_mpd_is_a_user_of_its_own_and_found_by_all(void **state)
{
	struct stat about;

	people_begin(MPD_USER, NULL);
	assert_is_mpd_user_only(people_supervisor());
	assert_is_mpd_user_only(people_mpd());
	assert_int_equal(stat(WIRE_SYSTEM_ENDPOINT, &about), 0);
	assert_int_equal(about.st_uid, MPD_USER);
	assert_int_equal(about.st_mode & 0777, 0666);
	assert_int_equal(stat(WIRE_SYSTEM_FOLDER, &about), 0);
	assert_int_equal(about.st_uid, MPD_USER);
	assert_int_equal(about.st_mode & 0777, 0755);
	people_do(ALICE, find_it_by_itself, NULL);
	people_do(STRANGER, find_it_by_itself, NULL);
	people_do(ROOT, find_it_by_itself, NULL);
	people_end();
}

#define SAYS(text)                                                                                 \
	do {                                                                                       \
		if (!strstr(mp_explain(), text))                                                   \
			fail_msg("no '%s' in: %s", text, mp_explain());                            \
	} while (0)

static int share_and_answer(struct people_child *self, void *arg)
{
	struct mp_segment_opts opts = { .size_bytes = SIZE, .mode = 0660, .gid = CREW };
	mp_queue *questions, *answers;
	mp_segment *segment;
	char text[16];

	assert_int_equal(mp_segment_open("shared", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "questions", NULL, &questions), 0);
	assert_int_equal(mp_queue_open(segment, "answers", NULL, &answers), 0);
	people_say_ready(self);
	assert_int_equal(mp_queue_get(questions, text, sizeof text, MP_FOREVER), 5);
	assert_int_equal(mp_queue_put(answers, "alice", 6, MP_FOREVER), 0);
	mp_queue_close(questions);
	mp_queue_close(answers);
	mp_segment_close(segment);
	return 0;
}

static int ask_of_the_crew(void *arg)
{
	struct mp_segment_opts opts = { .size_bytes = SIZE, .mode = 0660, .gid = CREW };
	mp_queue *questions, *answers;
	mp_segment *segment;
	char text[16];

	assert_int_equal(mp_segment_open("shared", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "questions", NULL, &questions), 0);
	assert_int_equal(mp_queue_open(segment, "answers", NULL, &answers), 0);
	assert_int_equal(mp_queue_put(questions, "who?", 5, MP_FOREVER), 0);
	assert_int_equal(mp_queue_get(answers, text, sizeof text, MP_FOREVER), 6);
	assert_string_equal(text, "alice");
	mp_queue_close(questions);
	mp_queue_close(answers);
	mp_segment_close(segment);
	return 0;
}

static int find_nothing(void *arg)
{
	struct mp_segment_opts opts = { .flags = MP_EXISTING }, none = { .flags = MP_EXISTING };
	char sentence[256];
	mp_segment *segment;

	assert_int_equal(mp_segment_open("shared", &opts, &segment), -ENOENT);
	assert_int_equal(mp_segment_unlink("shared"), -ENOENT);
	opts.owner = none.owner = "64001";
	assert_int_equal(mp_segment_open("shared", &opts, &segment), -EPERM);
	snprintf(sentence, sizeof sentence, "%s", mp_explain());
	/* Letter by letter what he hears about a name that nobody has. */
	assert_int_equal(mp_segment_open("sharee", &none, &segment), -EPERM);
	*strstr(sentence, "shared") = '_';
	*strstr((char *)(uintptr_t)mp_explain(), "sharee") = '_';
	assert_memory_equal(sentence, mp_explain(), 20);
	assert_string_equal(strstr(sentence, "that"), strstr(mp_explain(), "that"));
	return 0;
}

static void two_users_of_a_group_share_and_a_third_sees_nothing(void **state)
{
	struct people_child alice = { .user = ALICE, .fn = share_and_answer };

	people_begin(MPD_USER, NULL);
	people_start(&alice);
	people_do(STRANGER, find_nothing, NULL);
	people_do(BOB, ask_of_the_crew, NULL);
	harness_join(alice.pid);
	people_end();
}

static int keep_my_app(void *arg)
{
	struct mp_segment_opts opts = { .size_bytes = SIZE, .flags = MP_KEEP, .mode = 0644 };
	mp_segment *segment;
	mp_queue *queue;

	assert_int_equal(mp_segment_open("app", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, arg, strlen(arg) + 1, MP_NOW), 0);
	mp_queue_close(queue);
	mp_segment_close(segment);
	return 0;
}

static int find_my_app(void *arg)
{
	struct mp_segment_opts opts = { .flags = MP_EXISTING };
	mp_segment *segment;
	mp_queue *queue;
	char text[16];

	assert_int_equal(mp_segment_open("app", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_get(queue, text, sizeof text, MP_NOW), strlen(arg) + 1);
	assert_string_equal(text, arg);
	assert_int_equal(mp_segment_unlink("app"), 0);
	mp_queue_close(queue);
	mp_segment_close(segment);
	return 0;
}

static int cannot_choose(void *arg)
{
	struct mp_segment_opts opts = { .flags = MP_EXISTING };
	mp_segment *segment;

	assert_int_equal(mp_segment_open("app", &opts, &segment), -EINVAL);
	SAYS("offered by user 6400");
	SAYS("opts.owner");
	opts.owner = "64001";
	assert_int_equal(mp_segment_open("app", &opts, &segment), -EPERM);
	SAYS("belongs to user 64001, its mode is 0644");
	return 0;
}

static void one_name_of_two_users_is_two_segments(void **state)
{
	people_begin(MPD_USER, NULL);
	people_do(ALICE, keep_my_app, (void *)(uintptr_t)"alice");
	people_do(BOB, keep_my_app, (void *)(uintptr_t)"bob");
	people_do(STRANGER, cannot_choose, NULL);
	people_do(ALICE, find_my_app, (void *)(uintptr_t)"alice");
	people_do(BOB, find_my_app, (void *)(uintptr_t)"bob");
	people_end();
}

static int make_readable(void *arg)
{
	struct mp_segment_opts opts = { .size_bytes = SIZE, .flags = MP_KEEP, .mode = 0640,
					.gid = CREW };
	mp_segment *segment;

	assert_int_equal(mp_segment_open("seen", &opts, &segment), 0);
	mp_segment_close(segment);
	opts.gid = 1;
	opts.owner = NULL;
	assert_int_equal(mp_segment_open("given", &opts, &segment), -EPERM);
	SAYS("opts.gid is 1");
	SAYS("not in that group");
	opts = (struct mp_segment_opts){ .mode = 0600 };
	assert_int_equal(mp_segment_open("seen", &opts, &segment), -EPROTO);
	SAYS("mode");
	SAYS("0640");
	return 0;
}

/* All that could make more of it. */
static void assert_stays_read_only(int fd)
{
	uint64_t word = 1;
	char path[40];
	void *map;

	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(errno, EACCES);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map, 4096, PROT_READ | PROT_WRITE), -1);
	munmap(map, 4096);
	assert_int_equal(pwrite(fd, &word, sizeof word, 0), -1);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	assert_int_equal(fchmod(fd, 0666), -1);
	assert_int_equal(errno, EPERM);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	assert_int_equal(open(path, O_RDWR | O_CLOEXEC), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(open(path, O_RDONLY | O_CLOEXEC), -1);
	assert_int_equal(chmod(path, 0666), -1);
}

static int look_and_not_touch(void *arg)
{
	const struct mp_snapshot *snapshot;
	struct proto_segment observe;
	struct proto_listed row;
	struct mp_observed_segment about;
	struct wire_fds fds = { 0 };
	mp_observer *observer;
	mp_segment *segment;
	struct raw raw;

	assert_int_equal(mp_segment_open("seen", NULL, &segment), -EPERM);
	SAYS("belongs to user 64001, its mode is 0640 and its group 64100");
	SAYS("libshm/observe.h");
	assert_int_equal(mp_segment_unlink("seen"), -EPERM);
	SAYS("another user");
	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_refresh(observer), 1);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_string_equal(snapshot->segment, "seen");
	assert_int_equal(mp_observe_segment(observer, 0, &about), 0);
	assert_int_equal(about.uid, ALICE);
	assert_int_equal(about.mode, 0640);
	mp_observe_close(observer);
	raw_connect_as_observer(&raw);
	assert_int_equal(raw_list(&raw, &row, 1), 1);
	observe.segment = row.segment;
	assert_int_equal(raw_ask(&raw, PROTO_OBSERVE, &observe, sizeof observe, NULL, 0, &fds), 0);
	assert_int_equal(fds.count, 1);
	assert_stays_read_only(fds.fd[0]);
	wire_close_fds(&fds);
	raw_close(&raw);
	return 0;
}

/* Root sees whose each segment is. */
static void assert_tool_tells_owner(void)
{
	const char *arguments[] = { program_built("mptop/mptop"), "--json", "--endpoint",
				    WIRE_SYSTEM_ENDPOINT, NULL };
	struct program program;

	program_run(&program, (char *const *)(uintptr_t)arguments, 20);
	assert_int_equal(program.code, 0);
	if (!strstr(program.text, "\"name\":\"seen\",\"error\":\"\",\"owner_uid\":64001,"
				  "\"mode\":\"0640\",\"kept\":true"))
		fail_msg("no owner in: %s", program.text);
	program_free(&program);
}

static void who_may_only_look_gets_a_descriptor_that_stays_read_only(void **state)
{
	people_begin(MPD_USER, NULL);
	people_do(ALICE, make_readable, NULL);
	people_do(BOB, look_and_not_touch, NULL);
	assert_tool_tells_owner();
	people_end();
}

static const struct harness_test tests[] = {
	HARNESS_TEST(each_may_do_what_the_table_says_also_after_mpd_was_killed),
	HARNESS_TEST(system_wide_mpd_is_a_user_of_its_own_and_found_by_all),
	HARNESS_TEST(two_users_of_a_group_share_and_a_third_sees_nothing),
	HARNESS_TEST(one_name_of_two_users_is_two_segments),
	HARNESS_TEST(who_may_only_look_gets_a_descriptor_that_stays_read_only),
};

HARNESS_MAIN(tests)
