/* SPDX-License-Identifier: MIT
 *
 * Proves: mpctl's messages come out as they went in and none is lost by a reader that leaves;
 * each command's exit codes are what its page says; list, info, rm and snapshot tell and do what
 * they say, about anything that stands in a segment, and write nothing a terminal would obey.
 */
#include "mpctl_world.h"

#include "client.h"

#include <libshm.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPOILED_ROUNDS 12

static void messages_come_out_as_they_went_in(void **state)
{
	struct raw raw;

	mpctl_begin(&raw);
	mpctl_expect("$C put app/jobs one 'two words' '' -- --three", 0, "");
	mpctl_expect("printf 'a\\n\\nb' | $C put app/jobs", 0, "");
	mpctl_expect("$C get app/jobs", 0, "one\n");
	mpctl_expect("$C get -n 3 app/jobs", 0, "two words\n\n--three\n");
	mpctl_expect("$C get --all app/jobs", 0, "a\n\nb\n");
	mpctl_expect("printf 'a\\nb\\0c' | $C put -0 app/jobs && $C get -a0 app/jobs | od -An -c",
		     0, "   a  \\n   b  \\0   c  \\0\n");
	/* Any bytes, more than a cell holds and more than a pipe. */
	mpctl_expect("head -c 300000 /dev/urandom >$D/in && $C put --raw app/jobs <$D/in &&"
		     " $C get --raw app/jobs | cat >$D/out && cmp $D/in $D/out", 0, "");
	mpctl_expect("printf 'x\\0\\377' | $C put -r app/jobs; $C put app/jobs 'a\"b';"
		     "$C get -a --json app/jobs | sed 's/.*redelivered/redelivered/'", 0,
		     "redelivered\":false,\"base64\":\"eAD/\"}\n"
		     "redelivered\":false,\"text\":\"a\\\"b\"}\n");
	mpctl_expect("(sleep 0.1; $C put -c app/jobs 1 2 3) & $C get --follow app/jobs && wait",
		     0, "1\n2\n3\n");
	mpctl_end(&raw);
}

static void exit_codes_of_put_and_get_are_those_of_the_manual(void **state)
{
	struct raw raw;

	mpctl_begin(&raw);
	/* 1: nothing there, in time. */
	mpctl_expect_in("$C get app/jobs", 1, "no segment 'app'");
	mpctl_expect_in("$C put -x app/jobs a", 1, "no segment 'app'");
	mpctl_expect("$C get --create -t 0 app/jobs", 1, "");
	mpctl_expect("$C get -t 0.05 app/jobs", 1, "");
	mpctl_expect("$C get -a app/jobs", 1, "");
	mpctl_expect("$C put app/jobs a; $C get -n 2 -t 0 app/jobs", 1, "a\n");
	mpctl_expect_in("$C get app/other", 1, "no queue 'other'");
	mpctl_expect_in("$C put -Q 2 -t 0.01 app/small 1 2 3", 1,
			"mpctl: queue 'small': it is full");
	mpctl_expect_in("$C put -t 0 app/small 4", 1, "it is full");
	mpctl_expect("$C get -a app/small", 0, "1\n2\n");
	mpctl_expect_in("$C put -c app/small; $C get app/small", 1, "closed");
	mpctl_expect("$C get -F app/small", 0, "");
	/* 3: an error, told in one line. */
	mpctl_expect_in("$C put app/small 5", 3, "mpctl: queue 'small': its input was closed");
	mpctl_expect_in("$C put -B 4 app/tiny 12345", 3, "larger");
	mpctl_expect_in("$C put -Q 9 app/small a", 3, "another kind, shape");
	mpctl_expect_in("$C put app/$(printf %064d 0) a", 3, "is too long");
	mpctl_expect_in("$C -e $D/none/none get app/jobs", 3, "mpctl: ");
	mpctl_expect_in("$C put app/jobs a; $C get app/jobs >/dev/full", 3, "No space left");
	mpctl_end(&raw);
}

static void wrong_usage_is_2_and_says_what_is_wrong(void **state)
{
	static const char *const wrong[][2] = {
		{ "$C", "a command is missing" },
		{ "$C frob", "no such command: frob" },
		{ "$C --frob list", "no such option: --frob" },
		{ "$C get app/jobs -t", "needs an argument: -t" },
		{ "$C list all", "takes no arguments" },
		{ "$C list -t 1", "list does not take the option -t" },
		{ "$C info", "needs one name" },
		{ "$C put app", "SEGMENT/QUEUE" },
		{ "$C put /jobs a", "SEGMENT/QUEUE" },
		{ "$C put", "needs a queue" },
		{ "$C put --raw app/jobs a", "standard input" },
		{ "$C get --all --follow app/jobs", "one of --all" },
		{ "$C get -t soon app/jobs", "not a number of seconds: soon" },
		{ "$C get -t -1 app/jobs", "not a number of seconds: -1" },
		{ "$C get -n 0 app/jobs", "not a number" },
		{ "$C put -S 5X app/jobs a", "not a number" },
		{ "$C put -M 9 app/jobs a", "not a mode" },
		{ "$C lock app/gate", "needs a lock and a command" },
		{ "$C lock app -- true", "SEGMENT/LOCK" },
		{ "$C rm", "needs the names" },
		{ "$C snapshot app", "a segment and a file" },
	};
	struct raw raw;

	mpctl_begin(&raw);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		mpctl_expect_in(wrong[i][0], 2, wrong[i][1]);
	mpctl_expect_in("$C --help", 0, "--message-bytes");
	mpctl_expect("$C --version | sed 's/[0-9]//g'", 0, "mpctl ..\n");
	mpctl_expect_in("$C --help >/dev/full", 3, "No space left");
	mpctl_end(&raw);
}

/* The message is acknowledged when all of it was taken, and not before. */
static void no_message_is_lost_when_its_reader_leaves(void **state)
{
	struct program getter;
	struct raw raw;

	mpctl_begin(&raw);
	mpctl_expect("head -c 1000000 /dev/zero | tr '\\0' x | $C put -r app/jobs", 0, "");
	mpctl_expect("{ $C get -r app/jobs; echo $? >$D/code; } 2>$D/said | head -c 9; cat $D/code",
		     0, "xxxxxxxxx3\n");
	mpctl_expect_in("cat $D/said", 0, "is back in queue 'jobs'");
	mpctl_expect_in("$C info app/jobs", 0, "queue jobs: 1 of");
	/* A reader that does not read, and a kill while mpctl waits for it. */
	mkfifo(mpctl_path("fifo"), 0600);
	program_start(&getter, (char *[]){ "sh", "-c",
					   "sleep 100 <$D/fifo & exec 3>$D/fifo; echo $! >$D/pid;"
					   "exec $C get -r app/jobs >&3", NULL });
	mpctl_await("$C info app/jobs", "0 of 1024 messages, 1 leased");
	assert_int_equal(kill(getter.pid, SIGKILL), 0);
	program_wait(&getter, 20);
	assert_int_equal(getter.code, -SIGKILL);
	program_free(&getter);
	mpctl_expect("kill $(cat $D/pid)", 0, "");
	mpctl_expect("$C get -j -t 20 app/jobs | grep -c '\"bytes\":1000000,\"redelivered\":true'",
		     0, "1\n");
	mpctl_end(&raw);
}

static void list_info_and_rm_tell_and_do_what_they_say(void **state)
{
	const struct mp_segment_opts opts = { .client_name = "tester", .mode = 0640 };
	mp_segment *segment;
	mp_lock *lock;
	struct raw raw;

	mpctl_begin(&raw);
	mpctl_expect("$C list && $C list --json", 0, "");
	mpctl_expect("$C put -S 64M -M 0620 app/jobs a", 0, "");
	assert_int_equal(mp_segment_open("other", &opts, &segment), 0);
	assert_int_equal(mp_lock_open(segment, "gate", NULL, &lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	mpctl_expect("$C list | sort | awk '{ print $1, $3, $4, $6, $7 }'", 0,
		     "app 0620 64M 0 yes\nother 0640 1.0G 1 no\n");
	mpctl_expect("$C list --json | grep -c '^{\"name\":.*}$'", 0, "2\n");
	mpctl_expect_in("$C info other", 0, "held by tester[");
	mpctl_expect_in("$C info other --json", 0, "\"owner_pid\":");
	/* What is somebody else's is not kept because mpctl used it. */
	mpctl_expect("$C put other/jobs b && $C list | awk '/^other/ { print $7 }'", 0, "no\n");
	mpctl_expect_in("$C info other/jobs", 0, "queue jobs: 1 of 1024 messages; 1 put, 0 taken");
	mpctl_expect_in("$C info none", 1, "no segment 'none'");
	mpctl_expect_in("$C info other/none", 1, "no object 'none' in segment 'other'");
	mpctl_expect("$C rm other/jobs other/gate", 0, "");
	mpctl_expect_in("$C rm other/jobs", 1, "no object 'jobs' in segment 'other'");
	mpctl_expect_in("$C rm none/jobs", 1, "no segment 'none'");
	mpctl_expect_in("$C rm none app", 1, "no segment 'none'");
	mpctl_expect("$C rm -f none app other/jobs; $C list | awk '{ print $1 }'", 0, "other\n");
	assert_int_equal(mp_lock_release(lock), 0); /* removed, and still ours */
	mp_lock_close(lock);
	mp_segment_close(segment);
	mpctl_end(&raw);
}

static void a_snapshot_is_whole_or_absent_and_can_be_looked_at_later(void **state)
{
	struct raw raw;
	struct stat status;

	mpctl_begin(&raw);
	mpctl_expect("$C put app/jobs a b c; $C snapshot app $D/photo; $C rm app", 0, "");
	mpctl_expect_in("$C info --file $D/photo", 0, "queue jobs: 3 of 1024");
	mpctl_expect_in("$C info --file $D/photo app/jobs", 0, "queue jobs: 3 of 1024");
	mpctl_expect("$C list --file $D/photo | awk '{ print $1, $3 }'", 0, "app -\n");
	mpctl_expect("$T --once --file $D/photo | grep -c -e ' 3/1024 ' -e 'DEAD' -e 'answer'",
		     0, "1\n");
	mpctl_expect_in("$T --json --file $D/none", 1, "cannot be opened");
	assert_int_equal(stat(mpctl_path("photo"), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	mpctl_expect_in("$C snapshot app $D/none", 1, "no segment 'app'");
	mpctl_expect_in("$C put app/jobs a; $C snapshot app $D/no/where", 3, "No such file");
	mpctl_expect_in("ulimit -f 8; trap '' XFSZ; $C snapshot app $D/small", 3, "mpctl: ");
	mpctl_expect_in("$C info --file $D/none", 1, "cannot be opened");
	mpctl_expect_in("$C info --file /dev/null", 3, "no regular file");
	mpctl_expect_in("echo no >$D/text; $C info --file $D/text", 3, "mpctl: ");
	mpctl_expect("ls $D", 0, "photo\ntext\n");
	mpctl_end(&raw);
}

static bool is_calm(const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at; at++)
		if ((*at < 0x20 && *at != '\n') || *at == 0x7f || (*at >= 0x80 && *at < 0xa0))
			return false;
	return true;
}

static void expect_calm(const char *script)
{
	struct program program;

	mpctl_run(&program, script);
	if (!is_calm(program.text))
		fail_msg("%s\nwrote what a terminal obeys:\n%s", script, program.text);
	program_free(&program);
}

/* No program can make such names; a hostile one writes them. */
static void spoil_names(mp_segment *segment)
{
	static const char evil[] = "\033[31m\xc2\x9b" "31m\x9b\007gate";
	struct seg *seg = segment->seg;

	memcpy(seg->clients[seg->client].name, evil, sizeof(evil));
	for (uint32_t i = 0; i < seg->at.max_objects; i++)
		if (strcmp(seg->directory[i].name, "gate") == 0)
			memcpy(seg->directory[i].name, evil, sizeof(evil));
}

static void names_are_shown_without_what_a_terminal_would_obey(void **state)
{
	mp_segment *segment;
	mp_lock *lock;
	struct raw raw;

	mpctl_begin(&raw);
	assert_int_equal(mp_segment_open("other", NULL, &segment), 0);
	assert_int_equal(mp_lock_open(segment, "gate", NULL, &lock), 0);
	assert_int_equal(mp_lock_acquire(lock, MP_NOW), 0);
	spoil_names(segment);
	expect_calm("$C list; $C list --json; $C info other; $C info other --json");
	mpctl_expect_in("$C info other", 0, "??gate: checked, held by ?[31m");
	expect_calm("$C lock -t 0.01"
		    " \"other/$(printf '\\033[31m\\302\\23331m\\233\\007gate')\" true");
	expect_calm("$C snapshot other $D/photo; $C info -i $D/photo");
	mpctl_expect_in("$C rm \"$(printf 'a\\033[31m\\233')\"", 3, "\\x1b[31m");
	expect_calm("$C \"$(printf 'a\\033[31m\\233')\"");
	mp_lock_close(lock);
	mp_segment_close(segment);
	mpctl_end(&raw);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* mpd has a segment of its own choice: only this one is spoilt, and not given to a client. */
static void random_bytes_in_a_segment_are_survived(void **state)
{
	uint64_t seed = 88172645463325252u;
	mp_segment *segment;
	struct raw raw;
	uint8_t *base;

	mpctl_begin(&raw);
	mpctl_expect("$C put app/jobs a b c; $C lock app/gate true; $C put other/jobs calm", 0, "");
	assert_int_equal(mp_segment_open("app", NULL, &segment), 0);
	base = segment->seg->base;
	for (unsigned i = 0; i < SPOILED_ROUNDS * harness_scale(); i++) {
		uint64_t at = random_next(&seed) % 65536 / 8 * 8;

		for (unsigned j = 0; j <= i * 8; j++) {
			at = random_next(&seed) % segment->seg->at.arena / 8 * 8;
			*(volatile uint64_t *)(void *)(base + at) = random_next(&seed);
		}
		expect_calm("$C info app; $C info app --json; $C list | grep -c other;"
			    "$C snapshot app $D/photo; $C info -i $D/photo");
	}
	mpctl_expect_in("$C info other", 0, "queue jobs: 1 of");
	mpctl_expect("$C rm app; $C get other/jobs", 0, "calm\n");
	mp_segment_close(segment);
	mpctl_end(&raw);
}

static void segments_of_a_dead_mpd_are_listed(void **state)
{
	mp_segment *segment;
	struct raw raw;

	mpctl_begin(&raw);
	assert_int_equal(mp_segment_open("other", NULL, &segment), 0);
	assert_int_equal(kill(raw_parent_of((pid_t)raw.welcome.pid), SIGKILL), 0);
	assert_int_equal(kill((pid_t)raw.welcome.pid, SIGKILL), 0);
	mpctl_await("$C list | awk '{ print $1, $3, $7 }'", "other - -\n");
	mpctl_expect_in("$C info other", 0, "no mpd answers");
	mpctl_expect_in("$C rm other", 3, "mpctl: ");
	mpctl_expect_in("$C rm gone", 1, "no segment 'gone'");
	mpctl_expect("$C rm -f gone", 0, "");
	/* Whoever opens something starts another mpd, and that one finds it again. */
	mpctl_expect("$C put other/jobs a && $C get other/jobs", 0, "a\n");
	mp_segment_close(segment);
	mpctl_end(&raw);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(messages_come_out_as_they_went_in),
	HARNESS_TEST_WITH_MPD(exit_codes_of_put_and_get_are_those_of_the_manual),
	HARNESS_TEST_WITH_MPD(wrong_usage_is_2_and_says_what_is_wrong),
	HARNESS_TEST_WITH_MPD(no_message_is_lost_when_its_reader_leaves),
	HARNESS_TEST_WITH_MPD(list_info_and_rm_tell_and_do_what_they_say),
	HARNESS_TEST_WITH_MPD(a_snapshot_is_whole_or_absent_and_can_be_looked_at_later),
	HARNESS_TEST_WITH_MPD(names_are_shown_without_what_a_terminal_would_obey),
	HARNESS_TEST_WITH_MPD(random_bytes_in_a_segment_are_survived),
	HARNESS_TEST_WITH_MPD(segments_of_a_dead_mpd_are_listed),
};

HARNESS_MAIN(tests)
