/* SPDX-License-Identifier: MIT
 *
 * See loop_by_hand.h. Knows: poll. Does not know: what the sources are.
 */
#include "loop_by_hand.h"

#include "mpd/loop.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define SOURCES_MAX 256
#define TURNS_MAX 10000 /* more than that: it is never done */

static struct source {
	loop_fn *fn; /* NULL: free */
	void *arg;
	int fd;
	unsigned events;
	uint32_t use;
} sources[SOURCES_MAX]; /* 0 is not used */
static struct loop_timer *timers;

static loop_id id_of(uint32_t index)
{
	return (uint64_t)sources[index].use << 32 | index;
}

static struct source *find(loop_id id)
{
	uint32_t index = (uint32_t)id;

	if (index == 0 || index >= SOURCES_MAX || !sources[index].fn)
		return NULL;
	return sources[index].use == (uint32_t)(id >> 32) ? &sources[index] : NULL;
}

int loop_open(void)
{
	return 0;
}

void loop_close(void)
{
}

const char *loop_engine(void)
{
	return "hand";
}

enum probe_reason loop_engine_reason(void)
{
	return (enum probe_reason)0;
}

bool loop_has_words(void)
{
	return false;
}

loop_id loop_add(int fd, unsigned events, loop_fn *fn, void *arg)
{
	for (uint32_t i = 1; i < SOURCES_MAX; i++)
		if (!sources[i].fn) {
			sources[i] = (struct source){ .fn = fn, .arg = arg, .fd = fd,
						      .events = events,
						      .use = sources[i].use + 1 };
			return id_of(i);
		}
	return 0;
}

loop_id loop_add_word(atom32 *word, uint32_t value, loop_fn *fn, void *arg)
{
	return 0;
}

void loop_change(loop_id *id, unsigned events)
{
	struct source *source = find(*id);

	if (source)
		source->events = events;
}

void loop_remove(loop_id *id)
{
	struct source *source = find(*id);

	if (source)
		source->fn = NULL;
	*id = 0;
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

void loop_run(void)
{
}

void loop_stop(void)
{
}

static bool turn_once(void)
{
	struct pollfd asked[SOURCES_MAX];
	loop_id ids[SOURCES_MAX];
	unsigned count = 0;
	bool is_any = false;

	for (uint32_t i = 1; i < SOURCES_MAX; i++)
		if (sources[i].fn) {
			ids[count] = id_of(i);
			asked[count++] = (struct pollfd){ .fd = sources[i].fd,
							  .events = (short)sources[i].events };
		}
	if (poll(asked, count, 0) <= 0)
		return false;
	for (unsigned i = 0; i < count; i++) {
		struct source *source = asked[i].revents ? find(ids[i]) : NULL;

		if (!source)
			continue;
		is_any = true;
		source->fn(source->arg, (unsigned)asked[i].revents);
	}
	return is_any;
}

void loop_turn(void)
{
	unsigned turns = 0;

	while (turn_once())
		if (++turns > TURNS_MAX) {
			fprintf(stderr, "loop: a source is never served\n");
			abort();
		}
}

void loop_fire_timers(void)
{
	for (struct loop_timer *timer = timers; timer; timer = timer->next) {
		if (timer->deadline_ns == DEADLINE_NEVER)
			continue;
		timer->deadline_ns = DEADLINE_NEVER;
		timer->fn(timer->arg, 0);
	}
}
