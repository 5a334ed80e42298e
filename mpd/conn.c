/* SPDX-License-Identifier: MIT
 *
 * See conn.h.
 */
#include "conn.h"

#include <stddef.h>

static struct conn pool[CONNECTIONS_MAX];
static unsigned pool_used;
static struct conn *free_conns;

struct conn *conn_take(void)
{
	struct conn *conn = free_conns;

	if (conn)
		free_conns = conn->next_free;
	else if (pool_used < CONNECTIONS_MAX)
		conn = &pool[pool_used++];
	return conn;
}

void conn_give(struct conn *conn)
{
	*conn = (struct conn){ .fd = -1, .next_free = free_conns };
	free_conns = conn;
}

const struct conn *conn_at(unsigned index)
{
	return index < pool_used ? &pool[index] : NULL;
}
