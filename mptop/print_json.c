/* SPDX-License-Identifier: MIT
 *
 * One sample as one JSON object on one line. Knows: the names of the members, which are a contract
 * with scripts (docs/observing.md). Does not know: escapes and commas (json.c).
 */
#include "json.h"
#include "json_object.h"
#include "print.h"

#include <time.h>

#define FORMAT_VERSION 1

/* Waking and sleeping of one process, or of all. */
static void put_sleeps(struct json *json, const struct process_row *row)
{
	json_open(json, "sleeps", '{');
	json_unsigned(json, "uring", row->sleeps_uring);
	json_unsigned(json, "futex", row->sleeps_futex);
	json_unsigned(json, "wakeups", row->wakeups);
	json_unsigned(json, "spurious", row->spurious);
	json_unsigned(json, "rings", row->rings);
	json_unsigned(json, "handed_on", row->handed_on);
	json_unsigned(json, "spins_won", row->spins_won);
	json_close(json, '}');
}

static void put_process(struct json *json, const struct process_row *row)
{
	json_open(json, NULL, '{');
	json_process_members(json, row->process);
	json_bool(json, "is_dead", row->is_gone);
	json_unsigned(json, "threads", row->thread_count);
	json_unsigned(json, "waiting", row->waiting_count);
	json_bool(json, "in_cycle", row->is_in_cycle);
	put_sleeps(json, row);
	json_number(json, "sleeps_per_s", row->sleeps_per_s);
	json_close(json, '}');
}

static void put_lock(struct json *json, const struct lock_row *row)
{
	const struct mp_observed_lock *lock = row->lock;

	json_open(json, NULL, '{');
	json_lock_members(json, lock, row->owner ? row->owner->pid : 0);
	json_signed(json, "longest_wait_ns", row->longest_wait_ns);
	json_signed(json, "held_ns", lock->held_ns);
	json_unsigned(json, "site", lock->site);
	json_bool(json, "in_cycle", row->is_in_cycle);
	json_number(json, "acquires_per_s", row->acquires_per_s);
	json_close(json, '}');
}

static void put_queue(struct json *json, const struct queue_row *row)
{
	const struct mp_observed_queue *queue = row->queue;

	json_open(json, NULL, '{');
	json_queue_members(json, queue);
	json_unsigned(json, "full_waits", queue->full_waits);
	json_unsigned(json, "empty_waits", queue->empty_waits);
	json_number(json, "puts_per_s", row->puts_per_s);
	json_number(json, "gets_per_s", row->gets_per_s);
	json_close(json, '}');
}

static void put_sync(struct json *json, const struct sync_row *row)
{
	json_open(json, NULL, '{');
	json_sync_members(json, row->sync);
	json_signed(json, "longest_wait_ns", row->longest_wait_ns);
	json_number(json, "changes_per_s", row->changes_per_s);
	json_number(json, "waits_per_s", row->waits_per_s);
	json_close(json, '}');
}

static void put_step(struct json *json, const struct mp_snapshot *snapshot,
		     const struct mp_observed_step *step)
{
	const struct mp_observed_process *process = snapshot_process(snapshot, step->process);
	const struct mp_observed_thread *thread = snapshot_thread(snapshot, step->thread);

	json_open(json, NULL, '{');
	json_unsigned(json, "process_slot", step->process);
	json_unsigned(json, "pid", process ? process->pid : 0);
	json_string(json, "process", process ? process->name : "");
	json_unsigned(json, "thread", step->thread);
	json_unsigned(json, "tid", thread ? thread->tid : 0);
	json_unsigned(json, "lock_id", step->lock);
	json_object_name(json, "lock", snapshot, step->lock);
	json_close(json, '}');
}

static void put_cycle(struct json *json, const struct mp_snapshot *snapshot,
		      const struct mp_observed_cycle *cycle)
{
	struct text text = { 0 };

	json_open(json, NULL, '{');
	json_signed(json, "age_ns", cycle->age_ns);
	json_unsigned(json, "members", cycle->members);
	snapshot_add_cycle(&text, snapshot, cycle, "->");
	json_string(json, "text", text.bytes);
	json_open(json, "steps", '[');
	for (uint32_t i = 0; i < cycle->length; i++)
		put_step(json, snapshot, &cycle->steps[i]);
	json_close(json, ']');
	json_close(json, '}');
}

static void put_rows(struct json *json, const struct model *model,
		     const struct mp_snapshot *snapshot)
{
	json_open(json, "processes", '[');
	for (unsigned i = 0; i < model->process_count; i++)
		if (model->processes[i].snapshot == snapshot)
			put_process(json, &model->processes[i]);
	json_close(json, ']');
	json_threads(json, snapshot);
	json_open(json, "locks", '[');
	for (unsigned i = 0; i < model->lock_count; i++)
		if (model->locks[i].snapshot == snapshot)
			put_lock(json, &model->locks[i]);
	json_close(json, ']');
	json_open(json, "queues", '[');
	for (unsigned i = 0; i < model->queue_count; i++)
		if (model->queues[i].snapshot == snapshot)
			put_queue(json, &model->queues[i]);
	json_close(json, ']');
	json_open(json, "syncs", '[');
	for (unsigned i = 0; i < model->sync_count; i++)
		if (model->syncs[i].snapshot == snapshot)
			put_sync(json, &model->syncs[i]);
	json_close(json, ']');
	json_open(json, "cycles", '[');
	for (uint32_t i = 0; i < snapshot->cycle_count; i++)
		put_cycle(json, snapshot, &snapshot->cycles[i]);
	json_close(json, ']');
}

/* As mpd says; without it nothing is said of them. */
static void put_rights(struct json *json, const struct mp_observed_segment *about)
{
	char mode[16];

	if (!about->is_listed)
		return;
	snprintf(mode, sizeof(mode), "%04o", about->mode & 07777);
	json_unsigned(json, "owner_uid", about->uid);
	json_string(json, "mode", mode);
	json_bool(json, "kept", about->is_kept);
}

static void put_segment(struct json *json, const struct model *model, const struct segment_row *row)
{
	const struct mp_snapshot *snapshot = row->snapshot;

	json_open(json, NULL, '{');
	json_string(json, "name", row->name);
	json_string(json, "error", row->error < 0 ? mp_strerror(row->error) : "");
	put_rights(json, &row->about);
	if (snapshot) {
		json_snapshot_members(json, snapshot);
		put_rows(json, model, snapshot);
	}
	json_close(json, '}');
}

static void put_mpd(struct json *json, const struct model *model)
{
	const struct mp_endpoint_info *info = &model->info;
	struct text text = { 0 };

	json_open(json, "mpd", '{');
	json_bool(json, "alive", info->is_mpd_alive);
	json_unsigned(json, "pid", info->mpd_pid);
	json_string(json, "version", info->mpd_version);
	json_string(json, "engine", info->mpd_engine);
	json_string(json, "engine_reason", info->mpd_engine_reason);
	json_signed(json, "age_ns", info->mpd_age_ns);
	json_unsigned(json, "restarts", info->mpd_restarts);
	model_add_mpd(&text, model);
	json_string(json, "message", text.bytes);
	json_close(json, '}');
}

static void put_totals(struct json *json, const struct model *model)
{
	struct process_row total = { 0 };

	for (unsigned i = 0; i < model->process_count; i++) {
		const struct process_row *row = &model->processes[i];

		total.sleeps_uring += row->sleeps_uring;
		total.sleeps_futex += row->sleeps_futex;
		total.wakeups += row->wakeups;
		total.spurious += row->spurious;
		total.rings += row->rings;
		total.handed_on += row->handed_on;
		total.spins_won += row->spins_won;
	}
	json_open(json, "totals", '{');
	json_unsigned(json, "processes", model->people_count);
	json_unsigned(json, "cycles", model->cycle_count);
	put_sleeps(json, &total);
	json_number(json, "puts_per_s", model->puts_per_s);
	json_number(json, "gets_per_s", model->gets_per_s);
	json_close(json, '}');
}

static void put_finding(struct json *json, const struct finding *finding)
{
	json_open(json, NULL, '{');
	json_string(json, "severity", severity_name(finding->severity));
	json_signed(json, "age_ns", finding->age_ns);
	json_string(json, "object", finding->object);
	json_string(json, "kind", finding->kind);
	json_string(json, "what", finding->what);
	json_string(json, "who", finding->who);
	json_close(json, '}');
}

void print_json(FILE *out, const struct model *model)
{
	struct json json = { .out = out };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json_open(&json, NULL, '{');
	json_unsigned(&json, "v", FORMAT_VERSION);
	json_number(&json, "ts", (double)now.tv_sec + (double)now.tv_nsec / 1e9);
	json_number(&json, "interval_s", model->interval_s);
	json_string(&json, "endpoint", model->info.endpoint);
	put_mpd(&json, model);
	put_totals(&json, model);
	json_open(&json, "segments", '[');
	for (unsigned i = 0; i < model->segment_count; i++)
		put_segment(&json, model, &model->segments[i]);
	json_close(&json, ']');
	json_open(&json, "findings", '[');
	for (unsigned i = 0; i < model->finding_count; i++)
		put_finding(&json, &model->findings[i]);
	json_close(&json, ']');
	json_close(&json, '}');
	putc('\n', out);
	fflush(out);
}
