/* SPDX-License-Identifier: MIT
 *
 * What this kernel and container allow, decided once for each process. Knows: io_uring's probe and
 * a self-test, MP_WAIT_ENGINE. Does not know: who sleeps.
 */
#ifndef LIBSHM_PROBE_H
#define LIBSHM_PROBE_H

#include "park.h"

/* The engine of this process: MP_WAIT_ENGINE (uring, futex) or the best that passes its self-test.
 * -EINVAL: the variable names no engine; -ENOSYS or -EPERM: it asks for one that is refused. */
int probe_engine(const struct park_ops **ret_engine);

/* Why io_uring is not used: 0 it is, else -errno. */
int probe_uring_error(void);

#endif
