/* SPDX-License-Identifier: MIT
 *
 * See fault.h. The wrapped calls stand in one table below, each with what its failure looks like.
 * Files of 64 bits: what the compiled code calls open is open64 to the linker.
 */
#include "fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ERRORS_MAX 8

struct page {
	atomic_bool is_armed;
	atomic_bool has_struck;
	pid_t pid;
	struct fault_plan plan; /* nth 0: count only */
	atomic_uint counts[FAULT_KINDS];
};

static struct page *page;
static bool is_guest; /* found it */
static atomic_long blocks, bytes_mapped;

static const struct {
	const char *name;
	int errors[ERRORS_MAX];
} table[] = {
#define FAULT(kind, name, ...) { name, { __VA_ARGS__ } },
	FAULT_CALLS
#undef FAULT
};

static bool is_meant(pid_t pid)
{
	return pid == 0 || (pid == FAULT_GUESTS ? is_guest : pid == getpid());
}

/* 0, or what this call has to fail with. */
static int strike(enum fault_call call)
{
	if (!page || !atomic_load(&page->is_armed) || !is_meant(page->pid))
		return 0;
	if (atomic_fetch_add(&page->counts[call], 1) + 1 != page->plan.nth ||
	    page->plan.call != call || atomic_exchange(&page->has_struck, true))
		return 0;
	return page->plan.error;
}

/* --- calls that fail with errno, with an error number of their own, or with NULL --- */

#define WRAP(KIND, result, name, parameters, arguments, failed)                                    \
	result __real_##name parameters;                                                           \
	result __wrap_##name parameters;                                                           \
	result __wrap_##name parameters                                                            \
	{                                                                                          \
		int error = strike(FAULT_##KIND);                                                  \
                                                                                                   \
		if (error == 0)                                                                    \
			return __real_##name arguments;                                            \
		return failed;                                                                     \
	}
#define FAILS(value) (errno = error, (value))

WRAP(MADVISE, int, madvise, (void *at, size_t length, int advice), (at, length, advice), FAILS(-1))
WRAP(MEMFD_CREATE, int, memfd_create, (const char *name, unsigned flags), (name, flags), FAILS(-1))
WRAP(FTRUNCATE, int, ftruncate64, (int fd, off_t size), (fd, size), FAILS(-1))
WRAP(FALLOCATE, int, fallocate64, (int fd, int mode, off_t at, off_t length),
     (fd, mode, at, length), FAILS(-1))
WRAP(SOCKET, int, socket, (int domain, int type, int protocol), (domain, type, protocol), FAILS(-1))
WRAP(CONNECT, int, connect, (int fd, const struct sockaddr *to, socklen_t length),
     (fd, to, length), FAILS(-1))
WRAP(SENDMSG, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags), FAILS(-1))
WRAP(POLL, int, poll, (struct pollfd *all, nfds_t count, int ms), (all, count, ms), FAILS(-1))
WRAP(PPOLL, int, ppoll,
     (struct pollfd *all, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
     (all, count, timeout, mask), FAILS(-1))
WRAP(OPENDIR, DIR *, opendir, (const char *path), (path), FAILS(NULL))
WRAP(FOPEN, FILE *, fopen64, (const char *path, const char *mode), (path, mode), FAILS(NULL))
WRAP(STAT, int, stat64, (const char *path, struct stat *about), (path, about), FAILS(-1))
WRAP(PREAD, ssize_t, pread64, (int fd, void *to, size_t length, off_t at), (fd, to, length, at),
     FAILS(-1))
WRAP(READLINK, ssize_t, readlink, (const char *path, char *to, size_t length), (path, to, length),
     FAILS(-1))
WRAP(MKDIR, int, mkdir, (const char *path, mode_t mode), (path, mode), FAILS(-1))
WRAP(PIPE, int, pipe2, (int ends[2], int flags), (ends, flags), FAILS(-1))
WRAP(FORK, pid_t, fork, (void), (), FAILS(-1))
WRAP(KEY_CREATE, int, pthread_key_create, (pthread_key_t *key, void (*end)(void *)), (key, end),
     error)
WRAP(SETSPECIFIC, int, pthread_setspecific, (pthread_key_t key, const void *value), (key, value),
     error)
WRAP(ATFORK, int, pthread_atfork, (void (*before)(void), void (*after)(void), void (*child)(void)),
     (before, after, child), error)
WRAP(RING_INIT, int, io_uring_queue_init_params,
     (unsigned entries, struct io_uring *ring, struct io_uring_params *params),
     (entries, ring, params), -error)
WRAP(RING_REGISTER, int, io_uring_register_ring_fd, (struct io_uring *ring), (ring), -error)
WRAP(RING_PROBE, struct io_uring_probe *, io_uring_get_probe, (void), (), NULL)
WRAP(RING_PROBE, struct io_uring_probe *, io_uring_get_probe_ring, (struct io_uring *ring), (ring),
     NULL)
WRAP(RING_SUBMIT, int, io_uring_submit, (struct io_uring *ring), (ring), -error)
WRAP(RING_WAIT, int, io_uring_submit_and_wait, (struct io_uring *ring, unsigned count),
     (ring, count), -error)
WRAP(RING_WAIT, int, io_uring_submit_and_wait_timeout,
     (struct io_uring *ring, struct io_uring_cqe **first, unsigned count,
      struct __kernel_timespec *timeout, sigset_t *mask),
     (ring, first, count, timeout, mask), -error)
WRAP(ACCEPT, int, accept4, (int fd, struct sockaddr *from, socklen_t *length, int flags),
     (fd, from, length, flags), FAILS(-1))
WRAP(EPOLL_CREATE, int, epoll_create1, (int flags), (flags), FAILS(-1))
WRAP(EPOLL_WAIT, int, epoll_wait, (int fd, struct epoll_event *events, int count, int ms),
     (fd, events, count, ms), FAILS(-1))
WRAP(SIGNALFD, int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), FAILS(-1))
WRAP(BIND, int, bind, (int fd, const struct sockaddr *at, socklen_t length), (fd, at, length),
     FAILS(-1))
WRAP(LISTEN, int, listen, (int fd, int backlog), (fd, backlog), FAILS(-1))
WRAP(FLOCK, int, flock, (int fd, int operation), (fd, operation), FAILS(-1))
WRAP(SOCKETPAIR, int, socketpair, (int domain, int type, int protocol, int ends[2]),
     (domain, type, protocol, ends), FAILS(-1))

/* --- what is counted as held --- */

#define WRAP_ALLOCATION(KIND, name, parameters, arguments)                                         \
	void *__real_##name parameters;                                                            \
	void *__wrap_##name parameters;                                                            \
	void *__wrap_##name parameters                                                             \
	{                                                                                          \
		int error = strike(FAULT_##KIND);                                                  \
		void *block = error ? FAILS(NULL) : __real_##name arguments;                       \
                                                                                                   \
		if (block)                                                                         \
			atomic_fetch_add(&blocks, 1);                                              \
		return block;                                                                      \
	}

WRAP_ALLOCATION(MALLOC, malloc, (size_t size), (size))
WRAP_ALLOCATION(CALLOC, calloc, (size_t count, size_t size), (count, size))
WRAP_ALLOCATION(ALIGNED_ALLOC, aligned_alloc, (size_t align, size_t size), (align, size))

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
	int error = strike(FAULT_REALLOC);
	void *larger = error ? FAILS(NULL) : __real_realloc(block, size);

	if (larger && !block)
		atomic_fetch_add(&blocks, 1);
	return larger;
}

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
	if (block)
		atomic_fetch_sub(&blocks, 1);
	__real_free(block);
}

void *__real_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	int error = strike(FAULT_MMAP);
	void *map = error ? FAILS(MAP_FAILED)
			  : __real_mmap64(at, length, protection, flags, fd, offset);

	if (map != MAP_FAILED)
		atomic_fetch_add(&bytes_mapped, (long)length);
	return map;
}

int __real_munmap(void *at, size_t length);
int __wrap_munmap(void *at, size_t length);
int __wrap_munmap(void *at, size_t length)
{
	atomic_fetch_sub(&bytes_mapped, (long)length);
	return __real_munmap(at, length);
}

struct fault_held fault_held(void)
{
	return (struct fault_held){ atomic_load(&blocks), atomic_load(&bytes_mapped) };
}

/* --- calls whose kind is among their arguments --- */

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode)
{
	int error = strike(FAULT_OPEN);

	return error ? FAILS(-1) : __real_open64(path, flags, mode);
}

int __real_openat64(int folder, const char *path, int flags, mode_t mode);
int __wrap_openat64(int folder, const char *path, int flags, mode_t mode);
int __wrap_openat64(int folder, const char *path, int flags, mode_t mode)
{
	int error = strike(FAULT_OPENAT);

	return error ? FAILS(-1) : __real_openat64(folder, path, flags, mode);
}

static int strike_fcntl(int command)
{
	switch (command) {
	case F_DUPFD_CLOEXEC:
		return strike(FAULT_DUPLICATE);
	case F_SETLK:
	case F_GETLK:
		return strike(FAULT_LOCK);
	case F_ADD_SEALS:
		return strike(FAULT_SEAL);
	default:
		return 0;
	}
}

int __real_fcntl64(int fd, int command, void *argument);
int __wrap_fcntl64(int fd, int command, void *argument);
int __wrap_fcntl64(int fd, int command, void *argument)
{
	int error = strike_fcntl(command);

	return error ? FAILS(-1) : __real_fcntl64(fd, command, argument);
}

/* What a socket of ours answers to everybody is never refused. */
int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *length);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	int error = option == SO_PEERCRED ? 0 : strike(FAULT_GETSOCKOPT);

	return error ? FAILS(-1) : __real_getsockopt(fd, level, option, value, length);
}

/* To let go of a descriptor is never refused. */
int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	int error = operation == EPOLL_CTL_DEL ? 0 : strike(FAULT_EPOLL_CTL);

	return error ? FAILS(-1) : __real_epoll_ctl(epoll, operation, fd, event);
}

static int strike_syscall(long number)
{
	switch (number) {
	case SYS_clone:
		return strike(FAULT_CLONE);
	case SYS_pidfd_open:
		return strike(FAULT_PIDFD_OPEN);
	case SYS_pidfd_getfd:
		return strike(FAULT_PIDFD_GETFD);
	default:
		return 0;
	}
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	int error = strike_syscall(number);
	va_list list;
	long a[6];

	va_start(list, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	return error ? FAILS(-1) : __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* As the kernel does it: the packet is there, its descriptors were never made. */
static void lose_descriptors(struct msghdr *message)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		for (size_t i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
			close(fd);
		}
		message->msg_flags |= MSG_CTRUNC;
	}
	message->msg_controllen = 0;
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
	int error = strike(FAULT_RECVMSG);
	ssize_t got;

	if (error && error != FAULT_CTRUNC && error != FAULT_EOF)
		return FAILS(-1);
	if (error == FAULT_EOF) {
		message->msg_controllen = 0;
		message->msg_flags = 0;
		return 0;
	}
	got = __real_recvmsg(fd, message, flags);
	if (error && got >= 0)
		lose_descriptors(message);
	return got;
}

/* --- the plan --- */

static void map_page(int fd, int flags)
{
	page = __real_mmap64(NULL, sizeof *page, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (page == MAP_FAILED)
		abort();
}

void fault_begin(const char *path)
{
	int fd;

	if (!path) {
		map_page(-1, MAP_SHARED | MAP_ANONYMOUS);
		return;
	}
	fd = __real_open64(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || __real_ftruncate64(fd, sizeof *page) < 0 || setenv("MP_FAULT_PAGE", path, 1))
		abort();
	map_page(fd, MAP_SHARED);
	close(fd);
}

static __attribute__((constructor)) void find_page(void)
{
	const char *path = getenv("MP_FAULT_PAGE");
	int fd = path ? __real_open64(path, O_RDWR | O_CLOEXEC, 0) : -1;

	if (fd < 0)
		return;
	map_page(fd, MAP_SHARED);
	close(fd);
	is_guest = true;
}

void fault_arm(const struct fault_plan *plan, pid_t pid)
{
	atomic_store(&page->is_armed, false);
	for (unsigned i = 0; i < FAULT_KINDS; i++)
		atomic_store(&page->counts[i], 0);
	atomic_store(&page->has_struck, false);
	page->plan = plan ? *plan : (struct fault_plan){ .nth = 0 };
	page->pid = pid;
	atomic_store(&page->is_armed, true);
}

void fault_disarm(void)
{
	atomic_store(&page->is_armed, false);
}

bool fault_has_struck(void)
{
	return atomic_load(&page->has_struck);
}

unsigned fault_count(enum fault_call call)
{
	return atomic_load(&page->counts[call]);
}

const char *fault_name(enum fault_call call)
{
	return table[call].name;
}

int fault_error(enum fault_call call, unsigned i)
{
	return i < ERRORS_MAX ? table[call].errors[i] : 0;
}

const char *fault_error_name(int error)
{
	if (error == FAULT_CTRUNC)
		return "MSG_CTRUNC";
	return error == FAULT_EOF ? "end of file" : strerrorname_np(error);
}
