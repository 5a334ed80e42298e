/* SPDX-License-Identifier: MIT
 *
 * errno as the caller left it. Knows: that no call of the library touches it. Does not know: who
 * makes system calls.
 */
#ifndef LIBSHM_ERRNO_KEPT_H
#define LIBSHM_ERRNO_KEPT_H

#include <errno.h>

static inline void errno_put_back(const int *kept)
{
	errno = *kept;
}

/* First line of a public call that makes system calls: errno is put back wherever it returns. */
#define KEEP_ERRNO                                                                                 \
	__attribute__((cleanup(errno_put_back), unused)) const int errno_of_caller = errno

#endif
