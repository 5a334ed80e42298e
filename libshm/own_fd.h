/* SPDX-License-Identifier: MIT
 *
 * Descriptors that the program may close behind our back. A program that closes all it does not
 * know leaves us numbers that soon mean files of its own; so what is kept for long is kept with the
 * file that it was opened on, and looked at before it is used where a wrong file would do harm.
 * Knows: fstat. Does not know: what the files are.
 *
 * Two files of the kernel's that share an inode look the same. Segments, rosters, sockets and rings
 * have one each; pidfds have since Linux 6.9, own_fd_has_identity() tells.
 */
#ifndef LIBSHM_OWN_FD_H
#define LIBSHM_OWN_FD_H

#include <stdbool.h>
#include <stdint.h>

struct own_fd_file {
	uint64_t device;
	uint64_t inode; /* 0: none */
};

/* The file behind a descriptor; none if it is closed. */
struct own_fd_file own_fd_file(int fd);

/* Is it open, and still on that file? False for a negative number. */
bool own_fd_is(int fd, struct own_fd_file file);

/* Close it if it is still on that file. Returns -1, to be stored in its place. */
int own_fd_close(int fd, struct own_fd_file file);

/* Does no other descriptor look like this pidfd, but for one of the same process? */
bool own_fd_has_identity(int pidfd);

#endif
