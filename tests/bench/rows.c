/* SPDX-License-Identifier: MIT
 *
 * The one table of rows. Knows: which rows there are, what each is compared with. Does not know:
 * how they are measured. A new row is an entry here and a short function in one of the rows_*.c.
 *
 * Rows of one batch are measured within the same second, between the same probes. References come
 * before the product.
 */
#include "rows.h"

#define ROW(in, called, measured_in, size, function, ...)                                          \
	{ .batch = (in),                                                                           \
	  .name = (called),                                                                        \
	  .unit = (measured_in),                                                                   \
	  .bytes = (size),                                                                         \
	  .run = (function),                                                                       \
	  __VA_ARGS__ }

#define TO(...) .against = { __VA_ARGS__ }
#define WITH(function) .other = (function)
#define ARG(what) .arg = &(what)
#define RATE .is_rate = true
#define LONG .times = 5

#define TRIPS(label, size)                                                                         \
	ROW(label, "vyukov_round_trip_" label, "ns", size, vyukov_trips, WITH(vyukov_echo),        \
	    TO("raw", "line")),                                                                    \
	ROW(label, "queue_round_trip_" label, "ns", size, queue_trips, WITH(queue_echo),           \
	    TO("raw", "line", "vyukov_round_trip_" label))

#define ZERO_COPY_TRIPS(label, size)                                                               \
	ROW(label, "queue_zero_copy_round_trip_" label, "ns", size, queue_zero_copy_trips,         \
	    WITH(queue_zero_copy_echo), TO("line", "raw"))

#define STREAMS(label, size)                                                                       \
	ROW(label, "copy_in_and_out_" label, "ns", size, copy_in_and_out, TO("raw"), RATE),        \
	ROW(label, "vyukov_one_way_" label, "ns", size, vyukov_receive, WITH(vyukov_send),         \
	    TO("copy_in_and_out_" label, "line"), RATE),                                           \
	ROW(label, "queue_one_way_" label, "ns", size, queue_receive, WITH(queue_send),            \
	    TO("vyukov_one_way_" label, "copy_in_and_out_" label, "line"), RATE),                  \
	ROW(label, "queue_zero_copy_one_way_" label, "ns", size, queue_zero_copy_receive,          \
	    WITH(queue_zero_copy_send),                                                            \
	    TO("vyukov_one_way_" label, "copy_in_and_out_" label, "line"), RATE)

#define CROWD(name, crowd, ...)                                                                    \
	ROW("8", name, "ns", 8, crowd_measure, WITH(crowd_help), ARG(crowd), RATE, __VA_ARGS__)
#define PAIRS(name, function, ...) ROW("lock", name, "ns", 8, function, __VA_ARGS__)
#define TO_ALL_LOCKS                                                                               \
	TO("lock_naive", "lock_naive_inlined", "lock_pthread", "lock_pthread_robust")
#define CONTENDED(name, mutex, ...)                                                                \
	ROW("lock", name, "ns", 8, contend, WITH(contend_too), ARG(mutex), RATE, __VA_ARGS__)
#define MEET(name, what, ...)                                                                      \
	ROW("lock", name, "ns", 8, meet, WITH(meet_too), ARG(what), __VA_ARGS__)
#define RWLOCK(name, what, ...) PAIRS(name, pairs_of_rwlock, ARG(what), __VA_ARGS__)
#define READ_TOGETHER(name, what, ...)                                                             \
	ROW("lock", name, "ns", 8, read_together, WITH(read_together_too), ARG(what), RATE,        \
	    __VA_ARGS__)
#define TO_ALL_CONTENDED TO("contended_naive", "contended_pthread", "contended_pthread_robust")
#define ASLEEP(name, function, partner, what, ...)                                                 \
	ROW("asleep", name, "ns", 8, function, WITH(partner), ARG(what), LONG, __VA_ARGS__)
#define SETUP(name, unit, function, ...) ROW("setup", name, unit, 8, function, __VA_ARGS__)

const struct row rows[] = {
	TRIPS("8", 8),
	ROW("8", "vyukov_put_get_alone", "ns", 8, vyukov_alone, TO("rmw")),
	ROW("8", "queue_put_get_alone", "ns", 8, queue_alone, TO("vyukov_put_get_alone", "rmw")),
	STREAMS("8", 8),
	CROWD("vyukov_crowd_8", crowd_vyukov, TO("vyukov_one_way_8", "line")),
	CROWD("queue_crowd_8", crowd_queue, TO("vyukov_crowd_8", "line")),

	TRIPS("48", 48),

	TRIPS("64", 64),
	STREAMS("64", 64),

	TRIPS("1K", 1 << 10),
	STREAMS("1K", 1 << 10),

	TRIPS("64K", 1 << 16),
	ZERO_COPY_TRIPS("64K", 1 << 16),
	STREAMS("64K", 1 << 16),

	TRIPS("1M", 1 << 20),
	ZERO_COPY_TRIPS("1M", 1 << 20),
	STREAMS("1M", 1 << 20),

	PAIRS("lock_naive_inlined", pairs_naive_inlined, TO("rmw")),
	PAIRS("lock_naive", pairs_naive, TO("rmw")),
	PAIRS("lock_pthread", pairs_pthread, TO("lock_naive")),
	PAIRS("lock_pthread_robust", pairs_robust, TO("lock_naive")),
	PAIRS("lock_plain", pairs_plain, TO_ALL_LOCKS),
	PAIRS("lock_checked", pairs_checked, TO_ALL_LOCKS),
	PAIRS("sem_posix", pairs_sem_posix, TO("lock_naive")),
	PAIRS("sem", pairs_sem, TO("sem_posix", "lock_naive")),
	PAIRS("sem_owned", pairs_sem_owned, TO("sem_posix", "lock_naive")),
	PAIRS("event_set_and_clear", pairs_event, TO("lock_naive")),
	PAIRS("lock_untracked", pairs_of_library, ARG(library_untracked), TO("lock_naive")),
	PAIRS("lock_tracked", pairs_of_library, ARG(library_tracked), TO("lock_untracked")),
	RWLOCK("rwlock_pthread_read", rwlock_pthread_read, TO("lock_naive")),
	RWLOCK("rwlock_read", rwlock_read, TO("rwlock_pthread_read", "lock_naive")),
	RWLOCK("rwlock_pthread_write", rwlock_pthread_write, TO("lock_naive")),
	RWLOCK("rwlock_write", rwlock_write, TO("rwlock_pthread_write", "lock_naive")),
	READ_TOGETHER("rwlock_pthread_two_readers", rwlock_pthread_read, TO("rwlock_pthread_read")),
	READ_TOGETHER("rwlock_two_readers", rwlock_read,
		      TO("rwlock_read", "rwlock_pthread_two_readers")),
	CONTENDED("contended_naive", mutex_naive, TO("line")),
	CONTENDED("contended_pthread", mutex_pthread, TO("contended_naive")),
	CONTENDED("contended_pthread_robust", mutex_robust, TO("contended_naive")),
	CONTENDED("contended_plain", mutex_plain, TO_ALL_CONTENDED),
	CONTENDED("contended_checked", mutex_checked, TO_ALL_CONTENDED),
	CONTENDED("contended_sem_posix", mutex_sem_posix, TO("contended_naive")),
	CONTENDED("contended_sem", mutex_sem, TO("contended_sem_posix", "contended_naive")),
	CONTENDED("contended_sem_owned", mutex_sem_owned,
		  TO("contended_sem_posix", "contended_naive")),

	MEET("barrier_pthread_2", meeting_pthread_2, TO("line")),
	MEET("barrier_2", meeting_2, TO("barrier_pthread_2", "line")),
	MEET("barrier_pthread_4", meeting_pthread_4, TO("line")),
	MEET("barrier_4", meeting_4, TO("barrier_pthread_4", "line")),

	ASLEEP("futex_round_trip_asleep", asleep_trips, asleep_echo, channel_futex, TO("raw")),
	ASLEEP("pipe_round_trip_asleep", asleep_trips, asleep_echo, channel_pipe,
	       TO("futex_round_trip_asleep")),
	ASLEEP("queue_round_trip_asleep", asleep_trips, asleep_echo, channel_queue,
	       TO("futex_round_trip_asleep", "pipe_round_trip_asleep")),
	ASLEEP("event_round_trip_asleep", asleep_trips, asleep_echo, channel_event,
	       TO("futex_round_trip_asleep", "pipe_round_trip_asleep")),
	ASLEEP("pthread_cond_round_trip_asleep", asleep_trips, asleep_echo, channel_pthread_cond,
	       TO("futex_round_trip_asleep")),
	ASLEEP("cond_round_trip_asleep", asleep_trips, asleep_echo, channel_cond,
	       TO("pthread_cond_round_trip_asleep", "futex_round_trip_asleep")),
	ASLEEP("futex_wake", wake, wake_wait, channel_futex, TO("raw")),
	ASLEEP("queue_wake", wake, wake_wait, channel_queue, TO("futex_wake")),
	ASLEEP("event_wake", wake, wake_wait, channel_event, TO("futex_wake")),
	ASLEEP("futex_waker_pays", waker_pays, wake_wait, channel_futex, TO("raw")),
	ASLEEP("queue_waker_pays", waker_pays, wake_wait, channel_queue, TO("futex_waker_pays")),
	ASLEEP("event_waker_pays", waker_pays, wake_wait, channel_event, TO("futex_waker_pays")),
	ASLEEP("naive_hand_over", hand_over, hand_over_wait, mutex_naive, TO("futex_wake")),
	ASLEEP("lock_hand_over", hand_over, hand_over_wait, mutex_checked,
	       TO("naive_hand_over", "futex_wake")),

	SETUP("attach_bare", "ns", attach, WITH(attach_bare_serve), ARG(fresh_bare), LONG),
	SETUP("attach", "ns", attach, ARG(fresh_segment), LONG, TO("attach_bare")),
	SETUP("idle_process", "KiB", memory_process),
	SETUP("idle_mpd", "KiB", memory_mpd, TO("idle_process")),
	SETUP("idle_supervisor", "KiB", memory_supervisor, TO("idle_process")),
	SETUP("idle_segment", "KiB", memory_segment, TO("idle_process")),
};

const unsigned row_count = sizeof rows / sizeof rows[0];

void rows_open(void)
{
	queues_open();
	crowds_open();
	locks_open();
	barriers_open();
	rwlocks_open();
	channels_open();
	setup_open();
}
