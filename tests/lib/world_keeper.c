/* SPDX-License-Identifier: MIT
 *
 * Who answers system calls in the place of another kernel. Knows: seccomp's notifications,
 * io_uring's probe and restrictions, the memory of who called. Does not know: why it is asked.
 */
#include "harness.h"
#include "uring_compat.h"
#include "wire.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define LISTENERS_MAX 8
#define OPS_MAX 256
#define OPS_KNOWN URING_OP_FUTEX_WAIT /* those before it */

#define PROBE_BYTES(ops) (sizeof(struct io_uring_probe) + (ops) * sizeof(struct io_uring_probe_op))

static bool is_read(pid_t pid, uint64_t address, void *to, size_t bytes)
{
	struct iovec ours = { to, bytes }, theirs = { (void *)(uintptr_t)address, bytes };

	return process_vm_readv(pid, &ours, 1, &theirs, 1, 0) == (ssize_t)bytes;
}

static bool is_written(pid_t pid, uint64_t address, void *from, size_t bytes)
{
	struct iovec ours = { from, bytes }, theirs = { (void *)(uintptr_t)address, bytes };

	return process_vm_writev(pid, &ours, 1, &theirs, 1, 0) == (ssize_t)bytes;
}

/* What this kernel tells, without the later opcodes. 0 or -errno. */
static int answer_probe(const struct seccomp_notif *call)
{
	struct io_uring_params params = { 0 };
	unsigned room = (unsigned)call->data.args[3];
	uint64_t bytes[PROBE_BYTES(OPS_MAX) / sizeof(uint64_t)];
	struct io_uring_probe *probe = (struct io_uring_probe *)bytes;
	int ring, result;

	memset(bytes, 0, sizeof bytes);
	if (room > OPS_MAX)
		return -EINVAL;
	ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	result = (int)syscall(SYS_io_uring_register, ring, IORING_REGISTER_PROBE, probe, room);
	close(ring);
	if (result < 0)
		return -EIO;
	probe->last_op = OPS_KNOWN - 1;
	if (probe->ops_len > OPS_KNOWN)
		probe->ops_len = OPS_KNOWN;
	memset((uint8_t *)bytes + PROBE_BYTES(OPS_KNOWN), 0,
	       sizeof bytes - PROBE_BYTES(OPS_KNOWN));
	return is_written((pid_t)call->pid, call->data.args[2], bytes, PROBE_BYTES(room))
		       ? 0 : -EFAULT;
}

static int restrict_ring(int ring)
{
	struct io_uring_restriction allowed[OPS_KNOWN + 3] = { 0 };
	static const unsigned calls[] = { IORING_REGISTER_PROBE, IORING_REGISTER_RING_FDS,
					  IORING_UNREGISTER_RING_FDS };

	for (unsigned i = 0; i < OPS_KNOWN; i++) {
		allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
		allowed[i].sqe_op = (uint8_t)i;
	}
	for (unsigned i = 0; i < 3; i++) {
		allowed[OPS_KNOWN + i].opcode = IORING_RESTRICTION_REGISTER_OP;
		allowed[OPS_KNOWN + i].register_op = (uint8_t)calls[i];
	}
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_RESTRICTIONS, allowed,
		    OPS_KNOWN + 3) < 0)
		return -errno;
	return syscall(SYS_io_uring_register, ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0
		       ? -errno : 0;
}

/* A ring that one of our own tasks has enabled may not be a single issuer's. The descriptor in the
 * caller, or -errno; 0 is none. */
static int answer_setup(int listener, const struct seccomp_notif *call)
{
	struct seccomp_notif_addfd add = { .id = call->id, .flags = SECCOMP_ADDFD_FLAG_SEND,
					   .newfd_flags = O_CLOEXEC };
	struct io_uring_params params;
	int ring, result;

	if (!is_read((pid_t)call->pid, call->data.args[1], &params, sizeof params))
		return -EFAULT;
	params.flags &= ~(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	params.flags |= IORING_SETUP_R_DISABLED;
	ring = (int)syscall(SYS_io_uring_setup, (unsigned)call->data.args[0], &params);
	if (ring < 0)
		return -errno;
	result = restrict_ring(ring);
	params.flags &= ~IORING_SETUP_R_DISABLED;
	if (result == 0 &&
	    !is_written((pid_t)call->pid, call->data.args[1], &params, sizeof params))
		result = -EFAULT;
	add.srcfd = (uint32_t)ring;
	if (result == 0)
		result = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	close(ring);
	return result;
}

static void answer(int listener)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp reply = { 0 };

	memset(&call, 0, sizeof call);
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return; /* who called was killed meanwhile */
	reply.id = call.id;
	if (call.data.nr == SYS_io_uring_setup)
		reply.error = answer_setup(listener, &call);
	else
		reply.error = answer_probe(&call);
	if (reply.error > 0)
		return; /* answered with the descriptor */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

static int take_listener(int socket)
{
	struct wire_fds fds = { 0 };
	char byte;

	return wire_receive(socket, &byte, 1, &fds) == 1 && fds.count == 1 ? fds.fd[0] : -1;
}

void world_keep(int socket)
{
	struct pollfd all[1 + LISTENERS_MAX] = { { .fd = socket, .events = POLLIN } };
	unsigned open = 1, count = 1;

	while (open > 0) {
		poll(all, count, -1);
		for (unsigned i = 1; i < count; i++) {
			if (all[i].revents & POLLIN)
				answer(all[i].fd);
			if (all[i].revents & POLLHUP) {
				close(all[i].fd);
				all[i].fd = -1;
				open--;
			}
		}
		if (all[0].revents && count <= LISTENERS_MAX) {
			all[count] = (struct pollfd){ .fd = take_listener(socket),
						      .events = POLLIN };
			if (all[count].fd >= 0) {
				count++;
				open++;
			} else {
				all[0].fd = -1;
				open--;
			}
		}
	}
}
