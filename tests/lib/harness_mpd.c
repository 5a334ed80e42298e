/* SPDX-License-Identifier: MIT
 *
 * See harness_mpd.h.
 */
#include "harness_mpd.h"

#include <libshm.h>

#include <errno.h>

bool harness_name_is_gone(void *name)
{
	static const struct mp_segment_opts existing = { .flags = MP_EXISTING };
	mp_segment *segment;
	int result = mp_segment_open(name, &existing, &segment);

	if (result == 0)
		mp_segment_close(segment);
	return result == -ENOENT;
}
