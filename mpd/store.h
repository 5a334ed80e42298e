/* SPDX-License-Identifier: MIT
 *
 * Descriptors that outlive mpd, and the socket to whoever keeps them. Knows: systemd's descriptor
 * store protocol, both ways (FDSTORE and LISTEN_FDS), who holds the store: a service manager such
 * as systemd, or our own supervisor. Does not know: what the descriptors are.
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

/* As many descriptors as this user may have: mpd, and whoever holds its store. */
void store_raise_limit(void);

/* The next descriptor handed down under that name, -1: no more. It is the caller's then. */
int store_take(const char *name);

/* The next one handed down and not taken yet, whatever its name; -1: no more. */
int store_take_any(const char **ret_name);

/* The next one handed down under another name than ours that is one of these: a service manager
 * names the sockets it listens on as it likes. -1: none. */
int store_take_if(bool (*is_wanted)(int fd));

/* Is a service manager told what we do (NOTIFY_SOCKET), by us or through our supervisor? Is it the
 * one that keeps our descriptors? */
bool store_has_manager(void);
bool store_is_manager_s(void);

/* Forget what a service manager left in the environment: it is not meant for us. */
void store_disown(void);

/* Keep copies of one or two descriptors (fd2 -1: one). A supervisor that is gone is logged. */
void store_put(const char *name, int fd, int fd2);
void store_forget(const char *name);

void store_say(const char *state); /* "READY=1", see sd_notify(3) */

#endif
