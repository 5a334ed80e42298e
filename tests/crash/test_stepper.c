/* SPDX-License-Identifier: MIT
 *
 * The stepper sees each instruction and each change that a tracer sees who steps by the trap flag.
 * Knows: ptrace. Does not know: the crash matrix.
 *
 * The work has what leads elsewhere: jumps by a table, jumps over little, calls through pointers,
 * repeated moves, calls into the kernel, the C library's code in many lengths.
 */
#include "breakpoint.h"
#include "code.h"
#include "require.h"
#include "stepper.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define PAGES 4
#define PAGE 4096
#define NUMBERS 40
#define STEPS_LEAST 5000

struct list {
	unsigned count, changes;
	struct step steps[STEPS_MAX];
};

static struct stepper *stepper;
static struct list *traced, *stepped;
static uint8_t *watched;
static atomic_int *is_done;
static volatile int selector;

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* As many cases as make a table of them. */
__attribute__((noinline)) static int chosen(int i)
{
	switch (i % 9) {
	case 0: return selector + 11;
	case 1: return selector * 3;
	case 2: return (int)getppid();
	case 3: return selector ^ 0x55;
	case 4: return selector / 3;
	case 5: return (int)strlen((const char *)watched);
	case 6: return selector << 2;
	case 7: return selector % 5;
	default: return -selector;
	}
}

/* Over one instruction, when it comes there first: it is not taken for a longer one. */
static void jump_little(void)
{
	unsigned long turns = 4;

	__asm__ volatile("1:\ttestq $1, %0\n\tjz 2f\n\tnop\n2:\tdecq %0\n\tjnz 1b"
			 : "+r"(turns)
			 :
			 : "cc");
}

static void move_many(void)
{
	static uint8_t bytes[PAGE];
	void *to = watched + PAGE, *from = bytes;
	unsigned long count = 100;

	for (unsigned i = 1; i < PAGE; i += i / 2 + 1) {
		memset(bytes, (int)i, i);
		memcpy(watched, bytes, i);
	}
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

__attribute__((noinline)) static void work(void)
{
	int numbers[NUMBERS];

	for (int i = 0; i < NUMBERS; i++) {
		selector = i;
		numbers[i] = chosen(i) % 1000;
	}
	qsort(numbers, NUMBERS, sizeof *numbers, compare);
	snprintf((char *)watched + 2 * PAGE, PAGE, "%d %s %#lx %.3f", numbers[3], "words",
		 (unsigned long)numbers[4], numbers[5] / 7.0);
	jump_little();
	move_many();
	atomic_store(is_done, 1);
}

static void *share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	require(memory != MAP_FAILED);
	return memory;
}

static pid_t begin(void (*run)(void))
{
	pid_t pid;

	memset(watched, 0, PAGES * PAGE);
	atomic_store(is_done, 0);
	pid = fork();
	require(pid >= 0);
	if (pid == 0) {
		run();
		_exit(0);
	}
	return pid;
}

/* One that repeats itself is one. */
static void add(struct list *list, uint64_t address, bool is_change)
{
	struct step *last = &list->steps[list->count - 1];

	list->changes += is_change;
	if (list->count > 0 && last->address == address) {
		last->is_change |= is_change;
		return;
	}
	require(list->count < STEPS_MAX);
	list->steps[list->count++] = (struct step){ address, is_change };
}

static void be_traced(void)
{
	require(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	raise(SIGSTOP);
	work();
}

static uint64_t step(pid_t pid)
{
	struct user_regs_struct registers;
	int status;

	require(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
	require(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	require(ptrace(PTRACE_GETREGS, pid, NULL, &registers) == 0);
	return registers.rip;
}

static bool take_change(void)
{
	static uint8_t before[PAGES * PAGE];
	bool is_change = memcmp(before, watched, sizeof before) != 0;

	if (is_change)
		memcpy(before, watched, sizeof before);
	return is_change;
}

static void list_by_tracer(void)
{
	pid_t pid = begin(be_traced);
	bool is_working = false;
	int status;

	require(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	while (!atomic_load(is_done)) {
		uint64_t address = step(pid);

		is_working |= address == (uint64_t)(uintptr_t)work;
		if (is_working && !atomic_load(is_done))
			add(traced, address, take_change());
	}
	kill(pid, SIGKILL);
	require(waitpid(pid, &status, 0) == pid);
}

static void be_stepped(void)
{
	stepper_watch(watched, PAGES * PAGE);
	stepper_begin(stepper);
	work();
}

static void list_by_itself(void)
{
	int status;

	stepper->is_done = is_done;
	stepper->first = (uint64_t)(uintptr_t)work;
	require(waitpid(begin(be_stepped), &status, 0) > 0);
	require(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (unsigned i = 0; i < atomic_load(&stepper->count); i++)
		add(stepped, stepper->steps[i].address, stepper->steps[i].is_change);
	atomic_store(&stepper->count, 0);
	atomic_store(&stepper->state, STEPPING);
}

static bool is_same(const char *when)
{
	unsigned i = 0;

	while (i < traced->count && i < stepped->count &&
	       traced->steps[i].address == stepped->steps[i].address &&
	       traced->steps[i].is_change == stepped->steps[i].is_change)
		i++;
	if (i == traced->count && i == stepped->count && traced->changes == stepped->changes)
		return true;
	fprintf(stderr,
		"%s: %u steps and %u changes by a tracer, %u and %u by itself; "
		"the %uth differs: %#lx, %#lx\n",
		when, traced->count, traced->changes, stepped->count, stepped->changes, i,
		(unsigned long)traced->steps[i].address, (unsigned long)stepped->steps[i].address);
	return false;
}

int main(void)
{
	bool is_good;

	stepper = share(sizeof *stepper);
	traced = share(sizeof *traced);
	stepped = share(sizeof *stepped);
	watched = share(PAGES * PAGE);
	is_done = share(sizeof *is_done);
	code_begin();
	require(breakpoint_begin());
	list_by_tracer();
	require(traced->count > STEPS_LEAST && traced->changes > 100);
	list_by_itself();
	is_good = is_same("learning");
	memset(stepped, 0, sizeof *stepped);
	list_by_itself();
	return is_same("learned") && is_good ? 0 : 1;
}
