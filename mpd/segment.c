/* SPDX-License-Identifier: MIT
 *
 * See segment.h. What a kill leaves at each step of a creation: a number that is never used; stored
 * descriptors without a record (adoption drops them); a record in state NEW. The latter's formatter
 * has lost its connection: if it had finished, adoption takes the segment, else it drops it, and
 * FORMATTED is answered with -ESTALE. Nobody else was told of the segment in any of these.
 */
#include "segment.h"

#include "log.h"
#include "loop.h"
#include "memory.h"
#include "store.h"

#include "libshm/recover.h"
#include "libshm/slot.h"
#include <libshm/base.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENDPOINT_NAME_BYTES 108
#define ADOPTIONS_MAX 3 /* a segment whose repair killed mpd that often is served unrepaired */

/* What a registry that was lost had known, in the flags of mpd's own slot. */
enum { MARK_NAMELESS = 1, MARK_KEPT = 2 };

static struct segment segments[REGISTRY_RECORDS];
static struct slot_identity self; /* of this mpd, in its slot of each segment */
static struct own_fd_file roster_file;
static char endpoint_name[ENDPOINT_NAME_BYTES];
static const struct segment_keepers *keepers;
static int64_t grace;
static struct loop_timer orphan_timer;

static const struct seg_hooks hooks = { .client_died = recover_client };

static void store_name(uint64_t number, char ret_name[static STORE_NAME_BYTES])
{
	snprintf(ret_name, STORE_NAME_BYTES, "segment-%llu", (unsigned long long)number);
}

struct segment *segment_at(unsigned index)
{
	return segments[index].record ? &segments[index] : NULL;
}

unsigned segment_index(const struct segment *segment)
{
	return (unsigned)(segment - segments);
}

static enum registry_state state_of(const struct segment *segment)
{
	return (enum registry_state)load_relaxed(&segment->record->state);
}

bool segment_is_ready(const struct segment *segment)
{
	return state_of(segment) != REGISTRY_NEW;
}

bool segment_is_named(const struct segment *segment, const char *name)
{
	return state_of(segment) != REGISTRY_NAMELESS && strcmp(segment->record->name, name) == 0;
}

struct segment *segment_find(uint32_t uid, const char *name)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		struct segment *segment = segment_at(i);

		if (segment && segment->record->uid == uid && segment_is_named(segment, name))
			return segment;
	}
	return NULL;
}

struct segment *segment_by_number(uint64_t number)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++)
		if (segments[i].record && segments[i].record->number == number)
			return &segments[i];
	return NULL;
}

static void close_files(struct segment *segment)
{
	if (segment->fd >= 0)
		close(segment->fd);
	if (segment->observer_fd >= 0)
		close(segment->observer_fd);
}

/* The mode becomes 0 between the two: the observers' descriptor cannot be opened for writing. */
static int make_files(struct segment *segment, const struct registry_record *record)
{
	struct segment_rights rights = { record->uid, record->gid, record->mode };
	char label[ENDPOINT_NAME_BYTES + NAME_BYTES + 16];

	snprintf(label, sizeof(label), "libshm:%s:%s", endpoint_name, record->name);
	segment->observer_fd = -1;
	segment->fd = memory_create_open(label, record->size_bytes);
	if (segment->fd < 0)
		return segment->fd;
	(void)memory_note(segment->fd, &rights, sizeof(rights));
	segment->observer_fd = memory_reopen_read_only(segment->fd);
	if (segment->observer_fd >= 0 && fchmod(segment->fd, 0) == 0)
		return 0;
	close_files(segment);
	return -EMFILE;
}

static int fill_record(struct registry_record *record, const struct proto_open *open,
		       const struct segment_maker *maker)
{
	struct seg_geometry plan;
	int error = seg_plan(open->size_bytes, open->max_clients, open->max_threads, &plan);

	if (error < 0)
		return error;
	if (getrandom(&record->generation, sizeof(record->generation), 0) < 0)
		return -errno;
	record->size_bytes = plan.size_bytes;
	record->max_clients = plan.max_clients;
	record->max_threads = plan.max_threads;
	record->mode = open->mode;
	record->gid = open->gid;
	record->uid = maker->uid;
	record->maker_pid = maker->pid;
	record->maker_started = maker->pid ? (uint32_t)slot_start_ticks(maker->pid) : 0;
	store_relaxed(&record->is_kept, !!(open->flags & MP_KEEP));
	store_relaxed(&record->adoptions, 0);
	memcpy(record->name, open->name, sizeof(record->name));
	return 0;
}

int segment_create(const struct proto_open *open, const struct segment_maker *maker,
		   struct segment **ret_segment)
{
	struct registry_record *record;
	struct segment *segment;
	char name[STORE_NAME_BYTES];
	uint64_t number;
	unsigned index;
	int error;

	number = registry_reserve(&index);
	if (number == 0)
		return -EDQUOT;
	record = registry_at(index);
	segment = &segments[index];
	error = fill_record(record, open, maker);
	if (error == 0)
		error = make_files(segment, record);
	if (error < 0)
		return error;
	record->number = number;
	store_name(number, name);
	store_put(name, segment->fd, segment->observer_fd);
	registry_commit(record, REGISTRY_NEW);
	segment->record = record;
	log_debug("segment '%s' is number %llu, %llu bytes", record->name,
		  (unsigned long long)number, (unsigned long long)record->size_bytes);
	*ret_segment = segment;
	return 0;
}

static void write_marks(struct segment *segment)
{
	uint32_t marks = state_of(segment) == REGISTRY_NAMELESS ? MARK_NAMELESS : 0;

	if (load_relaxed(&segment->record->is_kept))
		marks |= MARK_KEPT;
	if (segment->seg)
		store_relaxed(&segment->seg->clients[SLOT_MPD].flags, marks);
}

/* Map it, sweep what mpd's former self left in it. */
static int map(struct segment *segment)
{
	int copy = fcntl(segment->fd, F_DUPFD_CLOEXEC, 0);
	struct seg *seg;
	int error;

	if (copy < 0)
		return -errno;
	error = seg_map(copy, false, &seg);
	if (error < 0) {
		close(copy);
		return error;
	}
	if (seg->header->generation != segment->record->generation) {
		seg_unmap(seg);
		return -EBADMSG;
	}
	if (!self.pid) { /* the same for all segments: asked of the kernel once */
		slot_identify(&self);
		roster_file = own_fd_file(keepers->roster());
	}
	seg->hooks = &hooks;
	seg->roster_fd = keepers->roster();
	seg->roster_file = roster_file;
	segment->seg = seg;
	recover_become_mpd(seg, &self);
	write_marks(segment);
	keepers->begun(segment);
	return 0;
}

int segment_accept(struct segment *segment)
{
	int error = map(segment);

	if (error < 0)
		return error;
	segment->formatter = NULL;
	registry_commit(segment->record, REGISTRY_READY);
	return 0;
}

int segment_reset(struct segment *segment)
{
	segment->formatter = NULL;
	return memory_clear(segment->fd, segment->record->size_bytes);
}

void segment_unlink(struct segment *segment)
{
	log_info("segment '%s' lost its name", segment->record->name);
	store_relaxed(&segment->record->is_kept, 0);
	registry_commit(segment->record, REGISTRY_NAMELESS);
	write_marks(segment);
	segment_check_end(segment);
}

void segment_keep(struct segment *segment)
{
	store_relaxed(&segment->record->is_kept, 1);
	write_marks(segment);
}

/* The record goes first: descriptors without a record are dropped by the next mpd. */
static void end(struct segment *segment)
{
	struct registry_record *record = segment->record;
	char name[STORE_NAME_BYTES];

	log_debug("segment '%s' ends", record->name);
	keepers->ending(segment);
	store_name(record->number, name);
	registry_commit(record, REGISTRY_FREE);
	store_forget(name);
	segment->seg = seg_unmap(segment->seg);
	close_files(segment);
	*segment = (struct segment){ 0 };
}

static bool is_needed(const struct segment *segment)
{
	bool is_unseen = !segment->seg; /* left as it is: who uses it cannot be told */

	return segment->holds || segment->watches || segment->formatter || segment->waiters ||
	       (state_of(segment) == REGISTRY_READY &&
		(load_relaxed(&segment->record->is_kept) || is_unseen));
}

void segment_check_end(struct segment *segment)
{
	if (is_needed(segment))
		return;
	/* Clients that mpd was never told of, or whose watch went with their connection. */
	if (segment->seg && keepers->watch_clients(segment) > 0)
		return;
	end(segment);
}

bool segment_any_kept(void)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++)
		if (segments[i].record && load_relaxed(&segments[i].record->is_kept))
			return true;
	return false;
}

static void end_orphans(void *arg, unsigned events)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++)
		if (segments[i].record)
			segment_check_end(&segments[i]);
	keepers->changed();
}

void segment_configure(const char *endpoint, int64_t grace_ns,
		       const struct segment_keepers *those)
{
	/* The whole path: tools that look without mpd tell endpoints apart by it. */
	snprintf(endpoint_name, sizeof(endpoint_name), "%s", endpoint);
	grace = grace_ns;
	keepers = those;
}

/* Two descriptors of one name: which is which is told by how they were opened. */
static void take_files(struct segment *segment, const char *name)
{
	int fd;

	segment->fd = segment->observer_fd = -1;
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

/* A segment whose repair kills mpd must not take the others with it: after some attempts it is
 * handed out as it is, and its clients repair it among themselves. */
static void repair(struct segment *segment)
{
	struct registry_record *record = segment->record;
	int error;

	if (load_relaxed(&record->adoptions) >= ADOPTIONS_MAX) {
		log_error("segment '%s' is left as it is: its repair ended mpd %d times",
			  record->name, ADOPTIONS_MAX);
		return;
	}
	add_relaxed(&record->adoptions, 1);
	error = map(segment);
	if (error == 0) {
		keepers->watch_clients(segment);
		recover_audit(segment->seg);
	} else {
		log_error("segment '%s' cannot be mapped: %s", record->name, strerror(-error));
	}
	store_relaxed(&record->adoptions, 0);
}

/* False: the registry knows a segment that the store has lost. */
static bool adopt(unsigned index)
{
	struct segment *segment = &segments[index];
	struct registry_record *record = registry_at(index);
	char name[STORE_NAME_BYTES];
	int error;

	/* edge registry_record: acquire <- registry_commit() of the mpd before us */
	if (load_acquire(&record->state) == REGISTRY_FREE)
		return true;
	store_name(record->number, name);
	segment->record = record;
	take_files(segment, name);
	error = check_files(segment);
	if (error < 0)
		log_error("segment '%s' is lost: %s", record->name, strerror(-error));
	if (error < 0 || (state_of(segment) == REGISTRY_NEW && segment_accept(segment) < 0))
		end(segment);
	else if (!segment->seg)
		repair(segment);
	return error == 0;
}

static bool is_known(const struct shm_header *header)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++)
		if (segments[i].record && segments[i].record->generation == header->generation &&
		    strcmp(segments[i].record->name, header->name) == 0)
			return true;
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
	if (pread(fd, &slot, sizeof(slot), (off_t)(at.clients + SLOT_MPD * sizeof(slot))) !=
	    (ssize_t)sizeof(slot))
		return -EBADMSG;
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
static void enter_lost(struct segment *segment, struct registry_record *record, uint32_t marks)
{
	bool has_name = !(marks & MARK_NAMELESS) && !segment_find(record->uid, record->name);
	char name[STORE_NAME_BYTES];

	store_relaxed(&record->is_kept, has_name && (marks & MARK_KEPT));
	store_name(record->number, name);
	store_put(name, segment->fd, segment->observer_fd);
	registry_commit(record, has_name ? REGISTRY_READY : REGISTRY_NAMELESS);
	segment->record = record;
	log_info("segment '%s' was found at its clients", record->name);
	repair(segment);
}

int segment_rescue(int fd, int observer_fd)
{
	struct segment_maker maker = { .uid = geteuid() };
	struct segment_rights rights;
	struct registry_record *record;
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
		error = fill_record(registry_at(index), &open, &maker);
	if (error < 0) {
		close(fd);
		close(observer_fd);
		return error;
	}
	record = registry_at(index);
	record->number = number;
	record->generation = generation;
	segments[index] = (struct segment){ .fd = fd, .observer_fd = observer_fd };
	enter_lost(&segments[index], record, marks);
	return 0;
}

bool segment_adopt_all(void)
{
	const char *name;
	bool is_whole = true;
	unsigned count = 0;
	int fd;

	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		is_whole &= adopt(i);
		count += segment_at(i) != NULL;
	}
	while ((fd = store_take_any(&name)) >= 0) {
		log_debug("'%s' belongs to nothing", name);
		store_forget(name);
		close(fd);
	}
	if (count)
		log_info("%u segments adopted", count);
	orphan_timer.fn = end_orphans;
	loop_timer_set(&orphan_timer, clock_now_ns() + grace);
	return is_whole;
}
