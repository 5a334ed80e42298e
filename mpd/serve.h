/* SPDX-License-Identifier: MIT
 *
 * One mpd from its first descriptor to its last. Knows: in which order the parts start, when mpd is
 * unused and how it leaves. Does not know: the command line, the supervisor.
 */
#ifndef MPD_SERVE_H
#define MPD_SERVE_H

#include "libshm/proto.h"

#include <stdbool.h>
#include <stdint.h>

struct serve_plan {
	const char *endpoint;
	bool is_kept;
	bool is_system;
	unsigned socket_mode; /* of a system's socket that is made here */
	int64_t socket_gid;   /* SYSTEM_NO_GROUP: as it comes */
	int64_t grace_ns;
	uint64_t quotas[QUOTA_COUNT];
	/* At SIGHUP: is_kept, grace_ns and quotas may be others then; false: nothing is new. */
	bool (*reload)(struct serve_plan *plan);
};

/* The exit status. */
int serve(const struct serve_plan *plan);

#endif
