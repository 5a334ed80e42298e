/* SPDX-License-Identifier: MIT
 *
 * Proves: what a caller asks for that cannot be is refused with the documented error and a sentence
 * that names it, and nothing is lost, made or started by the asking.
 */
#include "harness.h"

#include <libshm.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRANGER 54321 /* a user that need not exist */

static void refused(int result, int error, const char *named)
{
	if (result != error)
		fail_msg("%d, not %d: %s", result, error, mp_explain());
	if (!strstr(mp_explain(), named))
		fail_msg("no '%s' in: %s", named, mp_explain());
}

static mp_segment *open_segment(void)
{
	struct mp_segment_opts opts = { .size_bytes = 16 << 20 };
	mp_segment *segment;

	assert_int_equal(mp_segment_open("s", &opts, &segment), 0);
	return segment;
}

static unsigned files_in(const char *path)
{
	DIR *all = opendir(path);
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(all);
	while ((entry = readdir(all)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(all);
	return count;
}

/* --- sizes --- */

static void size_that_cannot_be_is_refused_before_anything_is_started(void **state)
{
	static const uint64_t sizes[] = { 1, 4096, UINT64_MAX, UINT64_MAX - 4095,
					  UINT64_C(1) << 63, INT64_MAX };
	static const uint32_t counts[] = { 1, 2, 1025, UINT32_MAX };
	mp_segment *segment = NULL;

	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct mp_segment_opts opts = { .size_bytes = sizes[i] };

		refused(mp_segment_open("s", &opts, &segment), -EINVAL, "size_bytes");
	}
	for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct mp_segment_opts clients = { .max_clients = counts[i] };
		struct mp_segment_opts sleepers = { .max_sleepers = counts[i] };

		refused(mp_segment_open("s", &clients, &segment), -EINVAL, "max_clients");
		refused(mp_segment_open("s", &sleepers, &segment), -EINVAL, "max_sleepers");
	}
	assert_null(segment);
	assert_int_equal(files_in(harness_endpoint()->directory), 0);
}

static void queue_that_cannot_be_is_refused_and_leaves_nothing(void **state)
{
	static const struct mp_queue_opts wishes[] = {
		{ .capacity = UINT32_MAX },
		{ .capacity = (1 << 24) + 1 },
		{ .message_bytes = UINT32_MAX },
		{ .capacity = 1 << 24, .message_bytes = UINT32_MAX },
	};
	mp_segment *segment = open_segment();
	struct mp_segment_info before, after;
	mp_queue *queue;

	assert_int_equal(mp_segment_info(segment, &before), 0);
	for (unsigned i = 0; i < sizeof wishes / sizeof *wishes; i++)
		refused(mp_queue_open(segment, "q", &wishes[i], &queue), -EINVAL, "'q'");
	/* As many as may be, but this segment has no room for them. */
	refused(mp_queue_open(segment, "q", &(struct mp_queue_opts){ .capacity = 1 << 24 }, &queue),
		-ENOSPC, "'q'");
	assert_int_equal(mp_segment_info(segment, &after), 0);
	assert_int_equal(after.used_bytes, before.used_bytes);
	assert_int_equal(after.objects, 0);
	mp_segment_close(segment);
}

/* --- messages --- */

static void message_that_is_too_large_is_refused_and_the_others_stay(void **state)
{
	struct mp_queue_opts opts = { .capacity = 4, .message_bytes = 100 };
	static const size_t sizes[] = { 101, 1 << 20, UINT32_MAX, (size_t)UINT32_MAX + 1,
					SIZE_MAX, SIZE_MAX - 64 };
	mp_segment *segment = open_segment();
	static char large[1 << 20];
	struct mp_slot slot;
	mp_queue *queue;

	assert_int_equal(mp_queue_open(segment, "q", &opts, &queue), 0);
	assert_int_equal(mp_queue_put(queue, "first", 5, MP_NOW), 0);
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		refused(mp_queue_put(queue, large, sizes[i], MP_FOREVER), -EMSGSIZE, "'q'");
		refused(mp_queue_reserve(queue, sizes[i], MP_FOREVER, &slot), -EMSGSIZE, "'q'");
	}
	assert_int_equal(mp_queue_size(queue), 1);
	assert_int_equal(mp_queue_get(queue, large, sizeof large, MP_NOW), 5);
	assert_memory_equal(large, "first", 5);
	mp_queue_close(queue);
	mp_segment_close(segment);
}

static void message_stays_where_the_buffer_is_too_small(void **state)
{
	mp_segment *segment = open_segment();
	struct mp_message_info info = { .len = 0 };
	static char put[5000], got[5000];
	struct mp_slot slot;
	mp_queue *queue;

	memset(put, 'm', sizeof put);
	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	assert_int_equal(mp_queue_put(queue, put, sizeof put, MP_NOW), 0);
	assert_int_equal(mp_queue_put(queue, "second", 6, MP_NOW), 0);
	for (size_t cap = 0; cap < sizeof put; cap += 1111) {
		refused(mp_queue_get(queue, got, cap, MP_FOREVER), -EMSGSIZE, "'q'");
		refused(mp_queue_get_info(queue, got, cap, MP_FOREVER, &info), -EMSGSIZE, "'q'");
		assert_int_equal(info.len, sizeof put);
	}
	assert_int_equal(mp_queue_size(queue), 2);
	/* In place it needs no buffer. */
	assert_int_equal(mp_queue_claim(queue, MP_NOW, &slot), 0);
	assert_int_equal(slot.len, sizeof put);
	assert_int_equal(mp_queue_return(queue, &slot), 0);
	assert_int_equal(mp_queue_get(queue, got, info.len, MP_NOW), sizeof put);
	assert_memory_equal(got, put, sizeof put);
	assert_int_equal(mp_queue_get(queue, got, 6, MP_NOW), 6);
	mp_queue_close(queue);
	mp_segment_close(segment);
}

/* --- what is gone, or another thing --- */

static void id_of_what_was_made_again_is_stale(void **state)
{
	mp_segment *segment = open_segment();
	mp_queue *queue, *again, *other = NULL;
	mp_lock *lock = NULL;
	uint64_t id;
	char text[8];

	assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
	id = mp_queue_id(queue);
	assert_int_equal(mp_queue_put(queue, "old", 3, MP_NOW), 0);
	refused(mp_lock_from_id(segment, id, &lock), -EPROTO, "lock");
	refused(mp_lock_open(segment, "q", NULL, &lock), -EPROTO, "'q'");
	assert_int_equal(mp_queue_unlink(segment, "q"), 0);
	refused(mp_queue_from_id(segment, id, &other), -ESTALE, "it");
	assert_int_equal(mp_queue_open(segment, "q", NULL, &again), 0);
	refused(mp_queue_from_id(segment, id, &other), -ESTALE, "it");
	assert_int_not_equal(mp_queue_id(again), id);
	/* Who had it open goes on with what he had. */
	assert_int_equal(mp_queue_size(again), 0);
	assert_int_equal(mp_queue_get(queue, text, sizeof text, MP_NOW), 3);
	assert_null(other);
	assert_null(lock);
	mp_queue_close(queue);
	mp_queue_close(again);
	mp_segment_close(segment);
}

/* The place of what is gone is taken by what comes next. */
static void id_of_what_was_there_before_is_stale(void **state)
{
	mp_segment *segment = open_segment();
	mp_queue *queue, *other = NULL;
	uint64_t ids[8];

	for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
		assert_int_equal(mp_queue_open(segment, "q", NULL, &queue), 0);
		ids[i] = mp_queue_id(queue);
		for (unsigned before = 0; before < i; before++) {
			assert_int_not_equal(ids[before], ids[i]);
			refused(mp_queue_from_id(segment, ids[before], &other), -ESTALE, "it");
		}
		assert_int_equal(mp_queue_unlink(segment, "q"), 0);
		mp_queue_close(queue);
	}
	assert_null(other);
	mp_segment_close(segment);
}

static void no_handle_is_closed_without_harm(void **state)
{
	assert_null(mp_segment_close(NULL));
	assert_null(mp_queue_close(NULL));
	assert_null(mp_lock_close(NULL));
	assert_null(mp_process_close(NULL));
	assert_int_equal(mp_queue_id(NULL), 0);
	assert_int_equal(mp_lock_id(NULL), 0);
	refused(mp_queue_put(NULL, "x", 1, MP_NOW), -EINVAL, "NULL");
	refused(mp_lock_acquire(NULL, MP_NOW), -EINVAL, "NULL");
	refused(mp_process_join(NULL, MP_NOW), -EINVAL, "NULL");
}

/* --- endpoints --- */

static void without_mpd_and_with_no_spawn_nothing_is_started(void **state)
{
	struct mp_segment_opts opts = { .flags = MP_NO_SPAWN };
	mp_segment *segment = NULL;

	refused(mp_segment_open("s", &opts, &segment), -ECONNREFUSED, harness_endpoint()->socket);
	refused(mp_segment_unlink("s"), -ECONNREFUSED, harness_endpoint()->socket);
	assert_null(segment);
	assert_int_equal(files_in(harness_endpoint()->directory), 0);
}

static void path_that_no_socket_can_have_is_refused(void **state)
{
	struct mp_segment_opts opts = { .flags = 0 };
	mp_segment *segment = NULL;
	char path[200];

	memset(path, 'p', sizeof path);
	path[0] = '/';
	path[sizeof path - 1] = '\0';
	opts.endpoint = path;
	refused(mp_segment_open("s", &opts, &segment), -EINVAL, "107");
	assert_null(segment);
}

/* What is no socket is neither connected to nor removed. */
static void file_in_the_place_of_the_socket_stays(void **state)
{
	const char *path = harness_endpoint()->socket;
	mp_segment *segment = NULL;
	FILE *file = fopen(path, "we");
	struct stat about;

	assert_non_null(file);
	fclose(file);
	refused(mp_segment_open("s", NULL, &segment), -ECONNREFUSED, path);
	assert_int_equal(stat(path, &about), 0);
	assert_true(S_ISREG(about.st_mode));
	assert_null(segment);
	unlink(path);
}

static int open_as_stranger(void *unused)
{
	mp_segment *segment = NULL;

	if (setgid(STRANGER) < 0 || setuid(STRANGER) < 0)
		return 1;
	unsetenv("MP_ENDPOINT");
	unsetenv("XDG_RUNTIME_DIR");
	refused(mp_segment_open("s", NULL, &segment), -EPERM, "must be yours");
	assert_null(segment);
	return 0;
}

/* The place of a user's own mpd, made by somebody else before he came. */
static void directory_that_another_user_has_planted_is_not_used(void **state)
{
	const char *real = harness_endpoint()->directory;
	char planted[64];

	if (geteuid() != 0)
		harness_skip("needs root to become another user");
	snprintf(planted, sizeof planted, "/tmp/libshm-%u", STRANGER);
	remove(planted); /* of a run that was ended in the middle */
	assert_int_equal(mkdir(planted, 0777), 0);
	assert_int_equal(chmod(planted, 0777), 0);
	harness_join(harness_fork(open_as_stranger, NULL));
	assert_int_equal(files_in(planted), 0);
	assert_int_equal(rmdir(planted), 0);
	assert_int_equal(symlink(real, planted), 0);
	assert_int_equal(chmod(real, 0777), 0);
	harness_join(harness_fork(open_as_stranger, NULL));
	assert_int_equal(files_in(real), 0);
	assert_int_equal(unlink(planted), 0);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(size_that_cannot_be_is_refused_before_anything_is_started),
	HARNESS_TEST_WITH_MPD(queue_that_cannot_be_is_refused_and_leaves_nothing),
	HARNESS_TEST_WITH_MPD(message_that_is_too_large_is_refused_and_the_others_stay),
	HARNESS_TEST_WITH_MPD(message_stays_where_the_buffer_is_too_small),
	HARNESS_TEST_WITH_MPD(id_of_what_was_made_again_is_stale),
	HARNESS_TEST_WITH_MPD(id_of_what_was_there_before_is_stale),
	HARNESS_TEST(no_handle_is_closed_without_harm),
	HARNESS_TEST_WITH_MPD(without_mpd_and_with_no_spawn_nothing_is_started),
	HARNESS_TEST_WITH_MPD(path_that_no_socket_can_have_is_refused),
	HARNESS_TEST_WITH_MPD(file_in_the_place_of_the_socket_stays),
	HARNESS_TEST_WITH_MPD(directory_that_another_user_has_planted_is_not_used),
};

HARNESS_MAIN(tests)
