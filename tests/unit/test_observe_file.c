/* SPDX-License-Identifier: MIT
 *
 * Proves: a saved segment shows in its file what the segment showed, with the ages of that moment,
 * sparse as it was; a file that shows no single moment says so; a damaged segment can be saved, and
 * any file can be looked at.
 * Knows: how a segment is laid out; spoils it by hand.
 */
#include "client.h"
#include "harness.h"
#include "observe_internal.h"

#include <libshm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 300

static char path[128];

static int make_file(void)
{
	int fd;

	snprintf(path, sizeof(path), "%s/saved", harness_endpoint()->directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

/* A queue with messages of both ways, and a lock that this process holds. */
static mp_segment *open_segment(mp_queue **ret_queue, mp_lock **ret_lock)
{
	const struct mp_segment_opts opts = { .mode = 0640 };
	mp_segment *segment;
	char large[4096];

	memset(large, 'x', sizeof(large));
	assert_int_equal(mp_segment_open("photo", &opts, &segment), 0);
	assert_int_equal(mp_queue_open(segment, "jobs", NULL, ret_queue), 0);
	assert_int_equal(mp_lock_open(segment, "gate", NULL, ret_lock), 0);
	assert_int_equal(mp_queue_put(*ret_queue, "small", 5, MP_NOW), 0);
	assert_int_equal(mp_queue_put(*ret_queue, large, sizeof(large), MP_NOW), 0);
	assert_int_equal(mp_lock_acquire(*ret_lock, MP_NOW), 0);
	return segment;
}

static mp_observer *look(void)
{
	mp_observer *observer;

	assert_int_equal(mp_observe_open(NULL, &observer), 0);
	assert_int_equal(mp_observe_refresh(observer), 1);
	return observer;
}

static int save_now(int fd)
{
	mp_observer *observer = look();
	int result = mp_observe_save(observer, 0, fd);

	mp_observe_close(observer);
	return result;
}

static mp_observer *look_at_file(void)
{
	mp_observer *observer;

	assert_int_equal(mp_observe_file(path, &observer), 0);
	assert_int_equal(mp_observe_refresh(observer), 1);
	return observer;
}

static void expect_photo(const struct mp_snapshot *snapshot)
{
	assert_string_equal(snapshot->segment, "photo");
	assert_int_equal(snapshot->is_torn, 0);
	assert_int_equal(snapshot->process_count, 1);
	assert_int_equal(snapshot->processes[0].pid, getpid());
	assert_int_equal(snapshot->queue_count, 1);
	assert_string_equal(snapshot->queues[0].name, "jobs");
	assert_int_equal(snapshot->queues[0].depth, 2);
	assert_int_equal(snapshot->lock_count, 1);
	assert_string_equal(snapshot->locks[0].name, "gate");
	assert_int_equal(snapshot->locks[0].owner_process, snapshot->processes[0].slot);
}

static void what_was_saved_is_there_when_the_segment_is_gone(void **state)
{
	const struct mp_snapshot *snapshot;
	struct mp_endpoint_info info;
	struct mp_observed_segment about;
	mp_observer *observer;
	mp_queue *queue;
	mp_lock *lock;
	mp_segment *segment = open_segment(&queue, &lock);
	int fd = make_file();

	assert_int_equal(save_now(fd), 0);
	close(fd);
	mp_queue_close(queue);
	mp_lock_close(lock);
	mp_segment_close(segment);
	observer = look_at_file();
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	expect_photo(snapshot);
	assert_int_equal(snapshot->processes[0].state, '?');
	assert_int_equal(mp_observe_endpoint(observer, &info), 0);
	assert_int_equal(info.is_file, 1);
	assert_int_equal(info.is_mpd_alive, 0);
	assert_int_equal(mp_observe_segment(observer, 0, &about), 0);
	assert_int_equal(about.is_listed, 0);
	assert_int_equal(about.uid, geteuid());
	assert_true(about.saved_ns > INT64_C(1600000000) * 1000000000);
	assert_int_equal(mp_observe_segment(observer, 1, &about), -EINVAL);
	mp_observe_close(observer);
	unlink(path);
}

static void ages_in_a_file_are_those_of_the_moment_it_was_saved(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	mp_queue *queue;
	mp_lock *lock;
	mp_segment *segment = open_segment(&queue, &lock);
	int fd = make_file();
	int64_t age_ns;

	assert_int_equal(save_now(fd), 0);
	close(fd);
	observer = look_at_file();
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	age_ns = snapshot->processes[0].age_ns;
	assert_true(age_ns > 0);
	harness_sleep_ms(50);
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->processes[0].age_ns, age_ns);
	mp_observe_close(observer);
	mp_queue_close(queue);
	mp_lock_close(lock);
	mp_segment_close(segment);
	unlink(path);
}

static void a_saved_segment_takes_no_more_room_than_the_segment(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	struct stat status;
	mp_queue *queue;
	mp_lock *lock;
	mp_segment *segment = open_segment(&queue, &lock);
	int fd = make_file();

	assert_int_equal(save_now(fd), 0);
	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	observer = look();
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	/* And the trailer's page. */
	assert_true((uint64_t)status.st_blocks * 512 <= snapshot->committed_bytes + 65536);
	assert_true((uint64_t)status.st_size > snapshot->size_bytes);
	mp_observe_close(observer);
	mp_queue_close(queue);
	mp_lock_close(lock);
	mp_segment_close(segment);
	unlink(path);
}

/* What a pass begins with; the test of a segment that is never still moves it there. */
off_t __real_lseek64(int fd, off_t offset, int whence);
off_t __wrap_lseek64(int fd, off_t offset, int whence);
static mp_queue *moving;

off_t __wrap_lseek64(int fd, off_t offset, int whence)
{
	char text[4096];

	if (moving && whence == SEEK_DATA && offset == 0) {
		assert_int_equal(mp_queue_put(moving, "again", 5, MP_NOW), 0);
		assert_true(mp_queue_get(moving, text, sizeof(text), MP_NOW) >= 0);
	}
	return __real_lseek64(fd, offset, whence);
}

static void a_file_that_shows_no_single_moment_says_so(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	mp_queue *queue;
	mp_lock *lock;
	mp_segment *segment = open_segment(&queue, &lock);
	int fd = make_file();

	moving = queue;
	assert_int_equal(save_now(fd), 1);
	moving = NULL;
	close(fd);
	observer = look_at_file();
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), 0);
	assert_int_equal(snapshot->is_torn, 1);
	mp_observe_close(observer);
	mp_queue_close(queue);
	mp_lock_close(lock);
	mp_segment_close(segment);
	unlink(path);
}

static void only_an_empty_regular_file_is_written_to(void **state)
{
	mp_observer *observer;
	mp_queue *queue;
	mp_lock *lock;
	mp_segment *segment = open_segment(&queue, &lock);
	int fd = make_file(), ends[2];

	observer = look();
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(mp_observe_save(observer, 0, ends[1]), -EINVAL);
	assert_int_equal(mp_observe_save(observer, 0, -1), -EINVAL);
	assert_int_equal(mp_observe_save(observer, 1, fd), -EINVAL);
	assert_int_equal(mp_observe_save(NULL, 0, fd), -EINVAL);
	assert_int_equal(write(fd, "mine", 4), 4);
	assert_int_equal(mp_observe_save(observer, 0, fd), -EINVAL);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	assert_int_equal(mp_observe_save(observer, 0, fd), -EINVAL);
	close(fd);
	mp_observe_close(observer);
	mp_queue_close(queue);
	mp_lock_close(lock);
	mp_segment_close(segment);
	unlink(path);
}

static void a_path_that_is_no_file_is_refused_at_once(void **state)
{
	mp_observer *observer = NULL;
	char missing[160];

	assert_int_equal(mp_observe_file(NULL, &observer), -EINVAL);
	assert_int_equal(mp_observe_file("/dev/null", NULL), -EINVAL);
	assert_int_equal(mp_observe_file("/dev/zero", &observer), -EINVAL);
	assert_int_equal(mp_observe_file(harness_endpoint()->directory, &observer), -EINVAL);
	snprintf(missing, sizeof(missing), "%s/missing", harness_endpoint()->directory);
	assert_int_equal(mp_observe_file(missing, &observer), -ENOENT);
	assert_non_null(strstr(mp_explain(), missing));
	assert_int_equal(mkfifo(missing, 0600), 0);
	assert_int_equal(mp_observe_file(missing, &observer), -EINVAL);
	assert_int_equal(unlink(missing), 0);
	assert_null(observer);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Every look ends, with an answer or an error. */
static void look_at_anything(void)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer = look_at_file();
	struct mp_observed_segment about;
	char name[MP_OBSERVE_NAME];
	int result = mp_observe_snapshot(observer, 0, &snapshot);

	assert_true(result == 0 || result == -EBADMSG || result == -EPROTO || result == -EAGAIN);
	assert_int_equal(mp_observe_segment(observer, 0, &about), 0);
	assert_int_equal(mp_observe_name(observer, 0, name), 0);
	mp_observe_close(observer);
}

static void any_bytes_in_a_file_are_survived(void **state)
{
	uint64_t seed = 88172645463325252u;
	struct stat status;
	mp_queue *queue;
	mp_lock *lock;
	mp_segment *segment = open_segment(&queue, &lock);
	int fd = make_file();

	assert_int_equal(save_now(fd), 0);
	assert_int_equal(fstat(fd, &status), 0);
	for (unsigned i = 0; i < ROUNDS * harness_scale(); i++) {
		/* The tables at the begin and the trailer at the end; both are all checks. */
		uint64_t high = i % 2 ? (uint64_t)status.st_size - 160 : 0;
		uint64_t word = random_next(&seed), at = random_next(&seed) % (i % 2 ? 152 : 65536);

		assert_int_equal(pwrite(fd, &word, sizeof(word), (off_t)(high + at)), 8);
		look_at_anything();
	}
	for (off_t size = status.st_size; size > 0; size /= 3) {
		assert_int_equal(ftruncate(fd, size), 0);
		look_at_anything();
	}
	assert_int_equal(ftruncate(fd, 0), 0);
	look_at_anything();
	close(fd);
	mp_queue_close(queue);
	mp_lock_close(lock);
	mp_segment_close(segment);
	unlink(path);
}

static void a_damaged_segment_is_saved_as_it_stands(void **state)
{
	const struct mp_snapshot *snapshot;
	mp_observer *observer;
	mp_queue *queue;
	mp_lock *lock;
	mp_segment *segment = open_segment(&queue, &lock);
	struct shm_header *header = segment->seg->header;
	int fd = make_file();

	header->magic ^= 1;
	assert_int_equal(save_now(fd), 0);
	header->magic ^= 1;
	close(fd);
	observer = look_at_file();
	assert_int_equal(mp_observe_snapshot(observer, 0, &snapshot), -EPROTO);
	mp_observe_close(observer);
	mp_queue_close(queue);
	mp_lock_close(lock);
	mp_segment_close(segment);
	unlink(path);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(what_was_saved_is_there_when_the_segment_is_gone),
	HARNESS_TEST_WITH_MPD(ages_in_a_file_are_those_of_the_moment_it_was_saved),
	HARNESS_TEST_WITH_MPD(a_saved_segment_takes_no_more_room_than_the_segment),
	HARNESS_TEST_WITH_MPD(a_file_that_shows_no_single_moment_says_so),
	HARNESS_TEST_WITH_MPD(only_an_empty_regular_file_is_written_to),
	HARNESS_TEST_WITH_MPD(a_path_that_is_no_file_is_refused_at_once),
	HARNESS_TEST_WITH_MPD(any_bytes_in_a_file_are_survived),
	HARNESS_TEST_WITH_MPD(a_damaged_segment_is_saved_as_it_stands),
};

HARNESS_MAIN(tests)
