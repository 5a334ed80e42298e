/* SPDX-License-Identifier: MIT
 *
 * What /proc tells of a process. Knows: its text. Does not know: why it is asked.
 */
#ifndef MPD_PROC_H
#define MPD_PROC_H

#include <stdint.h>

/* Has the process the file of this descriptor mapped? 1, 0, or -errno: it cannot be told. */
int proc_has_mapped(uint32_t pid, int fd);

#endif
