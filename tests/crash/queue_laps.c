/* SPDX-License-Identifier: MIT
 *
 * See queue_laps.h. Knows: the ways to put and to take. Does not know: any death.
 */
#include "queue_laps.h"

#include "queue_message.h"

#include <errno.h>

struct lap {
	struct scene *scene;
	mp_queue *queue;
	unsigned number;
	size_t bytes;
	bool is_in_place; /* reserve and commit, claim and ack */
};

static bool fails(const struct lap *lap, const char *what, unsigned i)
{
	return complain(lap->scene, "lap %u: message %u %s", lap->number, i, what);
}

static int put_in_place(const struct lap *lap, unsigned i)
{
	struct mp_slot slot;
	int result = mp_queue_reserve(lap->queue, lap->bytes, MP_NOW, &slot);

	if (result < 0)
		return result;
	make_message(slot.data, i, lap->bytes);
	result = mp_queue_commit(lap->queue, &slot);
	if (result < 0 && mp_queue_abandon(lap->queue, &slot) < 0)
		complain(lap->scene, "lap %u: a reserved block is not ours", lap->number);
	return result;
}

static int put_next(const struct lap *lap, unsigned i)
{
	struct message message;

	if (lap->is_in_place)
		return put_in_place(lap, i);
	make_message(&message, i, lap->bytes);
	return mp_queue_put(lap->queue, &message, lap->bytes, MP_NOW);
}

static bool fill_it(const struct lap *lap)
{
	for (unsigned i = 0; i < CAPACITY; i++)
		if (put_next(lap, i) != 0)
			return fails(lap, "does not fit", i);
	return (put_next(lap, CAPACITY) == -EAGAIN && mp_queue_is_full(lap->queue)) ||
	       fails(lap, "fits as well", CAPACITY);
}

static bool is_next(const struct lap *lap, const void *data, size_t bytes, unsigned i)
{
	const struct message *message = data;

	return bytes == lap->bytes &&
	       (bytes < 8 || (message->number == i && is_whole(message, bytes)));
}

static bool get_all(const struct lap *lap)
{
	struct mp_message_info info = { .len = 0 };
	struct message message;

	for (unsigned i = 0; i < CAPACITY; i++)
		if (mp_queue_get_info(lap->queue, &message, sizeof message, MP_NOW, &info) < 0 ||
		    info.flags || !is_next(lap, &message, info.len, i))
			return fails(lap, "does not come back", i);
	return true;
}

/* What is leased is in nobody's way; what is returned comes first, and says so. */
static bool claim_all(const struct lap *lap)
{
	struct mp_slot slots[CAPACITY];

	for (unsigned i = 0; i < CAPACITY; i++)
		if (mp_queue_claim(lap->queue, MP_NOW, &slots[i]) < 0 || slots[i].flags ||
		    !is_next(lap, slots[i].data, slots[i].len, i))
			return fails(lap, "cannot be leased", i);
	if (!fill_it(lap) || !get_all(lap))
		return false;
	if (mp_queue_return(lap->queue, &slots[0]) < 0 ||
	    mp_queue_claim(lap->queue, MP_NOW, &slots[0]) < 0 ||
	    slots[0].flags != MP_REDELIVERED || !is_next(lap, slots[0].data, slots[0].len, 0))
		return fails(lap, "does not come back when it is returned", 0);
	for (unsigned i = 0; i < CAPACITY; i++)
		if (mp_queue_ack(lap->queue, &slots[i]) < 0)
			return fails(lap, "cannot be acknowledged", i);
	return true;
}

static bool passes_lap(const struct lap *lap)
{
	return fill_it(lap) && (lap->is_in_place ? claim_all(lap) : get_all(lap)) &&
	       (mp_queue_is_empty(lap->queue) || fails(lap, "is left", 0));
}

bool passes_laps(struct scene *scene)
{
	static const struct lap laps[] = { { .bytes = INLINE },
					   { .bytes = BLOCK, .is_in_place = true },
					   { .bytes = BLOCK } };

	for (unsigned i = 0; i < sizeof laps / sizeof *laps; i++) {
		struct lap lap = laps[i];

		lap.scene = scene;
		lap.queue = scene->parties[CHECKER].queue;
		lap.number = i;
		if (!passes_lap(&lap))
			return false;
	}
	return true;
}
