/* SPDX-License-Identifier: MIT
 *
 * An mpd with segments in use, to be killed again and again. Knows: its supervisor, what the
 * registry's file says, requests that are asked until they are answered. Does not know: when mpd
 * is killed (syscall_stepper.h), what the requests are (mpd_scenarios.h).
 *
 * The supervisor is the test's own child, so it may be traced and waited for.
 */
#ifndef TESTS_SYS_MPD_WORLD_H
#define TESTS_SYS_MPD_WORLD_H

#include "raw_client.h"

#include "mpd/registry.h"

#define WORLD_TARGET "target"
#define WORLD_PATIENCE_MS 10000
#define WORLD_GRACE "10" /* ms: how long a segment that nobody has lives on after a start */

struct world {
	pid_t supervisor;
	bool is_supervisor_killed; /* by the test, who starts the next one */
	struct raw raw, other;     /* who asks */
	struct raw watcher;        /* who only looks */
	/* Always there, the test attached to each: MP_KEEP, without it, and without a name. */
	struct raw_segment kept, plain, nameless;
	struct raw_segment target; /* what was told of it last; fd -1: nothing */
	struct raw_segment actors; /* slot of the child that is attached to it */
	pid_t actor;
	int registry_fd;
	const struct registry_record *records; /* in the registry's own memory */
	unsigned supervisor_fds; /* with these three segments */
};

/* Start the supervisor and make the three; and end it all. */
void world_begin(struct world *world);
void world_end(struct world *world);

/* Start a supervisor, whose mpd has got nothing; wait until a watcher is greeted. */
void world_start(struct world *world, const char *grace_ms);
/* Wait for its end; its exit code or minus the signal. */
int world_await_supervisor(struct world *world);

/* Its mpd may be dead: connect to the next one. */
void world_connect_again(struct world *world, struct raw *raw);

/* Did the request die with mpd? */
bool world_is_lost(int status);

/* Ask until it is answered, connecting as often as mpd dies. */
int world_ask(struct world *world, struct raw *raw, enum proto_type type, const void *request,
	      size_t request_bytes, void *answer, size_t answer_bytes, struct wire_fds *ret_fds);

int world_open(struct world *world, struct raw *raw, uint32_t flags,
	       struct raw_segment *ret_segment);
/* OPEN target: its status; what was told of it is in world->target. */
int world_open_target(struct world *world, struct raw *raw, uint32_t flags);
/* Format it and say so; -ESTALE: it is gone. */
int world_format_target(struct world *world, struct raw *raw);
/* Both, until there is one. */
void world_make_target(struct world *world, struct raw *raw, uint32_t flags);
/* Take a slot in it, say nothing. */
void world_enter_target(struct world *world, struct raw *raw);
int world_say(struct world *world, struct raw *raw, enum proto_type type);
void world_leave_target(struct world *world);
int world_unlink_target(struct world *world, struct raw *raw);
/* Close what the test has of it. */
void world_forget_target(struct world *world);

/* A child that is attached to the target. */
void world_start_actor(struct world *world, uint32_t flags);

/* mpd has read what was sent before this call. */
void world_settle(struct world *world);

/* Wait until the registry has the three and, unless state is REGISTRY_FREE, the target with what
 * was told of it last, and nothing else; until the supervisor holds descriptors for these and
 * nothing else; and see that no living client was swept. */
void world_check(struct world *world, enum registry_state target, unsigned target_clients);

#endif
