/* SPDX-License-Identifier: MIT
 *
 * What serving every user takes before the first of them comes. Knows: users, the socket's
 * directory, giving up root's rights. Does not know: who may use which segment (access.h).
 */
#ifndef MPD_SYSTEM_H
#define MPD_SYSTEM_H

/* Make the directory of the socket, and give it to `user` (NULL: who runs us). All three say on
 * stderr why they fail: nobody listens to the log yet. 0 or -errno. */
int system_make_folder(const char *endpoint, const char *user);

/* Be that user from here on, with its first group and no other, and never root again. */
int system_become(const char *user);

/* Let every user connect. -1 and errno. */
int system_open_socket(const char *endpoint);

#endif
