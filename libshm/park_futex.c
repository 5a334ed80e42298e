/* SPDX-License-Identifier: MIT
 *
 * Sleeping with futex(2). Knows: FUTEX_WAIT_BITSET on shared words, polling of watched descriptors
 * between slices. Does not know: wait sets.
 *
 * A futex cannot wait for a descriptor too, so a sleeper with watches looks at them each time a
 * slice is over: 10 ms at first, doubling to 160 ms. mpd notices deaths at once and rings; the
 * slices only matter while mpd is stopped or gone.
 */
#include "park.h"

#include "clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLICE_FIRST_NS INT64_C(10000000)
#define SLICE_LAST_NS INT64_C(160000000)

/* There is nothing to remember, so nothing that could fail: one for all. */
struct park {
	int unused;
};

static struct park the_park;

int park_wake(atom32 *word)
{
	int woken;
	int kept = errno;

	woken = (int)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	errno = kept;
	return woken;
}

void park_disown(atom32 *word)
{
	int kept = errno;

	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	errno = kept;
}

static int futex_open(struct park **ret_park)
{
	*ret_park = &the_park;
	return 0;
}

static struct park *futex_close(struct park *park)
{
	(void)park;
	return NULL;
}

static int futex_descriptor(const struct park *park)
{
	(void)park;
	return -1;
}

/* 0: rung or the word differs; -ETIMEDOUT, -EINTR. */
static int wait_word(atom32 *word, uint32_t value, int64_t deadline_ns)
{
	struct timespec until = { .tv_sec = deadline_ns / 1000000000,
				  .tv_nsec = deadline_ns % 1000000000 };
	int kept = errno, result = 0;

	if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value,
		    deadline_ns == DEADLINE_NEVER ? NULL : &until, NULL,
		    FUTEX_BITSET_MATCH_ANY) < 0 &&
	    errno != EAGAIN)
		result = -errno;
	errno = kept;
	return result;
}

static int any_dead(const struct park_watch *watches, unsigned watch_count)
{
	struct pollfd ask[PARK_WATCHES_MAX];

	for (unsigned i = 0; i < watch_count; i++)
		ask[i] = (struct pollfd){ .fd = watches[i].fd, .events = POLLIN };
	return poll(ask, watch_count, 0) > 0;
}

static int futex_sleep(struct park *park, atom32 *word, uint32_t value, int64_t deadline_ns,
		       const struct park_watch *watches, unsigned watch_count)
{
	int64_t slice = SLICE_FIRST_NS;

	(void)park;
	for (;;) {
		int64_t until = deadline_ns;
		int result;

		if (watch_count > 0) {
			int64_t slice_end = clock_now_ns() + slice;

			until = slice_end < deadline_ns ? slice_end : deadline_ns;
		}
		result = wait_word(word, value, until);
		if (result != -ETIMEDOUT || until == deadline_ns)
			return result;
		if (any_dead(watches, watch_count))
			return PARK_DEATH;
		slice = slice * 2 < SLICE_LAST_NS ? slice * 2 : SLICE_LAST_NS;
	}
}

const struct park_ops park_futex = {
	.name = "futex",
	.engine = ENGINE_FUTEX,
	.open = futex_open,
	.close = futex_close,
	.descriptor = futex_descriptor,
	.sleep = futex_sleep,
};
