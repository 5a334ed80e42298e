/* SPDX-License-Identifier: MIT
 *
 * Proves: mpd hands out one memory for a name, notices every kind of death, survives kill -9 of
 * itself and of its supervisor with all it had, drops who breaks the protocol and nobody else,
 * costs nothing while nothing happens, and leaves without a trace.
 */
#include "raw_client.h"

#include "libshm/recover.h"
#include "libshm/slot.h"

#include <libshm/base.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEATH_SEEN_MS 10000 /* on a busy machine; there is no haste */
#define MPD_KILLS 50
#define OPENS 500
#define RACERS 8

/* A child that attaches and then does what `then` says, or sleeps until it is killed. */
struct actor {
	int ready[2]; /* it writes its raw_segment here once it is attached */
	void (*then)(struct raw *raw, struct raw_segment *segment);
	const char *name;
	struct raw_segment segment; /* what it wrote; fd and seg are the child's */
	pid_t pid;
};

static int act(void *arg)
{
	struct actor *actor = arg;
	struct raw_segment segment;
	struct raw raw;

	raw_connect(&raw);
	raw_attach(&raw, actor->name, 0, &segment);
	assert_int_equal(write(actor->ready[1], &segment, sizeof segment), sizeof segment);
	if (actor->then)
		actor->then(&raw, &segment);
	for (;;)
		pause();
	return 0;
}

static void start_actor(struct actor *actor)
{
	assert_int_equal(pipe2(actor->ready, O_CLOEXEC), 0);
	actor->pid = harness_fork(act, actor);
	assert_int_equal(read(actor->ready[0], &actor->segment, sizeof actor->segment),
			 sizeof actor->segment);
	close(actor->ready[0]);
	close(actor->ready[1]);
}

/* The actor's slot, seen through our own map. */
static struct raw_segment seen_by(const struct raw_segment *own, const struct actor *actor)
{
	struct raw_segment theirs = actor->segment;

	theirs.seg = own->seg;
	return theirs;
}

static bool is_gone(void *arg)
{
	return raw_mpd_count() == 0;
}

/* mpd has read what was sent before this call, on whichever connection: it takes them in turn. */
static void await_mpd_has_read(void)
{
	struct raw raw;

	raw_connect(&raw);
	for (unsigned i = 0; i < 3; i++)
		raw_count(&raw);
	raw_close(&raw);
}

static void two_processes_get_one_memory(void **state)
{
	struct actor actor = { .name = "one" };
	struct raw_segment segment;
	struct raw raw;

	raw_start(NULL, NULL);
	start_actor(&actor);
	raw_connect(&raw);
	raw_attach(&raw, "one", 0, &segment);
	assert_false(segment.opened.must_format);
	assert_int_equal(segment.opened.generation, actor.segment.opened.generation);
	assert_int_not_equal(segment.client, actor.segment.client);
	assert_int_equal(client_word_pid(slot_client_word(segment.seg, actor.segment.client)),
			 actor.pid);
	harness_kill(actor.pid);
	raw_close(&raw);
	raw_forget(&segment);
}

static void killed_client_is_swept(void **state)
{
	struct actor actor = { .name = "sweep" };
	struct raw_segment segment, theirs;
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "sweep", 0, &segment);
	start_actor(&actor);
	theirs = seen_by(&segment, &actor);
	assert_false(raw_is_swept(&theirs));
	harness_kill(actor.pid);
	assert_true(harness_until(raw_is_swept, &theirs, DEATH_SEEN_MS));
	assert_int_equal(load_relaxed(&segment.seg->header->death_count), 1);
	raw_close(&raw);
	raw_forget(&segment);
}

static void execute_another_program(struct raw *raw, struct raw_segment *segment)
{
	execl("/bin/sleep", "sleep", "60", NULL);
}

static void client_that_executes_another_program_is_swept(void **state)
{
	struct actor actor = { .name = "exec", .then = execute_another_program };
	struct raw_segment segment, theirs;
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "exec", 0, &segment);
	start_actor(&actor);
	theirs = seen_by(&segment, &actor);
	assert_true(harness_until(raw_is_swept, &theirs, DEATH_SEEN_MS));
	assert_int_equal(kill(actor.pid, 0), 0);
	harness_kill(actor.pid);
	raw_close(&raw);
	raw_forget(&segment);
}

/* What a program does that closes descriptors it does not know: the roster's byte is free, the
 * connection has ended, but its threads still use the memory. */
static void close_everything(struct raw *raw, struct raw_segment *segment)
{
	close_range(3, ~0U, 0);
}

static void client_that_closes_all_descriptors_is_not_declared_dead(void **state)
{
	struct actor actor = { .name = "close", .then = close_everything };
	struct raw_segment segment, theirs;
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "close", 0, &segment);
	start_actor(&actor);
	theirs = seen_by(&segment, &actor);
	assert_false(harness_until(raw_is_swept, &theirs, 1500));
	harness_kill(actor.pid);
	assert_true(harness_until(raw_is_swept, &theirs, DEATH_SEEN_MS));
	raw_close(&raw);
	raw_forget(&segment);
}

static void next_in_line_formats_when_the_formatter_dies(void **state)
{
	struct proto_open open = { .name = "half", .mode = 0600, .gid = -1 };
	struct wire_fds fds = { 0 };
	struct raw first, second, third;
	struct raw_segment segment;
	struct proto_opened opened;
	uint8_t byte = 7;

	raw_start(NULL, NULL);
	raw_connect(&first);
	raw_connect(&second);
	raw_connect(&third);
	assert_int_equal(raw_open(&first, "half", 0, 0, &segment), 0);
	assert_int_equal(segment.opened.must_format, 1);
	assert_int_equal(pwrite(segment.fd, &byte, 1, 5000), 1);
	raw_send(&second, PROTO_OPEN, &open, sizeof open);
	open.flags = MP_EXISTING;
	await_mpd_has_read();
	raw_send(&third, PROTO_OPEN, &open, sizeof open);
	await_mpd_has_read();
	raw_close(&first);
	assert_int_equal(raw_receive(&second, &opened, sizeof opened, &fds), 0);
	assert_int_equal(opened.must_format, 1);
	assert_int_equal(opened.segment, segment.opened.segment);
	assert_int_equal(pread(fds.fd[0], &byte, 1, 5000), 1);
	assert_int_equal(byte, 0);
	/* And nobody is left who may create: the third must hear that there is none. */
	wire_close_fds(&fds);
	raw_close(&second);
	assert_int_equal(raw_receive(&third, &opened, sizeof opened, &fds), -ENOENT);
	raw_close(&third);
	raw_forget(&segment);
}

static void waiting_openers_are_answered_when_it_is_formatted(void **state)
{
	struct proto_open open = { .name = "wait", .mode = 0600, .gid = -1 };
	struct wire_fds fds = { 0 };
	struct raw_segment segment;
	struct proto_opened opened;
	struct raw first, second;

	raw_start(NULL, NULL);
	raw_connect(&first);
	raw_connect(&second);
	assert_int_equal(raw_open(&first, "wait", 0, 0, &segment), 0);
	raw_send(&second, PROTO_OPEN, &open, sizeof open);
	assert_int_equal(fcntl(second.socket, F_SETFL, O_NONBLOCK), 0);
	await_mpd_has_read();
	assert_int_equal(raw_receive(&second, &opened, sizeof opened, &fds), -EAGAIN);
	assert_int_equal(fcntl(second.socket, F_SETFL, 0), 0);
	raw_format(&first, &segment, "wait");
	assert_int_equal(raw_receive(&second, &opened, sizeof opened, &fds), 0);
	assert_int_equal(opened.must_format, 0);
	assert_int_equal(raw_count(&second), 1);
	wire_close_fds(&fds);
	raw_close(&first);
	raw_close(&second);
	raw_forget(&segment);
}

static void another_shape_or_a_bad_name_is_refused(void **state)
{
	struct raw_segment segment, other;
	char name[80];
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	assert_int_equal(raw_open(&raw, "shape", 16 << 20, 0, &segment), 0);
	raw_format(&raw, &segment, "shape");
	assert_int_equal(raw_open(&raw, "shape", 32 << 20, 0, &other), -EPROTO);
	assert_int_equal(raw_open(&raw, "shape", 0, MP_EXCLUSIVE, &other), -EEXIST);
	assert_int_equal(raw_open(&raw, "other", 0, MP_EXISTING, &other), -ENOENT);
	assert_int_equal(raw_open(&raw, "", 0, 0, &other), -EINVAL);
	assert_int_equal(raw_open(&raw, "a/b", 0, 0, &other), -EINVAL);
	assert_int_equal(raw_open(&raw, "a\nb", 0, 0, &other), -EINVAL);
	assert_int_equal(raw_open(&raw, "a\xff", 0, 0, &other), -EINVAL);
	assert_int_equal(raw_open(&raw, "tiny", 1, 0, &other), -EINVAL);
	memset(name, 'x', sizeof name);
	name[63] = '\0';
	assert_int_equal(raw_open(&raw, name, 0, 0, &other), 0);
	raw_forget(&other);
	name[63] = 'x';
	name[64] = '\0';
	assert_int_equal(raw_open(&raw, name, 0, 0, &other), -EINVAL);
	raw_close(&raw);
	raw_forget(&segment);
}

static void observer_can_only_read_and_keeps_nobody_alive(void **state)
{
	struct proto_segment observe = { 0 };
	struct raw_segment segment, refused;
	struct proto_opened opened;
	struct wire_fds fds = { 0 };
	struct raw raw, observer;
	char path[40];

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "seen", 0, &segment);
	raw_connect_as_observer(&observer);
	observe.segment = segment.opened.segment;
	assert_int_equal(raw_ask(&observer, PROTO_OBSERVE, &observe, sizeof observe, &opened,
				 sizeof opened, &fds), 0);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds.fd[0], 0),
			 MAP_FAILED);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fds.fd[0]);
	if (geteuid() != 0)
		assert_int_equal(open(path, O_RDWR | O_CLOEXEC), -1);
	assert_int_equal(raw_open(&observer, "mine", 0, 0, &refused), -EPERM);
	wire_close_fds(&fds);
	recover_client(segment.seg, segment.client, segment.generation);
	raw_close(&raw);
	raw_forget(&segment);
	assert_true(harness_until(is_gone, NULL, DEATH_SEEN_MS));
	raw_close(&observer);
}

static void kill_mpd(struct raw *raw)
{
	assert_int_equal(kill((pid_t)raw->welcome.pid, SIGKILL), 0);
}

static void killed_mpd_is_back_with_the_same_memory(void **state)
{
	struct raw_segment kept, segment;
	int64_t worst_ns = 0;
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "kept", MP_KEEP, &kept);
	for (unsigned i = 1; i <= MPD_KILLS; i++) {
		int64_t begin_ns = harness_now_ns();

		memset(raw_page(&kept), (int)i, 4096);
		kill_mpd(&raw);
		raw_close(&raw);
		raw_connect(&raw);
		if (harness_now_ns() - begin_ns > worst_ns)
			worst_ns = harness_now_ns() - begin_ns;
		assert_int_equal(raw.welcome.restarts, i);
		assert_int_equal(raw_open(&raw, "kept", 0, MP_EXISTING, &segment), 0);
		assert_int_equal(segment.opened.must_format, 0);
		assert_int_equal(segment.opened.generation, kept.opened.generation);
		assert_int_equal(seg_map(segment.fd, false, &segment.seg), 0);
		for (unsigned byte = 0; byte < 4096; byte++)
			assert_int_equal(raw_page(&segment)[byte], i & 255);
		raw_forget(&segment);
	}
	print_message("mpd was away for at most %.1f ms\n", (double)worst_ns / 1e6);
	assert_int_equal(raw_unlink(&raw, "kept"), 0);
	recover_client(kept.seg, kept.client, kept.generation);
	raw_close(&raw);
	raw_forget(&kept);
}

static void client_that_died_while_mpd_was_dead_is_swept(void **state)
{
	struct actor actor = { .name = "both" }, survivor = { .name = "both" };
	struct raw_segment segment, theirs;
	struct raw raw;
	pid_t supervisor;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "both", 0, &segment);
	start_actor(&actor);
	start_actor(&survivor);
	supervisor = raw_parent_of((pid_t)raw.welcome.pid);
	assert_int_equal(kill(supervisor, SIGSTOP), 0);
	kill_mpd(&raw);
	harness_kill(actor.pid);
	assert_int_equal(kill(supervisor, SIGCONT), 0);
	theirs = seen_by(&segment, &actor);
	assert_true(harness_until(raw_is_swept, &theirs, DEATH_SEEN_MS));
	/* Who lives is watched again: without any word from him his death is noticed. */
	theirs = seen_by(&segment, &survivor);
	raw_close(&raw);
	raw_connect(&raw);
	assert_false(raw_is_swept(&theirs));
	harness_kill(survivor.pid);
	assert_true(harness_until(raw_is_swept, &theirs, DEATH_SEEN_MS));
	raw_close(&raw);
	raw_forget(&segment);
}

static void supervisor_may_be_killed(void **state)
{
	struct raw_segment segment, other;
	struct raw raw, second;
	pid_t mpd;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "alone", 0, &segment);
	mpd = (pid_t)raw.welcome.pid;
	assert_int_equal(kill(raw_parent_of(mpd), SIGKILL), 0);
	harness_sleep_ms(20);
	raw_connect(&second);
	assert_int_equal(second.welcome.pid, mpd);
	assert_int_equal(raw_open(&second, "another", 0, 0, &other), 0);
	assert_int_equal(other.opened.must_format, 1);
	raw_format(&second, &other, "another");
	raw_forget(&other);
	recover_client(segment.seg, segment.client, segment.generation);
	raw_close(&raw);
	raw_close(&second);
	raw_forget(&segment);
}

static void segment_being_made_when_mpd_is_killed_is_whole_or_gone(void **state)
{
	struct raw_segment whole, half, found;
	struct proto_segment formatted;
	struct seg_geometry plan;
	struct raw raw;

	raw_start("--grace", "1500"); /* what nobody has said FORMATTED of waits so long */
	raw_connect(&raw);
	assert_int_equal(raw_open(&raw, "half", 0, 0, &half), 0);
	assert_int_equal(raw_open(&raw, "whole", 0, 0, &whole), 0);
	assert_int_equal(seg_plan(whole.opened.size_bytes, whole.opened.max_clients,
				  whole.opened.max_threads, &plan), 0);
	assert_int_equal(seg_format(whole.fd, "whole", whole.opened.generation, &plan), 0);
	kill_mpd(&raw);
	raw_close(&raw);
	raw_connect(&raw);
	formatted.segment = whole.opened.segment;
	assert_int_equal(raw_ask(&raw, PROTO_FORMATTED, &formatted, sizeof formatted, NULL, 0,
				 NULL), 0);
	formatted.segment = half.opened.segment;
	assert_int_equal(raw_ask(&raw, PROTO_FORMATTED, &formatted, sizeof formatted, NULL, 0,
				 NULL), -ESTALE);
	assert_int_equal(raw_open(&raw, "whole", 0, MP_EXISTING, &found), 0);
	assert_int_equal(found.opened.generation, whole.opened.generation);
	raw_forget(&found);
	assert_int_equal(raw_open(&raw, "half", 0, 0, &found), 0);
	assert_int_equal(found.opened.must_format, 1);
	raw_forget(&found);
	raw_forget(&whole);
	raw_forget(&half);
	raw_close(&raw);
}

static void kill_both(struct raw *raw)
{
	assert_int_equal(kill(raw_parent_of((pid_t)raw->welcome.pid), SIGKILL), 0);
	kill_mpd(raw);
}

static void both_killed_the_next_mpd_finds_the_segments_at_their_clients(void **state)
{
	struct raw_segment segment, nameless, found, theirs;
	struct actor actor = { .name = "found" };
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "nameless", 0, &nameless);
	assert_int_equal(raw_unlink(&raw, "nameless"), 0);
	raw_attach(&raw, "found", 0, &segment);
	memset(raw_page(&segment), 7, 4096);
	start_actor(&actor);
	kill_both(&raw);
	raw_close(&raw);
	assert_true(harness_until(is_gone, NULL, DEATH_SEEN_MS));
	raw_start(NULL, NULL);
	raw_connect(&raw);
	assert_int_equal(raw_count(&raw), 2);
	assert_int_equal(raw_open(&raw, "found", 0, MP_EXISTING, &found), 0);
	assert_int_equal(found.opened.generation, segment.opened.generation);
	assert_int_equal(seg_map(found.fd, false, &found.seg), 0);
	assert_int_equal(raw_page(&found)[4095], 7);
	raw_forget(&found);
	assert_int_equal(raw_open(&raw, "nameless", 0, MP_EXISTING, &found), -ENOENT);
	theirs = seen_by(&segment, &actor);
	harness_kill(actor.pid);
	assert_true(harness_until(raw_is_swept, &theirs, DEATH_SEEN_MS));
	recover_client(segment.seg, segment.client, segment.generation);
	recover_client(nameless.seg, nameless.client, nameless.generation);
	raw_close(&raw);
	raw_forget(&segment);
	raw_forget(&nameless);
}

/* It had a slot, and had not said so yet. */
static int claim_and_die(void *arg)
{
	struct raw_segment *shared = arg;
	struct raw_segment segment;
	uint32_t client, generation;
	struct raw raw;

	raw_connect(&raw);
	assert_int_equal(raw_open(&raw, "silent", 0, 0, &segment), 0);
	assert_int_equal(slot_claim_client(shared->seg, 99, "silent", 0, &client, &generation), 0);
	return client == shared->client + 1 ? 0 : 1;
}

static void client_that_died_before_it_said_attached_is_swept(void **state)
{
	struct raw_segment segment, theirs;
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "silent", 0, &segment);
	harness_join(harness_fork(claim_and_die, &segment));
	theirs = segment;
	theirs.client++;
	theirs.generation =
		client_word_generation(slot_client_word(segment.seg, theirs.client));
	assert_true(harness_until(raw_is_swept, &theirs, DEATH_SEEN_MS));
	raw_close(&raw);
	raw_forget(&segment);
}

/* For a while: one of the racers may not have begun yet. */
static bool is_one_pair(void *arg)
{
	unsigned *looks = arg;

	*looks = raw_mpd_count() == 2 ? *looks + 1 : 0;
	return *looks == 50;
}

static void many_that_start_at_once_are_one_mpd(void **state)
{
	unsigned looks = 0;
	struct raw raw;

	for (unsigned i = 0; i < RACERS; i++)
		raw_start(NULL, NULL);
	raw_connect(&raw);
	assert_true(harness_until(is_one_pair, &looks, 10000)); /* mpd and its supervisor */
	raw_close(&raw);
}

static void mpd_leaves_although_its_socket_was_removed(void **state)
{
	char path[160];
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	snprintf(path, sizeof path, "%s", harness_endpoint()->socket);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof path, "%s.lock", harness_endpoint()->socket);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(harness_endpoint()->directory), 0);
	raw_close(&raw);
	assert_true(harness_until(is_gone, NULL, DEATH_SEEN_MS));
	assert_int_equal(mkdir(harness_endpoint()->directory, 0700), 0);
}

static void unused_mpd_leaves_no_file(void **state)
{
	char path[160];
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_close(&raw);
	assert_true(harness_until(is_gone, NULL, DEATH_SEEN_MS));
	assert_int_equal(rmdir(harness_endpoint()->directory), 0);
	assert_int_equal(mkdir(harness_endpoint()->directory, 0700), 0);
	/* And a socket that a killed pair left behind is replaced. */
	raw_start(NULL, NULL);
	raw_connect(&raw);
	kill_both(&raw);
	raw_close(&raw);
	assert_true(harness_until(is_gone, NULL, DEATH_SEEN_MS));
	snprintf(path, sizeof path, "%s", harness_endpoint()->socket);
	assert_int_equal(access(path, F_OK), 0);
	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_close(&raw);
}

static void unlinked_name_made_again_is_another_segment(void **state)
{
	struct raw_segment old, fresh;
	struct raw raw, second;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_connect(&second);
	raw_attach(&raw, "again", MP_KEEP, &old);
	raw_page(&old)[0] = 1;
	assert_int_equal(raw_unlink(&raw, "again"), 0);
	assert_int_equal(raw_unlink(&raw, "again"), -ENOENT);
	assert_int_equal(raw_open(&second, "again", 0, 0, &fresh), 0);
	assert_int_equal(fresh.opened.must_format, 1);
	assert_int_not_equal(fresh.opened.generation, old.opened.generation);
	assert_int_not_equal(fresh.opened.segment, old.opened.segment);
	assert_int_equal(raw_page(&old)[0], 1);
	/* A child of an attached process may still join the nameless one. */
	assert_int_equal(raw_say_attached(&raw, &old), 0);
	raw_close(&raw);
	raw_close(&second);
	raw_forget(&old);
	raw_forget(&fresh);
}

static void opening_and_closing_leaks_nothing(void **state)
{
	struct raw_segment segment;
	unsigned before, supervisor_before;
	struct raw raw, other;
	pid_t mpd;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	mpd = (pid_t)raw.welcome.pid;
	harness_sleep_ms(20);
	before = raw_fd_count(mpd);
	supervisor_before = raw_fd_count(raw_parent_of(mpd));
	for (unsigned i = 0; i < OPENS; i++) {
		raw_connect(&other);
		raw_attach(&other, "brief", 0, &segment);
		recover_client(segment.seg, segment.client, segment.generation);
		raw_close(&other);
		raw_forget(&segment);
	}
	raw_connect(&other); /* answered after all of the former are gone */
	assert_int_equal(raw_count(&other), 0);
	raw_close(&other);
	raw_expect_fds(mpd, before);
	raw_expect_fds(raw_parent_of(mpd), supervisor_before);
	raw_close(&raw);
}

static bool has_not_woken_up(void *arg)
{
	pid_t mpd = *(pid_t *)arg;
	uint64_t before = raw_switches(mpd);

	harness_sleep_ms(1000);
	return raw_switches(mpd) == before;
}

static void idle_mpd_does_not_wake_up(void **state)
{
	struct raw_segment segment;
	struct raw raw;
	pid_t mpd;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	if (strcmp(raw.welcome.engine, "uring") != 0) {
		raw_close(&raw);
		harness_skip("epoll cannot wait for a word and looks now and then");
	}
	raw_attach(&raw, "idle", 0, &segment);
	mpd = (pid_t)raw.welcome.pid;
	harness_sleep_ms(300);
	assert_true(harness_retry(has_not_woken_up, &mpd, 3));
	assert_int_equal(load_relaxed(&segment.seg->header->attention), 0);
	raw_close(&raw);
	recover_client(segment.seg, segment.client, segment.generation);
	raw_forget(&segment);
}

static bool is_calm(void *arg)
{
	struct seg *seg = arg;

	return load_relaxed(&seg->header->attention) == 0;
}

static bool is_audited(void *arg)
{
	struct raw_segment *segment = arg;

	return load_relaxed(&segment->seg->header->audits) > segment->opened.segment;
}

/* As wait.c does it after it rang one of several sleepers. */
static bool is_attention_paid_at_once(void *arg)
{
	struct raw_segment *segment = arg;
	struct seg *seg = segment->seg;
	atom32 *bell = &seg->threads[SLOT_MPD].bell;
	int64_t began_ns = harness_now_ns(), paid_ns;

	segment->opened.segment = load_relaxed(&seg->header->audits);
	swap_seqcst(&seg->header->attention, 1);
	add_seqcst(bell, 2);
	syscall(SYS_futex, bell, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
	assert_true(harness_until(is_audited, segment, DEATH_SEEN_MS));
	paid_ns = harness_now_ns() - began_ns;
	assert_true(harness_until(is_calm, seg, DEATH_SEEN_MS));
	harness_sleep_ms(20);
	return paid_ns < INT64_C(300000000);
}

static void asked_for_attention_mpd_looks_and_calms_down(void **state)
{
	struct raw_segment segment;
	struct raw raw;

	raw_start(NULL, NULL);
	raw_connect(&raw);
	raw_attach(&raw, "attend", 0, &segment);
	harness_sleep_ms(300);
	for (unsigned i = 0; i < 3; i++)
		assert_true(harness_retry(is_attention_paid_at_once, &segment, 3));
	raw_close(&raw);
	recover_client(segment.seg, segment.client, segment.generation);
	raw_forget(&segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(two_processes_get_one_memory),
	HARNESS_TEST_WITH_MPD(killed_client_is_swept),
	HARNESS_TEST_WITH_MPD(client_that_executes_another_program_is_swept),
	HARNESS_TEST_WITH_MPD(client_that_closes_all_descriptors_is_not_declared_dead),
	HARNESS_TEST_WITH_MPD(next_in_line_formats_when_the_formatter_dies),
	HARNESS_TEST_WITH_MPD(waiting_openers_are_answered_when_it_is_formatted),
	HARNESS_TEST_WITH_MPD(another_shape_or_a_bad_name_is_refused),
	HARNESS_TEST_WITH_MPD(observer_can_only_read_and_keeps_nobody_alive),
	HARNESS_TEST_WITH_MPD(killed_mpd_is_back_with_the_same_memory),
	HARNESS_TEST_WITH_MPD(client_that_died_while_mpd_was_dead_is_swept),
	HARNESS_TEST_WITH_MPD(supervisor_may_be_killed),
	HARNESS_TEST_WITH_MPD(segment_being_made_when_mpd_is_killed_is_whole_or_gone),
	HARNESS_TEST_WITH_MPD(both_killed_the_next_mpd_finds_the_segments_at_their_clients),
	HARNESS_TEST_WITH_MPD(client_that_died_before_it_said_attached_is_swept),
	HARNESS_TEST_WITH_MPD(many_that_start_at_once_are_one_mpd),
	HARNESS_TEST_WITH_MPD(unused_mpd_leaves_no_file),
	HARNESS_TEST_WITH_MPD(mpd_leaves_although_its_socket_was_removed),
	HARNESS_TEST_WITH_MPD(unlinked_name_made_again_is_another_segment),
	HARNESS_TEST_WITH_MPD(opening_and_closing_leaks_nothing),
	HARNESS_TEST_WITH_MPD(idle_mpd_does_not_wake_up),
	HARNESS_TEST_WITH_MPD(asked_for_attention_mpd_looks_and_calms_down),
};

HARNESS_MAIN(tests)
