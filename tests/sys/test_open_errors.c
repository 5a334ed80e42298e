/* SPDX-License-Identifier: MIT
 *
 * Proves: what keeps a process out of a segment is told by an error that the header lists and by a
 * sentence that says what to do: a header that somebody has written over, another layout, a socket
 * that is no mpd's, a directory that is closed.
 */
#include "harness.h"
#include "harness_segment.h"

#include "libshm/client.h"
#include "libshm/wire.h"

#include <libshm.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOMEBODY 64005

struct visit {
	int go[2]; /* a byte: come now */
	int wanted;
	const char *words;
};

static void expect(int result, const struct visit *visit)
{
	assert_int_equal(result, visit->wanted);
	if (!strstr(mp_explain(), visit->words))
		fail_msg("no '%s' in: %s", visit->words, mp_explain());
}

/* It has none of its parent's maps: it was forked before there were any. */
static int come(void *arg)
{
	struct visit *visit = arg;
	mp_segment *segment;
	char byte;

	assert_int_equal(read(visit->go[0], &byte, 1), 1);
	expect(mp_segment_open("spoilt", NULL, &segment), visit);
	return 0;
}

static void spoil(void (*change)(struct shm_header *header), struct visit *visit)
{
	struct shm_header saved;
	mp_segment *segment;
	pid_t visitor;

	assert_int_equal(pipe2(visit->go, O_CLOEXEC), 0);
	visitor = harness_fork(come, visit);
	assert_int_equal(mp_segment_open("spoilt", NULL, &segment), 0);
	memcpy(&saved, segment->seg->header, sizeof saved);
	change(segment->seg->header);
	assert_int_equal(write(visit->go[1], "", 1), 1);
	harness_join(visitor);
	memcpy(segment->seg->header, &saved, sizeof saved);
	close(visit->go[0]);
	close(visit->go[1]);
	mp_segment_close(segment);
}

static void change_size(struct shm_header *header)
{
	header->size_bytes += 4096;
}

static void unmake(struct shm_header *header)
{
	store_release(&header->ready, 0);
}

static void change_layout(struct shm_header *header)
{
	header->minor++;
}

static void header_that_was_written_over_is_ebadmsg(void **state)
{
	struct visit visit = { .wanted = -EBADMSG, .words = "mpctl rm spoilt" };

	spoil(change_size, &visit);
	spoil(unmake, &visit);
}

static void another_layout_is_eproto(void **state)
{
	struct visit visit = { .wanted = -EPROTO, .words = "another version of libshm" };

	spoil(change_layout, &visit);
}

static void open_and_unlink(const struct visit *visit)
{
	mp_segment *segment;

	expect(mp_segment_open("any", NULL, &segment), visit);
	expect(mp_segment_unlink("any"), visit);
}

static void socket_of_another_type_is_told_to_be_no_mpd(void **state)
{
	static const struct visit visit = { .wanted = -EPROTO, .words = "is no mpd" };
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(wire_address(harness_endpoint()->socket, &address), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 1), 0);
	open_and_unlink(&visit);
	close(fd);
	unlink(harness_endpoint()->socket);
}

static int come_as_somebody(void *arg)
{
	static const struct visit visit = { .wanted = -EACCES, .words = "closed to this user" };

	assert_int_equal(setresuid(SOMEBODY, SOMEBODY, SOMEBODY), 0);
	open_and_unlink(&visit);
	return 0;
}

static void directory_that_is_closed_is_eacces(void **state)
{
	mp_segment *segment;

	if (geteuid() != 0)
		harness_skip("only root can be somebody else");
	assert_int_equal(chmod(harness_endpoint()->directory, 0700), 0);
	harness_join(harness_fork(come_as_somebody, NULL));
	assert_int_equal(mp_segment_open("any", NULL, &segment), 0);
	mp_segment_close(segment);
}

static const struct harness_test tests[] = {
	HARNESS_TEST_WITH_MPD(header_that_was_written_over_is_ebadmsg),
	HARNESS_TEST_WITH_MPD(another_layout_is_eproto),
	HARNESS_TEST_WITH_MPD(socket_of_another_type_is_told_to_be_no_mpd),
	HARNESS_TEST_WITH_MPD(directory_that_is_closed_is_eacces),
};

HARNESS_MAIN(tests)
