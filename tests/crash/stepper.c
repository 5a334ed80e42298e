/* SPDX-License-Identifier: MIT
 *
 * See stepper.h. Knows: signal frames of x86-64. Does not know: who watches.
 *
 * All code but this is closed (code.h), so each instruction ends in SIGTRAP, in this very process:
 * a tracer would cost two switches a step. Watched memory may not be written to, so a store first
 * ends in SIGSEGV: the page is noted, its bytes kept, and it is writable for one step. By the trap
 * flag the kernel does not trap behind a system call but one instruction later; that one is written
 * down all the same. What runs at a trap can call no function that is closed: when it cannot go on
 * it ends the process, and who watches says so.
 */
#include "stepper.h"

#include "code.h"
#include "raw.h"
#include "require.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100
#define PAGE 4096
#define WATCHED_MAX 8
#define TOUCHED_MAX 2 /* by one instruction */
#define IDLE_MAX 40000 /* steps without a store: it waits for one who only stands there */
#define SYSCALL_BYTES 2
#define RESTORER 0x04000000 /* the kernel's SA_RESTORER */

/* The kernel's own. */
struct action {
	void (*handler)(int number, siginfo_t *info, void *context);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

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
static bool is_counting, has_ended, is_flagged;
static unsigned idle;

STAYS_OPEN static void must(bool condition)
{
	if (!condition)
		raw_call(SYS_exit_group, EXIT_VOID, 0, 0, 0);
}

STAYS_OPEN static void protect(uint8_t *base, uint64_t bytes, int protection)
{
	must(raw_call(SYS_mprotect, (long)base, (long)bytes, protection, 0) == 0);
}

STAYS_OPEN static void protect_all(int protection)
{
	for (unsigned i = 0; i < watched_count; i++)
		protect(watched[i].base, watched[i].bytes, protection);
}

INLINED void copy_page(uint8_t *to, const uint8_t *source)
{
	uint64_t words = PAGE / 8;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(source), "+c"(words) : : "memory");
}

INLINED bool is_same_page(const uint8_t *a, const uint8_t *b)
{
	uint64_t words = PAGE / 8;
	bool is_same;

	__asm__ volatile("repe cmpsq"
			 : "+D"(a), "+S"(b), "+c"(words), "=@cce"(is_same)
			 :
			 : "memory");
	return is_same;
}

/* The end of a signal's handler: the C library's is closed. */
STAYS_OPEN __attribute__((naked)) static void restore(void)
{
	__asm__ volatile("movq %0, %%rax\n\tsyscall" : : "i"(SYS_rt_sigreturn));
}

/* By nobody (NULL): SIG_DFL. */
STAYS_OPEN static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct action action = { .handler = handler,
				 .flags = SA_SIGINFO | SA_RESTART | RESTORER,
				 .restorer = restore };

	must(raw_call(SYS_rt_sigaction, number, (long)&action, 0, sizeof action.mask) == 0);
}

STAYS_OPEN static bool is_watched(const uint8_t *address)
{
	for (unsigned i = 0; i < watched_count; i++)
		if (address >= watched[i].base && address < watched[i].base + watched[i].bytes)
			return true;
	return false;
}

STAYS_OPEN static void stored(int signal_number, siginfo_t *info, void *context)
{
	uint8_t *address = info->si_addr;

	(void)context;
	if (!is_counting || !is_watched(address) || touched_count == TOUCHED_MAX) {
		handle(signal_number, NULL); /* a fault of its own: once more, for good */
		return;
	}
	address -= (uintptr_t)address % PAGE;
	copy_page(touched[touched_count].before, address);
	touched[touched_count++].page = address;
	protect(address, PAGE, PROT_READ | PROT_WRITE);
}

/* Has the last instruction changed what is watched? */
STAYS_OPEN static bool take_change(void)
{
	bool is_change = false;

	for (unsigned i = 0; i < touched_count; i++) {
		is_change |= !is_same_page(touched[i].before, touched[i].page);
		protect(touched[i].page, PAGE, PROT_READ);
	}
	touched_count = 0;
	idle = is_change ? 0 : idle + 1;
	return is_change;
}

STAYS_OPEN static void add(uint64_t address, bool is_change)
{
	unsigned count = atomic_load(&stepper->count);

	must(count < STEPS_MAX);
	stepper->steps[count] = (struct step){ address, is_change };
	atomic_store(&stepper->count, count + 1);
}

STAYS_OPEN static void tell_the_watcher(enum stepper_state state)
{
	atomic_store(&stepper->state, state);
	raw_call(SYS_futex, (long)&stepper->state, FUTEX_WAKE, 1, 0);
}

STAYS_OPEN static void wait_for_the_watcher(void)
{
	tell_the_watcher(AT_CHANGE);
	while (atomic_load(&stepper->state) == AT_CHANGE)
		raw_call(SYS_futex, (long)&stepper->state, FUTEX_WAIT, AT_CHANGE, 0);
}

STAYS_OPEN static uint64_t last_address(void)
{
	unsigned count = atomic_load(&stepper->count);

	return count > 0 ? stepper->steps[count - 1].address : 0;
}

/* Was the last step a system call, and the one behind it has been left out? */
STAYS_OPEN static bool has_skipped_one(uint64_t address)
{
	const uint8_t *last = (const uint8_t *)(uintptr_t)last_address();

	return last && !code_is_ours(last_address()) && last[0] == 0x0f && last[1] == 0x05 &&
	       address != last_address() + SYSCALL_BYTES;
}

STAYS_OPEN static void end(void)
{
	protect_all(PROT_READ | PROT_WRITE);
	has_ended = true;
	is_counting = false;
	tell_the_watcher(OVER);
}

STAYS_OPEN static void note(uint64_t address)
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

/* From here to the next instruction, or on for good. */
STAYS_OPEN static void go_on(greg_t *registers, uint64_t address)
{
	registers[REG_RIP] = (greg_t)address;
	is_flagged = !has_ended && code_open(address);
	if (has_ended)
		code_open_all();
	registers[REG_EFL] &= ~TRAP_FLAG;
	if (is_flagged)
		registers[REG_EFL] |= TRAP_FLAG;
}

STAYS_OPEN static void stepped(int signal_number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	uint64_t address = (uint64_t)registers[REG_RIP] - !is_flagged; /* behind int3 */

	(void)signal_number;
	(void)info;
	code_led_to(address);
	if (!is_counting && !has_ended && address == stepper->first) {
		protect_all(PROT_READ);
		is_counting = true;
	}
	if (is_counting && atomic_load(stepper->is_done))
		end();
	if (is_counting)
		note(address);
	go_on(registers, address);
}

void stepper_watch(void *base, uint64_t bytes)
{
	require(watched_count < WATCHED_MAX);
	watched[watched_count].base = base;
	watched[watched_count++].bytes = bytes;
}

void stepper_begin(struct stepper *shared)
{
	stepper = shared;
	handle(SIGTRAP, stepped);
	handle(SIGSEGV, stored);
	code_close();
}
