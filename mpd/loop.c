/* SPDX-License-Identifier: MIT
 *
 * Sources and timers of the event loop. Knows: the table of sources, deadlines. Does not know: how
 * the kernel is asked.
 */
#include "loop.h"

#include "log.h"

#include <errno.h>
#include <string.h>

#include "libshm/cc.h"

#define REARM_NS INT64_C(10000000)
#define SOURCES_MAX 16384 /* connections, their processes, segments */

struct source {
	loop_fn *fn; /* NULL: free */
	void *arg;
	int fd; /* -1: a word */
	unsigned events;
	uint32_t use;
	uint32_t next_free;
	bool is_unarmed; /* the engine could not just then; it is asked again */
};

static void rearm(void *arg, unsigned events);

static const struct loop_ops *engine;
static enum probe_reason reason; /* why not io_uring */
static struct source sources[SOURCES_MAX]; /* 0 is not used */
static uint32_t first_free;
static uint32_t high = 1;
static struct loop_timer *timers;
static struct loop_timer rearm_timer = { .deadline_ns = DEADLINE_NEVER, .fn = rearm };
static bool is_stopping;

static loop_id id_of(uint32_t index)
{
	return (uint64_t)sources[index].use << 32 | index;
}

static struct source *find(loop_id id)
{
	uint32_t index = (uint32_t)id;

	if (index == 0 || index >= high || !sources[index].fn)
		return NULL;
	return sources[index].use == (uint32_t)(id >> 32) ? &sources[index] : NULL;
}

static uint32_t take_source(loop_fn *fn, void *arg, int fd, unsigned events)
{
	uint32_t index = first_free;

	if (index)
		first_free = sources[index].next_free;
	else if (high < SOURCES_MAX)
		index = high++;
	else
		return 0;
	sources[index] = (struct source){ .fn = fn, .arg = arg, .fd = fd, .events = events,
					  .use = sources[index].use + 1 };
	return index;
}

static void give_source(struct source *source)
{
	source->fn = NULL;
	source->next_free = first_free;
	first_free = (uint32_t)(source - sources);
}

static int open_uring(void)
{
	const struct park_ops *clients = NULL;
	int error = probe_engine(&clients);

	reason = probe_reason();
	if (error < 0)
		return error;
	if (clients != &park_uring)
		return -ENOSYS;
	engine = &loop_uring;
	error = engine->open();
	if (error < 0)
		reason = PROBE_NO_RING;
	return error;
}

int loop_open(void)
{
	const struct park_ops *clients;
	int error = open_uring();

	if (error == 0)
		return 0;
	if (probe_engine(&clients) < 0)
		log_warning("%s: MP_WAIT_ENGINE cannot be obeyed, using epoll",
			    probe_reason_text(reason));
	else
		log_info("%s: using epoll", probe_reason_text(reason));
	engine = &loop_epoll;
	return engine->open();
}

void loop_close(void)
{
	engine->close();
}

const char *loop_engine(void)
{
	return engine->name;
}

enum probe_reason loop_engine_reason(void)
{
	return reason;
}

bool loop_has_words(void)
{
	return engine->arm_word != NULL;
}

loop_id loop_add(int fd, unsigned events, loop_fn *fn, void *arg)
{
	uint32_t index = take_source(fn, arg, fd, events);

	if (index == 0)
		return 0;
	if (engine->arm(id_of(index), fd, events) == 0)
		return id_of(index);
	give_source(&sources[index]);
	return 0;
}

loop_id loop_add_word(atom32 *word, uint32_t value, loop_fn *fn, void *arg)
{
	uint32_t index = engine->arm_word ? take_source(fn, arg, -1, 0) : 0;

	if (index == 0)
		return 0;
	if (engine->arm_word(id_of(index), word, value) == 0)
		return id_of(index);
	give_source(&sources[index]);
	return 0;
}

/* Who is not watched is not forgotten: nobody else would ever notice him. */
static void arm(struct source *source)
{
	source->is_unarmed = engine->arm(id_of((uint32_t)(source - sources)), source->fd,
					 source->events) < 0;
	if (source->is_unarmed && rearm_timer.deadline_ns == DEADLINE_NEVER)
		loop_timer_set(&rearm_timer, clock_now_ns() + REARM_NS);
}

static void rearm(void *arg, unsigned events)
{
	for (uint32_t i = 1; i < high; i++)
		if (sources[i].fn && sources[i].is_unarmed)
			arm(&sources[i]);
}

/* A new number: an event of the old wish, under way already, is not taken for the new one's. */
void loop_change(loop_id *id, unsigned events)
{
	struct source *source = find(*id);

	if (!source || source->events == events)
		return;
	engine->disarm(*id, source->fd);
	source->use++;
	source->events = events;
	*id = id_of((uint32_t)(source - sources));
	arm(source);
}

void loop_remove(loop_id *id)
{
	struct source *source = find(*id);

	if (source) {
		engine->disarm(*id, source->fd);
		give_source(source);
	}
	*id = 0;
}

static void fire_word(struct source *source)
{
	loop_fn *fn = source->fn;
	void *arg = source->arg;

	give_source(source);
	fn(arg, 0);
}

void loop_fire(loop_id id, unsigned events)
{
	struct source *source = find(id);

	if (!source)
		return;
	if (source->fd < 0) {
		fire_word(source);
		return;
	}
	source->fn(source->arg, events);
	if (engine->is_one_shot && find(id) == source)
		arm(source);
}

void loop_timer_set(struct loop_timer *timer, int64_t deadline_ns)
{
	timer->deadline_ns = deadline_ns;
	if (timer->is_listed)
		return;
	timer->is_listed = true;
	timer->next = timers;
	timers = timer;
}

static int64_t next_deadline(void)
{
	int64_t first = DEADLINE_NEVER;

	for (struct loop_timer *timer = timers; timer; timer = timer->next)
		if (timer->deadline_ns < first)
			first = timer->deadline_ns;
	return first;
}

static void fire_timers(void)
{
	int64_t now = clock_now_ns();

	for (struct loop_timer *timer = timers; timer; timer = timer->next) {
		if (timer->deadline_ns > now)
			continue;
		timer->deadline_ns = DEADLINE_NEVER;
		timer->fn(timer->arg, 0);
	}
}

/* All that was armed went with the old one. Who waits on a word looks for himself. */
static void watch_anew(void)
{
	for (uint32_t i = 1; i < high; i++) {
		if (sources[i].fn && sources[i].fd >= 0)
			arm(&sources[i]);
		else if (sources[i].fn)
			fire_word(&sources[i]);
	}
}

/* A ring may lose completions for want of memory, or fail altogether: then what it watched is
 * watched by another one, or by epoll. mpd has too much to lose to end here. */
static void renew_engine(int error)
{
	log_error("waiting with %s has failed (%s): everything is watched anew", engine->name,
		  strerror(-error));
	engine->close();
	while (engine->open() < 0) {
		engine = &loop_epoll;
		clock_sleep_ns(REARM_NS);
	}
	watch_anew();
}

void loop_run(void)
{
	while (!is_stopping) {
		int64_t deadline_ns = next_deadline();
		int error = engine->wait(deadline_ns);

		if (error < 0)
			renew_engine(error);
		if (deadline_ns != DEADLINE_NEVER)
			fire_timers();
	}
}

void loop_stop(void)
{
	is_stopping = true;
}
