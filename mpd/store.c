/* SPDX-License-Identifier: MIT
 *
 * See store.h. Knows: the message format, LISTEN_FDNAMES. Does not know: how a holder works
 * (supervise.c is ours).
 */
#include "store.h"

#include "log.h"

#include "libshm/clock.h"
#include "libshm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SEND_ATTEMPTS 3
#define SEND_PAUSE_NS INT64_C(1000000)
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif
#define SEND_TIMEOUT_US 200000 /* a stopped holder must not stop mpd */

#define HEADS 4096

struct inherited {
	char name[STORE_NAME_BYTES];
	int fd;        /* -1: taken */
	uint16_t next; /* of the same hash, + 1; 0: no more */
};

static struct inherited inherited[STORE_MAX];
static uint16_t heads[HEADS];
static unsigned inherited_count;
static int holder = -1;
static bool is_manager; /* the holder is */
static bool is_deaf;    /* it had its time and did not read: it is not waited for again */

static int number_of(const char *variable)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : 0;
}

/* The next of "a:b:c"; an absent list gives empty names. */
static const char *next_name(const char *list, char ret_name[static STORE_NAME_BYTES])
{
	size_t length = strcspn(list, ":");

	snprintf(ret_name, STORE_NAME_BYTES, "%.*s", (int)length, list);
	return list[length] ? list + length + 1 : list + length;
}

static uint16_t *head_of(const char *name)
{
	uint32_t hash = 0;

	for (const char *at = name; *at; at++)
		hash = hash * 31 + (unsigned char)*at;
	return &heads[hash % HEADS];
}

static void take_list(void)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int count = number_of("LISTEN_FDS");

	if (number_of("LISTEN_PID") != (int)getpid() || count <= 0)
		return;
	if (!names)
		names = "";
	for (int i = 0; i < count && i < STORE_MAX; i++) {
		uint16_t *head;

		inherited[i].fd = STORE_FIRST_FD + i;
		names = next_name(names, inherited[i].name);
		head = head_of(inherited[i].name);
		inherited[i].next = *head;
		*head = (uint16_t)(i + 1);
		inherited_count++;
	}
	close_range(STORE_FIRST_FD, STORE_FIRST_FD + inherited_count - 1, CLOSE_RANGE_CLOEXEC);
}

static void set_timeout(int fd)
{
	struct timeval timeout = { .tv_usec = SEND_TIMEOUT_US };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

/* systemd's socket: a path, or @ and an abstract name. */
static int connect_holder(const char *path)
{
	struct sockaddr_un address;
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	int error = wire_address(path, &address);
	int fd;

	if (error < 0)
		return error;
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, length) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* Our supervisor's end is moved below everything that close_range will close. */
static int find_holder(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int passed = number_of(STORE_SOCKET_VARIABLE);

	if (passed >= STORE_FIRST_FD) {
		fcntl(passed, F_SETFD, FD_CLOEXEC);
		return passed;
	}
	is_manager = path != NULL;
	return path ? connect_holder(path) : -1;
}

/* What the caller of mpd left open would otherwise live as long as mpd. */
static void close_others(void)
{
	unsigned first = STORE_FIRST_FD + inherited_count;

	if (holder >= (int)first) {
		close_range(first, (unsigned)holder - 1, 0);
		first = (unsigned)holder + 1;
	}
	close_range(first, ~0U, 0);
}

void store_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int store_open(void)
{
	take_list();
	holder = find_holder();
	if (holder < 0 && is_manager)
		log_warning("the service manager at NOTIFY_SOCKET=%s cannot be reached (%s): it "
			    "keeps no descriptors, and does not hear that mpd serves",
			    getenv("NOTIFY_SOCKET"), strerror(-holder));
	close_others();
	if (holder >= 0) {
		set_timeout(holder);
		fcntl(holder, F_SETFL, O_RDWR); /* the mpd before us may have given it up */
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	unsetenv(STORE_SOCKET_VARIABLE);
	return 0;
}

void store_close(void)
{
	if (holder >= 0)
		close(holder);
	holder = -1;
}

bool store_has_manager(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

bool store_is_manager_s(void)
{
	return holder >= 0 && is_manager;
}

void store_disown(void)
{
	static const char *const variables[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
						 "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" };

	for (unsigned i = 0; i < ARRAY_LEN(variables); i++)
		unsetenv(variables[i]);
}

static int take(struct inherited *row)
{
	int fd = row->fd;

	row->fd = -1;
	return fd;
}

int store_take(const char *name)
{
	struct inherited *row;

	for (unsigned at = *head_of(name); at; at = row->next) {
		row = &inherited[at - 1];
		if (row->fd >= 0 && strcmp(row->name, name) == 0)
			return take(row);
	}
	return -1;
}

int store_take_if(bool (*is_wanted)(int fd))
{
	for (unsigned i = 0; i < inherited_count; i++)
		if (inherited[i].fd >= 0 && strcmp(inherited[i].name, "listen") != 0 &&
		    is_wanted(inherited[i].fd))
			return take(&inherited[i]);
	return -1;
}

int store_take_any(const char **ret_name)
{
	for (unsigned i = 0; i < inherited_count; i++) {
		if (inherited[i].fd < 0)
			continue;
		*ret_name = inherited[i].name;
		return take(&inherited[i]);
	}
	return -1;
}

static void set_deaf(bool deaf)
{
	if (deaf != is_deaf)
		fcntl(holder, F_SETFL, deaf ? O_RDWR | O_NONBLOCK : O_RDWR);
	is_deaf = deaf;
}

/* The kernel's want of memory, or of room for descriptors under way, is over soon. */
static bool is_passing(int error)
{
	return error == -ENOBUFS || error == -ENOMEM || error == -ETOOMANYREFS;
}

static int send_patiently(const char *text, const struct wire_fds *fds)
{
	int error = wire_send(holder, text, strlen(text), fds);

	for (unsigned i = 0; i < SEND_ATTEMPTS && is_passing(error); i++) {
		clock_sleep_ns(SEND_PAUSE_NS);
		error = wire_send(holder, text, strlen(text), fds);
	}
	return error;
}

static void send_to_holder(const char *text, const struct wire_fds *fds)
{
	int error;

	if (holder < 0)
		return;
	error = send_patiently(text, fds);
	if (error == 0 || error == -EAGAIN)
		set_deaf(error < 0);
	if (error == 0)
		return;
	log_warning("the %s does not answer (%s), and does not hear %.*s: what it keeps is lost "
		    "if mpd is killed; start mpd anew when it suits",
		    is_manager ? "service manager" : "supervisor", strerror(-error),
		    (int)strcspn(text, "\n"), text);
	if (error != -EAGAIN && !is_passing(error))
		store_close(); /* it is gone: we go on without */
}

void store_put(const char *name, int fd, int fd2)
{
	struct wire_fds fds = { .count = fd2 < 0 ? 1 : 2, .fd = { fd, fd2 } };
	char text[96];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0\n", name);
	send_to_holder(text, &fds);
}

void store_forget(const char *name)
{
	char text[96];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s\n", name);
	send_to_holder(text, NULL);
}

void store_say(const char *state)
{
	send_to_holder(state, NULL);
}
