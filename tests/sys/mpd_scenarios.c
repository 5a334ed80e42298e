/* SPDX-License-Identifier: MIT
 *
 * See mpd_scenarios.h.
 */
#include "mpd_scenarios.h"

#include "libshm/cc.h"
#include "libshm/recover.h"
#include "libshm/slot.h"

#include <libshm/base.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what several of them begin with --- */

static void make(struct world *world)
{
	world_make_target(world, &world->raw, MP_KEEP);
}

/* The connection of its maker would hold it. */
static void make_for_nobody(struct world *world)
{
	make(world);
	world_connect_again(world, &world->raw);
}

static void open_half(struct world *world)
{
	assert_int_equal(world_open_target(world, &world->raw, MP_KEEP), 0);
	assert_int_equal(world->target.opened.must_format, 1);
}

static void enter(struct world *world)
{
	make(world);
	world_enter_target(world, &world->raw);
}

static void attach(struct world *world)
{
	enter(world);
	assert_int_equal(world_say(world, &world->raw, PROTO_ATTACHED), 0);
}

static void attach_unkept(struct world *world)
{
	world_make_target(world, &world->raw, 0);
	world_enter_target(world, &world->raw);
	assert_int_equal(world_say(world, &world->raw, PROTO_ATTACHED), 0);
}

/* The other has asked and waits for his answer. */
static void wait_in_line(struct world *world, uint32_t flags)
{
	struct proto_open open = { .name = WORLD_TARGET, .flags = flags, .mode = 0600, .gid = -1 };

	open_half(world);
	raw_send(&world->other, PROTO_OPEN, &open, sizeof open);
	world_settle(world);
}

static void wait_as_creator(struct world *world)
{
	wait_in_line(world, MP_KEEP);
}

static void wait_for_existing(struct world *world)
{
	wait_in_line(world, MP_EXISTING);
}

/* His answer, or that of the same question asked again. */
static int be_answered(struct world *world, uint32_t flags)
{
	struct wire_fds fds = { 0 };
	struct proto_opened opened;
	int status = raw_receive(&world->other, &opened, sizeof opened, &fds);

	if (world_is_lost(status)) {
		world_connect_again(world, &world->other);
		return world_open_target(world, &world->other, flags);
	}
	if (status < 0)
		return status;
	world_forget_target(world);
	world->target = (struct raw_segment){ .opened = opened, .fd = fds.fd[0] };
	return 0;
}

/* --- requests --- */

static void say_hello(struct world *world)
{
	world_connect_again(world, &world->raw);
}

static void say_hello_as_observer(struct world *world)
{
	struct raw observer;

	world_connect_observer(world, &observer);
	raw_close(&observer);
}

static void open_existing(struct world *world)
{
	uint64_t generation = world->target.opened.generation;

	assert_int_equal(world_open_target(world, &world->other, MP_EXISTING), 0);
	assert_int_equal(world->target.opened.generation, generation);
	assert_int_equal(world->target.opened.must_format, 0);
}

static void open_and_leave(struct world *world)
{
	open_half(world);
	world_connect_again(world, &world->raw);
	world_forget_target(world);
}

/* A new mpd has never heard of a slot that is free. */
static void say_detached(struct world *world)
{
	int status;

	world_leave_target(world);
	status = world_say(world, &world->raw, PROTO_DETACHED);
	assert_true(status == 0 || status == -ENOENT || status == -ESTALE);
}

/* Without that word it would end with its client. */
static void open_to_keep(struct world *world)
{
	struct raw_segment again;

	assert_int_equal(world_open(world, &world->other, MP_KEEP, &again), 0);
	assert_int_equal(again.opened.generation, world->target.opened.generation);
	raw_forget(&again);
	say_detached(world);
	world_connect_again(world, &world->other);
}

static void finish(struct world *world, struct raw *raw)
{
	unsigned pairs = world->pairs;
	int status = world_format_target(world, raw);

	assert_true(status == 0 || status == -ESTALE);
	if (status < 0 || pairs != world->pairs)
		world_make_target(world, raw, MP_KEEP);
}

static void format(struct world *world)
{
	finish(world, &world->raw);
}

static void format_for_line(struct world *world)
{
	uint64_t generation;

	format(world);
	generation = world->target.opened.generation;
	assert_int_equal(be_answered(world, MP_KEEP), 0);
	assert_int_equal(world->target.opened.generation, generation);
	assert_int_equal(world->target.opened.must_format, 0);
}

static void leave_to_line(struct world *world)
{
	world_connect_again(world, &world->raw);
	assert_int_equal(be_answered(world, MP_KEEP), 0);
	assert_int_equal(world->target.opened.must_format, 1);
	finish(world, &world->other);
}

static void leave_line_without_creator(struct world *world)
{
	world_connect_again(world, &world->raw);
	assert_int_equal(be_answered(world, MP_EXISTING), -ENOENT);
	world_forget_target(world);
}

static void say_attached(struct world *world)
{
	assert_int_equal(world_say(world, &world->raw, PROTO_ATTACHED), 0);
}

static void unlink_it(struct world *world)
{
	int status = world_unlink_target(world, &world->other);

	assert_true(status == 0 || status == -ENOENT);
}

static void list_all(struct world *world)
{
	world_settle(world);
}

static void observe(struct world *world)
{
	struct wire_fds fds = { 0 };
	struct proto_opened opened;

	assert_int_equal(world_ask_about_target(world, &world->watcher, PROTO_OBSERVE, &opened,
						sizeof opened, &fds), 0);
	assert_int_equal(opened.generation, world->target.opened.generation);
	wire_close_fds(&fds);
}

/* --- deaths --- */

static void attach_actor(struct world *world)
{
	make(world);
	world_start_actor(world, MP_EXISTING);
	assert_int_equal(seg_map(world->target.fd, false, &world->target.seg), 0);
}

/* Where nobody is left who notices, it is whoever asks next that starts him. */
static bool is_actor_swept(void *arg)
{
	struct world *world = arg;
	struct raw_segment slot = world->actors;

	if (mpd_pair_is_dead((pid_t)world->watcher.welcome.pid) && !mpd_pair_is_kept(&world->pair))
		world_connect_again(world, &world->watcher);
	slot.seg = world->target.seg;
	return raw_is_swept(&slot);
}

/* Once, whoever swept and however often. */
static void await_swept(struct world *world)
{
	harness_wait(world->actor);
	assert_true(harness_until(is_actor_swept, world, WORLD_PATIENCE_MS));
	assert_int_equal(load_relaxed(&world->target.seg->header->death_count), 1);
}

static void kill_actor(struct world *world)
{
	assert_int_equal(kill(world->actor, SIGKILL), 0);
	await_swept(world);
}

static void attach_only_actor(struct world *world)
{
	world_start_actor(world, 0);
}

static void kill_only_actor(struct world *world)
{
	harness_kill(world->actor);
}

/* --- starts --- */

static void kill_mpd(struct world *world)
{
	assert_int_equal(kill((pid_t)world->watcher.welcome.pid, SIGKILL), 0);
}

/* One client lives and one dies with mpd; another segment is half made. */
static void prepare_a_lot(struct world *world)
{
	struct raw_segment half;

	attach_actor(world);
	assert_int_equal(raw_open(&world->other, "half", 0, 0, &half), 0);
	raw_forget(&half);
	world_settle(world);
}

static void take_over(struct world *world)
{
	kill_mpd(world);
	assert_int_equal(kill(world->actor, SIGKILL), 0);
	world_settle(world);
	await_swept(world);
}

static bool is_mpd_dead(void *arg)
{
	const struct world *world = arg;

	return mpd_pair_is_dead((pid_t)world->watcher.welcome.pid);
}

static bool is_supervisor_dead(void *arg)
{
	struct world *world = arg;

	return !mpd_pair_is_kept(&world->pair);
}

/* The memory is at its clients only. */
static void kill_both(struct world *world)
{
	prepare_a_lot(world);
	assert_int_equal(kill(world->pair.supervisor, SIGKILL), 0);
	kill_mpd(world);
	assert_int_equal(mpd_pair_await(&world->pair), -SIGKILL);
	assert_true(harness_until(is_mpd_dead, world, WORLD_PATIENCE_MS));
	world_hold_next(world);
}

static void connect_all(struct world *world)
{
	world_connect_again(world, &world->watcher);
	world_connect_again(world, &world->raw);
	world_connect_again(world, &world->other);
}

static void find_all(struct world *world)
{
	mpd_pair_let_begin(&world->pair);
	assert_int_equal(kill(world->actor, SIGKILL), 0);
	connect_all(world);
	world_settle(world);
	await_swept(world);
}

static void let_all_end(struct world *world)
{
	world_empty(world);
	world_hang_up(world);
	assert_int_equal(mpd_pair_await(&world->pair), 0);
	world_hold_next(world);
}

static void be_first(struct world *world)
{
	mpd_pair_let_begin(&world->pair);
	connect_all(world);
	make(world);
}

/* --- ends --- */

/* It leaves, or is killed while it does. */
static void let_leave(struct world *world)
{
	world_hang_up(world);
	assert_true(harness_until(is_mpd_dead, world, WORLD_PATIENCE_MS));
	connect_all(world);
	make(world);
}

/* A supervisor that was told to end does so, whatever ends its mpd. Clients go on without both. */
static void tell_to_end(struct world *world)
{
	assert_int_equal(kill(world->pair.supervisor, SIGTERM), 0);
	assert_true(harness_until(is_supervisor_dead, world, WORLD_PATIENCE_MS));
	assert_int_equal(kill(world->actor, SIGKILL), 0);
	connect_all(world);
	world_settle(world);
	await_swept(world);
}

const struct scenario scenarios[] = {
	{ "hello", NULL, say_hello, REGISTRY_FREE, 0, AT_REQUEST },
	{ "hello of an observer", NULL, say_hello_as_observer, REGISTRY_FREE, 0, AT_REQUEST },
	{ "open a new name and format it", NULL, make, REGISTRY_READY, 0, AT_REQUEST },
	{ "open a new name and leave", NULL, open_and_leave, REGISTRY_FREE, 0, AT_REQUEST },
	{ "open an existing name", make, open_existing, REGISTRY_READY, 0, AT_REQUEST },
	{ "open to keep", attach_unkept, open_to_keep, REGISTRY_READY, 0, AT_REQUEST },
	{ "formatted", open_half, format, REGISTRY_READY, 0, AT_REQUEST },
	{ "formatted, one waits in line", wait_as_creator, format_for_line, REGISTRY_READY, 0,
	  AT_REQUEST },
	{ "formatter leaves, one waits in line", wait_as_creator, leave_to_line, REGISTRY_READY, 0,
	  AT_REQUEST },
	{ "formatter leaves, one waits who may not create", wait_for_existing,
	  leave_line_without_creator, REGISTRY_FREE, 0, AT_REQUEST },
	{ "attached", enter, say_attached, REGISTRY_READY, 1, AT_REQUEST },
	{ "detached", attach, say_detached, REGISTRY_READY, 0, AT_REQUEST },
	{ "detached, nobody is left", attach_unkept, say_detached, REGISTRY_FREE, 0, AT_REQUEST },
	{ "unlink what is used", attach, unlink_it, REGISTRY_NAMELESS, 1, AT_REQUEST },
	{ "unlink what nobody uses", make_for_nobody, unlink_it, REGISTRY_FREE, 0, AT_REQUEST },
	{ "list", make, list_all, REGISTRY_READY, 0, AT_REQUEST },
	{ "observe", make, observe, REGISTRY_READY, 0, AT_REQUEST },
	{ "a client dies", attach_actor, kill_actor, REGISTRY_READY, 0, AT_REQUEST },
	{ "the last client dies", attach_only_actor, kill_only_actor, REGISTRY_FREE, 0,
	  AT_REQUEST },
	{ "start, taking over", prepare_a_lot, take_over, REGISTRY_READY, 0, AT_RESTART },
	{ "start from nothing", let_all_end, be_first, REGISTRY_READY, 0, AT_START },
	{ "start, the memory is at its clients", kill_both, find_all, REGISTRY_READY, 0, AT_START },
	{ "leave when unused", world_empty, let_leave, REGISTRY_READY, 0, AT_END },
	{ "end when told to, clients go on", prepare_a_lot, tell_to_end, REGISTRY_READY, 0,
	  AT_END },
};
const unsigned scenario_count = ARRAY_LEN(scenarios);
