/* SPDX-License-Identifier: MIT
 *
 * Errors and what headers promise of them. Knows: what libshm/base.h says of every call. Does not
 * know: the calls; promised.py writes a wrapper around each, with its Errors line.
 */
#ifndef TESTS_LIB_PROMISED_H
#define TESTS_LIB_PROMISED_H

/* The result, if it is no error or its header lists it; `listed` ends with 0. Else the test ends
 * here, by SIGABRT: this may be any thread, or a child. */
int promised_check(const char *call, int result, const int *listed);

#endif
