/* SPDX-License-Identifier: MIT
 *
 * Sleeping in io_uring. Knows: one ring for each sleeping thread, the armed doorbell, armed pidfds,
 * the deadline of one enter. Does not know: wait sets.
 *
 * One system call arms what is not armed yet and sleeps on all of it. What did not fire stays
 * armed: an armed doorbell takes no ring while its owner is awake, because ringers make the system
 * call only when the bell says ASLEEP. Nobody but the owner sleeps on a doorbell, and the next
 * owner sends away what a former one left armed (park_disown), so an armed wait can swallow nobody
 * else's wake.
 */
#include "park.h"

#include "clock.h"
#include "own_fd.h"
#include "uring_compat.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RING_ENTRIES 16
#define WATCHES_ARMED_MAX 8
#define BELL_DATA UINT64_C(1)
#define IGNORED_DATA UINT64_C(2)
#define WATCH_TAG (UINT64_C(1) << 63)

struct park {
	struct io_uring ring;
	struct own_fd_file file; /* of the ring, whose descriptor the program may close */
	bool is_registered;      /* the ring is found without its descriptor */
	bool is_bell_armed;
	bool is_rung;
	bool has_death;
	unsigned next_victim;
	uint64_t armed[WATCHES_ARMED_MAX]; /* keys of armed pidfds, 0 none */
};

static int uring_open(struct park **ret_park)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER |
						   IORING_SETUP_DEFER_TASKRUN };
	struct park *park = calloc(1, sizeof *park);
	int error;

	if (!park)
		return -ENOMEM;
	error = io_uring_queue_init_params(RING_ENTRIES, &park->ring, &params);
	if (error < 0) {
		free(park);
		return error;
	}
	io_uring_ring_dontfork(&park->ring);
	park->file = own_fd_file(park->ring.ring_fd);
	park->is_registered = io_uring_register_ring_fd(&park->ring) == 1;
	*ret_park = park;
	return 0;
}

static struct park *uring_close(struct park *park)
{
	if (park) {
		/* A number that is the program's by now is not closed: the ring ends with the
		 * thread that it is registered for. */
		if (!own_fd_is(park->ring.ring_fd, park->file))
			park->ring.ring_fd = -1;
		io_uring_queue_exit(&park->ring);
		free(park);
	}
	return NULL;
}

static int uring_descriptor(const struct park *park)
{
	return own_fd_is(park->ring.ring_fd, park->file) ? park->ring.ring_fd : -1;
}

/* Else it might be a ring of the program's. */
static bool can_enter(const struct park *park)
{
	return park->is_registered || own_fd_is(park->ring.ring_fd, park->file);
}

static struct io_uring_sqe *next_sqe(struct park *park)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&park->ring);

	if (!sqe && can_enter(park)) {
		io_uring_submit(&park->ring);
		sqe = io_uring_get_sqe(&park->ring);
	}
	return sqe;
}

static void arm_bell(struct park *park, atom32 *word, uint32_t value)
{
	struct io_uring_sqe *sqe = park->is_bell_armed ? NULL : next_sqe(park);

	if (!sqe)
		return;
	uring_prep_futex_wait(sqe, word, value);
	io_uring_sqe_set_data64(sqe, BELL_DATA);
	park->is_bell_armed = true;
}

static int find_armed(const struct park *park, uint64_t key)
{
	for (int i = 0; i < WATCHES_ARMED_MAX; i++)
		if (park->armed[i] == key)
			return i;
	return -1;
}

/* A place for one more armed watch; the oldest is disarmed when all are taken. */
static unsigned place_for_watch(struct park *park)
{
	int empty = find_armed(park, 0);
	unsigned place;
	struct io_uring_sqe *sqe;

	if (empty >= 0)
		return (unsigned)empty;
	place = park->next_victim++ % WATCHES_ARMED_MAX;
	sqe = next_sqe(park);
	if (sqe) {
		io_uring_prep_poll_remove(sqe, park->armed[place]);
		io_uring_sqe_set_data64(sqe, IGNORED_DATA);
	}
	return place;
}

static void arm_watch(struct park *park, const struct park_watch *watch)
{
	uint64_t key = watch->key | WATCH_TAG;
	struct io_uring_sqe *sqe;
	unsigned place;

	if (watch->fd < 0 || find_armed(park, key) >= 0)
		return;
	place = place_for_watch(park);
	sqe = next_sqe(park);
	if (!sqe)
		return;
	io_uring_prep_poll_add(sqe, watch->fd, 1 /* POLLIN */);
	io_uring_sqe_set_data64(sqe, key);
	park->armed[place] = key;
}

static void note(struct park *park, const struct io_uring_cqe *cqe,
		 const struct park_watch *watches, unsigned watch_count)
{
	uint64_t data = io_uring_cqe_get_data64(cqe);
	int place;

	if (data == BELL_DATA) {
		park->is_bell_armed = false;
		park->is_rung = true;
		return;
	}
	if (!(data & WATCH_TAG))
		return;
	place = find_armed(park, data);
	if (place >= 0)
		park->armed[place] = 0;
	for (unsigned i = 0; i < watch_count; i++)
		if ((watches[i].key | WATCH_TAG) == data)
			park->has_death = true;
}

static void drain(struct park *park, const struct park_watch *watches, unsigned watch_count)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;

	io_uring_for_each_cqe(&park->ring, head, cqe) {
		note(park, cqe, watches, watch_count);
		seen++;
	}
	io_uring_cq_advance(&park->ring, seen);
}

/* In the kernel: how many entries it took, or -errno. Each makes one system call, and a second only
 * where entries were left over: a loop around it would sleep again after a signal. */
static int submit_and_wait(struct park *park, int64_t deadline_ns)
{
	struct __kernel_timespec left;
	struct io_uring_cqe *first = NULL;
	int64_t ns;

	if (deadline_ns == DEADLINE_NEVER)
		return io_uring_submit_and_wait(&park->ring, 1);
	ns = deadline_ns - clock_now_ns();
	if (ns < 0)
		ns = 0;
	left = (struct __kernel_timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	return io_uring_submit_and_wait_timeout(&park->ring, &first, 1, &left, NULL);
}

/* Submit and sleep once: 0 something completed, -ETIMEDOUT, -EINTR, or the ring is unusable (a
 * filter was installed since, or its descriptor was closed behind our back).
 *
 * Where entries were submitted the kernel answers with their number, whatever ended the sleep. All
 * taken, nothing completed, and yet it returned: the time was over or a signal came. */
static int enter(struct park *park, int64_t deadline_ns)
{
	unsigned submitted = io_uring_sq_ready(&park->ring);
	int result = can_enter(park) ? submit_and_wait(park, deadline_ns) : -EBADF;

	if (result == -ETIME)
		return -ETIMEDOUT;
	if (result < 0)
		return result;
	if (result == 0 || (unsigned)result < submitted || io_uring_cq_ready(&park->ring) > 0)
		return 0;
	return clock_is_past(deadline_ns) ? -ETIMEDOUT : -EINTR;
}

static void arm(struct park *park, atom32 *word, uint32_t value, const struct park_watch *watches,
		unsigned watch_count)
{
	for (unsigned i = 0; i < watch_count; i++)
		arm_watch(park, &watches[i]);
	arm_bell(park, word, value);
}

static void uring_prepare(struct park *park, atom32 *word, uint32_t value,
			  const struct park_watch *watches, unsigned watch_count)
{
	int kept = errno;

	arm(park, word, value, watches, watch_count);
	if (can_enter(park))
		io_uring_submit(&park->ring); /* what it does not take, the sleep submits again */
	errno = kept;
}

static int uring_sleep(struct park *park, atom32 *word, uint32_t value, int64_t deadline_ns,
		       const struct park_watch *watches, unsigned watch_count)
{
	int kept = errno;
	int result = 0;

	park->is_rung = park->has_death = false;
	while (!park->is_rung && !park->has_death && result == 0) {
		arm(park, word, value, watches, watch_count);
		result = enter(park, deadline_ns);
		drain(park, watches, watch_count);
		/* A completion that was none of ours to wait for: the bell may have moved since. */
		if (load_relaxed(word) != value)
			park->is_rung = true;
	}
	errno = kept;
	if (result == -EINTR)
		return result; /* a ring is not lost: the caller looks who took its bit */
	if (park->has_death)
		return PARK_DEATH;
	if (park->is_rung)
		return PARK_RUNG;
	if (result == -ETIMEDOUT)
		return result;
	if (park->is_bell_armed) /* it would get the ring that is for the sleep below */
		park_disown(word);
	return park_futex.sleep(NULL, word, value, deadline_ns, watches, watch_count);
}

const struct park_ops park_uring = {
	.name = "uring",
	.engine = ENGINE_URING,
	.open = uring_open,
	.close = uring_close,
	.descriptor = uring_descriptor,
	.prepare = uring_prepare,
	.sleep = uring_sleep,
};
