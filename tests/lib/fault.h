/* SPDX-License-Identifier: MIT
 *
 * Calls that fail on purpose: the n-th of a kind answers with an error of our choice.
 * Knows: the table of calls that can fail and with what, counting, what is held of heap and maps.
 * Does not know: who is tested, what has to follow.
 *
 * A program takes part by linking fault.c with fault_link_args of tests/meson.build: its own code
 * and the static library call here instead, the C library itself and liburing do not. The plan and
 * the counts stand in a shared page, so that forked children count too; a program started with
 * MP_FAULT_PAGE in its environment finds its page in that file.
 */
#ifndef TESTS_LIB_FAULT_H
#define TESTS_LIB_FAULT_H

#include <stdbool.h>
#include <sys/types.h>

/* Not errors of a call, but other ways in which recvmsg disappoints. */
#define FAULT_CTRUNC 1001 /* descriptors came and there was no room: MSG_CTRUNC */
#define FAULT_EOF 1002    /* the other side is gone */

/* FAULT(KIND, "what fails", errors that it may plausibly fail with) */
#define FAULT_CALLS                                                                                \
	FAULT(MALLOC, "malloc", ENOMEM)                                                            \
	FAULT(CALLOC, "calloc", ENOMEM)                                                            \
	FAULT(ALIGNED_ALLOC, "aligned_alloc", ENOMEM)                                              \
	FAULT(REALLOC, "realloc", ENOMEM)                                                          \
	FAULT(MMAP, "mmap", ENOMEM, EAGAIN)                                                        \
	FAULT(MADVISE, "madvise", ENOMEM, EINVAL)                                                  \
	FAULT(MEMFD_CREATE, "memfd_create", EMFILE, ENFILE, ENOMEM)                                \
	FAULT(FTRUNCATE, "ftruncate", EINTR, ENOMEM)                                               \
	FAULT(FALLOCATE, "fallocate", ENOSPC, EINTR, ENOMEM)                                       \
	FAULT(DUPLICATE, "fcntl(F_DUPFD)", EMFILE)                                                 \
	FAULT(LOCK, "fcntl(F_SETLK)", ENOLCK)                                                      \
	FAULT(SEAL, "fcntl(F_ADD_SEALS)", EBUSY)                                                   \
	FAULT(SOCKET, "socket", EMFILE, ENFILE, ENOBUFS)                                           \
	FAULT(CONNECT, "connect", EINTR, EAGAIN, ECONNREFUSED, ENOMEM)                             \
	FAULT(GETSOCKOPT, "getsockopt", ENOPROTOOPT, EMFILE)                                       \
	FAULT(SENDMSG, "sendmsg", EINTR, ENOBUFS, EPIPE, EAGAIN, ETOOMANYREFS)                     \
	FAULT(RECVMSG, "recvmsg", EINTR, ENOMEM, ECONNRESET, EAGAIN, FAULT_CTRUNC, FAULT_EOF)      \
	FAULT(POLL, "poll", EINTR, ENOMEM)                                                         \
	FAULT(PPOLL, "ppoll", EINTR, ENOMEM)                                                       \
	FAULT(OPEN, "open", EMFILE, ENFILE, ENOMEM, EACCES)                                        \
	FAULT(OPENAT, "openat", EMFILE, ENFILE, EACCES)                                            \
	FAULT(OPENDIR, "opendir", EMFILE, ENOMEM)                                                  \
	FAULT(FOPEN, "fopen", EMFILE, ENOMEM)                                                      \
	FAULT(STAT, "stat", ENOENT, ENOMEM)                                                        \
	FAULT(PREAD, "pread", EINTR)                                                               \
	FAULT(READLINK, "readlink", ENOENT)                                                        \
	FAULT(MKDIR, "mkdir", ENOSPC)                                                              \
	FAULT(PIPE, "pipe2", EMFILE, ENFILE)                                                       \
	FAULT(FORK, "fork", EAGAIN, ENOMEM)                                                        \
	FAULT(CLONE, "clone", EAGAIN, ENOMEM)                                                      \
	FAULT(PIDFD_OPEN, "pidfd_open", EMFILE, ENOMEM, ENOSYS)                                    \
	FAULT(PIDFD_GETFD, "pidfd_getfd", EMFILE, EPERM)                                           \
	FAULT(KEY_CREATE, "pthread_key_create", EAGAIN)                                            \
	FAULT(SETSPECIFIC, "pthread_setspecific", ENOMEM)                                          \
	FAULT(ATFORK, "pthread_atfork", ENOMEM)                                                    \
	FAULT(RING_INIT, "io_uring_queue_init_params", ENOMEM, EMFILE, EPERM, ENOSYS)              \
	FAULT(RING_REGISTER, "io_uring_register_ring_fd", EINVAL)                                  \
	FAULT(RING_PROBE, "io_uring_get_probe", ENOSYS)                                            \
	FAULT(RING_SUBMIT, "io_uring_submit", EAGAIN, EBUSY, ENOMEM)                               \
	FAULT(RING_WAIT, "io_uring_submit_and_wait", EINTR, EAGAIN, EBUSY, EBADR, ENOMEM)          \
	FAULT(ACCEPT, "accept4", EMFILE, ENFILE, ENOMEM, EINTR, ECONNABORTED)                      \
	FAULT(EPOLL_CREATE, "epoll_create1", EMFILE, ENOMEM)                                       \
	FAULT(EPOLL_CTL, "epoll_ctl", ENOMEM, ENOSPC)                                              \
	FAULT(EPOLL_WAIT, "epoll_wait", EINTR)                                                     \
	FAULT(SIGNALFD, "signalfd", EMFILE, ENOMEM)                                                \
	FAULT(BIND, "bind", ENOSPC, EADDRINUSE)                                                    \
	FAULT(LISTEN, "listen", EADDRINUSE)                                                        \
	FAULT(FLOCK, "flock", ENOLCK, EINTR)                                                       \
	FAULT(SOCKETPAIR, "socketpair", EMFILE, ENFILE)                                            \
	FAULT(READ, "read", EINTR, EIO)                                                            \
	FAULT(WRITE, "write", EINTR, ENOSPC)                                                       \
	FAULT(PWRITE, "pwrite", ENOSPC, EIO)                                                       \
	FAULT(LSEEK, "lseek(SEEK_HOLE)", EINVAL)                                                   \
	FAULT(FSYNC, "fsync", EIO, ENOSPC)                                                         \
	FAULT(DUP, "dup", EMFILE, EBUSY)                                                           \
	FAULT(CLOSE_RANGE, "close_range", ENOSYS, ENOMEM)                                          \
	FAULT(EXEC, "exec", ENOMEM, EACCES)                                                        \
	FAULT(WAIT, "wait", EINTR)                                                                 \
	FAULT(SIGWAIT, "sigwaitinfo", EINTR)                                                       \
	FAULT(SLEEP, "clock_nanosleep", EINTR)                                                     \
	FAULT(ACCESS, "access", EACCES)                                                            \
	FAULT(CHMOD, "chmod", EPERM)                                                               \
	FAULT(CHOWN, "fchown", EPERM)                                                              \
	FAULT(CHDIR, "chdir", EACCES)                                                              \
	FAULT(GETXATTR, "fgetxattr", EOPNOTSUPP, ENODATA)                                          \
	FAULT(SETXATTR, "fsetxattr", EOPNOTSUPP, ENOSPC)                                           \
	FAULT(LSTAT, "lstat", EACCES, ENOMEM)                                                      \
	FAULT(REALPATH, "realpath", ENOMEM, EACCES)                                                \
	FAULT(READDIR, "readdir", ENOMEM)                                                          \
	FAULT(RENAME, "rename", ENOSPC, EACCES)                                                    \
	FAULT(RMDIR, "rmdir", EBUSY)                                                               \
	FAULT(UNLINK, "unlink", EACCES, EBUSY)                                                     \
	FAULT(MKTEMP, "mkostemp", EACCES, ENOSPC)                                                  \
	FAULT(GETCWD, "getcwd", ENOENT)                                                            \
	FAULT(FGETS, "fgets", EIO)                                                                 \
	FAULT(GETLINE, "getdelim", ENOMEM, EIO)                                                    \
	FAULT(MEMSTREAM, "open_memstream", ENOMEM)                                                 \
	FAULT(FFLUSH, "fflush", ENOSPC)                                                            \
	FAULT(FCLOSE, "fclose", ENOSPC)                                                            \
	FAULT(PASSWD, "getpwnam", EMFILE, EIO)                                                     \
	FAULT(GETRANDOM, "getrandom", EINTR, ENOSYS)                                               \
	FAULT(SETRLIMIT, "setrlimit", EPERM)                                                       \
	FAULT(GETSOCKNAME, "getsockname", ENOBUFS)                                                 \
	FAULT(SETSOCKOPT, "setsockopt", ENOMEM)                                                    \
	FAULT(AFFINITY, "sched_getaffinity", EINVAL)                                               \
	FAULT(SETENV, "setenv", ENOMEM)                                                            \
	FAULT(SETSID, "setsid", EPERM)                                                             \
	FAULT(IDENTITY, "setresuid", EPERM, EAGAIN)                                                \
	FAULT(FUTEX, "futex", EINTR, EAGAIN)                                                       \
	FAULT(PIDFD_SIGNAL, "pidfd_send_signal", EPERM, ENOSYS)                                    \
	FAULT(RING_DONTFORK, "io_uring_ring_dontfork", EINVAL, ENOMEM)                             \
	FAULT(RING_PEEK, "io_uring_peek_cqe", EAGAIN, EINTR)

enum fault_call {
#define FAULT(kind, name, ...) FAULT_##kind,
	FAULT_CALLS
#undef FAULT
	FAULT_KINDS
};

struct fault_plan {
	enum fault_call call;
	unsigned nth; /* from 1 */
	int error;
};

/* The page of this process and of what it forks; `path`: also of programs that find it there. */
void fault_begin(const char *path);

/* In all programs that found the page in a file, but not in who made it. */
#define FAULT_GUESTS (-1)

/* Count from 0; where a plan is given, its call fails once. `pid`: only in that process, 0: in all
 * that share the page, FAULT_GUESTS. */
void fault_arm(const struct fault_plan *plan, pid_t pid);
void fault_disarm(void);
bool fault_has_struck(void);
unsigned fault_count(enum fault_call call);

const char *fault_name(enum fault_call call);
/* The i-th error of the table, 0 behind the last. */
int fault_error(enum fault_call call, unsigned i);
/* "ENOMEM", "MSG_CTRUNC". */
const char *fault_error_name(int error);

/* What this process has taken and not given back, by calls from here. */
struct fault_held {
	long blocks; /* of the heap */
	long bytes;  /* mapped */
};
struct fault_held fault_held(void);

#endif
