/* SPDX-License-Identifier: MIT
 *
 * What mptop calls what is no object: severities, and why there is no mpd. Knows: the endpoint.
 * Does not know: names of what a snapshot holds (snapshot.h).
 */
#include "model.h"

#include <errno.h>

void model_add_mpd(struct text *text, const struct model *model)
{
	const struct mp_endpoint_info *info = &model->info;

	if (info->is_mpd_alive || info->is_file)
		return;
	if (info->mpd_error == -EACCES || info->mpd_error == -EPERM) {
		text_add(text, "not allowed to ask mpd at %s: %s", info->endpoint,
			 mp_strerror(info->mpd_error));
		return;
	}
	if (info->mpd_error == -EPROTO) {
		text_add(text, "mpd %s at %s is of another version than this mptop (libshm %s): "
			 "segments are found through the programs",
			 info->mpd_version, info->endpoint, mp_version());
		return;
	}
	if (!model->segment_count) {
		text_add(text, "no mpd runs here, and nobody has a segment open");
		return;
	}
	text_add(text, "mpd");
	if (info->mpd_pid)
		text_add(text, "[%u]", info->mpd_pid);
	text_add(text, " does not answer: programs run on, segments are found through them");
}

const char *severity_name(enum severity severity)
{
	static const char *const names[] = { "-", "INFO", "WARN", "HIGH", "CRIT" };

	return names[severity];
}
