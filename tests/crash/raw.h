/* SPDX-License-Identifier: MIT
 *
 * Calls into the kernel by code that may call no function. Knows: the convention of x86-64. Does
 * not know: errno.
 */
#ifndef TESTS_CRASH_RAW_H
#define TESTS_CRASH_RAW_H

#define INLINED static inline __attribute__((always_inline))

INLINED long raw_call(long number, long a, long b, long c, long d)
{
	register long fourth __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
			 : "rcx", "r11", "memory");
	return result;
}

#endif
