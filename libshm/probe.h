/* SPDX-License-Identifier: MIT
 *
 * What this kernel and container allow, decided once for each process. Knows: io_uring's probe and
 * a self-test, MP_WAIT_ENGINE. Does not know: who sleeps.
 */
#ifndef LIBSHM_PROBE_H
#define LIBSHM_PROBE_H

#include "park.h"

enum probe_reason {
#define REASON(number, name, text) PROBE_##name = number,
#include "tbl/reasons.h"
#undef REASON
};

/* The engine of this process: MP_WAIT_ENGINE (uring, futex) or the best that passes its self-test.
 * -EINVAL: the variable names no engine; -ENOSYS or -EPERM: it asks for one that is refused. */
int probe_engine(const struct park_ops **ret_engine);

/* Why this process does not use io_uring; PROBE_NONE: it does. */
enum probe_reason probe_reason(void);

/* What tools print; a number that came out of shared memory may be any. */
const char *probe_reason_text(uint32_t reason);

/* A sentence for MP_WAIT_ENGINE=uring where that is refused. */
const char *probe_refusal(void);

#endif
