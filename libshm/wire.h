/* SPDX-License-Identifier: MIT
 *
 * Packets with descriptors over a Unix socket. Knows: sendmsg, recvmsg, SCM_RIGHTS, MSG_CTRUNC,
 * where endpoints are. Does not know: what messages mean.
 */
#ifndef LIBSHM_WIRE_H
#define LIBSHM_WIRE_H

#include "proto.h"

#include <stdbool.h>
#include <sys/un.h>

#define WIRE_SYSTEM_FOLDER "/run/libshm"
#define WIRE_SYSTEM_ENDPOINT WIRE_SYSTEM_FOLDER "/mpd.sock"

struct wire_fds {
	unsigned count;
	int fd[PROTO_FDS_MAX];
};

/* One packet. 0 or -errno; -EAGAIN on a non-blocking socket that is full. */
int wire_send(int socket, const void *packet, size_t bytes, const struct wire_fds *fds);

/* As wire_send without descriptors; -EAGAIN where that would wait for room. */
int wire_send_now(int socket, const void *packet, size_t bytes);

/* One packet; returns its bytes, 0 at the end of the connection, -errno. Descriptors are CLOEXEC;
 * -EMFILE if some were lost (MSG_CTRUNC), -EMSGSIZE if the packet was too long: what came is
 * closed. */
int wire_receive(int socket, void *packet, size_t capacity, struct wire_fds *ret_fds);
void wire_close_fds(struct wire_fds *fds);

/* Endpoint candidates, most special first: the argument, $MP_ENDPOINT, the user's, the system's.
 * Returns false when `index` is past the last. */
bool wire_endpoint(const char *given, unsigned index, char ret_path[static 108]);
/* The user's own endpoint, where a private mpd is started; makes its directory (0700, checked to be
 * ours). 0 or -errno. */
int wire_private_endpoint(char ret_path[static 108]);
/* Its name only: whether somebody means it. Makes and checks nothing. 0 or -errno. */
int wire_name_private_endpoint(char ret_path[static 108]);
int wire_address(const char *path, struct sockaddr_un *ret_address);

/* 0 or -errno. A signal ends a connect that waits for its place in the queue; it tries again. */
int wire_connect(int socket, const struct sockaddr_un *address);

#endif
