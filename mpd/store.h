/* SPDX-License-Identifier: MIT
 *
 * Descriptors that outlive mpd. Knows: systemd's descriptor store protocol, both ways (FDSTORE and
 * LISTEN_FDS), who holds the store: systemd or our own supervisor. Does not know: what the
 * descriptors are.
 *
 * A descriptor is safe as soon as store_put returned: its message lies in the holder's socket, and
 * the holder reads that empty before it starts the next mpd.
 */
#ifndef MPD_STORE_H
#define MPD_STORE_H

#include <stdbool.h>

#define STORE_FIRST_FD 3
#define STORE_MAX 4096
#define STORE_NAME_BYTES 32
#define STORE_SOCKET_VARIABLE "MPD_STORE_FD" /* our supervisor's end; systemd has NOTIFY_SOCKET */

/* Take over what the environment brings, and close whatever else was inherited. 0 or -errno. */
int store_open(void);
void store_close(void);

/* The next descriptor handed down under that name, -1: no more. It is the caller's then. */
int store_take(const char *name);

/* The next one handed down and not taken yet, whatever its name; -1: no more. */
int store_take_any(const char **ret_name);

/* Keep copies of one or two descriptors (fd2 -1: one). A supervisor that is gone is logged. */
void store_put(const char *name, int fd, int fd2);
void store_forget(const char *name);

void store_say(const char *state); /* "READY=1", "STOPPING=1" */

#endif
