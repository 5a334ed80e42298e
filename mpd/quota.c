/* SPDX-License-Identifier: MIT
 *
 * See quota.h. A segment's bytes, name and slots are its owner's; they are also the maker's, as
 * long as the process that made it lives: its pid and start time stand in the registry, so both
 * shares are there again after mpd's death, and nobody has the share of a dead process.
 */
#include "quota.h"

#include "adopt.h"
#include "reaper.h"

#include "libshm/slot.h"

#include <errno.h>

#define TOLD_MAX 8 /* connections beyond the quota that stay to be told why */

static uint64_t allowed[QUOTA_COUNT];

struct share {
	uint64_t bytes, segments, slots;
};

struct traffic {
	uint64_t connections, opens;
};

void quota_configure(const uint64_t limits[static QUOTA_COUNT])
{
	for (unsigned i = 0; i < QUOTA_COUNT; i++)
		allowed[i] = limits[i];
}

static int check(enum proto_quota quota, uint64_t used, uint64_t more, struct proto_refused *why)
{
	if (used <= allowed[quota] && more <= allowed[quota] - used)
		return 0;
	*why = (struct proto_refused){ .reason = REASON_QUOTA, .quota = quota, .used = used,
				       .allowed = allowed[quota] };
	return -EDQUOT;
}

static void add(struct share *share, const struct segment *segment)
{
	share->bytes += segment->record->size_bytes;
	share->segments++;
	share->slots += segment->watches;
}

static struct share share_of_user(uint32_t uid)
{
	struct share share = { 0 };

	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		const struct segment *segment = segment_at(i);

		if (segment && segment->record->uid == uid)
			add(&share, segment);
	}
	return share;
}

static struct share share_of_maker(uint32_t uid, uint32_t pid)
{
	uint32_t started = (uint32_t)slot_start_ticks(pid);
	struct share share = { 0 };

	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		const struct segment *segment = segment_at(i);

		if (segment && segment->record->uid == uid &&
		    segment->record->maker_pid == pid && segment->record->maker_started == started)
			add(&share, segment);
	}
	return share;
}

/* pid 0: of all the user's processes. */
static struct traffic traffic_of(uint32_t uid, uint32_t pid)
{
	struct traffic traffic = { 0 };
	const struct conn *conn;

	for (unsigned i = 0; (conn = conn_at(i)) != NULL; i++) {
		if (conn->fd < 0 || conn->uid != uid || (pid && conn->pid != pid))
			continue;
		traffic.connections++;
		traffic.opens += conn->hold_count;
	}
	return traffic;
}

int quota_may_connect(const struct conn *conn, struct proto_refused *why)
{
	struct traffic user = traffic_of(conn->uid, 0), client = traffic_of(conn->uid, conn->pid);
	int error = check(QUOTA_USER_CONNECTIONS, user.connections - 1, 1, why);

	return error < 0 ? error
			 : check(QUOTA_CLIENT_CONNECTIONS, client.connections - 1, 1, why);
}

static bool is_beyond(enum proto_quota quota, uint64_t used)
{
	return used > TOLD_MAX && used - TOLD_MAX > allowed[quota];
}

bool quota_is_flood(uint32_t uid, uint32_t pid)
{
	return is_beyond(QUOTA_USER_CONNECTIONS, traffic_of(uid, 0).connections) ||
	       is_beyond(QUOTA_CLIENT_CONNECTIONS, traffic_of(uid, pid).connections);
}

int quota_may_create(const struct conn *conn, uint32_t owner, const struct proto_open *open,
		     struct proto_refused *why)
{
	struct share user = share_of_user(owner), client = share_of_maker(owner, conn->pid);
	struct seg_geometry plan;
	int error = seg_plan(open->size_bytes, open->max_clients, open->max_threads, &plan);

	if (error == 0)
		error = check(QUOTA_CLIENT_SEGMENTS, client.segments, 1, why);
	if (error == 0)
		error = check(QUOTA_CLIENT_BYTES, client.bytes, plan.size_bytes, why);
	if (error == 0)
		error = check(QUOTA_USER_SEGMENTS, user.segments, 1, why);
	return error < 0 ? error : check(QUOTA_USER_BYTES, user.bytes, plan.size_bytes, why);
}

/* Slots in segments that wait for adoption count too. */
static void see_slots(void)
{
	if (allowed[QUOTA_USER_SLOTS] != UINT64_MAX || allowed[QUOTA_CLIENT_SLOTS] != UINT64_MAX)
		adopt_rest();
}

int quota_may_open(const struct conn *conn, uint32_t owner, const struct segment *segment,
		   struct proto_refused *why)
{
	bool is_in = false; /* already: an open more takes no slot */
	uint64_t slots;
	int error = check(QUOTA_CLIENT_OPENS, traffic_of(conn->uid, conn->pid).opens, 1, why);

	see_slots();
	slots = reaper_slots_of(conn->pid, segment, &is_in);
	if (error == 0)
		error = check(QUOTA_USER_OPENS, traffic_of(conn->uid, 0).opens, 1, why);
	if (error < 0 || is_in)
		return error;
	error = check(QUOTA_CLIENT_SLOTS, slots, 1, why);
	return error < 0 ? error : check(QUOTA_USER_SLOTS, share_of_user(owner).slots, 1, why);
}

bool quota_has_slot(uint32_t owner)
{
	return share_of_user(owner).slots < allowed[QUOTA_USER_SLOTS];
}
