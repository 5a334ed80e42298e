/* SPDX-License-Identifier: MIT
 *
 * What the screens show: snapshots as rows with rates, ages and severities, and what is wrong.
 * Knows: <libshm/observe.h>. Does not know: terminals, the layout of a segment.
 */
#ifndef MPTOP_MODEL_H
#define MPTOP_MODEL_H

#include "snapshot.h"

#include <stdbool.h>

enum severity { SEVERITY_NONE, SEVERITY_INFO, SEVERITY_WARN, SEVERITY_HIGH, SEVERITY_CRITICAL };

/* A lock waited for longer than this is a finding. */
#define LONG_WAIT_NS MP_SEC(1)
/* A process blocked on a lock longer than this is stuck. */
#define STUCK_NS MP_SEC(5)
#define HISTORY_MAX 128

struct segment_row {
	char name[MP_OBSERVE_NAME];
	int error; /* why it cannot be read; snapshot is NULL then */
	const struct mp_snapshot *snapshot;
	struct mp_observed_segment about; /* whose it is; all zero: not known */
};

/* Waits and sleeps of a process are those of its threads. */
struct process_row {
	const struct mp_snapshot *snapshot;
	const struct mp_observed_process *process;
	const struct mp_observed_thread *blocked; /* its longest wait, NULL: none */
	unsigned thread_count, waiting_count;
	uint64_t sleeps_uring, sleeps_futex, wakeups, spurious, rings, handed_on, spins_won;
	double sleeps_per_s;
	const char *engine_reason; /* why some thread does not sleep in io_uring; "": all may */
	bool is_in_cycle;
	bool is_gone; /* no such process, or a zombie, and not swept */
	enum severity severity;
};

struct lock_row {
	const struct mp_snapshot *snapshot;
	const struct mp_observed_lock *lock;
	const struct mp_observed_process *owner; /* NULL: free */
	int64_t longest_wait_ns;
	double acquires, contended; /* in the last interval, or since the lock was made */
	double acquires_per_s;
	bool is_in_cycle;
	enum severity severity;
};

struct queue_row {
	const struct mp_snapshot *snapshot;
	const struct mp_observed_queue *queue;
	int64_t longest_put_ns; /* of the putters blocked now */
	double puts_per_s, gets_per_s;
	enum severity severity;
};

struct sync_row {
	const struct mp_snapshot *snapshot;
	const struct mp_observed_sync *sync;
	int64_t longest_wait_ns;
	double changes_per_s, waits_per_s;
};

struct finding {
	enum severity severity;
	int64_t age_ns;
	const char *kind;
	char object[MP_OBSERVE_NAME];
	char what[192];
	char who[192];
};

/* A pair of counters at the last sample, to make rates of. */
struct counter {
	uint64_t generation;
	uint64_t id;
	uint64_t first, second;
};

struct counters {
	struct counter *rows; /* by generation and id */
	unsigned count, capacity;
};

struct model {
	mp_observer *observer;
	struct mp_endpoint_info info;
	int64_t sampled_ns, refreshed_ns;
	double interval_s; /* between the last two samples, 0: there was one only */
	struct segment_row *segments;
	struct process_row *processes;
	struct lock_row *locks;
	struct queue_row *queues;
	struct sync_row *syncs;
	struct finding *findings;
	unsigned segment_count, process_count, lock_count, queue_count, sync_count;
	unsigned finding_count;
	unsigned cycle_count;
	unsigned people_count; /* processes: one has a row for each of its segments */
	unsigned blocked_count, stuck_count, dead_count; /* of them */
	unsigned held_count, contended_count;            /* locks */
	unsigned full_count, idle_count;                 /* queues */
	uint64_t size_bytes, used_bytes, committed_bytes;
	uint64_t sleeps_uring, sleeps_futex;
	const char *engine_reason; /* of one of the processes */
	double puts_per_s, gets_per_s, sleeps_per_s;
	double put_history[HISTORY_MAX], sleep_history[HISTORY_MAX];
	unsigned history_count;
	struct counters before, now;
};

/* An endpoint, or if `file` is not NULL what mp_observe_save wrote there. */
int model_open(struct model *model, const char *endpoint, const char *file);
void model_close(struct model *model);

/* Look again. 0 or -errno; after an error the rows are empty. */
int model_sample(struct model *model);

/* model_finding.c: fill model->findings, worst first. 0 or -ENOMEM. */
int model_find(struct model *model);

/* model_people.c: count the processes, each once. 0 or -ENOMEM. */
int model_count_people(struct model *model);

/* Rates from pairs of counters (counter.c). */
int counters_add(struct counters *counters, const struct counter *counter);
void counters_sort(struct counters *counters);
const struct counter *counters_find(const struct counters *counters, uint64_t generation,
				    uint64_t id);

/* "mpd does not answer ...": why the daemon is missing; empty while it lives. */
void model_add_mpd(struct text *text, const struct model *model);

const char *severity_name(enum severity severity);

#endif
