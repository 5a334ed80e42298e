/* SPDX-License-Identifier: MIT
 *
 * Snapshots become rows: rates, ages, severities. Knows: <libshm/observe.h>. Does not know: what is
 * a finding (model_finding.c), how rows are drawn.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* mpd is asked, or /proc scanned, no more often than this. */
#define REFRESH_NS MP_SEC(1)
/* Counters of the three kinds share one table: the kind is the top of the id. */
#define COUNTER_SYNC UINT64_C(0)
#define COUNTER_PROCESS (UINT64_C(1) << 62)
#define COUNTER_LOCK (UINT64_C(2) << 62)
#define COUNTER_QUEUE (UINT64_C(3) << 62)

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void release_rows(struct model *model)
{
	free(model->segments);
	free(model->processes);
	free(model->locks);
	free(model->queues);
	free(model->syncs);
	free(model->findings);
	model->segments = NULL;
	model->processes = NULL;
	model->locks = NULL;
	model->queues = NULL;
	model->syncs = NULL;
	model->findings = NULL;
	model->segment_count = model->process_count = model->lock_count = 0;
	model->queue_count = model->sync_count = model->finding_count = model->cycle_count = 0;
}

int model_open(struct model *model, const char *endpoint, const char *file)
{
	memset(model, 0, sizeof(*model));
	return file ? mp_observe_file(file, &model->observer)
		    : mp_observe_open(endpoint, &model->observer);
}

void model_close(struct model *model)
{
	release_rows(model);
	free(model->before.rows);
	free(model->now.rows);
	model->observer = mp_observe_close(model->observer);
}

/* Per second since the sample before; 0 when it is not known. */
static void rates_of(struct model *model, const struct counter *now, double *ret_first,
		     double *ret_second)
{
	const struct counter *before = counters_find(&model->before, now->generation, now->id);

	*ret_first = *ret_second = 0;
	/* A full table only costs the next sample this row's rate. */
	if (counters_add(&model->now, now) < 0 || !before || !(model->interval_s > 0))
		return;
	/* Positions are hints and may step back. */
	if (now->first > before->first)
		*ret_first = (double)(now->first - before->first) / model->interval_s;
	if (now->second > before->second)
		*ret_second = (double)(now->second - before->second) / model->interval_s;
}

static bool is_thread_in_cycle(const struct mp_snapshot *snapshot, uint32_t thread, uint64_t lock)
{
	for (uint32_t i = 0; i < snapshot->cycle_count; i++) {
		const struct mp_observed_cycle *cycle = &snapshot->cycles[i];

		for (uint32_t j = 0; j < cycle->length; j++)
			if (cycle->steps[j].thread == thread || cycle->steps[j].lock == lock)
				return true;
	}
	return false;
}

static void add_thread(struct process_row *row, const struct mp_observed_thread *thread)
{
	row->thread_count++;
	row->sleeps_uring += thread->sleeps_uring;
	row->sleeps_futex += thread->sleeps_futex;
	row->wakeups += thread->wakeups;
	row->spurious += thread->spurious;
	row->rings += thread->rings;
	row->handed_on += thread->handed_on;
	row->spins_won += thread->spins_won;
	if (thread->engine_reason[0])
		row->engine_reason = thread->engine_reason;
	/* Object 0 is no object of the directory. */
	if (is_thread_in_cycle(row->snapshot, thread->slot, UINT64_MAX))
		row->is_in_cycle = true;
	if (!thread->is_waiting)
		return;
	row->waiting_count++;
	if (!row->blocked || thread->waiting_ns > row->blocked->waiting_ns)
		row->blocked = thread;
}

static enum severity process_severity(const struct process_row *row)
{
	if (row->is_in_cycle)
		return SEVERITY_CRITICAL;
	if (row->is_gone)
		return SEVERITY_HIGH;
	if (!row->blocked || !snapshot_lock(row->snapshot, row->blocked->waits_for[0]))
		return SEVERITY_NONE;
	if (row->blocked->waiting_ns >= STUCK_NS)
		return SEVERITY_HIGH;
	return row->blocked->waiting_ns >= LONG_WAIT_NS ? SEVERITY_WARN : SEVERITY_INFO;
}

static void add_process(struct model *model, const struct mp_snapshot *snapshot,
			const struct mp_observed_process *process)
{
	struct process_row *row = &model->processes[model->process_count++];
	struct counter now;
	double wakeups;

	*row = (struct process_row){ .snapshot = snapshot, .process = process,
				     .engine_reason = "" };
	for (uint32_t i = 0; i < snapshot->thread_count; i++)
		if (snapshot->threads[i].process_slot == process->slot)
			add_thread(row, &snapshot->threads[i]);
	now = (struct counter){ snapshot->generation,
		COUNTER_PROCESS | (uint64_t)process->slot << 32 | process->pid,
		row->sleeps_uring + row->sleeps_futex, row->wakeups };
	rates_of(model, &now, &row->sleeps_per_s, &wakeups);
	row->is_gone = process->is_dead || process->state == 'X' || process->state == 'Z';
	row->severity = process_severity(row);
	model->sleeps_uring += row->sleeps_uring;
	model->sleeps_futex += row->sleeps_futex;
	if (row->engine_reason[0])
		model->engine_reason = row->engine_reason;
	model->sleeps_per_s += row->sleeps_per_s;
}

/* The longest wait for one condition of an object. */
static int64_t longest_wait(const struct mp_snapshot *snapshot, uint64_t id, uint32_t condition)
{
	int64_t longest = 0;

	for (uint32_t i = 0; i < snapshot->thread_count; i++) {
		const struct mp_observed_thread *thread = &snapshot->threads[i];

		if (thread->is_waiting && thread->waits_for[0] == id &&
		    thread->waits_condition[0] == condition && thread->waiting_ns > longest)
			longest = thread->waiting_ns;
	}
	return longest;
}

static enum severity lock_severity(const struct lock_row *row)
{
	if (row->is_in_cycle)
		return SEVERITY_CRITICAL;
	if (row->lock->is_poisoned || row->longest_wait_ns >= LONG_WAIT_NS)
		return SEVERITY_HIGH;
	if (row->lock->is_died)
		return SEVERITY_WARN;
	return row->lock->waiters ? SEVERITY_INFO : SEVERITY_NONE;
}

static void add_lock(struct model *model, const struct mp_snapshot *snapshot,
		     const struct mp_observed_lock *lock)
{
	struct lock_row *row = &model->locks[model->lock_count++];
	struct counter now = { snapshot->generation, COUNTER_LOCK | lock->id, lock->grants,
			       lock->contended };
	double contended;

	*row = (struct lock_row){ .snapshot = snapshot, .lock = lock };
	if (lock->owner_thread)
		row->owner = snapshot_process(snapshot, lock->owner_process);
	row->longest_wait_ns = lock->waiters ? longest_wait(snapshot, lock->id, 0) : 0;
	row->is_in_cycle = is_thread_in_cycle(snapshot, UINT32_MAX, lock->id);
	rates_of(model, &now, &row->acquires_per_s, &contended);
	row->acquires = row->acquires_per_s > 0 ? row->acquires_per_s : (double)lock->grants;
	row->contended = row->acquires_per_s > 0 ? contended : (double)lock->contended;
	row->severity = lock_severity(row);
	model->held_count += lock->owner_thread != 0;
	model->contended_count += lock->waiters != 0;
}

static enum severity queue_severity(const struct queue_row *row)
{
	if (!row->queue->blocked_putters)
		return SEVERITY_NONE;
	return row->longest_put_ns >= LONG_WAIT_NS ? SEVERITY_HIGH : SEVERITY_WARN;
}

static void add_queue(struct model *model, const struct mp_snapshot *snapshot,
		      const struct mp_observed_queue *queue)
{
	struct queue_row *row = &model->queues[model->queue_count++];
	struct counter now = { snapshot->generation, COUNTER_QUEUE | queue->id, queue->puts,
			       queue->gets };

	*row = (struct queue_row){ .snapshot = snapshot, .queue = queue };
	if (queue->blocked_putters)
		row->longest_put_ns = longest_wait(snapshot, queue->id, CONDITION_WRITABLE);
	rates_of(model, &now, &row->puts_per_s, &row->gets_per_s);
	row->severity = queue_severity(row);
	model->full_count += queue->capacity &&
			     queue->depth - queue->returned >= queue->capacity;
	model->idle_count += queue->depth == 0 && row->puts_per_s < 0.5;
	model->puts_per_s += row->puts_per_s;
	model->gets_per_s += row->gets_per_s;
}

static void add_sync(struct model *model, const struct mp_snapshot *snapshot,
		     const struct mp_observed_sync *sync)
{
	struct sync_row *row = &model->syncs[model->sync_count++];
	struct counter now = { snapshot->generation, COUNTER_SYNC | sync->id, sync->changes,
			       sync->waits };

	*row = (struct sync_row){ .snapshot = snapshot, .sync = sync };
	row->longest_wait_ns = sync->waiters ? longest_wait(snapshot, sync->id, 0) : 0;
	rates_of(model, &now, &row->changes_per_s, &row->waits_per_s);
}

/* So many rows of each kind are to come. */
struct row_counts {
	unsigned processes, locks, queues, syncs;
};

static int make_rows(struct model *model, const struct row_counts *counts)
{
	model->processes = calloc(counts->processes + 1u, sizeof(*model->processes));
	model->locks = calloc(counts->locks + 1u, sizeof(*model->locks));
	model->queues = calloc(counts->queues + 1u, sizeof(*model->queues));
	model->syncs = calloc(counts->syncs + 1u, sizeof(*model->syncs));
	return model->processes && model->locks && model->queues && model->syncs ? 0 : -ENOMEM;
}

static void add_snapshot(struct model *model, const struct mp_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->process_count; i++)
		add_process(model, snapshot, &snapshot->processes[i]);
	for (uint32_t i = 0; i < snapshot->lock_count; i++)
		add_lock(model, snapshot, &snapshot->locks[i]);
	for (uint32_t i = 0; i < snapshot->queue_count; i++)
		add_queue(model, snapshot, &snapshot->queues[i]);
	for (uint32_t i = 0; i < snapshot->sync_count; i++)
		add_sync(model, snapshot, &snapshot->syncs[i]);
	model->cycle_count += snapshot->cycle_count;
	model->size_bytes += snapshot->size_bytes;
	model->used_bytes += snapshot->used_bytes;
	model->committed_bytes += snapshot->committed_bytes;
}

static void clear_totals(struct model *model)
{
	model->held_count = model->contended_count = model->full_count = model->idle_count = 0;
	model->size_bytes = model->used_bytes = model->committed_bytes = 0;
	model->sleeps_uring = model->sleeps_futex = 0;
	model->engine_reason = "";
	model->puts_per_s = model->gets_per_s = model->sleeps_per_s = 0;
}

static int take_snapshots(struct model *model, unsigned count)
{
	struct row_counts counts = { 0 };

	model->segments = calloc(count + 1u, sizeof(*model->segments));
	if (!model->segments)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		struct segment_row *row = &model->segments[model->segment_count++];

		if (mp_observe_name(model->observer, i, row->name) < 0)
			row->name[0] = '\0';
		if (mp_observe_segment(model->observer, i, &row->about) < 0)
			row->about.is_listed = 0;
		row->error = mp_observe_snapshot(model->observer, i, &row->snapshot);
		if (row->error < 0)
			continue;
		counts.processes += row->snapshot->process_count;
		counts.locks += row->snapshot->lock_count;
		counts.queues += row->snapshot->queue_count;
		counts.syncs += row->snapshot->sync_count;
	}
	return make_rows(model, &counts);
}

static void remember(double *history, unsigned count, double value)
{
	if (count == HISTORY_MAX)
		memmove(history, history + 1, (HISTORY_MAX - 1) * sizeof(*history));
	history[count == HISTORY_MAX ? count - 1 : count] = value;
}

static void finish_sample(struct model *model)
{
	struct counters older = model->before;

	counters_sort(&model->now);
	model->before = model->now;
	model->now = older;
	model->now.count = 0;
	if (!(model->interval_s > 0))
		return;
	remember(model->put_history, model->history_count, model->puts_per_s);
	remember(model->sleep_history, model->history_count, model->sleeps_per_s);
	if (model->history_count < HISTORY_MAX)
		model->history_count++;
}

static int sample(struct model *model, int64_t now)
{
	int count = (int)model->segment_count;
	int result;

	release_rows(model);
	clear_totals(model);
	if (!model->refreshed_ns || now - model->refreshed_ns >= REFRESH_NS) {
		count = mp_observe_refresh(model->observer);
		model->refreshed_ns = now;
	}
	if (count < 0)
		return count;
	result = mp_observe_endpoint(model->observer, &model->info);
	if (result >= 0)
		result = take_snapshots(model, (unsigned)count);
	if (result < 0)
		return result;
	for (unsigned i = 0; i < model->segment_count; i++)
		if (model->segments[i].snapshot)
			add_snapshot(model, model->segments[i].snapshot);
	finish_sample(model);
	result = model_count_people(model);
	return result < 0 ? result : model_find(model);
}

int model_sample(struct model *model)
{
	int64_t now = now_ns();
	int result;

	model->interval_s = model->sampled_ns ? (double)(now - model->sampled_ns) / 1e9 : 0;
	model->sampled_ns = now;
	result = sample(model, now);
	if (result < 0)
		release_rows(model);
	return result;
}
