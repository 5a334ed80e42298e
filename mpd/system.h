/* SPDX-License-Identifier: MIT
 *
 * What serving every user takes before the first of them comes. Knows: users, the socket's
 * directory, giving up root's rights. Does not know: who may use which segment (access.h).
 */
#ifndef MPD_SYSTEM_H
#define MPD_SYSTEM_H

#include <stdint.h>

#define SYSTEM_NO_GROUP INT64_C(-1)

/* The number of a group, or of a number. 0, or -EINVAL and said on stderr. */
int system_find_group(const char *group, int64_t *ret_gid);

/* Make the directory of the socket, and give it to `user` (NULL: who runs us). These say on
 * stderr why they fail: nobody listens to the log yet. 0 or -errno. */
int system_make_folder(const char *endpoint, const char *user);

/* Be that user from here on, with its first group and the socket's and no other, and never root
 * again. */
int system_become(const char *user, int64_t socket_gid);

/* Let those users connect whom mode and group speak of. 0 or -errno: until then nobody can. */
int system_open_socket(const char *endpoint, unsigned mode, int64_t gid);

#endif
