/* SPDX-License-Identifier: MIT
 *
 * Between the plan (fault.c) and the calls it is for (fault_calls.c).
 */
#ifndef TESTS_LIB_FAULT_CALLS_H
#define TESTS_LIB_FAULT_CALLS_H

#include "fault.h"

/* Counts this call; 0, or what it has to fail with. */
int fault_strike(enum fault_call call);

#endif
