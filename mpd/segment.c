/* SPDX-License-Identifier: MIT
 *
 * See segment.h. What a kill leaves at each step of a creation: a number that is never used; stored
 * descriptors without a record (adoption drops them); a record in state NEW. The latter's formatter
 * has lost its connection: if it had finished, adoption takes the segment, else it drops it, and
 * FORMATTED is answered with -ESTALE. Nobody else was told of the segment in any of these.
 */
#include "segment.h"

#include "log.h"
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

static struct segment segments[REGISTRY_RECORDS];
static struct slot_identity self; /* of this mpd, in its slot of each segment */
static struct own_fd_file roster_file;
static char endpoint_name[ENDPOINT_NAME_BYTES];
static const struct segment_keepers *keepers;

static const struct seg_hooks hooks = { .client_died = recover_client };

void segment_store_name(uint64_t number, char ret_name[static STORE_NAME_BYTES])
{
	snprintf(ret_name, STORE_NAME_BYTES, "segment-%llu", (unsigned long long)number);
}

struct segment *segment_place(unsigned index, struct registry_record *record)
{
	segments[index] = (struct segment){ .record = record, .fd = -1, .observer_fd = -1 };
	return &segments[index];
}

struct segment *segment_at(unsigned index)
{
	return segments[index].record ? &segments[index] : NULL;
}

unsigned segment_index(const struct segment *segment)
{
	return (unsigned)(segment - segments);
}

enum registry_state segment_state(const struct segment *segment)
{
	return (enum registry_state)load_relaxed(&segment->record->state);
}

bool segment_is_ready(const struct segment *segment)
{
	return segment_state(segment) != REGISTRY_NEW;
}

bool segment_is_named(const struct segment *segment, const char *name)
{
	return segment_state(segment) != REGISTRY_NAMELESS &&
	       strcmp(segment->record->name, name) == 0;
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

int segment_fill_record(struct registry_record *record, const struct proto_open *open,
		       const struct segment_maker *maker)
{
	struct seg_geometry plan;
	int error = seg_plan(open->size_bytes, open->max_clients, open->max_threads, &plan);

	if (error < 0)
		return error;
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
	error = segment_fill_record(record, open, maker);
	if (error == 0 && getrandom(&record->generation, sizeof(record->generation), 0) < 0)
		error = -errno;
	if (error == 0)
		error = make_files(segment, record);
	if (error < 0)
		return error;
	record->number = number;
	segment_store_name(number, name);
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
	uint32_t marks = segment_state(segment) == REGISTRY_NAMELESS ? SEGMENT_MARK_NAMELESS : 0;

	if (load_relaxed(&segment->record->is_kept))
		marks |= SEGMENT_MARK_KEPT;
	if (segment->seg)
		store_relaxed(&segment->seg->clients[SLOT_MPD].flags, marks);
}

int segment_map(struct segment *segment)
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
	seg->frees_later = true;
	seg->roster_fd = keepers->roster();
	seg->roster_file = roster_file;
	segment->seg = seg;
	recover_become_mpd(seg, &self);
	write_marks(segment);
	keepers->begun(segment);
	return 0;
}

void segment_catch_up(struct segment *segment)
{
	keepers->watch_clients(segment);
	keepers->repair(segment);
}

int segment_accept(struct segment *segment)
{
	int error = segment_map(segment);

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
void segment_end(struct segment *segment)
{
	struct registry_record *record = segment->record;
	char name[STORE_NAME_BYTES];

	log_debug("segment '%s' ends", record->name);
	keepers->ending(segment);
	segment_store_name(record->number, name);
	registry_commit(record, REGISTRY_FREE);
	store_forget(name);
	segment->seg = seg_unmap(segment->seg);
	close_files(segment);
	*segment = (struct segment){ 0 };
}

static bool is_needed(const struct segment *segment)
{
	bool is_unseen = !segment->seg; /* left as it is: who uses it cannot be told */

	return segment->is_waiting || segment->holds || segment->watches || segment->formatter ||
	       segment->waiters ||
	       (segment_state(segment) == REGISTRY_READY &&
		(load_relaxed(&segment->record->is_kept) || is_unseen));
}

void segment_check_end(struct segment *segment)
{
	if (is_needed(segment))
		return;
	/* Clients that mpd was never told of, or whose watch went with their connection. */
	if (segment->seg && keepers->watch_clients(segment) > 0)
		return;
	segment_end(segment);
}

bool segment_any_kept(void)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++)
		if (segments[i].record && load_relaxed(&segments[i].record->is_kept))
			return true;
	return false;
}

void segment_configure(const char *endpoint, const struct segment_keepers *those)
{
	/* The whole path: tools that look without mpd tell endpoints apart by it. */
	snprintf(endpoint_name, sizeof(endpoint_name), "%s", endpoint);
	keepers = those;
}
