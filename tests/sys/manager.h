/* SPDX-License-Identifier: MIT
 *
 * A service manager as systemd is one to its services. Knows: NOTIFY_SOCKET, the descriptor store,
 * LISTEN_FDS, the watchdog's variables. Does not know: mpd's own socket protocol.
 *
 * What it stores it hands back newest first, behind the sockets it listens on, as systemd does.
 */
#ifndef TESTS_SYS_MANAGER_H
#define TESTS_SYS_MANAGER_H

#include "harness.h"

#include <sys/types.h>

#define MANAGER_STORE_MAX 512

struct manager {
	char path[128]; /* $NOTIFY_SOCKET */
	int socket;
	int listening; /* handed to the service; -1: it makes its own socket */
	const char *watchdog_us;  /* NULL: none */
	const char *watchdog_pid; /* NULL: the service's own */
	pid_t pid;                /* of the service */

	struct {
		char name[64];
		int fd;
	} stored[MANAGER_STORE_MAX];
	unsigned stored_count;

	unsigned readies, stoppings, pings, forgotten;
	pid_t sender;    /* of the last message */
	pid_t main_pid;  /* MAINPID */
	int error;       /* ERRNO */
	char status[400];
	char statuses[4000]; /* all of them, a line each */
};

/* Make the socket: a path in the test's directory, or an abstract name. */
void manager_begin(struct manager *manager, bool is_abstract);

/* Listen at the test's endpoint for the service. */
void manager_listen(struct manager *manager);

/* Run mpd with these arguments, up to NULL; it is a child of the test. */
void manager_start(struct manager *manager, const char *first, ...);

/* Read what has come, without waiting. */
void manager_read(struct manager *manager);

/* Wait until it has said so once more than when it was started. */
void manager_await_ready(struct manager *manager);
bool manager_until(struct manager *manager, bool (*is_true)(const struct manager *manager));

/* kill -9 and reap; then what it had said before is read. */
void manager_kill(struct manager *manager);

/* SIGTERM and reap: its exit code, or minus the signal. */
int manager_stop(struct manager *manager);
int manager_wait(struct manager *manager);

unsigned manager_stored(const struct manager *manager, const char *name);
void manager_drop_store(struct manager *manager);
void manager_end(struct manager *manager);

#endif
