/* SPDX-License-Identifier: MIT
 *
 * The connections of this process, one for each endpoint. Knows: which exist, how many segments
 * need them, forks. Does not know: segments, what is said (connection.h). Callers hold client.c's
 * mutex.
 */
#include "endpoint.h"

#include "explain.h"
#include "self.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct client_endpoint *endpoints;
static uint64_t endpoints_epoch; /* self_fork_epoch() + 1 of the process they belong to; 0: none */

void endpoint_after_fork(void)
{
	struct client_endpoint *endpoint;

	if (endpoints_epoch == self_fork_epoch() + 1)
		return;
	for (endpoint = endpoints_epoch ? endpoints : NULL; endpoint; endpoint = endpoint->next) {
		connection_hang_up(&endpoint->connection);
		endpoint->connection.roster_byte = 0; /* locks are not inherited */
	}
	endpoints_epoch = self_fork_epoch() + 1; /* 0 means: none yet */
}

static bool is_same_endpoint(const struct client_endpoint *endpoint, const char *wish)
{
	char path[108];

	for (unsigned i = 0; wire_endpoint(wish, i, path); i++)
		if (strcmp(path, endpoint->connection.endpoint) == 0)
			return true;
	return false;
}

int endpoint_get(const char *wish, bool may_spawn, struct client_endpoint **ret_endpoint)
{
	struct client_endpoint *endpoint;
	int result;

	endpoint_after_fork();
	for (endpoint = endpoints; endpoint; endpoint = endpoint->next)
		if (is_same_endpoint(endpoint, wish)) {
			*ret_endpoint = endpoint;
			return 0;
		}
	endpoint = calloc(1, sizeof *endpoint);
	if (!endpoint)
		return explain(-ENOMEM, "no memory for a connection");
	result = connection_open(&endpoint->connection, wish, may_spawn);
	if (result < 0) {
		connection_close(&endpoint->connection);
		free(endpoint);
		return result;
	}
	endpoint->next = endpoints;
	endpoints = endpoint;
	*ret_endpoint = endpoint;
	return 0;
}

void endpoint_drop_if_unused(struct client_endpoint *endpoint)
{
	struct client_endpoint **link = &endpoints;

	if (endpoint->segments > 0)
		return;
	while (*link != endpoint)
		link = &(*link)->next;
	*link = endpoint->next;
	connection_close(&endpoint->connection);
	free(endpoint);
}
