/* SPDX-License-Identifier: MIT
 *
 * What /proc tells of a process. Knows: its text. Does not know: why it is asked.
 */
#ifndef MPD_PROC_H
#define MPD_PROC_H

#include <stdint.h>

/* How often has the process the file of this descriptor mapped from its beginning? -errno: it
 * cannot be told. */
int proc_count_mapped(uint32_t pid, int fd);

#endif
