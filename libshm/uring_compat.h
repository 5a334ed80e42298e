/* SPDX-License-Identifier: MIT
 *
 * What Debian 12's liburing 2.3 and kernel headers lack. Knows: numbers of the kernel's interface,
 * how a futex wait is encoded. Does not know: whether this kernel has it (probe.c).
 */
#ifndef LIBSHM_URING_COMPAT_H
#define LIBSHM_URING_COMPAT_H

#include <liburing.h>
#include <stdint.h>

#define URING_OP_FUTEX_WAIT 51      /* since Linux 6.7 */
#define URING_FUTEX2_SIZE_U32 2     /* shared between processes: no PRIVATE flag */
#define URING_FUTEX_MATCH_ANY UINT64_C(0xffffffff)

static inline void uring_prep_futex_wait(struct io_uring_sqe *sqe, void *word, uint32_t value)
{
	io_uring_prep_rw(URING_OP_FUTEX_WAIT, sqe, URING_FUTEX2_SIZE_U32, word, 0, value);
	sqe->addr3 = URING_FUTEX_MATCH_ANY;
}

#endif
