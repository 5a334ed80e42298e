/* SPDX-License-Identifier: MIT
 *
 * Death at a chosen system call. Knows: ptrace's stops before and behind each call, processes that
 * a parent starts. Does not know: what the process does, what its death leaves.
 *
 * The steps are taken by a thread of their own, so that the test may speak with the process
 * meanwhile. A process that was killed is not seen by its parent before the stepper has let go of
 * both: the parent's next child runs freely. One that is a child of the test's may have been waited
 * for here.
 */
#ifndef TESTS_SYS_SYSCALL_STEPPER_H
#define TESTS_SYS_SYSCALL_STEPPER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct stepper {
	/* Set by the caller. */
	pid_t parent;     /* 0: `pid` is there already; else who will start it */
	_Atomic pid_t pid;
	pid_t with;       /* killed just before it; 0: nobody */
	bool is_with_children; /* its own too, just before it */
	const int *uncounted; /* calls that are passed over, -1 is the end; NULL: none */
	unsigned kill_at; /* from 1: 2n - 1 is before its call n, 2n is behind it; 0: nowhere */

	/* The stepper's. */
	atomic_uint stops;
	atomic_bool has_killed;
	atomic_int call;   /* the number of the latest call */
	atomic_int error;
	sem_t is_begun;
	pthread_t thread;
	bool is_parent_held;
};

/* Returns when its next call will be counted. 0, or -EPERM where it may not be traced. */
int stepper_begin(struct stepper *stepper);

/* Killed there already, or killed now. True: it was killed at its call. */
bool stepper_end(struct stepper *stepper);

#endif
