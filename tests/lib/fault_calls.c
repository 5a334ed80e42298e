/* SPDX-License-Identifier: MIT
 *
 * See fault.h: the calls that can fail, each with what its failure looks like. Knows: how the
 * compiled code calls them (files of 64 bits: what is written open is open64 to the linker). Does
 * not know: which one is to fail. tests/check/calls.py compares them with what is really called.
 */
#include "fault_calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <liburing.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static atomic_long blocks, bytes_mapped;

/* --- calls that fail with errno, with an error number of their own, or with NULL --- */

#define WRAP(KIND, result, name, parameters, arguments, failed)                                    \
	result __real_##name parameters;                                                           \
	result __wrap_##name parameters;                                                           \
	result __wrap_##name parameters                                                            \
	{                                                                                          \
		int error = fault_strike(FAULT_##KIND);                                            \
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

WRAP(READ, ssize_t, read, (int fd, void *to, size_t length), (fd, to, length), FAILS(-1))
WRAP(WRITE, ssize_t, write, (int fd, const void *from, size_t length), (fd, from, length),
     FAILS(-1))
WRAP(PWRITE, ssize_t, pwrite64, (int fd, const void *from, size_t length, off_t at),
     (fd, from, length, at), FAILS(-1))
WRAP(FSYNC, int, fsync, (int fd), (fd), FAILS(-1))
WRAP(DUP, int, dup, (int fd), (fd), FAILS(-1))
WRAP(DUP, int, dup2, (int fd, int place), (fd, place), FAILS(-1))
WRAP(CLOSE_RANGE, int, close_range, (unsigned from, unsigned to, int flags), (from, to, flags),
     FAILS(-1))
WRAP(EXEC, int, execv, (const char *path, char *const *arguments), (path, arguments), FAILS(-1))
WRAP(EXEC, int, execvp, (const char *name, char *const *arguments), (name, arguments), FAILS(-1))
WRAP(SIGWAIT, int, sigwaitinfo, (const sigset_t *set, siginfo_t *about), (set, about), FAILS(-1))
WRAP(SLEEP, int, clock_nanosleep,
     (clockid_t clock, int flags, const struct timespec *time, struct timespec *rest),
     (clock, flags, time, rest), error)
WRAP(ACCESS, int, access, (const char *path, int mode), (path, mode), FAILS(-1))
WRAP(CHMOD, int, chmod, (const char *path, mode_t mode), (path, mode), FAILS(-1))
WRAP(CHMOD, int, fchmod, (int fd, mode_t mode), (fd, mode), FAILS(-1))
WRAP(CHMOD, int, fchmodat, (int folder, const char *path, mode_t mode, int flags),
     (folder, path, mode, flags), FAILS(-1))
WRAP(CHOWN, int, chown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid), FAILS(-1))
WRAP(CHOWN, int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), FAILS(-1))
WRAP(CHDIR, int, chdir, (const char *path), (path), FAILS(-1))
WRAP(GETXATTR, ssize_t, fgetxattr, (int fd, const char *name, void *to, size_t length),
     (fd, name, to, length), FAILS(-1))
WRAP(SETXATTR, int, fsetxattr,
     (int fd, const char *name, const void *value, size_t length, int flags),
     (fd, name, value, length, flags), FAILS(-1))
WRAP(LSTAT, int, lstat64, (const char *path, struct stat *about), (path, about), FAILS(-1))
WRAP(LSTAT, int, fstatat64, (int folder, const char *path, struct stat *about, int flags),
     (folder, path, about, flags), FAILS(-1))
WRAP(READLINK, ssize_t, readlinkat, (int folder, const char *path, char *to, size_t length),
     (folder, path, to, length), FAILS(-1))
WRAP(REALPATH, char *, realpath, (const char *path, char *to), (path, to), FAILS(NULL))
WRAP(READDIR, struct dirent *, readdir64, (DIR *folder), (folder), FAILS(NULL))
WRAP(RENAME, int, rename, (const char *from, const char *to), (from, to), FAILS(-1))
WRAP(RMDIR, int, rmdir, (const char *path), (path), FAILS(-1))
WRAP(UNLINK, int, unlink, (const char *path), (path), FAILS(-1))
WRAP(MKTEMP, int, mkostemp64, (char *path, int flags), (path, flags), FAILS(-1))
WRAP(GETCWD, char *, getcwd, (char *to, size_t length), (to, length), FAILS(NULL))
WRAP(FGETS, char *, fgets, (char *to, int length, FILE *file), (to, length, file), FAILS(NULL))
WRAP(GETLINE, ssize_t, getdelim, (char **line, size_t *room, int end, FILE *file),
     (line, room, end, file), FAILS(-1))
WRAP(MEMSTREAM, FILE *, open_memstream, (char **text, size_t *length), (text, length), FAILS(NULL))
WRAP(FFLUSH, int, fflush, (FILE *file), (file), FAILS(EOF))
WRAP(PASSWD, struct group *, getgrnam, (const char *name), (name), FAILS(NULL))
WRAP(PASSWD, struct passwd *, getpwnam, (const char *name), (name), FAILS(NULL))
WRAP(PASSWD, struct passwd *, getpwuid, (uid_t uid), (uid), FAILS(NULL))
WRAP(PASSWD, int, getpwnam_r,
     (const char *name, struct passwd *to, char *room, size_t length, struct passwd **ret_found),
     (name, to, room, length, ret_found), error)
WRAP(GETRANDOM, ssize_t, getrandom, (void *to, size_t length, unsigned flags), (to, length, flags),
     FAILS(-1))
WRAP(SETRLIMIT, int, setrlimit64, (enum __rlimit_resource what, const struct rlimit *limit),
     (what, limit), FAILS(-1))
WRAP(GETSOCKNAME, int, getsockname, (int fd, struct sockaddr *to, socklen_t *length),
     (fd, to, length), FAILS(-1))
WRAP(SETSOCKOPT, int, setsockopt,
     (int fd, int level, int option, const void *value, socklen_t length),
     (fd, level, option, value, length), FAILS(-1))
WRAP(AFFINITY, int, sched_getaffinity, (pid_t pid, size_t length, cpu_set_t *set),
     (pid, length, set), FAILS(-1))
WRAP(SETENV, int, setenv, (const char *name, const char *value, int flag), (name, value, flag),
     FAILS(-1))
WRAP(SETSID, pid_t, setsid, (void), (), FAILS(-1))
WRAP(IDENTITY, int, setgroups, (size_t count, const gid_t *all), (count, all), FAILS(-1))
WRAP(IDENTITY, int, setresgid, (gid_t real, gid_t effective, gid_t saved),
     (real, effective, saved), FAILS(-1))
WRAP(IDENTITY, int, setresuid, (uid_t real, uid_t effective, uid_t saved),
     (real, effective, saved), FAILS(-1))
WRAP(IDENTITY, int, setuid, (uid_t uid), (uid), FAILS(-1))
WRAP(RING_DONTFORK, int, io_uring_ring_dontfork, (struct io_uring *ring), (ring), -error)
WRAP(RING_PEEK, int, __io_uring_get_cqe,
     (struct io_uring *ring, struct io_uring_cqe **first, unsigned submit, unsigned count,
      sigset_t *mask),
     (ring, first, submit, count, mask), -error)

/* --- what is counted as held --- */

#define WRAP_ALLOCATION(KIND, name, parameters, arguments)                                         \
	void *__real_##name parameters;                                                            \
	void *__wrap_##name parameters;                                                            \
	void *__wrap_##name parameters                                                             \
	{                                                                                          \
		int error = fault_strike(FAULT_##KIND);                                            \
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
	int error = fault_strike(FAULT_REALLOC);
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
	int error = fault_strike(FAULT_MMAP);
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
	int error = fault_strike(FAULT_OPEN);

	return error ? FAILS(-1) : __real_open64(path, flags, mode);
}

int __real_openat64(int folder, const char *path, int flags, mode_t mode);
int __wrap_openat64(int folder, const char *path, int flags, mode_t mode);
int __wrap_openat64(int folder, const char *path, int flags, mode_t mode)
{
	int error = fault_strike(FAULT_OPENAT);

	return error ? FAILS(-1) : __real_openat64(folder, path, flags, mode);
}

static int strike_fcntl(int command)
{
	switch (command) {
	case F_DUPFD_CLOEXEC:
		return fault_strike(FAULT_DUPLICATE);
	case F_SETLK:
	case F_GETLK:
		return fault_strike(FAULT_LOCK);
	case F_ADD_SEALS:
		return fault_strike(FAULT_SEAL);
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
	int error = option == SO_PEERCRED ? 0 : fault_strike(FAULT_GETSOCKOPT);

	return error ? FAILS(-1) : __real_getsockopt(fd, level, option, value, length);
}

/* To let go of a descriptor is never refused. */
int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	int error = operation == EPOLL_CTL_DEL ? 0 : fault_strike(FAULT_EPOLL_CTL);

	return error ? FAILS(-1) : __real_epoll_ctl(epoll, operation, fd, event);
}

/* Holes are looked for where there may be none; the end of a file is always known. */
off_t __real_lseek64(int fd, off_t at, int whence);
off_t __wrap_lseek64(int fd, off_t at, int whence);
off_t __wrap_lseek64(int fd, off_t at, int whence)
{
	bool is_search = whence == SEEK_HOLE || whence == SEEK_DATA;
	int error = is_search ? fault_strike(FAULT_LSEEK) : 0;

	return error ? FAILS(-1) : __real_lseek64(fd, at, whence);
}

/* Only a sleep is interrupted. */
pid_t __real_waitpid(pid_t pid, int *status, int flags);
pid_t __wrap_waitpid(pid_t pid, int *status, int flags);
pid_t __wrap_waitpid(pid_t pid, int *status, int flags)
{
	int error = flags & WNOHANG ? 0 : fault_strike(FAULT_WAIT);

	return error ? FAILS(-1) : __real_waitpid(pid, status, flags);
}

int __real_waitid(idtype_t type, id_t id, siginfo_t *about, int flags);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *about, int flags);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *about, int flags)
{
	int error = flags & WNOHANG ? 0 : fault_strike(FAULT_WAIT);

	return error ? FAILS(-1) : __real_waitid(type, id, about, flags);
}

/* What was written may not have arrived: closed it is all the same. */
int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);
int __wrap_fclose(FILE *file)
{
	int error = __fwritable(file) ? fault_strike(FAULT_FCLOSE) : 0;
	int result = __real_fclose(file);

	return error ? FAILS(EOF) : result;
}

/* To wake somebody is never refused. */
static bool is_futex_wait(long operation)
{
	long command = operation & FUTEX_CMD_MASK;

	return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
}

static int strike_syscall(long number, long operation)
{
	switch (number) {
	case SYS_futex:
		return is_futex_wait(operation) ? fault_strike(FAULT_FUTEX) : 0;
	case SYS_pidfd_send_signal:
		return fault_strike(FAULT_PIDFD_SIGNAL);
	case SYS_clone:
		return fault_strike(FAULT_CLONE);
	case SYS_pidfd_open:
		return fault_strike(FAULT_PIDFD_OPEN);
	case SYS_pidfd_getfd:
		return fault_strike(FAULT_PIDFD_GETFD);
	default:
		return 0;
	}
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	va_list list;
	long a[6];
	int error;

	va_start(list, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	error = strike_syscall(number, a[1]);
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
	int error = fault_strike(FAULT_RECVMSG);
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
