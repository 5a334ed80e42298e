/* SPDX-License-Identifier: MIT
 *
 * See breakpoint.h. Knows: signal frames of x86-64.
 *
 * The process patches itself, so reaching the instruction costs one trap and no tracer. Before the
 * occurrence that counts, the instruction is put back, and the one that comes after it is patched
 * until it has been reached: a step by the trap flag does the same, and costs ten times as much on
 * a virtual machine. It is left to code that is not ours (vdso), which cannot be written to. A
 * process that goes another way than the recorded one does not stop. Nothing here may call a
 * function: it could be the patched one.
 */
#include "breakpoint.h"

#include "raw.h"

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define INT3 0xcc
#define TRAP_FLAG 0x100
#define PAGE 4096

extern char __executable_start[], etext[]; /* the linker's */

/* A place in the code, and what stands there when it is not patched. */
struct patch {
	uint64_t address;
	uint8_t original;
};

static struct breakpoint armed;
static struct patch wanted, after;
static uint32_t seen;
static bool is_stepping, is_walking;
static pid_t own_pid;

static void reached(void)
{
	struct timespec nap = { .tv_nsec = 20000 };

	if (!armed.is_stopped)
		raw_call(SYS_kill, own_pid, SIGKILL, 0, 0);
	atomic_store(armed.is_stopped, 1);
	while (!atomic_load(armed.may_go_on))
		raw_call(SYS_nanosleep, (long)&nap, 0, 0, 0);
}

INLINED void put_patch(struct patch *patch, uint64_t address)
{
	volatile uint8_t *code = (volatile uint8_t *)(uintptr_t)address;

	patch->address = address;
	patch->original = *code;
	*code = INT3;
}

INLINED void take_patch(const struct patch *patch)
{
	*(volatile uint8_t *)(uintptr_t)patch->address = patch->original;
}

INLINED bool is_own(uint64_t address)
{
	return address >= (uint64_t)(uintptr_t)__executable_start &&
	       address < (uint64_t)(uintptr_t)etext;
}

/* An earlier occurrence has been stepped over. */
static void step_ended(greg_t *registers)
{
	if (after.address) {
		take_patch(&after);
		registers[REG_RIP] = (greg_t)after.address;
	}
	is_stepping = false;
	after.address = 0;
	registers[REG_EFL] &= ~TRAP_FLAG;
	put_patch(&wanted, armed.address);
}

static void walked(greg_t *registers)
{
	if (registers[REG_RIP] != (greg_t)armed.walk_to || --armed.walk_occurrence > 0)
		return;
	is_walking = false;
	registers[REG_EFL] &= ~TRAP_FLAG;
	reached();
}

static void trapped(int signal, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal;
	(void)info;
	if (is_walking) {
		walked(registers);
		return;
	}
	if (is_stepping || after.address) {
		step_ended(registers);
		return;
	}
	take_patch(&wanted);
	registers[REG_RIP] = (greg_t)wanted.address;
	is_walking = ++seen == armed.occurrence && armed.walk_to;
	is_stepping = seen < armed.occurrence && !is_own(armed.next[seen - 1]);
	if (is_walking || is_stepping)
		registers[REG_EFL] |= TRAP_FLAG;
	else if (seen == armed.occurrence)
		reached();
	else
		put_patch(&after, armed.next[seen - 1]);
}

static bool make_writable(uint64_t from, uint64_t until)
{
	from &= ~((uint64_t)PAGE - 1);
	return mprotect((void *)(uintptr_t)from, until - from,
			PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
}

bool breakpoint_begin(void)
{
	struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_RESTART };

	return sigaction(SIGTRAP, &action, NULL) == 0 &&
	       make_writable((uint64_t)(uintptr_t)__executable_start, (uint64_t)(uintptr_t)etext);
}

bool breakpoint_is_possible(uint64_t address)
{
	return is_own(address) || make_writable(address, address + 1);
}

void breakpoint_arm(const struct breakpoint *breakpoint)
{
	own_pid = getpid();
	armed = *breakpoint;
	seen = 0;
	put_patch(&wanted, armed.address);
}
