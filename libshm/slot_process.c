/* SPDX-License-Identifier: MIT
 *
 * What the kernel tells of a client's process. Knows: pidfds, /proc, the roster's bytes, pid
 * namespaces. Does not know: how slots are claimed and given back (slot.c), what a death means.
 *
 * Time is never proof of death; nor is one source alone that a living process can spoil.
 */
#include "slot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TICKS_UNKNOWN INT64_MIN

enum { STAT_NAME = 2, STAT_THREADS = 20, STAT_STARTED = 22 }; /* fields of /proc/PID/stat */

uint64_t slot_pid_namespace(void)
{
	struct stat about;

	return stat("/proc/self/ns/pid", &about) == 0 ? (uint64_t)about.st_ino : 0;
}

/* What /proc/PID/stat tells of a process. */
struct process_stat {
	char state; /* 0: nothing could be read */
	uint64_t threads;
	uint64_t started_ticks; /* since boot, in this process's time namespace */
};

/* The name in parentheses may contain anything, spaces too. */
static uint64_t stat_field(const char *text, unsigned number)
{
	const char *at = strrchr(text, ')');

	for (unsigned field = STAT_NAME; at && field < number; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

static struct process_stat read_stat(uint32_t pid)
{
	struct process_stat stat = { 0 };
	char path[40], text[1024];
	const char *name_end;
	ssize_t length;
	int fd;

	snprintf(path, sizeof path, "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return stat;
	length = read(fd, text, sizeof text - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	name_end = strrchr(text, ')');
	if (!name_end || name_end[1] != ' ')
		return stat;
	stat.state = name_end[2];
	stat.threads = stat_field(text, STAT_THREADS);
	stat.started_ticks = stat_field(text, STAT_STARTED);
	return stat;
}

static bool is_same_file(const char *one, const char *other)
{
	struct stat first, second;

	return stat(one, &first) < 0 || stat(other, &second) < 0 || first.st_ino == second.st_ino;
}

/* How far this process's time namespace is ahead of the machine's, in ticks; TICKS_UNKNOWN. What
 * the kernel tells is what children will have: after an unshare() it may be another. */
static int64_t read_boot_offset(void)
{
	int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);
	int64_t per_second = sysconf(_SC_CLK_TCK);
	long long seconds = 0, ns = 0;
	char text[256] = "", *at;

	if (fd < 0)
		return errno == ENOENT ? 0 : TICKS_UNKNOWN; /* a kernel without them */
	if (read(fd, text, sizeof text - 1) < 0)
		text[0] = '\0';
	close(fd);
	at = strstr(text, "boottime");
	if (!at || sscanf(at + strlen("boottime"), "%lld %lld", &seconds, &ns) != 2 ||
	    !is_same_file("/proc/self/ns/time", "/proc/self/ns/time_for_children") ||
	    ns * per_second % 1000000000)
		return TICKS_UNKNOWN;
	return seconds * per_second + ns * per_second / 1000000000;
}

/* Once in each process: a child may be in another namespace than its parent. */
static int64_t boot_offset(void)
{
	static atom64 known_offset;
	static atom32 known_of; /* written after the offset */
	uint32_t self = (uint32_t)getpid();
	int64_t offset;

	if (load_acquire(&known_of) == self)
		return (int64_t)load_relaxed(&known_offset);
	offset = read_boot_offset();
	if (offset == TICKS_UNKNOWN)
		return offset;
	store_relaxed(&known_offset, (uint64_t)offset);
	store_release(&known_of, self);
	return offset;
}

uint64_t slot_ticks_since_boot(uint64_t shown)
{
	int64_t offset = shown ? boot_offset() : 0;

	return offset == TICKS_UNKNOWN ? 0 : shown - (uint64_t)offset;
}

uint64_t slot_start_ticks(uint32_t pid)
{
	return slot_ticks_since_boot(read_stat(pid).started_ticks);
}

uint64_t slot_own_start_ticks(void)
{
	char target[16] = "";

	if (readlink("/proc/self", target, sizeof target - 1) < 0 || atoi(target) != getpid())
		return 0;
	return slot_start_ticks((uint32_t)getpid());
}

void slot_identify(struct slot_identity *ret_self)
{
	ret_self->pid = (uint32_t)getpid();
	ret_self->pid_namespace = slot_pid_namespace();
	ret_self->started_ticks = slot_own_start_ticks();
}

bool slot_is_of(struct seg *seg, uint32_t client, uint32_t generation,
		const struct slot_identity *who)
{
	uint64_t word = slot_client_word(seg, client);

	return client_word_state(word) == SLOT_LIVE && client_word_generation(word) == generation &&
	       client_word_pid(word) == who->pid && who->started_ticks &&
	       load_relaxed(&seg->clients[client].started_ticks) == who->started_ticks &&
	       load_relaxed(&seg->clients[client].pid_namespace) == who->pid_namespace &&
	       load_relaxed(&seg->clients[client].verdict) != generation;
}

/* Does the pid of this slot mean anything to us? */
static bool is_of_our_namespace(struct seg *seg, uint32_t client, uint64_t word)
{
	uint64_t ours = load_relaxed(&seg->pid_namespace);

	if (!ours || !client_word_pid(word) || !client_word_is_of_namespace(word, ours))
		return false;
	return client_word_state(word) == SLOT_SETUP ||
	       load_relaxed(&seg->clients[client].pid_namespace) == ours;
}

/* Nobody keeps the byte that the slot's owner keeps while it lives. Proves nothing alone. */
static bool is_roster_byte_free(struct seg *seg, uint32_t client)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	uint64_t byte = load_relaxed(&seg->clients[client].roster_byte);

	if (byte >= INT64_MAX || !own_fd_is(seg->roster_fd, seg->roster_file))
		return false;
	lock.l_start = (off_t)byte;
	return fcntl(seg->roster_fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

/* The pid is another process's by now. */
static bool is_pid_reused(struct seg *seg, uint32_t client, uint64_t word, uint64_t ticks)
{
	uint64_t expected = client_word_state(word) == SLOT_SETUP
				    ? 0
				    : load_relaxed(&seg->clients[client].started_ticks);

	return expected && ticks && ticks != expected && is_roster_byte_free(seg, client);
}

/* Where no pidfd can be had (the kernel, a filter, no descriptor left): there is no process of that
 * pid, or one that has ended and was not reaped, or another one. A first thread that has ended
 * while others run looks like the second but for their number. */
static bool is_gone_without_pidfd(struct seg *seg, uint32_t client, uint64_t word)
{
	uint32_t pid = client_word_pid(word);
	struct process_stat stat;

	if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
		return true;
	stat = read_stat(pid);
	if ((stat.state == 'Z' || stat.state == 'X') && stat.threads <= 1)
		return true;
	return is_pid_reused(seg, client, word, slot_ticks_since_boot(stat.started_ticks));
}

/* A pidfd of the process that claimed the slot, not of one that got its pid later. */
static int open_pidfd(struct seg *seg, uint32_t client, uint64_t word, bool *ret_is_gone)
{
	uint32_t pid = client_word_pid(word);
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0) {
		*ret_is_gone = errno == ESRCH || is_gone_without_pidfd(seg, client, word);
		return -1;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (is_pid_reused(seg, client, word, slot_start_ticks(pid))) {
		close(fd);
		*ret_is_gone = true;
		return -1;
	}
	return fd;
}

/* Under seg->mutex: the cached pidfd of that use of the slot, -1 if there is none. */
static int cached_pidfd(struct seg *seg, uint32_t client, uint32_t generation, bool *ret_is_gone)
{
	uint64_t word = slot_client_word(seg, client);
	int *fd = &seg->pidfds[client];

	*ret_is_gone = false;
	if (client_word_generation(word) != generation || client_word_state(word) == SLOT_FREE ||
	    !is_of_our_namespace(seg, client, word))
		return -1;
	if (seg->pidfd_generations[client] == generation &&
	    own_fd_is(*fd, seg->pidfd_files[client]))
		return *fd;
	own_fd_close(*fd, seg->pidfd_files[client]);
	*fd = open_pidfd(seg, client, word, ret_is_gone);
	seg->pidfd_files[client] = own_fd_file(*fd);
	seg->pidfd_generations[client] = generation;
	return *fd;
}

int slot_pidfd(struct seg *seg, uint32_t client, uint32_t generation, bool *ret_is_gone)
{
	int fd = -1;

	*ret_is_gone = false;
	if (client >= seg->at.max_clients)
		return fd;
	pthread_mutex_lock(&seg->mutex);
	fd = cached_pidfd(seg, client, generation, ret_is_gone);
	pthread_mutex_unlock(&seg->mutex);
	return fd;
}

static bool is_readable(int fd)
{
	struct pollfd ask = { .fd = fd, .events = POLLIN };

	return poll(&ask, 1, 0) == 1 && (ask.revents & POLLIN);
}

/* Before Linux 6.9 all pidfds look alike, and like other files without a name: one that says that
 * the process has ended may be the program's own file, opened where ours was closed. Ask anew. */
static bool is_end_confirmed(struct seg *seg, uint32_t client, uint32_t generation)
{
	bool is_gone;
	int fd = seg->pidfds[client];

	if (own_fd_has_identity(fd))
		return true;
	seg->pidfds[client] = -1; /* not closed: it may not be ours */
	fd = cached_pidfd(seg, client, generation, &is_gone);
	return fd < 0 ? is_gone : is_readable(fd);
}

/* Is the process of that slot's pid gone? Under the mutex, so that the descriptor is not closed and
 * its number used again between the look-up and the poll. */
static bool is_process_gone(struct seg *seg, uint32_t client, uint32_t generation)
{
	bool is_gone;
	int fd;

	pthread_mutex_lock(&seg->mutex);
	fd = cached_pidfd(seg, client, generation, &is_gone);
	if (fd >= 0)
		is_gone = is_readable(fd) && is_end_confirmed(seg, client, generation);
	pthread_mutex_unlock(&seg->mutex);
	return is_gone;
}

bool slot_is_dead(struct seg *seg, uint32_t client, uint32_t generation)
{
	uint64_t word = slot_client_word(seg, client);

	if (client == SLOT_NONE || client_word_generation(word) != generation ||
	    client_word_state(word) == SLOT_FREE)
		return false;
	if (client_word_state(word) == SLOT_DEAD)
		return true;
	if (client == seg->client && generation == seg->client_generation)
		return false;
	return load_relaxed(&seg->clients[client].verdict) == generation ||
	       is_process_gone(seg, client, generation);
}

bool slot_is_of_our_namespace(struct seg *seg, uint32_t client)
{
	return is_of_our_namespace(seg, client, slot_client_word(seg, client));
}
