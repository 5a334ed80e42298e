/* SPDX-License-Identifier: MIT
 *
 * Whom this process takes for mpd. Knows: users, owners of sockets, the system's directory. Does
 * not know: what is said to mpd.
 */
#ifndef LIBSHM_TRUST_H
#define LIBSHM_TRUST_H

#include <stdbool.h>

/* Whoever hands out memory may read and write all of it: on a connected socket, is it this user,
 * root, or the user whom root has given the system's endpoint to? */
bool trust_is_mpd(int socket, const char *path);

/* -EPERM with the sentence. */
int trust_explain(const char *path);

#endif
