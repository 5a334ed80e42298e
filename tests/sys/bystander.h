/* SPDX-License-Identifier: MIT
 *
 * How late the machine itself is: a process for each processor sleeps a millisecond at a time and
 * notes when that took longer. Knows: processors, clocks. Does not know: what is measured.
 */
#ifndef TESTS_SYS_BYSTANDER_H
#define TESTS_SYS_BYSTANDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BYSTANDERS_MAX 8 /* of a larger machine, the first processors */

struct bystanders {
	struct bystander *shared; /* one each */
	pid_t children[BYSTANDERS_MAX];
	unsigned count;
};

void bystanders_begin(struct bystanders *bystanders);
void bystanders_end(struct bystanders *bystanders);

/* Did each of them wake up in time, from `begin_ns` until now? */
bool bystanders_were_in_time(struct bystanders *bystanders, int64_t begin_ns);

#endif
