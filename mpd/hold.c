/* SPDX-License-Identifier: MIT
 *
 * See hold.h.
 */
#include "hold.h"

#include "conn.h"
#include "segment.h"

#include <errno.h>

#define HOLDS_MAX 8192

struct hold {
	struct hold *next;
	struct segment *segment;
};

static struct hold hold_pool[HOLDS_MAX];
static unsigned holds_used;
static struct hold *free_holds;

static struct hold **find(struct conn *conn, const struct segment *segment)
{
	struct hold **link = &conn->holds;

	while (*link && (*link)->segment != segment)
		link = &(*link)->next;
	return link;
}

int hold_take(struct conn *conn, struct segment *segment)
{
	struct hold *hold = free_holds;

	if (*find(conn, segment))
		return 0;
	if (hold)
		free_holds = hold->next;
	else if (holds_used < HOLDS_MAX)
		hold = &hold_pool[holds_used++];
	else
		return -EDQUOT;
	*hold = (struct hold){ .next = conn->holds, .segment = segment };
	conn->holds = hold;
	segment->holds++;
	conn->hold_count++;
	return 0;
}

void hold_drop(struct conn *conn, struct segment *segment)
{
	struct hold **link = find(conn, segment);
	struct hold *hold = *link;

	if (!hold)
		return;
	*link = hold->next;
	segment->holds--;
	conn->hold_count--;
	hold->next = free_holds;
	free_holds = hold;
}

struct segment *hold_first(const struct conn *conn)
{
	return conn->holds ? conn->holds->segment : NULL;
}
