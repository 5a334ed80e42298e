/* SPDX-License-Identifier: MIT
 *
 * See manager.h. Does not know: what is tested.
 */
#include "manager.h"

#include "libshm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3
#define BACKLOG 64
#define ARGUMENTS_MAX 16
#define PATIENCE_MS 15000
#define LAID_OUT_MAX (MANAGER_STORE_MAX + 8)

void manager_begin(struct manager *manager, bool is_abstract)
{
	const char *folder = harness_endpoint()->directory;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length;
	int one = 1;

	*manager = (struct manager){ .listening = -1 };
	snprintf(manager->path, sizeof manager->path, "%s%s/notify", is_abstract ? "@" : "",
		 folder);
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(manager->path));
	memcpy(address.sun_path, manager->path, strlen(manager->path));
	if (is_abstract)
		address.sun_path[0] = '\0';
	manager->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(manager->socket >= 0);
	assert_int_equal(setsockopt(manager->socket, SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
	assert_int_equal(bind(manager->socket, (struct sockaddr *)&address, length), 0);
}

void manager_listen(struct manager *manager)
{
	struct sockaddr_un address;

	assert_int_equal(wire_address(harness_endpoint()->socket, &address), 0);
	manager->listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(manager->listening, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(manager->listening, BACKLOG), 0);
}

static void set_number(const char *name, long number)
{
	char text[24];

	snprintf(text, sizeof text, "%ld", number);
	setenv(name, text, 1);
}

/* Copied out of the way first, then to 3, 4, ... */
static void lay_out(const struct manager *manager)
{
	static char names[LAID_OUT_MAX * 64];
	int fds[LAID_OUT_MAX];
	unsigned count = 0;

	if (manager->listening >= 0) {
		fds[count++] = manager->listening;
		strcat(names, "mpd.socket:");
	}
	for (unsigned i = manager->stored_count; i-- > 0;) {
		fds[count++] = manager->stored[i].fd;
		strcat(strcat(names, manager->stored[i].name), ":");
	}
	if (count == 0)
		return;
	names[strlen(names) - 1] = '\0';
	for (unsigned i = 0; i < count; i++)
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FD + (int)count);
	for (unsigned i = 0; i < count; i++)
		dup2(fds[i], FIRST_FD + (int)i);
	setenv("LISTEN_FDNAMES", names, 1);
	set_number("LISTEN_FDS", count);
	set_number("LISTEN_PID", getpid());
}

static void become_service(const struct manager *manager, char *const *arguments)
{
	setenv("NOTIFY_SOCKET", manager->path, 1);
	if (manager->watchdog_us) {
		setenv("WATCHDOG_USEC", manager->watchdog_us, 1);
		set_number("WATCHDOG_PID", getpid());
	}
	if (manager->watchdog_pid)
		setenv("WATCHDOG_PID", manager->watchdog_pid, 1);
	lay_out(manager);
	execv(getenv("MP_MPD"), arguments);
	_exit(127);
}

void manager_start(struct manager *manager, const char *first, ...)
{
	const char *arguments[ARGUMENTS_MAX] = { "mpd", "--endpoint",
						 harness_endpoint()->socket };
	unsigned count = 3;
	va_list rest;

	va_start(rest, first);
	for (const char *word = first; word; word = va_arg(rest, const char *))
		arguments[count++] = word;
	va_end(rest);
	assert_true(count < ARGUMENTS_MAX);
	manager->readies = 0;
	fflush(NULL);
	manager->pid = fork();
	assert_true(manager->pid >= 0);
	if (manager->pid == 0)
		become_service(manager, (char *const *)(uintptr_t)arguments);
}

static void store(struct manager *manager, const char *name, const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_true(manager->stored_count < MANAGER_STORE_MAX);
		snprintf(manager->stored[manager->stored_count].name, 64, "%s", name);
		manager->stored[manager->stored_count++].fd = fds[i];
	}
}

static void forget(struct manager *manager, const char *name)
{
	unsigned left = 0;

	for (unsigned i = 0; i < manager->stored_count; i++) {
		if (strcmp(manager->stored[i].name, name) == 0)
			close(manager->stored[i].fd);
		else
			manager->stored[left++] = manager->stored[i];
	}
	manager->forgotten += manager->stored_count - left;
	manager->stored_count = left;
}

static void note(struct manager *manager, const char *status)
{
	size_t used = strlen(manager->statuses);

	snprintf(manager->status, sizeof manager->status, "%s", status);
	snprintf(manager->statuses + used, sizeof manager->statuses - used, "%s\n", status);
}

/* Behind "KEY=" where a line begins with that; NULL: none does. */
static const char *find_value(const char *text, const char *key)
{
	size_t length = strlen(key);

	while (strncmp(text, key, length) != 0) {
		text = strchr(text, '\n');
		if (!text)
			return NULL;
		text++;
	}
	return text + length;
}

static bool take_value(const char *text, const char *key, char *ret_value, size_t bytes)
{
	const char *value = find_value(text, key);

	if (value)
		snprintf(ret_value, bytes, "%.*s", (int)strcspn(value, "\n"), value);
	return value != NULL;
}

static void take_number(const char *text, const char *key, int *number)
{
	const char *value = find_value(text, key);

	if (value)
		*number = atoi(value);
}

static void obey(struct manager *manager, const char *text, const int *fds, unsigned count)
{
	char name[64] = "stored", status[400];

	take_value(text, "FDNAME=", name, sizeof name);
	if (find_value(text, "FDSTORE=1"))
		store(manager, name, fds, count);
	else
		assert_int_equal(count, 0);
	if (find_value(text, "FDSTOREREMOVE=1"))
		forget(manager, name);
	manager->readies += find_value(text, "READY=1") != NULL;
	manager->stoppings += find_value(text, "STOPPING=1") != NULL;
	manager->pings += find_value(text, "WATCHDOG=1") != NULL;
	take_number(text, "MAINPID=", &manager->main_pid);
	take_number(text, "ERRNO=", &manager->error);
	if (take_value(text, "STATUS=", status, sizeof status))
		note(manager, status);
}

static unsigned take_control(struct manager *manager, struct msghdr *message, int *ret_fds)
{
	unsigned count = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		struct ucred sender;

		if (head->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&sender, CMSG_DATA(head), sizeof sender);
			manager->sender = sender.pid;
		} else if (head->cmsg_type == SCM_RIGHTS) {
			count = (unsigned)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(ret_fds, CMSG_DATA(head), count * sizeof(int));
		}
	}
	return count;
}

static bool read_one(struct manager *manager)
{
	char text[1024], control[512];
	struct iovec part = { text, sizeof text - 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof control };
	ssize_t bytes = recvmsg(manager->socket, &message, MSG_CMSG_CLOEXEC);
	int fds[64];
	unsigned count;

	if (bytes < 0)
		return false;
	assert_false(message.msg_flags & (MSG_CTRUNC | MSG_TRUNC));
	text[bytes] = '\0';
	count = take_control(manager, &message, fds);
	obey(manager, text, fds, count);
	return true;
}

void manager_read(struct manager *manager)
{
	while (read_one(manager))
		;
}

bool manager_until(struct manager *manager, bool (*is_true)(const struct manager *manager))
{
	for (unsigned ms = 0; ms < PATIENCE_MS; ms++) {
		manager_read(manager);
		if (is_true(manager))
			return true;
		harness_sleep_ms(1);
	}
	return false;
}

static bool is_ready(const struct manager *manager)
{
	return manager->readies > 0;
}

void manager_await_ready(struct manager *manager)
{
	if (!manager_until(manager, is_ready))
		fail_msg("it is not ready; it said: %s", manager->statuses);
}

int manager_wait(struct manager *manager)
{
	int code = harness_wait(manager->pid);

	manager_read(manager);
	return code;
}

void manager_kill(struct manager *manager)
{
	harness_kill(manager->pid);
	manager_read(manager);
}

int manager_stop(struct manager *manager)
{
	assert_int_equal(kill(manager->pid, SIGTERM), 0);
	return manager_wait(manager);
}

unsigned manager_stored(const struct manager *manager, const char *name)
{
	unsigned count = 0;

	for (unsigned i = 0; i < manager->stored_count; i++)
		count += strncmp(manager->stored[i].name, name, strlen(name)) == 0;
	return count;
}

void manager_drop_store(struct manager *manager)
{
	for (unsigned i = 0; i < manager->stored_count; i++)
		close(manager->stored[i].fd);
	manager->stored_count = 0;
}

void manager_end(struct manager *manager)
{
	manager_drop_store(manager);
	close(manager->socket);
	if (manager->listening >= 0) {
		close(manager->listening);
		unlink(harness_endpoint()->socket);
	}
	if (manager->path[0] == '/')
		unlink(manager->path);
}
