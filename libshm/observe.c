/* SPDX-License-Identifier: MIT
 *
 * A read-only view of segments for tools: the public calls, processes, threads and memory of a
 * snapshot. Knows: the tables that were copied. Does not know: where segments are found
 * (observe_find.c), how tables are copied (observe_copy.c), what objects are (observe_object.c).
 */
#include "blockword.h"
#include "cc.h"
#include "clock.h"
#include "errno_kept.h"
#include "explain.h"
#include "lockword.h"
#include "observe_internal.h"
#include "probe.h"
#include "proto.h"
#include "slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAPSHOT_TRIES 3
#define GRANULES_AT_ONCE 4096

struct mp_observer *observe_new(void)
{
	struct mp_observer *observer = calloc(1, sizeof(*observer));

	if (!observer)
		return NULL;
	observer->socket = -1;
	observer->info.mpd_engine_reason = probe_reason_text(PROBE_NONE);
	observer->packet = malloc(PROTO_MESSAGE_MAX);
	if (!observer->packet) {
		free(observer);
		return NULL;
	}
	return observer;
}

static int explain_find(int error)
{
	if (error == -EMFILE)
		return explain(error, "mpd and its segments cannot be looked at: this process has "
				      "no descriptor left; close some, or raise the limit "
				      "(ulimit -n)");
	return explain(error, "no memory for the list of segments");
}

MP_EXPORT int mp_observe_open(const char *endpoint, mp_observer **ret_observer)
{
	KEEP_ERRNO;
	struct mp_observer *observer;
	int result;

	if (!ret_observer)
		return explain(-EINVAL, "ret_observer must not be NULL");
	if (endpoint && strlen(endpoint) >= sizeof(observer->given))
		return explain(-EINVAL, "the endpoint '%.40s...' is longer than %zu bytes",
			       endpoint, sizeof(observer->given) - 1);
	observer = observe_new();
	if (!observer)
		return explain(-ENOMEM, "no memory for an observer");
	if (endpoint) {
		observer->is_given = true;
		memcpy(observer->given, endpoint, strlen(endpoint) + 1);
	}
	result = observe_find(observer);
	if (result < 0) {
		mp_observe_close(observer);
		return explain_find(result);
	}
	*ret_observer = observer;
	return 0;
}

MP_EXPORT mp_observer *mp_observe_close(mp_observer *observer)
{
	KEEP_ERRNO;
	if (!observer)
		return NULL;
	for (unsigned i = 0; i < observer->segment_count; i++)
		observe_forget_segment(&observer->segments[i]);
	if (observer->socket >= 0)
		close(observer->socket);
	free(observer->segments);
	free(observer->packet);
	free(observer);
	return NULL;
}

MP_EXPORT int mp_observe_refresh(mp_observer *observer)
{
	KEEP_ERRNO;
	int result;

	if (!observer)
		return explain(-EINVAL, "mp_observe_refresh needs an observer, not NULL");
	result = observe_find(observer);
	return result < 0 ? explain_find(result)
			  : (int)observer->segment_count;
}

MP_EXPORT int mp_observe_endpoint(mp_observer *observer, struct mp_endpoint_info *ret_info)
{
	uint64_t now = (uint64_t)clock_now_ns();

	if (!observer || !ret_info)
		return explain(-EINVAL, "mp_observe_endpoint needs an observer and ret_info");
	*ret_info = observer->info;
	if (observer->mpd_started_ns && observer->mpd_started_ns < now)
		ret_info->mpd_age_ns = (int64_t)(now - observer->mpd_started_ns);
	return 0;
}

int observe_refuse_index(const mp_observer *observer, unsigned index)
{
	if (!observer || index < observer->segment_count)
		return explain(-EINVAL, "an observer and a place for what is found are needed");
	return explain(-EINVAL, "the observer has %u segments, none with the index %u",
		       observer->segment_count, index);
}

MP_EXPORT int mp_observe_name(mp_observer *observer, unsigned index,
			      char ret_name[MP_OBSERVE_NAME])
{
	if (!observer || !ret_name || index >= observer->segment_count)
		return observe_refuse_index(observer, index);
	observe_text(ret_name, MP_OBSERVE_NAME, observer->segments[index].name, NAME_BYTES);
	return 0;
}

MP_EXPORT int mp_observe_segment(mp_observer *observer, unsigned index,
				 struct mp_observed_segment *ret_segment)
{
	KEEP_ERRNO;
	const struct observe_segment *segment;
	struct stat status;

	if (!observer || !ret_segment || index >= observer->segment_count)
		return observe_refuse_index(observer, index);
	segment = &observer->segments[index];
	*ret_segment = segment->listed;
	observe_text(ret_segment->name, MP_OBSERVE_NAME, segment->name, NAME_BYTES);
	ret_segment->error = segment->fd < 0 ? segment->error : 0;
	if (ret_segment->is_listed || observer->is_file || segment->fd < 0)
		return 0;
	if (fstat(segment->fd, &status) == 0) {
		ret_segment->size_bytes = (uint64_t)status.st_size;
		ret_segment->uid = status.st_uid;
	}
	return 0;
}

static uint64_t own_pid_namespace(void)
{
	struct stat status;

	return stat("/proc/self/ns/pid", &status) < 0 ? 0 : status.st_ino;
}

/* State letter and start time of a process; false if there is none. */
static bool read_proc_stat(uint32_t pid, char *ret_state, uint64_t *ret_started)
{
	char path[32], text[512], *at;
	unsigned long long started = 0;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	/* The name in parentheses may hold anything; fields are counted after its last ')'. */
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
			  " %*s %*s %*s %llu", ret_state, &started) != 2)
		return false;
	*ret_started = started;
	return true;
}

static char process_state(struct shm_client *client, uint64_t namespace)
{
	uint32_t pid = client_word_pid(load_relaxed(&client->word));
	uint64_t expected = load_relaxed(&client->started_ticks);
	uint64_t started;
	char state;

	if (!pid || !namespace || load_relaxed(&client->pid_namespace) != namespace)
		return '?';
	if (!read_proc_stat(pid, &state, &started))
		return 'X';
	started = slot_ticks_since_boot(started);
	if (expected && started && started != expected)
		return 'X';
	return state >= 'A' && state <= 'z' ? state : '?';
}

static int64_t age_of(const struct observe_copy *copy, uint64_t since_ns)
{
	return since_ns && since_ns < (uint64_t)copy->now_ns ? copy->now_ns - (int64_t)since_ns : 0;
}

static int fill_processes(const struct observe_copy *copy, struct mp_snapshot *snapshot)
{
	uint64_t namespace = copy->is_saved ? 0 : own_pid_namespace();

	snapshot->processes = calloc(copy->client_count + 1u, sizeof(*snapshot->processes));
	if (!snapshot->processes)
		return -ENOMEM;
	for (uint32_t slot = SLOT_FIRST; slot < copy->client_count; slot++) {
		struct mp_observed_process *row = &snapshot->processes[snapshot->process_count];
		struct shm_client *client = &copy->clients[slot];
		uint64_t word = load_relaxed(&client->word);

		if (client_word_state(word) == SLOT_FREE)
			continue;
		snapshot->process_count++;
		row->slot = slot;
		row->pid = client_word_pid(word);
		row->parent_slot = load_relaxed(&client->parent);
		row->is_dead = client_word_state(word) == SLOT_DEAD;
		observe_text(row->name, sizeof(row->name), client->name, sizeof(client->name));
		row->age_ns = age_of(copy, load_relaxed(&client->attached_ns));
		row->dead_ns = row->is_dead ? age_of(copy, load_relaxed(&client->died_ns)) : 0;
		row->redelivered = load_relaxed(&client->redelivered);
		row->recovered = load_relaxed(&client->recovered);
		row->state = process_state(client, namespace);
	}
	return 0;
}

static const char *engine_name(uint32_t engine)
{
	if (engine == ENGINE_URING)
		return "uring";
	if (engine == ENGINE_NONE)
		return "";
	return engine == ENGINE_FUTEX ? "futex" : "?";
}

static void fill_waits(const struct observe_copy *copy, struct shm_thread *thread,
		       struct mp_observed_thread *row)
{
	uint32_t count = load_relaxed(&thread->record_count);

	row->is_waiting = count > 0;
	for (uint32_t i = 0; i < count && i < ARRAY_LEN(row->waits_for); i++) {
		uint64_t record = load_relaxed(&thread->records[i]);
		const struct observe_object *object =
			observe_object_at(copy, record - record % CACHE_LINE);

		row->waits_for[i] = object ? object->id : 0;
		/* Those of a barrier only tell its turns apart. */
		row->waits_condition[i] =
			object && object->kind == OBJECT_BARRIER ? 0 : record % CACHE_LINE;
	}
	row->waiting_ns = count ? age_of(copy, load_relaxed(&thread->waiting_since_ns)) : 0;
}

static void fill_holds(const struct observe_copy *copy, struct shm_thread *thread,
		       struct mp_observed_thread *row)
{
	uint32_t count = load_relaxed(&thread->held_count);

	row->held_count = count < HELD_MAX ? count : HELD_MAX;
	for (uint32_t i = 0; i < row->held_count; i++) {
		const struct observe_object *object =
			observe_object_at(copy, load_relaxed(&thread->held[i].object));

		row->holds[i] = object ? object->id : 0;
	}
}

static void fill_thread(const struct observe_copy *copy, struct shm_thread *thread,
			struct mp_observed_thread *row)
{
	row->process_slot = thread_word_client(load_relaxed(&thread->word));
	row->tid = load_relaxed(&thread->tid);
	row->is_asleep = load_relaxed(&thread->bell) & 1;
	fill_waits(copy, thread, row);
	fill_holds(copy, thread, row);
	row->sleeps_uring = load_relaxed(&thread->sleeps[ENGINE_URING]);
	row->sleeps_futex = load_relaxed(&thread->sleeps[ENGINE_FUTEX]);
	row->wakeups = load_relaxed(&thread->wakeups);
	row->spurious = load_relaxed(&thread->spurious);
	row->rings = load_relaxed(&thread->rings);
	row->handed_on = load_relaxed(&thread->handed_on);
	row->spins_won = load_relaxed(&thread->spins_won);
	observe_text(row->name, sizeof(row->name), thread->name, sizeof(thread->name));
	snprintf(row->engine, sizeof(row->engine), "%s",
		 engine_name(load_relaxed(&thread->engine)));
	row->engine_reason = probe_reason_text(load_relaxed(&thread->engine_reason));
}

static int fill_threads(const struct observe_copy *copy, struct mp_snapshot *snapshot)
{
	snapshot->threads = calloc(copy->thread_count + 1u, sizeof(*snapshot->threads));
	if (!snapshot->threads)
		return -ENOMEM;
	for (uint32_t slot = SLOT_FIRST; slot < copy->thread_count; slot++) {
		struct mp_observed_thread *row = &snapshot->threads[snapshot->thread_count];
		uint64_t word = load_relaxed(&copy->threads[slot].word);

		if (thread_word_state(word) != SLOT_LIVE)
			continue;
		row->slot = slot;
		fill_thread(copy, &copy->threads[slot], row);
		snapshot->thread_count++;
	}
	return 0;
}

/* The sum of the granules whose head is not FREE. Heads tile the arena; a word of length 0 was
 * never written. */
static int measure_granules(const struct observe_copy *copy, uint64_t *ret_granules)
{
	uint32_t count = load_relaxed(&copy->header.granules_high);
	uint64_t words[GRANULES_AT_ONCE];
	uint64_t at = 0, used = 0, first = 0, loaded = 0;

	count = count < copy->at.granule_count ? count : copy->at.granule_count;
	while (at < count) {
		uint64_t length;

		if (at >= first + loaded) {
			first = at;
			loaded = count - at < GRANULES_AT_ONCE ? count - at : GRANULES_AT_ONCE;
			int result = observe_read(copy->fd, words, loaded * sizeof(words[0]),
						  copy->at.granules + at * sizeof(words[0]));
			if (result < 0)
				return result;
		}
		length = block_word_len(words[at - first]);
		length = length ? length : 1;
		if (length > copy->at.granule_count - at)
			length = copy->at.granule_count - at;
		if (block_word_state(words[at - first]) != BLOCK_FREE)
			used += length;
		at += length;
	}
	*ret_granules = used;
	return 0;
}

static int fill_memory(struct observe_copy *copy, struct mp_snapshot *snapshot)
{
	uint64_t used;
	struct stat status;
	int result = measure_granules(copy, &used);

	if (result < 0)
		return result;
	snapshot->size_bytes = copy->at.size_bytes;
	/* What the kernel really gave; the header's own figure is a hint. */
	snapshot->committed_bytes = fstat(copy->fd, &status) < 0 ?
		load_relaxed(&copy->header.committed_bytes) : (uint64_t)status.st_blocks * 512;
	snapshot->used_bytes = used * GRANULE_BYTES;
	snapshot->free_bytes = (copy->at.granule_count - used) * GRANULE_BYTES;
	snapshot->sweeps = load_relaxed(&copy->header.sweeps);
	snapshot->deaths = load_relaxed(&copy->header.death_count);
	snapshot->audits = load_relaxed(&copy->header.audits);
	return 0;
}

static void release_rows(struct mp_snapshot *snapshot)
{
	free(snapshot->processes);
	free(snapshot->threads);
	free(snapshot->locks);
	free(snapshot->queues);
	free(snapshot->syncs);
	free(snapshot->cycles);
	memset(snapshot, 0, sizeof(*snapshot));
}

void observe_forget_segment(struct observe_segment *segment)
{
	release_rows(&segment->snapshot);
	free(segment->grants);
	if (segment->fd >= 0)
		close(segment->fd);
	memset(segment, 0, sizeof(*segment));
	segment->fd = -1;
}

/* One look. 1: whole, 0: torn, -errno. */
static int take_snapshot(struct observe_segment *segment)
{
	struct mp_snapshot *snapshot = &segment->snapshot;
	struct observe_copy copy;
	int result = observe_copy_tables(segment->fd, &copy);

	release_rows(snapshot);
	if (result >= 0)
		result = observe_objects(&copy, segment, snapshot);
	if (result >= 0)
		result = observe_cycles(&copy, snapshot);
	if (result >= 0)
		result = fill_processes(&copy, snapshot);
	if (result >= 0)
		result = fill_threads(&copy, snapshot);
	if (result >= 0)
		result = fill_memory(&copy, snapshot);
	snapshot->generation = copy.header.generation;
	snapshot->taken_ns = copy.now_ns;
	snapshot->is_torn = copy.is_torn;
	observe_text(snapshot->segment, sizeof(snapshot->segment), segment->name, NAME_BYTES);
	observe_copy_release(&copy);
	return result < 0 ? result : !copy.is_torn;
}

MP_EXPORT int mp_observe_snapshot(mp_observer *observer, unsigned index,
				  const struct mp_snapshot **ret_snapshot)
{
	KEEP_ERRNO;
	struct observe_segment *segment;
	int result = 0;

	if (!observer || !ret_snapshot || index >= observer->segment_count)
		return observe_refuse_index(observer, index);
	segment = &observer->segments[index];
	if (segment->fd < 0)
		return explain(segment->error, "segment '%.*s' cannot be read",
			       NAME_BYTES - 1, segment->name);
	for (unsigned try = 0; try < SNAPSHOT_TRIES && result == 0; try++)
		result = take_snapshot(segment);
	if (result < 0)
		return explain(result, "segment '%.*s' cannot be copied just now", NAME_BYTES - 1,
			       segment->name);
	*ret_snapshot = &segment->snapshot;
	return 0;
}
