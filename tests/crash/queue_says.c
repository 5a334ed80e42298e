/* SPDX-License-Identifier: MIT
 *
 * See queue_says.h. Knows: rows and contexts. Does not know: messages.
 *
 * Alone there is one right answer. In a pair the other may close the queue, or, together with
 * EARLIER, leave nothing to take and no place.
 */
#include "queue_says.h"

#include "family_queue.h"
#include "queue_act.h"
#include "queue_message.h"

#include <errno.h>

#define ALL_CLOSED (CLOSED | DRAINED | CLOSED_GETTER_SLEEPS)

typedef int (*act)(struct scene *scene, struct party *party);

static bool is_put(act run)
{
	return run == act_put || run == act_put_in_time || run == act_commit;
}

static bool is_in_time(act run)
{
	return run == act_put_in_time || run == act_get_in_time || run == act_claim_in_time;
}

static bool is_get(act run)
{
	return run == act_get || run == act_get_in_time;
}

static bool needs_memory(const struct scene *scene, act run)
{
	return (is_put(run) && bytes_of(scene, BY_VICTIM) > INLINE_MOST) || run == act_reserve ||
	       run == act_claim;
}

/* When nothing is in the way. */
static int usual_answer(const struct scene *scene, act run)
{
	if (run == act_get_too_small)
		return -EMSGSIZE;
	return is_get(run) ? (int)bytes_of(scene, 1) : 0;
}

static int only_answer(const struct scene *scene, const struct operation *operation)
{
	uint32_t context = queue_context(scene);
	act run = operation->run;
	bool is_closed = context & ALL_CLOSED || operation->arrange == act_reserve_and_close_before;

	if (is_closed && (is_put(run) || run == act_reserve))
		return -EPIPE;
	if (context == DRAINED && is_get(run))
		return -EPIPE;
	if (context == NO_MEMORY && needs_memory(scene, run))
		return -ENOSPC;
	return is_in_time(run) ? -ETIMEDOUT : usual_answer(scene, run);
}

static bool may_say_in_pair(const struct scene *scene, act run, int result)
{
	bool may_wait = is_put(run) || is_get(run) || run == act_claim;

	if (result == usual_answer(scene, run))
		return true;
	if (result == -EPIPE && (scene->operation->closes || scene->other->closes))
		return is_put(run) || run == act_reserve;
	return result == -ETIMEDOUT && may_wait && scene->context->earlier != NO_EARLIER;
}

/* SLEEPER, and SURVIVOR where it lets the victim go on, put or get. */
static bool may_helper_say(const struct scene *scene, bool is_getter, int result)
{
	bool is_closed = queue_context(scene) & ALL_CLOSED || scene->operation->closes;

	return result == (is_getter ? (int)bytes_of(scene, 1) : 0) ||
	       (is_closed && result == -EPIPE);
}

static bool is_right(const struct scene *scene, enum role role, int result)
{
	const struct operation *operation = scene->operation;

	if (role == SLEEPER)
		return may_helper_say(scene, operation->sleep == act_get_one, result);
	if (scene->other)
		return may_say_in_pair(scene, role == VICTIM ? operation->run : scene->other->run,
				       result);
	if (role == SURVIVOR)
		return may_helper_say(scene, operation->unblock == act_get_one ||
						     operation->unblock == act_get_two,
				      result);
	return result == only_answer(scene, operation);
}

bool queue_may_say(struct scene *scene, enum role role, int result)
{
	static const char *const names[] = { "victim", "survivor", "sleeper" };

	return is_right(scene, role, result) ||
	       complain(scene, "the %s was told %d", names[role], result);
}
