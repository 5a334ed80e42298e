/* SPDX-License-Identifier: MIT
 *
 * Rows of setting up. Knows: attaching a fresh process, memory of an idle segment and of mpd.
 * Does not know: how often or in which order it is asked.
 *
 * A fresh process is this program once more (setup_main): it times its own first attach and writes
 * the nanoseconds to its standard output. The bare reference connects to a socket of the partner,
 * is handed a descriptor over it and maps that: what every attach through a daemon consists of.
 */
#include "rows.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT "bench-attach"
#define BARE_BYTES (UINT32_C(1) << 20)
#define POLL_MS 10

extern char **environ;

struct fresh {
	const char *word; /* the argument that makes this program the fresh process */
};

const struct fresh fresh_segment = { "--attach" };
const struct fresh fresh_bare = { "--attach-bare" };

static mp_segment *attached; /* holds the segment the fresh processes attach to */
static struct sockaddr_un bare_address = { .sun_family = AF_UNIX };
static int bare_socket, bare_memory;

/* An abstract address, so that nothing is left behind. */
static void name_bare_address(const char *owner)
{
	snprintf(bare_address.sun_path + 1, sizeof bare_address.sun_path - 1, "libshm-bench-%s",
		 owner);
}

void setup_open(void)
{
	char owner[16];

	check(mp_segment_open(SEGMENT, NULL, &attached));
	snprintf(owner, sizeof owner, "%d", (int)getpid());
	setenv("BENCH_BARE", owner, 1);
	name_bare_address(owner);
	bare_memory = memfd_create("bench-bare", MFD_CLOEXEC);
	bare_socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bare_memory < 0 || ftruncate(bare_memory, BARE_BYTES) < 0 || bare_socket < 0 ||
	    bind(bare_socket, (void *)&bare_address, sizeof bare_address) < 0 ||
	    listen(bare_socket, 1) < 0)
		bench_fail("no socket for the bare attach");
}

/* --- the fresh process --- */

static double attach_segment(void)
{
	struct mp_segment_opts opts = { .flags = MP_EXISTING | MP_NO_SPAWN };
	int64_t began = now_ns();
	mp_segment *segment;

	check(mp_segment_open(SEGMENT, &opts, &segment));
	return (double)(now_ns() - began);
}

static int receive_descriptor(int from)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof control.bytes };
	int descriptor;

	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
		bench_fail("no descriptor came");
	memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
	return descriptor;
}

static double attach_bare(void)
{
	int64_t began = now_ns();
	int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int memory;

	if (connect(connection, (void *)&bare_address, sizeof bare_address) < 0)
		bench_fail("cannot connect for the bare attach");
	memory = receive_descriptor(connection);
	if (mmap(NULL, BARE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) == MAP_FAILED)
		bench_fail("cannot map for the bare attach");
	return (double)(now_ns() - began);
}

/* Resident KiB of a process. */
static double resident_kib(pid_t pid)
{
	char path[32];
	unsigned long pages = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		bench_fail("cannot read /proc/PID/statm");
	fclose(file);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

int setup_main(int argc, char **argv)
{
	double value;

	if (argc != 2)
		return -1;
	if (strcmp(argv[1], fresh_segment.word) == 0) {
		value = attach_segment();
	} else if (strcmp(argv[1], fresh_bare.word) == 0 && getenv("BENCH_BARE")) {
		name_bare_address(getenv("BENCH_BARE"));
		value = attach_bare();
	} else {
		return -1;
	}
	return printf("%.0f\n", value) > 0 ? 0 : 1;
}

/* --- its parent --- */

static double ask_fresh_process(const char *word)
{
	char program[] = "/proc/self/exe", *argv[] = { program, (char *)(uintptr_t)word, NULL };
	posix_spawn_file_actions_t actions;
	int answer[2], status;
	char text[32] = "";
	pid_t child;

	if (pipe(answer) < 0 || posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, answer[1], STDOUT_FILENO) != 0 ||
	    posix_spawn(&child, program, &actions, NULL, argv, environ) != 0)
		bench_fail("cannot start a fresh process");
	posix_spawn_file_actions_destroy(&actions);
	close(answer[1]);
	if (read(answer[0], text, sizeof text - 1) <= 0 || waitpid(child, &status, 0) != child ||
	    status != 0)
		bench_fail("a fresh process failed");
	close(answer[0]);
	return strtod(text, NULL);
}

void attach(struct run *run)
{
	const struct fresh *fresh = run->row->arg;

	run_begin(run);
	while (run_note(run, ask_fresh_process(fresh->word)))
		;
	run_tell_over(run);
}

static void hand_out(int to)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct iovec data = { "", 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof control.bytes };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &bare_memory, sizeof bare_memory);
	if (sendmsg(to, &message, MSG_NOSIGNAL) != 1)
		bench_fail("cannot hand out a descriptor");
	close(to);
}

/* The partner as the barest daemon. */
void attach_bare_serve(struct run *run)
{
	struct pollfd ready = { .fd = bare_socket, .events = POLLIN };

	while (!run_is_over(run))
		if (poll(&ready, 1, POLL_MS) > 0)
			hand_out(accept4(bare_socket, NULL, NULL, SOCK_CLOEXEC));
}

/* --- memory --- */

static void note_once(struct run *run, double value)
{
	run_begin(run);
	run->laps[run->count++] = value;
}

/* What a segment takes that nobody has put anything into. */
void memory_segment(struct run *run)
{
	struct mp_segment_opts opts = { .flags = MP_EXCLUSIVE };
	struct mp_segment_info info;
	mp_segment *segment;

	check(mp_segment_open("bench-idle", &opts, &segment));
	check(mp_segment_info(segment, &info));
	mp_segment_close(segment);
	note_once(run, (double)info.committed_bytes / 1024);
}

static int connect_to_mpd(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *endpoint = getenv("MP_ENDPOINT");
	int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (!endpoint)
		bench_fail("MP_ENDPOINT must name the socket of an mpd of its own");
	snprintf(address.sun_path, sizeof address.sun_path, "%s", endpoint);
	if (connect(connection, (void *)&address, sizeof address) < 0)
		bench_fail("cannot connect to mpd");
	return connection;
}

static pid_t mpd_pid(void)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	int connection = connect_to_mpd();

	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		bench_fail("cannot tell which process mpd is");
	close(connection);
	return peer.pid;
}

static pid_t parent_of(pid_t pid)
{
	char path[32];
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d %*s %*c %d", &parent) != 1)
		bench_fail("cannot read /proc/PID/stat");
	fclose(file);
	return parent;
}

void memory_mpd(struct run *run)
{
	note_once(run, resident_kib(mpd_pid()));
}

/* The process that starts mpd anew when it dies. */
void memory_supervisor(struct run *run)
{
	note_once(run, resident_kib(parent_of(mpd_pid())));
}

/* The same of a process that does nothing. */
void memory_process(struct run *run)
{
	char program[] = "/bin/sleep", *argv[] = { program, "10", NULL };
	pid_t child;
	int status;

	if (posix_spawn(&child, program, NULL, NULL, argv, environ) != 0)
		bench_fail("cannot start sleep");
	usleep(POLL_MS * 1000);
	note_once(run, resident_kib(child));
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}
