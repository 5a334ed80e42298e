/* SPDX-License-Identifier: MIT
 *
 * Names on mpctl's command line become segments. Knows: SEGMENT/OBJECT, what is made for whom, why
 * nothing may be seen. Does not know: what is done with it.
 *
 * A segment that mpctl makes is kept (MP_KEEP): it would end with mpctl otherwise, message and all.
 * One that is there belongs to its programs, and ends when they end.
 */
#include "mpctl.h"

#include <string.h>

#define OPEN_ATTEMPTS 16

int mpctl_split(const char *word, const char *needs_object, struct mpctl_name *ret_name)
{
	const char *slash = strchr(word, '/');
	size_t length = slash ? (size_t)(slash - word) : strlen(word);

	if (needs_object ? !slash || !slash[1] || slash == word : slash == word || !length) {
		mpctl_say("'%s' is not of the form SEGMENT%s%s", word, needs_object ? "/" : "",
			  needs_object ? needs_object : "[/OBJECT]");
		return EXIT_USAGE;
	}
	/* A longer one is no name either; the library says so. */
	snprintf(ret_name->segment, sizeof(ret_name->segment), "%.*s", (int)length, word);
	ret_name->object = slash ? slash + 1 : NULL;
	return EXIT_OK;
}

int mpctl_open(const struct mpctl *ctl, const char *name, bool may_create, const char *client_name,
	       mp_segment **ret_segment)
{
	struct mp_segment_opts opts = { .size_bytes = ctl->size_bytes,
					.mode = ctl->mode,
					.client_name = client_name };
	int result = -EEXIST;

	/* It may come and go between the two. */
	for (unsigned i = 0; i < OPEN_ATTEMPTS && result == -EEXIST; i++) {
		opts.flags = MP_EXISTING;
		result = mp_segment_open(name, &opts, ret_segment);
		if (result != -ENOENT || !may_create)
			break;
		opts.flags = MP_EXCLUSIVE | MP_KEEP;
		result = mp_segment_open(name, &opts, ret_segment);
	}
	return result;
}

/* Nothing was found: because nothing is there, or because nobody may or can look? */
static int explain_nothing(mp_observer *observer)
{
	struct mp_endpoint_info info = { .mpd_error = 0 };

	if (mp_observe_endpoint(observer, &info) < 0 || info.is_mpd_alive || !info.mpd_error ||
	    info.mpd_error == -ENOENT || info.mpd_error == -ECONNREFUSED)
		return 0;
	mpctl_say("mpd at %s cannot be asked: %s", info.endpoint, mp_strerror(info.mpd_error));
	return -EXIT_ERROR;
}

int mpctl_look(const struct mpctl *ctl, mp_observer **ret_observer)
{
	mp_observer *observer;
	int result = ctl->file ? mp_observe_file(ctl->file, &observer)
			       : mp_observe_open(NULL, &observer);
	int count = result;

	if (result < 0)
		return -mpctl_fail(result);
	count = mp_observe_refresh(observer);
	if (count < 0)
		count = -mpctl_fail(count);
	else if (count == 0)
		count = explain_nothing(observer);
	if (count < 0)
		mp_observe_close(observer);
	else
		*ret_observer = observer;
	return count;
}

int mpctl_find(mp_observer *observer, int count, const char *name)
{
	char found[MP_OBSERVE_NAME];

	for (int i = 0; i < count; i++)
		if (mp_observe_name(observer, (unsigned)i, found) == 0 && strcmp(found, name) == 0)
			return i;
	mpctl_say("no segment '%s'", name);
	return -EXIT_NOTHING;
}
