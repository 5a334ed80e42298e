/* SPDX-License-Identifier: MIT
 *
 * See serve.h. Leaving: the socket is moved out of sight first, so that nobody new can connect;
 * whoever had connected before is still in the queue, and then mpd stays.
 */
#include "serve.h"

#include "adopt.h"
#include "ctl.h"
#include "doctor.h"
#include "endpoint.h"
#include "log.h"
#include "loop.h"
#include "notify.h"
#include "quota.h"
#include "reaper.h"
#include "registry.h"
#include "roster.h"
#include "rescue.h"
#include "segment.h"
#include "store.h"
#include "sweeper.h"
#include "system.h"
#include "version.h"

#include "libshm/wire.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEAVE_AGAIN_NS INT64_C(250000000) /* where the socket could not be moved */
#define NEWCOMER_NS INT64_C(10000000)
#define STATUS_NS INT64_C(1000000000)   /* of what has changed meanwhile, one is told of */
#define FIRST_CLIENT_NS INT64_C(3000000000) /* whoever started mpd may be slow to come */

static struct serve_plan plan;
static struct loop_timer leave_timer, status_timer, log_timer;
static struct {
	unsigned segments, clients;
} told; /* the service manager */
static uint64_t started_ns;
static bool is_private;
static bool is_handed_down; /* a supervisor has the lock, and starts us again */
static bool is_activated; /* a service manager made the socket, and listens while we are away */
static char activated_path[ENDPOINT_BYTES];

static void look_after_no_more(struct segment *segment)
{
	doctor_end(segment);
	sweeper_end(segment);
}

static const struct segment_keepers keepers = {
	.roster = roster_fd,
	.begun = doctor_begin,
	.ending = look_after_no_more,
	.watch_clients = reaper_watch_table,
	.repair = sweeper_add,
	.changed = reaper_changed,
};

uint64_t version_started_ns(void)
{
	return started_ns;
}

static bool is_unused(void)
{
	return ctl_client_count() == 0 && reaper_is_idle() && !segment_any_kept() &&
	       adopt_is_done();
}

/* Where a service manager listens too, whoever comes now is in its queue, and has us started. */
static void leave_activated(void)
{
	ctl_accept();
	if (!is_unused())
		return;
	log_info("unused, leaving until somebody connects");
	loop_stop();
}

/* Whoever was accepted a moment ago may have his first words under way. */
static void leave(void *arg, unsigned events)
{
	int64_t now = clock_now_ns();

	if (is_activated && is_unused()) {
		leave_activated();
		return;
	}
	if (!is_unused())
		return;
	if (!endpoint_hide(plan.endpoint)) {
		loop_timer_set(&leave_timer, now + LEAVE_AGAIN_NS);
		return;
	}
	if (now - ctl_accept() > NEWCOMER_NS && is_unused()) {
		log_info("unused, leaving");
		loop_stop();
		return;
	}
	endpoint_show(plan.endpoint);
	if (is_unused())
		loop_timer_set(&leave_timer, now + NEWCOMER_NS);
}

static void settle_log(void *arg, unsigned events)
{
	log_settle();
}

static void set_log_alarm(int64_t deadline_ns)
{
	loop_timer_set(&log_timer, deadline_ns);
}

static unsigned segment_count(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < REGISTRY_RECORDS; i++)
		count += segment_at(i) != NULL;
	return count;
}

static void tell_status(void *arg, unsigned events)
{
	told.segments = segment_count();
	told.clients = ctl_client_count();
	notify_status("serving %s: %u segments, %u clients connected", plan.endpoint,
		      told.segments, told.clients);
}

/* A burst of changes is told once, and nobody is woken for no news. */
static void reconsider_status(void)
{
	if (!notify_is_heard() || status_timer.deadline_ns != DEADLINE_NEVER)
		return;
	if (told.clients != ctl_client_count() || told.segments != segment_count())
		loop_timer_set(&status_timer, clock_now_ns() + STATUS_NS);
}

static void reconsider(void)
{
	reconsider_status();
	if (!is_private)
		return;
	if (!is_unused())
		loop_timer_set(&leave_timer, DEADLINE_NEVER);
	else if (leave_timer.deadline_ns == DEADLINE_NEVER)
		loop_timer_set(&leave_timer, clock_now_ns() + plan.grace_ns);
}

static void obey_settings(void)
{
	is_private = !plan.is_kept && !plan.is_system;
	quota_configure(plan.quotas);
}

static void reload_settings(void)
{
	if (!plan.reload(&plan))
		return;
	obey_settings();
	if (!is_private)
		loop_timer_set(&leave_timer, DEADLINE_NEVER);
	reconsider();
}

static void take_signal(void *arg, unsigned events)
{
	struct signalfd_siginfo info;
	int fd = (int)(intptr_t)arg;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR1) {
		log_dump();
		return;
	}
	if (info.ssi_signo == SIGHUP) {
		log_reopen();
		reload_settings();
		return;
	}
	log_info("told to end (signal %u)", info.ssi_signo);
	loop_stop();
}

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	return loop_add(fd, POLLIN, take_signal, (void *)(intptr_t)fd) ? 0 : -ENOMEM;
}

/* One that was handed down is ours only while its file has its name: an mpd that ended by itself
 * has removed that. */
static int take_lock(void)
{
	int fd = store_take("lock");
	int is_ours = fd < 0 ? 0 : endpoint_is_locked_by(plan.endpoint, fd);

	is_handed_down = is_ours != 0 && !store_is_manager_s();
	if (is_ours != 0)
		return is_ours < 0 ? is_ours : fd;
	if (fd >= 0) {
		store_forget("lock");
		close(fd);
	}
	fd = endpoint_lock(plan.endpoint);
	if (fd >= 0)
		store_put("lock", fd, -1);
	return fd;
}

static int take_socket(void)
{
	int fd = store_take("listen"), error = 0;

	if (fd >= 0) {
		/* The mpd before us may have died while it was leaving. */
		if (access(plan.endpoint, F_OK) < 0)
			endpoint_show(plan.endpoint);
		return fd;
	}
	fd = endpoint_listen(plan.endpoint);
	if (fd >= 0 && plan.is_system)
		error = system_open_socket(plan.endpoint, plan.socket_mode, plan.socket_gid);
	if (error < 0)
		log_warning("other users cannot connect to %s: %s", plan.endpoint,
			    strerror(-error));
	if (fd >= 0)
		store_put("listen", fd, -1);
	return fd;
}

/* A socket that the service manager made says itself where we serve. -1: there is none; -errno. */
static int take_activated(void)
{
	int fd = store_take_if(endpoint_is_listening);
	int error;

	if (fd < 0)
		return -1;
	error = endpoint_of_socket(fd, activated_path);
	if (error < 0) {
		log_error("the socket handed down by the service manager has no path: mpd.socket "
			  "needs ListenSequentialPacket=PATH");
		close(fd);
		return -EINVAL;
	}
	if (strcmp(activated_path, plan.endpoint) != 0)
		log_info("serving %s, where the service manager listens, and not %s",
			 activated_path, plan.endpoint);
	plan.endpoint = activated_path;
	plan.is_system |= strcmp(activated_path, WIRE_SYSTEM_ENDPOINT) == 0;
	is_activated = true;
	return fd;
}

/* Two memories under one name are possible then, and must not come about unsaid. */
static int look_for_lost(void)
{
	int error = rescue_all(plan.endpoint);

	if (error < 0)
		return error;
	endpoint_settle(plan.endpoint);
	if (plan.is_system && geteuid() != 0)
		log_warning("the mpd before this one did not hand its segments down; only root "
			    "could look for them at other users' processes: those that still run "
			    "keep memory whose name will be made anew");
	return 0;
}

/* No registry tells then what the mpd before this one had. */
static bool is_after_crash(int registry_fd)
{
	if (registry_fd >= 0 && registry_restarts() == 0)
		return true; /* of no use: another one was made */
	return is_activated ? registry_fd < 0 : endpoint_was_left(plan.endpoint);
}

static int open_parts(int listen_fd)
{
	int registry_fd = store_take("registry");
	int error = loop_open();

	if (error == 0)
		error = registry_open(registry_fd);
	if (error == 0)
		error = roster_open(store_take("roster"));
	reaper_open(reconsider);
	if (error == 0)
		error = open_signals();
	if (error < 0)
		return error;
	obey_settings();
	segment_configure(plan.endpoint, &keepers);
	leave_timer.deadline_ns = DEADLINE_NEVER;
	leave_timer.fn = leave;
	status_timer.deadline_ns = DEADLINE_NEVER;
	status_timer.fn = tell_status;
	log_timer.fn = settle_log;
	log_set_alarm(set_log_alarm);
	error = ctl_open(listen_fd, plan.is_system, reconsider);
	if (error < 0)
		return error;
	if (!adopt_all(plan.grace_ns, reconsider) || is_after_crash(registry_fd))
		return look_for_lost();
	return 0;
}

static int run(int listen_fd)
{
	int error = open_parts(listen_fd);

	if (error < 0)
		return error;
	if (is_private && is_unused())
		loop_timer_set(&leave_timer, clock_now_ns() + (plan.grace_ns > FIRST_CLIENT_NS ?
							       plan.grace_ns : FIRST_CLIENT_NS));
	log_info("serving %s with %s", plan.endpoint, loop_engine());
	notify_open();
	notify_ready("serving %s", plan.endpoint);
	loop_run();
	notify_stopping();
	log_settle_all();
	loop_close();
	return 0;
}

/* What a service manager keeps is handed to the next mpd, in case it is about to start one; the
 * files that end with us are not. */
static void forget_files(void)
{
	if (!store_is_manager_s())
		return;
	store_forget("listen");
	store_forget("lock");
}

static int fail(int error)
{
	log_error("%s cannot be served: %s", plan.endpoint, endpoint_advice(error));
	notify_failure(error, "%s cannot be served: %s", plan.endpoint, endpoint_advice(error));
	return 1;
}

/* 0: the other one serves. But it has no socket where the service manager listens. */
static int end_as_second(void)
{
	if (!is_activated) {
		log_info("another mpd serves %s", plan.endpoint);
		return 0;
	}
	log_error("another mpd has served %s since before the service manager did; end that one",
		  plan.endpoint);
	return 1;
}

static int serve_locked(int lock_fd, int listen_fd)
{
	bool is_in_use = true; /* or another's */
	int error = listen_fd < 0 ? take_socket() : listen_fd;

	if (error >= 0) {
		error = run(error);
		is_in_use = error == 0 && !(reaper_is_idle() && adopt_is_done());
	}
	if (error < 0)
		fail(error);
	forget_files();
	/* Whoever connects meanwhile is in the queue of the next one. */
	if (error >= 0 || !is_handed_down)
		endpoint_remove(plan.endpoint, lock_fd, is_in_use || is_activated);
	return error < 0;
}

int serve(const struct serve_plan *given)
{
	int lock_fd, listen_fd;

	plan = *given;
	started_ns = (uint64_t)clock_now_ns();
	prctl(PR_SET_NAME, "mpd");
	store_raise_limit();
	listen_fd = take_activated();
	if (listen_fd == -EINVAL)
		return 1;
	lock_fd = take_lock();
	if (lock_fd == -EAGAIN)
		return end_as_second();
	return lock_fd < 0 ? fail(lock_fd) : serve_locked(lock_fd, listen_fd);
}
