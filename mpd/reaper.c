/* SPDX-License-Identifier: MIT
 *
 * See reaper.h. Knows: pidfds and what they do not tell. Does not know: sockets' messages.
 */
#include "reaper.h"

#include "log.h"
#include "loop.h"
#include "proc.h"
#include "roster.h"
#include "quota.h"
#include "sweeper.h"

#include "libshm/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define PROCESSES_MAX 4096
#define WATCHES_MAX 16384
#define LOOK_AGAIN_NS INT64_C(1000000000)

struct watch {
	struct watch *next;
	struct segment *segment;
	uint32_t client;
	uint32_t generation;
};

struct process {
	struct process *next;
	struct watch *watches;
	loop_id source;
	int pidfd; /* -1: none can be had, it is looked at now and then */
	uint32_t pid;
	bool is_connected;
	bool is_doubt_told;
	struct slot_identity identity; /* started_ticks 0: not asked for */
};

static struct process process_pool[PROCESSES_MAX];
static struct watch watch_pool[WATCHES_MAX];
static unsigned processes_used, watches_used;
static struct process *free_processes;
static struct watch *free_watches;
static struct process *processes;
static struct loop_timer look_timer;
static void (*notify_changed)(void);

void reaper_changed(void)
{
	notify_changed();
}

bool reaper_is_idle(void)
{
	return processes == NULL;
}

static struct watch *take_watch(void)
{
	struct watch *watch = free_watches;

	if (watch)
		free_watches = watch->next;
	else if (watches_used < WATCHES_MAX)
		watch = &watch_pool[watches_used++];
	return watch;
}

static void give_watch(struct watch *watch)
{
	watch->next = free_watches;
	free_watches = watch;
}

static void look_later(void)
{
	if (look_timer.deadline_ns == DEADLINE_NEVER)
		loop_timer_set(&look_timer, clock_now_ns() + LOOK_AGAIN_NS);
}

static void process_ended(void *arg, unsigned events);

/* Takes the pidfd over. */
static struct process *make_process(uint32_t pid, int pidfd)
{
	struct process *process = free_processes;

	if (process)
		free_processes = process->next;
	else if (processes_used < PROCESSES_MAX)
		process = &process_pool[processes_used++];
	if (!process) {
		if (pidfd >= 0)
			close(pidfd);
		return NULL;
	}
	*process = (struct process){ .next = processes, .pidfd = pidfd, .pid = pid };
	processes = process;
	if (pidfd >= 0)
		process->source = loop_add(pidfd, POLLIN, process_ended, process);
	if (!process->source)
		look_later();
	return process;
}

static void free_process(struct process *process)
{
	struct process **link = &processes;

	while (*link != process)
		link = &(*link)->next;
	*link = process->next;
	loop_remove(&process->source);
	if (process->pidfd >= 0)
		close(process->pidfd);
	process->pidfd = -1;
	process->next = free_processes;
	free_processes = process;
}

static void settle(struct process *process)
{
	if (!process->watches && !process->is_connected)
		free_process(process);
	notify_changed();
}

static void unlink_watch(struct process *process, struct watch *watch)
{
	struct watch **link = &process->watches;

	while (*link != watch)
		link = &(*link)->next;
	*link = watch->next;
	watch->segment->watches--;
}

/* That use of the slot is over. */
static void bury(struct process *process, struct watch *watch)
{
	struct segment *segment = watch->segment;
	uint32_t client = watch->client, generation = watch->generation;

	log_info("process %u died as client %u of '%s'", process->pid, client,
		 segment->record->name);
	unlink_watch(process, watch);
	give_watch(watch);
	store_release(&segment->seg->clients[client].verdict, generation);
	sweeper_bury(segment, client, generation);
	segment_check_end(segment);
}

static void bury_all(struct process *process)
{
	while (process->watches)
		bury(process, process->watches);
	settle(process);
}

static bool is_readable(int pidfd)
{
	struct pollfd ask = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&ask, 1, 0) == 1;
}

/* The process itself may still be connected; its connection's end will follow. */
static void process_ended(void *arg, unsigned events)
{
	struct process *process = arg;

	if (!is_readable(process->pidfd))
		return;
	loop_remove(&process->source);
	bury_all(process);
}

static bool is_slot_used(const struct watch *watch)
{
	uint64_t word = slot_client_word(watch->segment->seg, watch->client);

	return client_word_generation(word) == watch->generation &&
	       client_word_is_used(word);
}

/* The slots that a process has in a segment, under all its connections. It maps the segment once
 * for each: one that executed another program, or itself anew, has slots without a map. */
static unsigned count_slots(const struct process *like, const struct segment *segment)
{
	unsigned count = 0;

	for (struct process *process = processes; process; process = process->next)
		for (struct watch *watch = process->watches; watch; watch = watch->next)
			count += process->pid == like->pid && watch->segment == segment &&
				 is_slot_used(watch);
	return count;
}

/* Another user's, and mpd is not root: whether it has executed another program cannot be seen. */
static void tell_doubt(struct process *process, const struct watch *watch, int error)
{
	if (process->is_doubt_told || error != -EACCES)
		return;
	process->is_doubt_told = true;
	log_warning("process %u of another user has left mpd; whether it still uses '%s' only root "
		    "may see: it counts as alive until it ends", process->pid,
		    watch->segment->record->name);
}

/* Nobody speaks for it: does the process still use this slot? A free byte alone proves nothing,
 * closing any descriptor of the roster frees it. */
static bool is_lost(struct process *process, const struct watch *watch)
{
	int maps;

	if (process->pidfd < 0 &&
	    slot_is_dead(watch->segment->seg, watch->client, watch->generation))
		return true;
	if (!roster_is_free(load_relaxed(&watch->segment->seg->clients[watch->client]
					 .roster_byte), process->pid))
		return false;
	/* Where the maps cannot be read and a pidfd or a connection speaks for it, the process gets
	 * the benefit. */
	maps = proc_count_mapped(process->pid, watch->segment->fd);
	if (maps >= 0)
		return (unsigned)maps < count_slots(process, watch->segment);
	if (process->pidfd >= 0) {
		tell_doubt(process, watch, maps);
		return false;
	}
	return !process->is_connected || maps == -ENOENT || maps == -ESRCH;
}

/* Look at a process without a connection, or without a pidfd: a forked child may keep the
 * connection of a dead one open. */
static void examine(struct process *process)
{
	struct watch *next;

	if (is_readable(process->pidfd)) {
		bury_all(process);
		return;
	}
	for (struct watch *watch = process->watches; watch; watch = next) {
		next = watch->next;
		if (!is_slot_used(watch)) {
			struct segment *segment = watch->segment;

			unlink_watch(process, watch);
			give_watch(watch);
			segment_check_end(segment);
		} else if (is_lost(process, watch)) {
			bury(process, watch);
		}
	}
	if (process->watches)
		look_later();
	settle(process);
}

static void look_again(void *arg, unsigned events)
{
	struct process *next;

	for (struct process *process = processes; process; process = next) {
		next = process->next;
		if (!process->is_connected || process->pidfd < 0)
			examine(process);
	}
}

static struct watch *find_watch(struct segment *segment, uint32_t client,
				struct process **ret_process)
{
	if (!segment->watches)
		return NULL;
	for (struct process *process = processes; process; process = process->next)
		for (struct watch *watch = process->watches; watch; watch = watch->next)
			if (watch->segment == segment && watch->client == client) {
				*ret_process = process;
				return watch;
			}
	return NULL;
}

/* The slot's own word must agree: one cannot be watched as somebody else. */
static bool is_slot_of(const struct segment *segment, uint32_t client, uint32_t generation,
		       uint32_t pid)
{
	uint64_t word = slot_client_word(segment->seg, client);
	uint64_t ours = slot_pid_namespace();

	if (client < SLOT_FIRST || client_word_generation(word) != generation ||
	    !client_word_is_used(word))
		return false;
	return client_word_pid(word) == pid ||
	       load_relaxed(&segment->seg->clients[client].pid_namespace) != ours;
}

static void add_watch(struct process *process, struct watch *watch, struct segment *segment,
		      uint32_t client, uint32_t generation)
{
	*watch = (struct watch){ .next = process->watches, .segment = segment, .client = client,
				 .generation = generation };
	process->watches = watch;
	segment->watches++;
}

/* Watched already: as a process found in the table after a restart, over another connection of the
 * same process, or as an older use of the slot. That watch has to make room. 0 or -EPERM. */
static int make_room(struct process *process, struct segment *segment, uint32_t client,
		     uint32_t generation)
{
	struct process *former;
	struct watch *watch = find_watch(segment, client, &former);

	if (!watch)
		return 0;
	if (former->is_connected && former->pid != process->pid && watch->generation == generation)
		return -EPERM;
	unlink_watch(former, watch);
	give_watch(watch);
	if (former != process)
		settle(former);
	return 0;
}

int reaper_watch(struct process **process, int socket, uint32_t pid, struct segment *segment,
		 uint32_t client, uint32_t generation)
{
	struct watch *watch;
	int error;

	if (!is_slot_of(segment, client, generation, pid))
		return -EINVAL;
	if (!*process) {
		uint64_t ticks = load_relaxed(&segment->seg->clients[client].started_ticks);

		*process = make_process(pid, proc_open_peer(socket, pid, ticks));
		if (!*process)
			return -EDQUOT;
		(*process)->is_connected = true;
	}
	error = make_room(*process, segment, client, generation);
	if (error < 0)
		return error;
	watch = take_watch();
	if (!watch)
		return -EDQUOT;
	add_watch(*process, watch, segment, client, generation);
	return 0;
}

/* Who was watched by the mpd before us has said nothing to this one: his slot speaks for him. */
int reaper_unwatch(struct process *process, struct segment *segment, uint32_t client,
		   uint32_t generation)
{
	struct process *owner = NULL;
	struct watch *watch = find_watch(segment, client, &owner);

	if (!watch || watch->generation != generation || (owner != process && is_slot_used(watch)))
		return -ENOENT;
	unlink_watch(owner, watch);
	give_watch(watch);
	segment_check_end(segment);
	settle(owner);
	return 0;
}

unsigned reaper_slots_of(uint32_t pid, const struct segment *segment, bool *ret_is_in)
{
	unsigned count = 0;

	for (struct process *process = processes; process; process = process->next)
		for (struct watch *watch = process->watches; watch; watch = watch->next) {
			if (process->pid != pid)
				continue;
			count++;
			*ret_is_in |= watch->segment == segment;
		}
	return count;
}

void reaper_connection_ended(struct process *process)
{
	process->is_connected = false;
	examine(process);
}

/* A connected one speaks for the slots it has told of. Another of its pid may be what it was before
 * it executed itself anew. */
static struct process *find_silent_process(uint32_t pid)
{
	for (struct process *process = processes; process; process = process->next)
		if (process->pid == pid && pid != 0 && !process->is_connected)
			return process;
	return NULL;
}

/* A pid of another namespace means nothing here, unless that process is found below ours: else such
 * a client is looked at now and then, as is one for whom no pidfd can be had. */
static struct process *process_of_slot(struct segment *segment, uint32_t client,
				       uint32_t generation)
{
	struct seg *seg = segment->seg;
	uint32_t pid = client_word_pid(slot_client_word(seg, client));
	struct process *process;
	bool is_gone;
	int fd = slot_pidfd(seg, client, generation, &is_gone);

	if (is_gone)
		return NULL;
	if (slot_is_of_our_namespace(seg, client))
		fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	else
		fd = proc_open_foreign(load_relaxed(&seg->clients[client].pid_namespace), pid,
				       &pid);
	process = find_silent_process(pid);
	if (!process)
		return make_process(pid, fd);
	if (fd >= 0)
		close(fd);
	return process;
}

/* A pidfd that is still silent after the look: it was this process that was looked at. */
static void identify(struct process *process, struct seg *seg, uint32_t client)
{
	uint64_t ticks = slot_start_ticks(process->pid);

	if (is_readable(process->pidfd) || !slot_is_of_our_namespace(seg, client))
		return;
	process->identity = (struct slot_identity){ process->pid,
						    load_relaxed(&seg->pid_namespace), ticks };
}

/* Its pidfd is silent and will speak: one in many segments is looked at once, not for each. */
static struct process *known_process(struct segment *segment, uint32_t client, uint32_t generation)
{
	uint32_t pid = client_word_pid(slot_client_word(segment->seg, client));
	struct process *process = find_silent_process(pid);

	if (!process || !process->source || is_readable(process->pidfd))
		return NULL;
	return slot_is_of(segment->seg, client, generation, &process->identity) ? process : NULL;
}

static unsigned watch_slot(struct segment *segment, uint32_t client)
{
	uint64_t word = slot_client_word(segment->seg, client);
	uint32_t generation = client_word_generation(word);
	struct process *process;
	struct watch *watch;

	if (!client_word_is_taken(word))
		return 0;
	if (find_watch(segment, client, &process))
		return 1;
	process = known_process(segment, client, generation);
	if (!process && slot_is_dead(segment->seg, client, generation)) {
		sweeper_bury(segment, client, generation);
		return 0;
	}
	if (!process)
		process = process_of_slot(segment, client, generation);
	if (process && process->source && !process->identity.started_ticks)
		identify(process, segment->seg, client);
	watch = process && quota_has_slot(segment->record->uid) ? take_watch() : NULL;
	if (!watch) {
		log_error("client %u of '%s' cannot be watched", client, segment->record->name);
		return 0;
	}
	add_watch(process, watch, segment, client, generation);
	look_later();
	return 1;
}

unsigned reaper_watch_table(struct segment *segment)
{
	uint32_t high = seg_clients_high(segment->seg);
	unsigned count = 0;

	for (uint32_t client = SLOT_FIRST; client < high; client++)
		count += watch_slot(segment, client);
	return count;
}

void reaper_open(void (*changed)(void))
{
	notify_changed = changed;
	look_timer.fn = look_again;
	look_timer.deadline_ns = DEADLINE_NEVER;
}
