/* SPDX-License-Identifier: MIT
 *
 * See world.h. Knows: the classic BPF of seccomp, written by hand.
 */
#include "world.h"

#include "harness.h"
#include "wire.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PER_RULE 5

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "the number of this machine's system calls is not known here"
#endif

#define FIELD(name) ((uint32_t)offsetof(struct seccomp_data, name))
#define LOAD(offset) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define SKIP_UNLESS(value, count) \
	(struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define ANSWER(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, what)

static uint32_t lower_half_of(int argument)
{
	uint32_t offset = FIELD(args) + 8 * (uint32_t)argument;

	return __BYTE_ORDER == __LITTLE_ENDIAN ? offset : offset + 4;
}

/* How many instructions it took. */
static unsigned write_rule(struct sock_filter *to, const struct world_rule *rule)
{
	unsigned used = 0;

	to[used++] = LOAD(FIELD(nr));
	to[used++] = SKIP_UNLESS((uint32_t)rule->number, rule->argument == WORLD_ANY ? 1 : 3);
	if (rule->argument != WORLD_ANY) {
		to[used++] = LOAD(lower_half_of(rule->argument));
		to[used++] = SKIP_UNLESS(rule->value, 1);
	}
	to[used++] = ANSWER(rule->answer);
	return used;
}

/* A listener where a rule asks for one, else 0. */
static int install(const struct world_rule *rules, size_t count, unsigned flags)
{
	struct sock_filter *filter = calloc(count * PER_RULE + 4, sizeof(*filter));
	struct sock_fprog program = { .filter = filter };
	unsigned used = 0;
	int result;

	assert_non_null(filter);
	filter[used++] = LOAD(FIELD(arch));
	filter[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
	filter[used++] = ANSWER(SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < count; i++)
		used += write_rule(filter + used, &rules[i]);
	filter[used++] = ANSWER(SECCOMP_RET_ALLOW);
	program.len = (unsigned short)used;
	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	result = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	assert_true(result >= 0);
	free(filter);
	return result;
}

void world_enter(const struct world_rule *rules, size_t count)
{
	install(rules, count, 0);
}

void world_enter_kept(const struct world_rule *rules, size_t count, int keeper)
{
	struct wire_fds fds = { .count = 1 };

	fds.fd[0] = install(rules, count, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	assert_true(wire_send(keeper, "", 1, &fds) >= 0);
	close(fds.fd[0]);
}

static bool write_self(const char *name, const char *text)
{
	char path[64];
	ssize_t written;
	int fd;

	snprintf(path, sizeof path, "/proc/self/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	written = write(fd, text, strlen(text));
	if (fd >= 0)
		close(fd);
	return written == (ssize_t)strlen(text);
}

bool world_unshare(int flags)
{
	unsigned uid = geteuid(), gid = getegid();
	char user[32], group[32];

	if (unshare(flags) == 0)
		return true;
	if (uid == 0 || unshare(flags | CLONE_NEWUSER) < 0)
		return false;
	snprintf(user, sizeof user, "%u %u 1", uid, uid);
	snprintf(group, sizeof group, "%u %u 1", gid, gid);
	return write_self("setgroups", "deny") && write_self("gid_map", group) &&
	       write_self("uid_map", user);
}
