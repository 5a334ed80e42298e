/* SPDX-License-Identifier: MIT
 *
 * An mpd with segments in use, to be killed again and again. Knows: what the registry's file says,
 * requests that are asked until they are answered, starting the next pair where nobody serves. Does
 * not know: when somebody is killed (syscall_stepper.h), what the requests are (mpd_scenarios.h).
 */
#ifndef TESTS_SYS_MPD_WORLD_H
#define TESTS_SYS_MPD_WORLD_H

#include "mpd_pair.h"
#include "raw_client.h"

#define WORLD_TARGET "target"
#define WORLD_PATIENCE_MS 10000
#define WORLD_GRACE "10" /* ms: how long a segment that nobody has lives on after a start */

struct world {
	struct mpd_pair pair;
	unsigned pairs;        /* that were started since the first */
	bool is_registry_lost; /* the pair is another one; its registry was not looked at */
	struct raw raw, other;     /* who asks */
	struct raw watcher;        /* who only looks */
	/* Always there, the test attached to each: MP_KEEP, without it, and without a name. */
	struct raw_segment kept, plain, nameless;
	struct raw_segment target; /* what was told of it last; fd -1: nothing */
	struct raw_segment actors; /* slot of the child that is attached to it */
	pid_t actor;
	unsigned supervisor_fds; /* but for those of segments */
	bool is_empty;           /* the three are not there */
};

/* Start a pair and make the three; and end it all. */
void world_begin(struct world *world);
void world_end(struct world *world);

/* Give up the three, and make them again. */
void world_empty(struct world *world);
void world_furnish(struct world *world);

/* Close all connections. */
void world_hang_up(struct world *world);

/* The pair has ended; the next one is there, and has not begun. */
void world_hold_next(struct world *world);

/* mpd may be dead: connect to the next one. Where its supervisor is dead too, start the next
 * pair. */
void world_connect_again(struct world *world, struct raw *raw);
void world_connect_observer(struct world *world, struct raw *raw); /* not connected yet */

/* Did the request die with mpd? */
bool world_is_lost(int status);

/* Ask until it is answered, connecting as often as mpd dies. */
int world_ask(struct world *world, struct raw *raw, enum proto_type type, const void *request,
	      size_t request_bytes, void *answer, size_t answer_bytes, struct wire_fds *ret_fds);

/* The same, of what is asked about the target by its number: the next mpd may have given it
 * another. */
int world_ask_about_target(struct world *world, struct raw *raw, enum proto_type type,
			   void *answer, size_t answer_bytes, struct wire_fds *ret_fds);

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

/* Wait until mpd lists the three and, unless state is REGISTRY_FREE, the target with so many
 * clients, and nothing else; until there is one mpd with one supervisor; the registry has each of
 * them once, with what was told of it last, and nothing else; the supervisor holds descriptors for
 * these and nothing else; and see that no living client was swept. An mpd whose supervisor was
 * killed has nobody beside it who could be looked at. */
void world_check(struct world *world, enum registry_state target, unsigned target_clients);

#endif
