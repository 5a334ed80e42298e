/* SPDX-License-Identifier: MIT
 *
 * See code.h. Knows: where the linker has put the code. Does not know: what an instruction does.
 *
 * Whoever learns a length writes one byte of shared memory, always the same for that instruction:
 * nobody needs to be kept out, and who dies there leaves it unlearned or learned.
 */
#include "code.h"

#include "raw.h"
#include "require.h"

#include <sys/mman.h>

#define INT3 0xcc
#define LONGEST 15
#define BY_TRAP_FLAG 0xff /* where it leads or how often it repeats itself is not in the code */
#define UNKNOWN 0

extern char _init[], etext[], __start_stays_open[], __stop_stays_open[]; /* the linker's */

static uint64_t from, until;
static uint8_t *original; /* what stands there when it is open */
static uint8_t *lengths;  /* shared by all processes */
static struct {
	uint64_t address;
	unsigned bytes;
	bool is_unknown;
} opened;

/* Not copied at each fork, as private memory is. */
static void *share(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	require(memory != MAP_FAILED);
	return memory;
}

void code_begin(void)
{
	from = (uint64_t)(uintptr_t)_init;
	until = (uint64_t)(uintptr_t)etext;
	original = share(until - from);
	memcpy(original, _init, until - from);
	lengths = share(until - from);
}

INLINED void fill(uint64_t at, uint64_t end)
{
	uint64_t bytes = end - at;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(INT3) : "memory");
}

INLINED void put_back(uint64_t at, uint64_t bytes)
{
	const uint8_t *source = original + (at - from);

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(source), "+c"(bytes) : : "memory");
}

STAYS_OPEN void code_close(void)
{
	opened.bytes = 0;
	fill(from, (uint64_t)(uintptr_t)__start_stays_open);
	fill((uint64_t)(uintptr_t)__stop_stays_open, until);
}

STAYS_OPEN void code_open_all(void)
{
	put_back(from, until - from);
}

STAYS_OPEN bool code_is_ours(uint64_t address)
{
	return address >= from && address < until &&
	       !(address >= (uint64_t)(uintptr_t)__start_stays_open &&
		 address < (uint64_t)(uintptr_t)__stop_stays_open);
}

STAYS_OPEN static bool is_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0x67 || byte == 0xf0 || byte == 0xf2 || byte == 0xf3 ||
	       byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x26 || byte == 0x64 ||
	       byte == 0x65;
}

/* movs, cmps, stos, lods, scas */
STAYS_OPEN static bool is_string(uint8_t opcode)
{
	return (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
}

/* A system call; jcc with a long distance. */
STAYS_OPEN static uint8_t tail_of_two(uint8_t second)
{
	if (second == 0x05)
		return 2;
	return (second & 0xf0) == 0x80 ? 6 : UNKNOWN;
}

/* Of those that do not lead to the next one: the bytes from the opcode on. */
STAYS_OPEN static uint8_t tail_of(const uint8_t *code)
{
	if ((code[0] & 0xf0) == 0x70 || (code[0] & 0xfc) == 0xe0 || code[0] == 0xeb)
		return 2; /* jcc, loop, jmp */
	if (code[0] == 0xe8 || code[0] == 0xe9)
		return 5; /* call, jmp */
	if (code[0] == 0xc3 || code[0] == 0xc2)
		return code[0] == 0xc3 ? 1 : 3; /* ret */
	if (code[0] == 0x0f)
		return tail_of_two(code[1]);
	if (code[0] == 0xff && (code[1] >> 3 & 7) >= 2 && (code[1] >> 3 & 7) <= 5)
		return BY_TRAP_FLAG; /* call and jmp to what a register or memory says */
	return UNKNOWN;
}

/* UNKNOWN: it leads to the next one. */
STAYS_OPEN static uint8_t length_by_sight(const uint8_t *code)
{
	unsigned prefixes = 0;
	bool is_repeated = false;
	uint8_t tail;

	while (is_prefix(code[prefixes])) {
		is_repeated |= code[prefixes] == 0xf2 || code[prefixes] == 0xf3;
		prefixes++;
	}
	prefixes += (code[prefixes] & 0xf0) == 0x40;
	if (is_repeated && is_string(code[prefixes]))
		return BY_TRAP_FLAG;
	tail = tail_of(code + prefixes);
	return tail == UNKNOWN || tail == BY_TRAP_FLAG ? tail : (uint8_t)(prefixes + tail);
}

/* As many of the longest instruction as can be opened and closed. */
STAYS_OPEN static unsigned window(uint64_t address)
{
	uint64_t end = (uint64_t)(uintptr_t)__start_stays_open;

	if (address > end)
		end = until;
	return end - address < LONGEST ? (unsigned)(end - address) : LONGEST;
}

STAYS_OPEN bool code_open(uint64_t address)
{
	uint8_t length;

	if (!code_is_ours(address))
		return true;
	length = lengths[address - from];
	if (length == UNKNOWN)
		lengths[address - from] = length = length_by_sight(original + (address - from));
	opened.address = address;
	opened.is_unknown = length == UNKNOWN;
	opened.bytes = length == UNKNOWN || length == BY_TRAP_FLAG ? window(address) : length;
	put_back(address, opened.bytes);
	return length == UNKNOWN || length == BY_TRAP_FLAG;
}

STAYS_OPEN void code_led_to(uint64_t address)
{
	uint64_t distance = address - opened.address;

	if (!opened.bytes)
		return;
	fill(opened.address, opened.address + opened.bytes);
	opened.bytes = 0;
	if (opened.is_unknown)
		lengths[opened.address - from] =
			distance > 0 && distance <= LONGEST ? (uint8_t)distance : BY_TRAP_FLAG;
}
