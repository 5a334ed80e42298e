/* SPDX-License-Identifier: MIT
 *
 * mpctl rm and snapshot. Knows: unlinking by name, saving to a file that is whole or absent. Does
 * not know: what is in a segment.
 */
#include "mpctl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* No mpd answers: is the name there without it, at programs that outlived it? */
static int look_without_mpd(const struct mpctl *ctl, const char *name)
{
	mp_observer *observer;
	char found[MP_OBSERVE_NAME];
	int count = mpctl_look(ctl, &observer), result = -ENOENT;

	if (count < 0)
		return -ECONNREFUSED;
	for (int i = 0; i < count && result == -ENOENT; i++)
		if (mp_observe_name(observer, (unsigned)i, found) == 0 && strcmp(found, name) == 0)
			result = -ECONNREFUSED;
	mp_observe_close(observer);
	return result;
}

static int remove_segment(const struct mpctl *ctl, const char *name)
{
	int result = mp_segment_unlink(name);
	int without = result == -ECONNREFUSED ? look_without_mpd(ctl, name) : result;

	if (result >= 0 || (without == -ENOENT && ctl->is_forced))
		return EXIT_OK;
	if (without == result)
		return mpctl_fail(result);
	mpctl_say("no segment '%s'", name);
	return EXIT_NOTHING;
}

/* Its kind is whatever it is. */
static int unlink_object(mp_segment *segment, const char *name)
{
	static int (*const unlinks[])(mp_segment *, const char *) = {
		mp_queue_unlink, mp_lock_unlink, mp_event_unlink, mp_sem_unlink,
		mp_cond_unlink, mp_barrier_unlink, mp_rwlock_unlink
	};
	int result = -EPROTO;

	for (unsigned i = 0; i < sizeof(unlinks) / sizeof(unlinks[0]) && result == -EPROTO; i++)
		result = unlinks[i](segment, name);
	return result;
}

static int remove_object(const struct mpctl *ctl, const struct mpctl_name *name)
{
	mp_segment *segment = NULL;
	int result = mpctl_open(ctl, name->segment, false, NULL, &segment), code = EXIT_OK;

	if (result >= 0)
		result = unlink_object(segment, name->object);
	if (result == -ENOENT && ctl->is_forced)
		result = 0;
	if (result == -ENOENT && segment) {
		mpctl_say("no object '%s' in segment '%s'", name->object, name->segment);
		code = EXIT_NOTHING;
	} else if (result < 0) {
		code = mpctl_fail(result);
	}
	mp_segment_close(segment);
	return code;
}

static int remove_one(const struct mpctl *ctl, const char *word)
{
	struct mpctl_name name;
	int code = mpctl_split(word, NULL, &name);

	if (code != EXIT_OK)
		return code;
	return name.object ? remove_object(ctl, &name) : remove_segment(ctl, name.segment);
}

/* All are tried; the worst that happened is told. */
int command_rm(const struct mpctl *ctl)
{
	int worst = EXIT_OK;

	if (!ctl->word_count) {
		mpctl_say("rm needs the names to remove, SEGMENT or SEGMENT/OBJECT");
		return EXIT_USAGE;
	}
	for (int i = 0; i < ctl->word_count; i++) {
		int code = remove_one(ctl, ctl->words[i]);

		worst = code > worst ? code : worst;
	}
	return worst;
}

/* Beside the file it becomes: readable for its owner alone, for it holds messages. */
static int make_temporary(const char *file, char **ret_path)
{
	static const char suffix[] = ".XXXXXX";
	char *path = malloc(strlen(file) + sizeof(suffix));
	int fd;

	if (!path) {
		mpctl_say("out of memory");
		return -1;
	}
	memcpy(path, file, strlen(file));
	memcpy(path + strlen(file), suffix, sizeof(suffix));
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		mpctl_say("'%s' cannot be made: %s", path, strerror(errno));
		free(path);
		return -1;
	}
	*ret_path = path;
	return fd;
}

static int move_into_place(const char *path, const char *file, int fd)
{
	if (fsync(fd) == 0 && rename(path, file) == 0)
		return EXIT_OK;
	mpctl_say("'%s' cannot be made: %s", file, strerror(errno));
	return EXIT_ERROR;
}

static int save(mp_observer *observer, unsigned index, const char *file)
{
	char *path = NULL;
	int fd = make_temporary(file, &path), result, code;

	if (fd < 0)
		return EXIT_ERROR;
	result = mp_observe_save(observer, index, fd);
	code = result < 0 ? mpctl_fail(result) : move_into_place(path, file, fd);
	if (code != EXIT_OK)
		unlink(path);
	else if (result > 0)
		mpctl_say("the segment kept changing: '%s' shows no single moment", file);
	close(fd);
	free(path);
	return code;
}

int command_snapshot(const struct mpctl *ctl)
{
	mp_observer *observer;
	int count, index, code;

	if (ctl->word_count != 2) {
		mpctl_say("snapshot needs a segment and a file");
		return EXIT_USAGE;
	}
	count = mpctl_look(ctl, &observer);
	if (count < 0)
		return -count;
	index = mpctl_find(observer, count, ctl->words[0]);
	code = index < 0 ? -index : save(observer, (unsigned)index, ctl->words[1]);
	mp_observe_close(observer);
	return code;
}
