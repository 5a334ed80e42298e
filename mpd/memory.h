/* SPDX-License-Identifier: MIT
 *
 * Sealed memory files. Knows: memfd_create, seals, modes, how a forged one is told. Does not know:
 * what is in them.
 */
#ifndef MPD_MEMORY_H
#define MPD_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A sealed file of that size; its mode is not 0 yet. A descriptor or -errno. */
int memory_create_open(const char *name, uint64_t size_bytes);

/* The same, closed to everybody who has no descriptor of it. */
int memory_create(const char *name, uint64_t size_bytes);

/* A read-only descriptor, to be had before the mode is 0. */
int memory_reopen_read_only(int fd);

/* Is it one that an mpd of this user made: owner, seals, size? 0 or -EPERM, -errno. */
int memory_check(int fd, uint64_t size_bytes);

/* Such an error is of this moment and not of the file: no memory, no descriptors left, a
 * signal. */
bool memory_is_short(int error);

/* A note that only mpd can write, as long as the file's mode is not 0 yet; read by whoever may read
 * the file. 0 or -errno (-ENOTSUP, -ENODATA: this kernel keeps none). */
int memory_note(int fd, const void *note, size_t bytes);
int memory_read_note(int fd, void *ret_note, size_t bytes);

/* Is it the same file as that, which was checked? 0 or -EPERM, -errno. */
int memory_check_same(int checked_fd, int fd);

/* All zero again, pages given back. 0 or -errno. */
int memory_clear(int fd, uint64_t size_bytes);

#endif
