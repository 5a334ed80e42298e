/* SPDX-License-Identifier: MIT
 *
 * Other kernels and sandboxes: system calls that answer as they would there, for this process and
 * all it starts from then on. Knows: seccomp filters. Does not know: who makes the calls.
 */
#ifndef TESTS_LIB_WORLD_H
#define TESTS_LIB_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/seccomp.h>

#define WORLD_FAILS(error) (SECCOMP_RET_ERRNO | (error))
#define WORLD_KILLS SECCOMP_RET_KILL_PROCESS
#define WORLD_KILLS_THREAD SECCOMP_RET_KILL_THREAD
#define WORLD_SIGNALS SECCOMP_RET_TRAP /* SIGSYS */

#define WORLD_ANY (-1)

/* The system call `number`, if that argument (0 to 5, the lower 32 bits) is `value`. */
struct world_rule {
	int number;
	int argument; /* WORLD_ANY: whatever the arguments are */
	uint32_t value;
	uint32_t answer;
};

/* Without a way back: call it in a child. Fails the test when it cannot. */
void world_enter(const struct world_rule *rules, size_t count);

/* Worlds in which a call is not refused but answered, by a process outside of them, as that kernel
 * would. The rules' answer is WORLD_ASKS; `keeper` is the other end of world_keep's socket. */
#define WORLD_ASKS SECCOMP_RET_USER_NOTIF
void world_enter_kept(const struct world_rule *rules, size_t count, int keeper);

/* The keeper: until nobody has the other end of the socket and nobody is in its worlds any more.
 * IORING_REGISTER_PROBE tells of no opcode that came after Linux 6.6; a ring that is set up knows
 * none of them, whatever the probe tells. */
void world_keep(int socket);

/* What io_uring is made of, and the newest kernels' calls. */
#define WORLD_URING(answer)                                                                        \
	{ SYS_io_uring_setup, WORLD_ANY, 0, answer },                                              \
	{ SYS_io_uring_enter, WORLD_ANY, 0, answer },                                              \
	{ SYS_io_uring_register, WORLD_ANY, 0, answer }

/* Namespaces of this process's own; who is not root makes them in a user namespace, in which he is
 * who he was. False where neither is allowed. */
bool world_unshare(int flags);

/* Missing in older headers. */
#define WORLD_SO_PEERPIDFD 77 /* Linux 6.5 */
#define WORLD_FUTEX_WAITV 449 /* Linux 5.16 */

#endif
