/* SPDX-License-Identifier: MIT
 *
 * The one table of rows and what their files offer to it. Knows: names. Does not know: measuring.
 */
#ifndef TESTS_BENCH_ROWS_H
#define TESTS_BENCH_ROWS_H

#include "bench.h"

extern const struct row rows[];
extern const unsigned row_count;

/* Open everything that this process and the partner share. */
void rows_open(void);

/* rows_queue.c: 8 to 1 MiB, queue, ring and copies. */
void queues_open(void);
void queue_trips(struct run *run);
void queue_echo(struct run *run);
void queue_zero_copy_trips(struct run *run);
void queue_zero_copy_echo(struct run *run);
void queue_alone(struct run *run);
void queue_receive(struct run *run);
void queue_send(struct run *run);
void queue_zero_copy_receive(struct run *run);
void queue_zero_copy_send(struct run *run);
void vyukov_trips(struct run *run);
void vyukov_echo(struct run *run);
void vyukov_alone(struct run *run);
void vyukov_receive(struct run *run);
void vyukov_send(struct run *run);
void copy_in_and_out(struct run *run);

/* rows_crowd.c: two putters and two getters. */
void crowds_open(void);
void crowd_measure(struct run *run);
void crowd_help(struct run *run);
extern const struct crowd crowd_queue, crowd_vyukov;

/* rows_lock.c: free and contended. Through pointers: beside waiting, the calls cost nothing. */
struct mutex {
	void (*acquire)(void);
	void (*release)(void);
};

void locks_open(void);
void pairs_naive(struct run *run);
void pairs_naive_inlined(struct run *run);
void pairs_pthread(struct run *run);
void pairs_robust(struct run *run);
void pairs_plain(struct run *run);
void pairs_checked(struct run *run);
void pairs_event(struct run *run); /* set and clear */
void pairs_sem_posix(struct run *run);
void pairs_sem(struct run *run);
void pairs_sem_owned(struct run *run);
void contend(struct run *run);
void contend_too(struct run *run);
extern const struct mutex mutex_naive, mutex_pthread, mutex_robust, mutex_plain, mutex_checked,
	mutex_sem_posix, mutex_sem, mutex_sem_owned;

/* rows_barrier.c: two and four threads of two processes. */
void barriers_open(void);
void meet(struct run *run);
void meet_too(struct run *run);
extern const struct meeting meeting_pthread_2, meeting_pthread_4, meeting_2, meeting_4;

/* rows_rwlock.c: one process, and two that read at once. */
void rwlocks_open(void);
void pairs_of_rwlock(struct run *run);
void read_together(struct run *run);
void read_together_too(struct run *run);
extern const struct pairs rwlock_pthread_read, rwlock_pthread_write, rwlock_read, rwlock_write;

/* rows_tracking.c: a library with its tracking built out. */
void pairs_of_library(struct run *run);
extern const struct library library_tracked, library_untracked;

/* rows_asleep.c: the other side sleeps. */
void channels_open(void);
void asleep_trips(struct run *run);
void asleep_echo(struct run *run);
void wake(struct run *run);
void waker_pays(struct run *run);
void wake_wait(struct run *run);
void hand_over(struct run *run);
void hand_over_wait(struct run *run);
extern const struct channel channel_queue, channel_event, channel_cond, channel_pthread_cond,
	channel_futex, channel_pipe;

/* rows_setup.c: attach, memory. */
void setup_open(void);
int setup_main(int argc, char **argv); /* the fresh process */
void attach(struct run *run);
void attach_bare_serve(struct run *run);
void memory_segment(struct run *run);
void memory_mpd(struct run *run);
void memory_supervisor(struct run *run);
void memory_process(struct run *run);
extern const struct fresh fresh_segment, fresh_bare;

#endif
