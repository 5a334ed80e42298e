/* SPDX-License-Identifier: MIT
 *
 * The other process. Knows: how it is started, told what to play, and pinned. Does not know: rows.
 *
 * Between its parts it sleeps on the command, so that rows of one process have the machine to
 * themselves. The partner dies with the benchmark and the other way round: neither spins for ever.
 */
#include "partner.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct stage {
	_Alignas(64) _Atomic uint32_t command; /* counts; odd: the partner's turn */
	_Alignas(64) _Atomic uint32_t is_ready;
	_Alignas(64) _Atomic uint32_t is_over;
	_Atomic uint64_t slept;
	const struct row *_Atomic row; /* the same address in both: the partner is a fork */
};

static struct stage *stage;
static mp_process *partner;
static pid_t conductor;
static int cpu[2];

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* The first two CPUs this process may run on. */
static bool choose_cpus(void)
{
	cpu_set_t allowed;
	unsigned found = 0;

	if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
		return false;
	for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET(i, &allowed))
			cpu[found++] = i;
	return found == 2;
}

static void pin(int wanted)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(wanted, &one);
	if (sched_setaffinity(0, sizeof one, &one) < 0)
		bench_fail("cannot be pinned to a CPU");
}

/* A copy of its own in each process: written before the fork or after it. */
static unsigned char *private_buffer(void)
{
	static _Alignas(64) unsigned char buffer[BUFFER_BYTES];

	for (size_t i = 0; i < BUFFER_BYTES; i++)
		buffer[i] = (unsigned char)i;
	return buffer;
}

struct run *partner_run(void)
{
	struct run *run = shared_pages(sizeof *run);

	run->buffer = private_buffer();
	run->is_over = &stage->is_over;
	run->partner_slept = &stage->slept;
	return run;
}

static void end_conductor(void)
{
	kill(conductor, SIGTERM);
}

static void wait_for_command(uint32_t *command)
{
	while ((*command = atomic_load(&stage->command)) % 2 == 0)
		futex_wait(&stage->command, *command);
}

static int play(void *unused)
{
	struct run *run = partner_run();
	uint32_t command;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	atexit(end_conductor);
	pin(cpu[1]);
	for (;;) {
		wait_for_command(&command);
		run->row = atomic_load(&stage->row);
		if (!run->row)
			_exit(0);
		atomic_store(&stage->is_ready, 1);
		run->row->other(run);
		atomic_store(&stage->command, command + 1);
		futex_wake(&stage->command);
	}
}

bool partner_start(void)
{
	if (!choose_cpus())
		return false;
	stage = shared_pages(sizeof *stage);
	conductor = getpid();
	check(mp_process_start(bench_segment, NULL, play, NULL, &partner));
	pin(cpu[0]);
	return true;
}

static uint32_t tell(const struct row *row)
{
	uint32_t command = atomic_load(&stage->command) + 1;

	atomic_store(&stage->is_ready, 0);
	atomic_store(&stage->is_over, 0);
	atomic_store(&stage->slept, 0);
	atomic_store(&stage->row, row);
	atomic_store(&stage->command, command);
	futex_wake(&stage->command);
	return command;
}

void partner_stop(void)
{
	tell(NULL);
	check(mp_process_join(partner, MP_SEC(60)));
	partner = mp_process_close(partner);
}

void partner_measure(struct run *run)
{
	uint32_t command = 0;

	if (run->row->other) {
		command = tell(run->row);
		while (!atomic_load(&stage->is_ready))
			bench_pause();
	}
	run->row->run(run);
	while (command && atomic_load(&stage->command) == command)
		futex_wait(&stage->command, command);
}
