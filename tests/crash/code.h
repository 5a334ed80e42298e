/* SPDX-License-Identifier: MIT
 *
 * The code of this program, closed: a trap on each byte of it, so that whatever is run ends in
 * SIGTRAP wherever it leads; opened one instruction at a time. Knows: which instructions do not
 * lead to the next one. Does not know: signals, what is done at a trap.
 *
 * A trap of this kind stays in the guest of a virtual machine; one by the trap flag leaves it, and
 * costs ten times as much. How long an instruction is must be known to open no other one. That is
 * learned, once for all processes of the matrix: the first who comes there steps over it by the
 * trap flag and sees where the next one is.
 */
#ifndef TESTS_CRASH_CODE_H
#define TESTS_CRASH_CODE_H

#include <stdbool.h>
#include <stdint.h>

/* Of functions that run while all others are closed, and so may call none of those. */
#define STAYS_OPEN __attribute__((section("stays_open")))

/* Before any process is made that opens and closes. */
void code_begin(void);
/* All of it, in this process; it has been made writable. */
void code_close(void);
void code_open_all(void);
/* Is it in code that can be closed? The kernel's (vdso) and that of other libraries cannot. */
bool code_is_ours(uint64_t address);
/* One instruction. True: only the trap flag can tell where it ends or leads. */
bool code_open(uint64_t address);
/* It has led there: closed, and its length learned. */
void code_led_to(uint64_t address);

#endif
