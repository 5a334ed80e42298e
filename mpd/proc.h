/* SPDX-License-Identifier: MIT
 *
 * What the kernel tells of a process. Knows: the text of /proc, the peer of a socket. Does not
 * know: why it is asked.
 */
#ifndef MPD_PROC_H
#define MPD_PROC_H

#include <stdint.h>

/* A pidfd of the process that has that pid in that PID namespace (its inode), below ours; -1: none
 * is to be seen. *ret_pid is its pid here, 0 if there is none. */
int proc_open_foreign(uint64_t pid_namespace, uint32_t pid, uint32_t *ret_pid);

/* How often has the process the file of this descriptor mapped from its beginning? -errno: it
 * cannot be told. */
int proc_count_mapped(uint32_t pid, int fd);

/* A pidfd of who is at the other end of the socket, -1 if none can be had. Where the kernel tells a
 * pid only, that must be of a process that began when the peer says of itself; 0: it does not. */
int proc_open_peer(int socket, uint32_t pid, uint64_t started_ticks);

#endif
