/* SPDX-License-Identifier: MIT
 *
 * See stepper.h. Knows: signal frames of x86-64. Does not know: who watches.
 *
 * The trap flag is set, so each instruction ends in SIGTRAP, in this very process: a tracer would
 * cost two switches a step. Watched memory may not be written to, so a store first ends in SIGSEGV:
 * the page is noted, its bytes kept, and it is writable for one step. The kernel does not trap
 * behind a system call but one instruction later; that one is written down all the same.
 */
#include "stepper.h"

#include "require.h"

#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100
#define PAGE 4096
#define WATCHED_MAX 8
#define TOUCHED_MAX 2 /* by one instruction */
#define IDLE_MAX 40000 /* steps without a store: it waits for one who only stands there */
#define SYSCALL_BYTES 2

static struct stepper *stepper;
static struct {
	uint8_t *base;
	uint64_t bytes;
} watched[WATCHED_MAX];
static unsigned watched_count;
static struct {
	uint8_t *page;
	uint8_t before[PAGE];
} touched[TOUCHED_MAX]; /* the pages that may be written to now */
static unsigned touched_count;
static bool is_counting, has_ended;
static unsigned idle;

static void protect_all(int protection)
{
	for (unsigned i = 0; i < watched_count; i++)
		require(mprotect(watched[i].base, watched[i].bytes, protection) == 0);
}

static bool is_watched(const uint8_t *address)
{
	for (unsigned i = 0; i < watched_count; i++)
		if (address >= watched[i].base && address < watched[i].base + watched[i].bytes)
			return true;
	return false;
}

static void stored(int signal_number, siginfo_t *info, void *context)
{
	uint8_t *address = info->si_addr;

	(void)context;
	if (!is_counting || !is_watched(address) || touched_count == TOUCHED_MAX) {
		signal(signal_number, SIG_DFL); /* a fault of its own: once more, for good */
		return;
	}
	address -= (uintptr_t)address % PAGE;
	memcpy(touched[touched_count].before, address, PAGE);
	touched[touched_count++].page = address;
	require(mprotect(address, PAGE, PROT_READ | PROT_WRITE) == 0);
}

/* Has the last instruction changed what is watched? */
static bool take_change(void)
{
	bool is_change = false;

	for (unsigned i = 0; i < touched_count; i++) {
		is_change |= memcmp(touched[i].before, touched[i].page, PAGE) != 0;
		require(mprotect(touched[i].page, PAGE, PROT_READ) == 0);
	}
	touched_count = 0;
	idle = is_change ? 0 : idle + 1;
	return is_change;
}

static void add(uint64_t address, bool is_change)
{
	unsigned count = atomic_load(&stepper->count);

	require(count < STEPS_MAX);
	stepper->steps[count] = (struct step){ address, is_change };
	atomic_store(&stepper->count, count + 1);
}

static void wait_for_the_watcher(void)
{
	struct timespec nap = { .tv_nsec = 20000 };

	atomic_store(&stepper->is_at_change, true);
	while (atomic_load(&stepper->is_at_change))
		nanosleep(&nap, NULL);
}

static uint64_t last_address(void)
{
	unsigned count = atomic_load(&stepper->count);

	return count > 0 ? stepper->steps[count - 1].address : 0;
}

/* Was the last step a system call, and the one behind it has been left out? */
static bool has_skipped_one(uint64_t address)
{
	const uint8_t *last = (const uint8_t *)(uintptr_t)last_address();

	return last && last[0] == 0x0f && last[1] == 0x05 &&
	       address != last_address() + SYSCALL_BYTES;
}

static void end(void)
{
	protect_all(PROT_READ | PROT_WRITE);
	has_ended = true;
	is_counting = false;
	atomic_store(&stepper->is_over, true);
}

static void note(uint64_t address)
{
	bool is_change = take_change();

	if (has_skipped_one(address))
		add(last_address() + SYSCALL_BYTES, false);
	add(address, is_change);
	if (stepper->stops_at_changes && (is_change || atomic_load(&stepper->count) == 1))
		wait_for_the_watcher();
	if (idle >= IDLE_MAX) {
		atomic_store(&stepper->is_endless, true);
		end();
	}
}

static void stepped(int signal_number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	uint64_t address = (uint64_t)registers[REG_RIP];

	(void)signal_number;
	(void)info;
	if (!is_counting && !has_ended && address == stepper->first) {
		protect_all(PROT_READ);
		is_counting = true;
	}
	if (is_counting && atomic_load(stepper->is_done))
		end();
	if (is_counting)
		note(address);
	if (has_ended)
		registers[REG_EFL] &= ~TRAP_FLAG;
}

void stepper_watch(void *base, uint64_t bytes)
{
	require(watched_count < WATCHED_MAX);
	watched[watched_count].base = base;
	watched[watched_count++].bytes = bytes;
}

void stepper_begin(struct stepper *shared)
{
	struct sigaction action = { .sa_sigaction = stepped, .sa_flags = SA_SIGINFO | SA_RESTART };

	stepper = shared;
	require(sigaction(SIGTRAP, &action, NULL) == 0);
	action.sa_sigaction = stored;
	require(sigaction(SIGSEGV, &action, NULL) == 0);
	__asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq" : : "i"(TRAP_FLAG) : "memory", "cc");
}
