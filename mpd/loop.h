/* SPDX-License-Identifier: MIT
 *
 * The event loop. Knows: descriptors, words to be rung, timers. Does not know: what any of them
 * means, which kernel interface is used (loop_uring.c, loop_epoll.c).
 *
 * An event names its source by number and use, so that one that was removed while its event was
 * under way is not mistaken for its successor. Nothing is allocated.
 */
#ifndef MPD_LOOP_H
#define MPD_LOOP_H

#include "libshm/atom.h"
#include "libshm/clock.h"
#include "libshm/probe.h"

typedef uint64_t loop_id; /* 0: none */
typedef void loop_fn(void *arg, unsigned events);

/* The best engine that works here, epoll if MP_WAIT_ENGINE=futex. 0 or -errno. Where the variable
 * asks for what cannot be had it is said and epoll used: mpd serves others than whom it got its
 * environment from, and those have their own. */
int loop_open(void);
void loop_close(void);
const char *loop_engine(void); /* "uring" or "epoll" */
enum probe_reason loop_engine_reason(void); /* why not io_uring */

/* Call fn(arg, events) whenever the descriptor is ready; `events` as in poll(2), 0 asks for the
 * end of the other side only. Remove it before the descriptor is closed. 0: no room. */
loop_id loop_add(int fd, unsigned events, loop_fn *fn, void *arg);
void loop_change(loop_id *id, unsigned events);
void loop_remove(loop_id *id); /* 0 afterwards; 0 is allowed */

bool loop_has_words(void);

/* Call fn once, when *word is rung or is not `value` any more; the source is gone by then.
 * 0: no room, or this engine cannot. */
loop_id loop_add_word(atom32 *word, uint32_t value, loop_fn *fn, void *arg);

struct loop_timer {
	int64_t deadline_ns;
	loop_fn *fn; /* called once with events 0 */
	void *arg;
	struct loop_timer *next;
	bool is_listed;
};

/* DEADLINE_NEVER stops it. */
void loop_timer_set(struct loop_timer *timer, int64_t deadline_ns);

void loop_run(void); /* until loop_stop */
void loop_stop(void);

/* Between the loop and its engines. */
struct loop_ops {
	const char *name;
	int (*open)(void);
	void (*close)(void);
	int (*arm)(loop_id id, int fd, unsigned events);
	void (*disarm)(loop_id id, int fd);
	int (*arm_word)(loop_id id, atom32 *word, uint32_t value); /* NULL: cannot */
	int (*wait)(int64_t deadline_ns); /* calls loop_fire; 0 or -errno */
	bool is_one_shot;                 /* an event disarms its source */
};
extern const struct loop_ops loop_uring;
extern const struct loop_ops loop_epoll;

void loop_fire(loop_id id, unsigned events);

#endif
