/* SPDX-License-Identifier: MIT
 *
 * mpctl info as text. Knows: snapshots of observe. Does not know: JSON (mpctl_info_json.c).
 */
#include "mpctl.h"

#include "mptop/snapshot.h"

#include <string.h>

/* "worker[4121]" */
static void add_who(struct text *text, const struct mp_snapshot *snapshot, uint32_t slot)
{
	const struct mp_observed_process *process = snapshot_process(snapshot, slot);

	if (process)
		snapshot_add_process(text, process);
	else
		text_add(text, "somebody");
}

static bool waits_for(const struct mp_observed_thread *thread, uint64_t id, uint32_t condition)
{
	for (unsigned i = 0; thread->is_waiting && i < 6 && thread->waits_for[i]; i++)
		if (thread->waits_for[i] == id && thread->waits_condition[i] == condition)
			return true;
	return false;
}

/* One line for each thread that waits for it. */
static void print_waiters(const struct mp_snapshot *snapshot, uint64_t id, uint32_t condition,
			  const char *what)
{
	for (uint32_t i = 0; i < snapshot->thread_count; i++) {
		const struct mp_observed_thread *thread = &snapshot->threads[i];
		struct text text = { 0 };

		if (!waits_for(thread, id, condition))
			continue;
		text_add(&text, "  waits %s: ", what);
		add_who(&text, snapshot, thread->process_slot);
		text_add(&text, ", ");
		format_age(&text, thread->waiting_ns);
		puts(text.bytes);
	}
}

static void print_lock(const struct mp_snapshot *snapshot, const struct mp_observed_lock *lock)
{
	struct text text = { 0 };

	text_add(&text, "lock %s: %s, ", lock->name[0] ? lock->name : "(anonymous)", lock->kind);
	if (lock->owner_thread) {
		text_add(&text, "held by ");
		add_who(&text, snapshot, lock->owner_process);
	} else {
		text_add(&text, "free");
	}
	if (lock->depth > 1)
		text_add(&text, " %u times", lock->depth);
	text_add(&text, "%s%s%s; taken %llu times, waited for %llu times, %llu died with it",
		 lock->is_died ? ", the last holder died" : "",
		 lock->is_poisoned ? ", not to be had before it is repaired" : "",
		 lock->is_unlinked ? ", its name is removed" : "",
		 (unsigned long long)lock->grants, (unsigned long long)lock->contended,
		 (unsigned long long)lock->deaths);
	puts(text.bytes);
	print_waiters(snapshot, lock->id, 0, "for it");
}

static void print_queue(const struct mp_snapshot *snapshot, const struct mp_observed_queue *queue)
{
	struct text text = { 0 };

	text_add(&text, "queue %s: %u of %u messages", queue->name[0] ? queue->name : "(anonymous)",
		 queue->depth, queue->capacity);
	if (queue->message_bytes)
		text_add(&text, " of at most %u bytes", queue->message_bytes);
	if (queue->leased)
		text_add(&text, ", %u leased", queue->leased);
	text_add(&text, "%s%s; %llu put, %llu taken, %llu came back",
		 queue->is_closed ? ", closed" : "",
		 queue->is_unlinked ? ", its name is removed" : "",
		 (unsigned long long)queue->puts, (unsigned long long)queue->gets,
		 (unsigned long long)queue->redelivered);
	puts(text.bytes);
	print_waiters(snapshot, queue->id, 0, "to get");
	print_waiters(snapshot, queue->id, CONDITION_WRITABLE, "to put");
}

static void print_sync(const struct mp_snapshot *snapshot, const struct mp_observed_sync *sync)
{
	printf("%s %s: %s%s%s%s; changed %llu times, waited for %llu times", sync->kind,
	       sync->name[0] ? sync->name : "(anonymous)", sync->state,
	       sync->detail[0] ? ", " : "", sync->detail,
	       sync->is_unlinked ? ", its name is removed" : "",
	       (unsigned long long)sync->changes, (unsigned long long)sync->waits);
	if (sync->holders)
		printf(", held by %u processes", sync->holders);
	if (sync->lost)
		printf(", %llu notifications lost", (unsigned long long)sync->lost);
	putchar('\n');
	print_waiters(snapshot, sync->id, 0, "for it");
}

static void print_processes(const struct mp_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->process_count; i++) {
		const struct mp_observed_process *process = &snapshot->processes[i];
		struct text text = { 0 };

		text_add(&text, "client ");
		add_who(&text, snapshot, process->slot);
		text_add(&text, ": %s ", process->is_dead ? "dead, here for" : "for");
		format_age(&text, process->age_ns);
		puts(text.bytes);
	}
}

static void print_memory(const struct mp_snapshot *snapshot)
{
	struct text text = { 0 };

	text_add(&text, "memory: ");
	format_bytes(&text, snapshot->size_bytes);
	text_add(&text, " at most, ");
	format_bytes(&text, snapshot->committed_bytes);
	text_add(&text, " committed; of the arena ");
	format_bytes(&text, snapshot->used_bytes);
	text_add(&text, " used, ");
	format_bytes(&text, snapshot->free_bytes);
	text_add(&text, " free");
	puts(text.bytes);
}

static void print_segment(const struct mp_observed_segment *about,
			  const struct mp_snapshot *snapshot)
{
	struct text text = { 0 };

	printf("segment %s: ", about->name);
	if (about->is_listed)
		printf("owner %u, mode %04o, %s, ", about->uid, about->mode,
		       about->is_kept ? "kept" : "ends with its last client");
	else
		printf("owner %u, %s, ", about->uid,
		       about->saved_ns ? "from a file" : "no mpd answers");
	format_count(&text, snapshot->process_count, "client");
	printf("%s, %llu died in it%s\n", text.bytes, (unsigned long long)snapshot->deaths,
	       snapshot->is_torn ? " (it changed while it was read)" : "");
	print_memory(snapshot);
	print_processes(snapshot);
}

static void print_objects(const struct mp_snapshot *snapshot, const char *object)
{
	for (uint32_t i = 0; i < snapshot->queue_count; i++)
		if (!object || strcmp(object, snapshot->queues[i].name) == 0)
			print_queue(snapshot, &snapshot->queues[i]);
	for (uint32_t i = 0; i < snapshot->lock_count; i++)
		if (!object || strcmp(object, snapshot->locks[i].name) == 0)
			print_lock(snapshot, &snapshot->locks[i]);
	for (uint32_t i = 0; i < snapshot->sync_count; i++)
		if (!object || strcmp(object, snapshot->syncs[i].name) == 0)
			print_sync(snapshot, &snapshot->syncs[i]);
}

static bool has_object(const struct mp_snapshot *snapshot, const char *object)
{
	bool is_there = !object;

	for (uint32_t i = 0; i < snapshot->queue_count && !is_there; i++)
		is_there = strcmp(object, snapshot->queues[i].name) == 0;
	for (uint32_t i = 0; i < snapshot->lock_count && !is_there; i++)
		is_there = strcmp(object, snapshot->locks[i].name) == 0;
	for (uint32_t i = 0; i < snapshot->sync_count && !is_there; i++)
		is_there = strcmp(object, snapshot->syncs[i].name) == 0;
	return is_there;
}

static int tell(const struct mpctl *ctl, mp_observer *observer, unsigned index, const char *object)
{
	const struct mp_snapshot *snapshot;
	struct mp_observed_segment about;
	int result = mp_observe_segment(observer, index, &about);

	if (result >= 0)
		result = mp_observe_snapshot(observer, index, &snapshot);
	if (result < 0) {
		mpctl_fail(result);
		return EXIT_ERROR;
	}
	if (!has_object(snapshot, object)) {
		mpctl_say("no object '%s' in segment '%s'", object, about.name);
		return EXIT_NOTHING;
	}
	if (ctl->is_json) {
		mpctl_info_json(&about, snapshot, object);
		return EXIT_OK;
	}
	if (!object)
		print_segment(&about, snapshot);
	print_objects(snapshot, object);
	return EXIT_OK;
}

static int look_and_tell(const struct mpctl *ctl, const struct mpctl_name *name)
{
	mp_observer *observer;
	int count = mpctl_look(ctl, &observer), index, code;

	if (count < 0)
		return -count;
	index = ctl->word_count ? mpctl_find(observer, count, name->segment) : 0;
	code = index < 0 ? -index : tell(ctl, observer, (unsigned)index, name->object);
	mp_observe_close(observer);
	return mpctl_finish_output(code);
}

int command_info(const struct mpctl *ctl)
{
	struct mpctl_name name = { .object = NULL };
	int code = EXIT_OK;

	if (ctl->word_count > 1 || (!ctl->word_count && !ctl->file)) {
		mpctl_say("info needs one name, SEGMENT or SEGMENT/OBJECT");
		return EXIT_USAGE;
	}
	if (ctl->word_count)
		code = mpctl_split(ctl->words[0], NULL, &name);
	return code == EXIT_OK ? look_and_tell(ctl, &name) : code;
}
