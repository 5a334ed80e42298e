/* SPDX-License-Identifier: MIT
 *
 * The socket file and its lock file. Knows: who may create and remove them. Does not know: what is
 * said over the socket.
 *
 * Whoever holds the lock on PATH.lock (the inode that has that name now) owns PATH. The lock is
 * shared by supervisor and mpd, so it outlives either of them.
 */
#ifndef MPD_ENDPOINT_H
#define MPD_ENDPOINT_H

#include <stdbool.h>

#define ENDPOINT_BYTES 108

/* The path mpd serves: the argument, $MP_ENDPOINT, the user's own; absolute. 0 or -errno. */
int endpoint_choose(const char *given, char ret_path[static ENDPOINT_BYTES]);

/* Own the endpoint. A descriptor to keep, -EAGAIN: another mpd owns it, -errno. */
int endpoint_lock(const char *path);

/* Is a lock that was handed down still the one of this path? -errno: it cannot be told. */
int endpoint_is_locked_by(const char *path, int lock_fd);

/* A socket that a service manager listens on for us; what it is bound to: 0, or -EINVAL for one
 * without a path. */
bool endpoint_is_listening(int fd);
int endpoint_of_socket(int fd, char ret_path[static ENDPOINT_BYTES]);

/* Why mpd cannot serve there, and what to do. */
const char *endpoint_advice(int error);

/* Listen; replaces the socket of a dead mpd. Owners only. A descriptor or -errno; -EEXIST: the path
 * is something else than a socket; -EADDRINUSE: somebody answers there without the lock. */
int endpoint_listen(const char *path);

/* Is there something, or can that not be told? */
bool endpoint_exists(const char *path);

/* Was there one, and has nobody looked yet for what its mpd had? Somebody has, from now on. */
bool endpoint_was_left(const char *path);
void endpoint_settle(const char *path);

/* Take the socket out of sight and put it back: whoever connected before is still in the queue. */
bool endpoint_hide(const char *path);
void endpoint_show(const char *path);

/* Remove socket and lock if they are still ours. Segments in use: the socket stays, it tells the
 * next mpd to look for them. */
void endpoint_remove(const char *path, int lock_fd, bool is_in_use);

#endif
