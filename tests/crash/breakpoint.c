/* SPDX-License-Identifier: MIT
 *
 * See breakpoint.h. Knows: signal frames of x86-64.
 *
 * The process patches itself, so reaching the instruction costs one trap and no tracer. Before the
 * occurrence that counts, the instruction is put back, stepped over with the trap flag, and patched
 * again. Nothing here may call a function: it could be the patched one.
 */
#include "breakpoint.h"

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

static struct breakpoint armed;
static uint32_t seen;
static uint8_t original;
static bool is_stepping;
static pid_t own_pid;

static long raw_call(long number, long a, long b)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b)
			 : "rcx", "r11", "memory");
	return result;
}

static void reached(void)
{
	struct timespec nap = { .tv_nsec = 20000 };

	if (!armed.is_stopped)
		raw_call(SYS_kill, own_pid, SIGKILL);
	atomic_store(armed.is_stopped, 1);
	while (!atomic_load(armed.may_go_on))
		raw_call(SYS_nanosleep, (long)&nap, 0);
}

static void trapped(int signal, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	volatile uint8_t *code = (volatile uint8_t *)(uintptr_t)armed.address;

	(void)signal;
	(void)info;
	if (is_stepping) {
		is_stepping = false;
		registers[REG_EFL] &= ~TRAP_FLAG;
		*code = INT3;
		return;
	}
	*code = original;
	registers[REG_RIP] = (greg_t)armed.address;
	if (++seen == armed.occurrence) {
		reached();
		return;
	}
	is_stepping = true;
	registers[REG_EFL] |= TRAP_FLAG;
}

void breakpoint_begin(void)
{
	struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigaction(SIGTRAP, &action, NULL);
}

bool breakpoint_arm(const struct breakpoint *breakpoint)
{
	uint64_t page = breakpoint->address & ~((uint64_t)PAGE - 1);
	volatile uint8_t *code = (volatile uint8_t *)(uintptr_t)breakpoint->address;

	if (mprotect((void *)(uintptr_t)page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
		return false;
	own_pid = getpid();
	armed = *breakpoint;
	seen = 0;
	original = *code;
	*code = INT3;
	return true;
}
