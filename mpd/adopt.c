/* SPDX-License-Identifier: MIT
 *
 * See adopt.h.
 *
 * Who had connected wants an answer from mpd long before a thousand segments are mapped and swept:
 * these take turns with the answers, a fifth of a millisecond at a time. A kill between them leaves
 * segments that the next mpd adopts as if this one had never been.
 */
#include "adopt.h"

#include "log.h"
#include "loop.h"
#include "memory.h"
#include "segment.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADOPTIONS_MAX 3 /* a segment whose repair killed mpd that often is served unrepaired */

#define TURN_NS INT64_C(200000)
#define AGAIN_NS INT64_C(100000000) /* what the kernel wanted may be there then */

static struct loop_timer orphan_timer, turn_timer;
static unsigned waiting, next_index;
static int64_t grace;
static void (*notify_changed)(void);

/* Two descriptors of one name: which is which is told by how they were opened. */
static void take_files(struct segment *segment, const char *name)
{
	int fd;

	while ((fd = store_take(name)) >= 0) {
		bool is_read_only = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
		int *place = is_read_only ? &segment->observer_fd : &segment->fd;

		if (*place >= 0)
			close(*place);
		*place = fd;
	}
}

static int check_files(const struct segment *segment)
{
	int error;

	if (segment->fd < 0 || segment->observer_fd < 0)
		return -ENOENT;
	error = memory_check(segment->fd, segment->record->size_bytes);
	return error < 0 ? error : memory_check_same(segment->fd, segment->observer_fd);
}

/* 0; -errno: it has to be tried again.
 *
 * A segment whose repair kills mpd must not take the others with it: after some attempts it is
 * handed out as it is, and its clients repair it among themselves. */
static int repair(struct segment *segment)
{
	struct registry_record *record = segment->record;
	int error;

	if (load_relaxed(&record->adoptions) >= ADOPTIONS_MAX) {
		log_error("segment '%s' is left as it is: its repair ended mpd %d times",
			  record->name, ADOPTIONS_MAX);
		return 0;
	}
	add_relaxed(&record->adoptions, 1);
	error = segment_map(segment);
	if (error == 0) {
		segment_catch_up(segment);
		return 0;
	}
	if (memory_is_short(error))
		log_warning("segment '%s' cannot be mapped yet: %s; mpd tries again", record->name,
			    strerror(-error));
	else
		log_error("segment '%s' cannot be mapped: %s", record->name, strerror(-error));
	store_relaxed(&record->adoptions, 0);
	return memory_is_short(error) ? error : 0;
}

/* False: the registry knows a segment that the store has lost. */
static bool adopt(unsigned index)
{
	struct registry_record *record = registry_at(index);
	struct segment *segment;
	char name[STORE_NAME_BYTES];
	int error;

	/* edge registry_record: acquire <- registry_commit() of the mpd before us */
	if (load_acquire(&record->state) == REGISTRY_FREE)
		return true;
	segment_store_name(record->number, name);
	segment = segment_place(index, record);
	take_files(segment, name);
	error = check_files(segment);
	if (error < 0)
		log_error("segment '%s' is lost: %s", record->name, strerror(-error));
	if (error < 0 || (segment_state(segment) == REGISTRY_NEW && segment_accept(segment) < 0))
		segment_end(segment);
	else if (!segment->seg)
		waiting += segment->is_waiting = true;
	return error == 0;
}

static bool is_known(const struct shm_header *header)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		const struct segment *segment = segment_at(i);

		if (segment && segment->record->generation == header->generation &&
		    strcmp(segment->record->name, header->name) == 0)
			return true;
	}
	return false;
}

/* What the header and mpd's slot tell, all checked: 0 or -errno. */
static int read_lost(int fd, struct proto_open *ret_open, uint64_t *ret_generation,
		     uint32_t *ret_marks)
{
	struct shm_header header;
	struct seg_geometry at;
	struct shm_client slot;
	struct stat info;
	ssize_t got;
	int error;

	if (fstat(fd, &info) < 0)
		return -errno;
	error = memory_check(fd, (uint64_t)info.st_size);
	if (error == 0)
		error = seg_read_header(fd, &header);
	if (error == 0)
		error = seg_check_header(&header, (uint64_t)info.st_size, &at);
	if (error < 0)
		return error;
	if (!registry_is_name(header.name) || is_known(&header))
		return -EEXIST;
	got = pread(fd, &slot, sizeof(slot), (off_t)(at.clients + SLOT_MPD * sizeof(slot)));
	if (got != (ssize_t)sizeof(slot))
		return got < 0 ? -errno : -EBADMSG;
	*ret_open = (struct proto_open){ .size_bytes = at.size_bytes,
					 .max_clients = at.max_clients,
					 .max_threads = at.max_threads,
					 .mode = REGISTRY_MODE_DEFAULT,
					 .gid = -1 };
	memcpy(ret_open->name, header.name, sizeof(ret_open->name));
	*ret_generation = header.generation;
	*ret_marks = load_relaxed(&slot.flags);
	return 0;
}

/* Two of one name: one of them had lost it. */
static void enter_lost(unsigned index, int fd, int observer_fd, uint32_t marks)
{
	struct registry_record *record = registry_at(index);
	bool has_name = !(marks & SEGMENT_MARK_NAMELESS) &&
			!segment_find(record->uid, record->name);
	struct segment *segment = segment_place(index, record);
	char name[STORE_NAME_BYTES];

	segment->fd = fd;
	segment->observer_fd = observer_fd;
	store_relaxed(&record->is_kept, has_name && (marks & SEGMENT_MARK_KEPT));
	segment_store_name(record->number, name);
	store_put(name, fd, observer_fd);
	registry_commit(record, has_name ? REGISTRY_READY : REGISTRY_NAMELESS);
	log_info("segment '%s' was found at its clients", record->name);
	waiting += segment->is_waiting = true;
	adopt_now(segment);
}

int adopt_lost(int fd, int observer_fd)
{
	struct segment_maker maker = { .uid = geteuid() };
	struct segment_rights rights;
	struct proto_open open;
	uint64_t generation = 0, number = 0;
	uint32_t marks = 0;
	unsigned index;
	int error = read_lost(fd, &open, &generation, &marks);

	if (error == 0) {
		number = registry_reserve(&index);
		error = number ? 0 : -EDQUOT;
	}
	if (error == 0 && memory_read_note(fd, &rights, sizeof(rights)) == 0) {
		maker.uid = rights.uid;
		open.gid = rights.gid;
		open.mode = rights.mode;
	}
	if (error == 0)
		error = segment_fill_record(registry_at(index), &open, &maker);
	if (error < 0) {
		close(fd);
		close(observer_fd);
		return error;
	}
	registry_at(index)->number = number;
	registry_at(index)->generation = generation;
	enter_lost(index, fd, observer_fd, marks);
	return 0;
}

static void end_orphans(void *arg, unsigned events)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		struct segment *segment = segment_at(i);

		if (segment)
			segment_check_end(segment);
	}
	notify_changed();
}

static void await_clients(void)
{
	loop_timer_set(&turn_timer, DEADLINE_NEVER);
	orphan_timer.fn = end_orphans;
	loop_timer_set(&orphan_timer, clock_now_ns() + grace);
	notify_changed();
}

void adopt_now(struct segment *segment)
{
	if (!segment->is_waiting)
		return;
	segment->is_waiting = false;
	if (repair(segment) < 0) {
		segment->is_waiting = true;
		if (turn_timer.deadline_ns == DEADLINE_NEVER)
			loop_timer_set(&turn_timer, clock_now_ns() + AGAIN_NS);
	} else if (--waiting == 0) {
		await_clients();
	}
}

bool adopt_is_done(void)
{
	return waiting == 0;
}

/* At least one, unless all have had a turn. */
static void adopt_until(int64_t deadline_ns)
{
	while (next_index < REGISTRY_RECORDS && waiting) {
		struct segment *segment = segment_at(next_index++);

		if (segment)
			adopt_now(segment);
		if (clock_now_ns() >= deadline_ns)
			return;
	}
}

void adopt_rest(void)
{
	if (waiting)
		adopt_until(DEADLINE_NEVER);
}

static void take_turn(void *arg, unsigned events)
{
	int64_t now = clock_now_ns();

	adopt_until(now + TURN_NS);
	if (!waiting)
		return;
	if (next_index < REGISTRY_RECORDS) {
		loop_timer_set(&turn_timer, now);
	} else {
		next_index = 0;
		loop_timer_set(&turn_timer, now + AGAIN_NS);
	}
}

static void drop_unknown(void)
{
	const char *name;
	int fd;

	while ((fd = store_take_any(&name)) >= 0) {
		log_debug("'%s' belongs to nothing", name);
		store_forget(name);
		close(fd);
	}
}

bool adopt_all(int64_t grace_ns, void (*changed)(void))
{
	bool is_whole = true;

	grace = grace_ns;
	notify_changed = changed;
	turn_timer.fn = take_turn;
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++)
		is_whole &= adopt(i);
	drop_unknown();
	if (waiting)
		log_info("%u segments handed down", waiting);
	if (waiting)
		loop_timer_set(&turn_timer, clock_now_ns());
	else
		await_clients();
	return is_whole;
}
