/* SPDX-License-Identifier: MIT
 *
 * This thread in this segment. Knows: the thread's slot, its private cache and park, forks, the end
 * of threads. Does not know: objects.
 *
 * Selves live in pages that the kernel wipes in a forked child. What the child must still give back
 * (the pages, the ring's descriptor) is noted in a self_node on the heap.
 */
#include "self.h"

#include "errno_kept.h"
#include "explain.h"
#include "probe.h"
#include "slot.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SELF_BYTES align_up(sizeof(struct self), 4096)

_Thread_local struct self *self_latest tls_fast;

static _Thread_local struct self *selves_of_thread;
static _Thread_local uint64_t selves_epoch;

static atom32 preparer;    /* the pid of who prepares, 0: nobody */
static atom32 is_prepared;
static pthread_key_t ends; /* its destructor is called where the value is not NULL */
static bool has_key, has_atfork;
static void (*call_after_fork)(void);
static pthread_mutex_t fork_mutex = PTHREAD_MUTEX_INITIALIZER;
/* A thread that ends and one that detaches must not both end the same self. */
static pthread_mutex_t ends_mutex = PTHREAD_MUTEX_INITIALIZER;
static atom32 *fork_page; /* wiped in a child: 1 in the process that has looked */
static atom64 fork_epoch;

static void *map_wiped(size_t bytes)
{
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	if (madvise(page, bytes, MADV_WIPEONFORK) < 0) {
		munmap(page, bytes);
		return NULL;
	}
	return page;
}

static struct self *unlink_node(struct seg *seg, struct self_node *node)
{
	struct self_node **link = &seg->selves;
	struct self *self = node->self;

	while (*link && *link != node)
		link = &(*link)->next;
	if (*link)
		*link = node->next;
	free(node);
	return self;
}

/* A thread of ours ends, or its process detaches: nothing of it may remain in the segment. */
static void end_self(struct self *self)
{
	struct seg *seg = self->seg;

	arena_flush(seg, &self->cache, self->client);
	if (seg->hooks)
		seg->hooks->thread_ended(seg, self->thread, self->who);
	slot_free_thread(seg, self->thread, load_relaxed(&self->shared->word));
	if (self->park)
		self->engine->close(self->park);
	self->seg = NULL;
}

static void thread_ends(void *unused)
{
	struct self *self, *next;

	(void)unused;
	if (selves_epoch != self_fork_epoch())
		return; /* the list is the parent's, and wiped */
	pthread_mutex_lock(&ends_mutex);
	for (self = selves_of_thread; self; self = next) {
		struct seg *seg = self->seg;

		next = self->next;
		if (seg) {
			end_self(self);
			pthread_mutex_lock(&seg->mutex);
			unlink_node(seg, self->node);
			pthread_mutex_unlock(&seg->mutex);
		}
		munmap(self, SELF_BYTES);
	}
	pthread_mutex_unlock(&ends_mutex);
	selves_of_thread = NULL;
	self_latest = NULL;
}

/* In the child, before fork() returns: it has one thread yet. */
static void notice_fork(void)
{
	(void)self_fork_epoch();
}

/* Each part once, however often the others fail. Without any of them a fork or the end of a thread
 * could pass unseen. */
static int prepare_parts(void)
{
	if (!has_key)
		has_key = pthread_key_create(&ends, thread_ends) == 0;
	if (!has_atfork)
		has_atfork = pthread_atfork(NULL, NULL, notice_fork) == 0;
	if (!fork_page) {
		fork_page = map_wiped(4096);
		if (fork_page)
			store_relaxed(fork_page, 1);
	}
	return has_key && has_atfork && fork_page ? 0 : -ENOMEM;
}

/* One at a time. Not pthread_once, which cannot be tried again. A forked child that finds its
 * parent's pid here has no such thread, and goes on where that one was. */
static int prepare(void)
{
	uint32_t me = (uint32_t)getpid(), who = 0;
	int error = 0;

	while (!cas_acquire(&preparer, &who, me) && who == me) {
		sched_yield();
		who = 0;
	}
	store_relaxed(&preparer, me);
	if (!load_relaxed(&is_prepared))
		error = prepare_parts();
	if (error == 0)
		/* edge self_prepared: release -> self_prepare(), self_fork_epoch() acquire; makes
		 * key and page visible */
		store_release(&is_prepared, 1);
	store_release(&preparer, 0);
	return error;
}

int self_prepare(void (*after_fork)(void))
{
	int error = load_acquire(&is_prepared) ? 0 : prepare(); /* edge self_prepared */

	if (error == 0)
		call_after_fork = after_fork;
	return error;
}

uint64_t self_fork_epoch(void)
{
	/* edge self_prepared. Before that there is no segment, and all forks are alike. */
	if (unlikely(!load_acquire(&is_prepared)) && prepare() < 0)
		return 0;
	if (unlikely(load_relaxed(fork_page) == 0)) {
		/* Called from fork() itself (notice_fork), or after a fork by a bare system call:
		 * one thread lives here. The mutexes may be held by threads that do not. */
		pthread_mutex_init(&fork_mutex, NULL);
		pthread_mutex_init(&ends_mutex, NULL);
		add_relaxed(&fork_epoch, 1);
		store_relaxed(fork_page, 1);
		if (call_after_fork)
			call_after_fork(); /* last: it asks for the epoch */
	}
	return load_relaxed(&fork_epoch);
}

void self_drop_inherited(struct seg *seg)
{
	struct self_node *node = seg->selves, *next;

	seg->selves = NULL;
	for (; node; node = next) {
		next = node->next;
		/* The ring's memory is not here (dontfork); its descriptor is. The park itself is
		 * left to the heap: closing it would touch the ring. */
		if (node->park && node->engine->descriptor(node->park) >= 0)
			close(node->engine->descriptor(node->park));
		munmap(node->self, SELF_BYTES);
		if (node->self == self_latest)
			self_latest = NULL;
		free(node);
	}
}

/* No place for this thread, or for what stands for its process in plain locks. */
static cold int refuse(const struct seg *seg, int error)
{
	uint32_t most = seg->at.max_threads - SLOT_FIRST;

	if (error == -ENOSPC && slot_are_threads_full(seg))
		return explain(error,
			       "segment '%s' takes %u threads at once and has them (max_sleepers "
			       "%u, less %u); end some, or make it with more",
			       seg->name, most, seg->at.max_threads, SLOT_FIRST);
	return explain(error, "this thread cannot take part in segment '%s', there is no memory",
		       seg->name);
}

static int explain_stale(const struct seg *seg)
{
	return explain(-ESTALE,
		       "an object of segment '%s' was freed between the fork and this child's "
		       "first call; close the segment here and open it anew",
		       seg->name);
}

int self_join(struct seg *seg)
{
	uint64_t epoch = self_fork_epoch();
	int result = 0;

	if (likely(load_acquire(&seg->fork_epoch) == epoch))
		return seg->is_stale ? explain_stale(seg) : 0;
	pthread_mutex_lock(&fork_mutex);
	if (load_relaxed(&seg->fork_epoch) != epoch)
		result = seg->hooks ? seg->hooks->join_after_fork(seg)
				    : explain(-EPERM, "segment '%s' does not outlive a fork",
					      seg->name);
	pthread_mutex_unlock(&fork_mutex);
	return result;
}

/* Drop the pages of segments that were left meanwhile, or of the process that forked us. */
static void prune(void)
{
	struct self **link = &selves_of_thread;

	if (selves_epoch != self_fork_epoch()) {
		selves_of_thread = NULL;
		self_latest = NULL; /* wiped, and soon unmapped */
		selves_epoch = self_fork_epoch();
	}
	while (*link) {
		struct self *self = *link;

		if (self->seg) {
			link = &self->next;
			continue;
		}
		*link = self->next;
		if (self == self_latest)
			self_latest = NULL;
		munmap(self, SELF_BYTES);
	}
}

static struct self *find_in_thread(const struct seg *seg)
{
	struct self *self;

	prune();
	for (self = selves_of_thread; self && self->seg != seg; self = self->next)
		;
	return self;
}

static int claim(struct seg *seg, struct self *self)
{
	int error = slot_claim_thread(seg, seg->client, &self->thread, &self->who);

	if (error < 0)
		return error;
	self->client = seg->client;
	self->client_generation = seg->client_generation;
	self->shared = &seg->threads[self->thread];
	self->seg = seg;
	return 0;
}

static void enlist(struct seg *seg, struct self *self, struct self_node *node)
{
	*node = (struct self_node){ .self = self };
	self->node = node;
	pthread_mutex_lock(&seg->mutex);
	node->next = seg->selves;
	seg->selves = node;
	pthread_mutex_unlock(&seg->mutex);
	self->next = selves_of_thread;
	selves_of_thread = self;
}

static int make(struct seg *seg, struct self **ret_self)
{
	struct self_node *node = malloc(sizeof *node);
	struct self *self = node ? map_wiped(SELF_BYTES) : NULL;
	/* Any value will do, and it is not taken back: thread_ends() goes by the list. */
	bool is_end_seen = self && pthread_setspecific(ends, &ends) == 0;
	int error = is_end_seen ? claim(seg, self) : -ENOMEM;

	if (error < 0) {
		if (self)
			munmap(self, SELF_BYTES);
		free(node);
		return refuse(seg, error);
	}
	enlist(seg, self, node);
	*ret_self = self;
	return 0;
}

int self_find(struct seg *seg, struct self **ret_self)
{
	KEEP_ERRNO;
	struct self *self;
	int error = self_join(seg);

	if (error < 0)
		return error;
	self = find_in_thread(seg);
	if (!self && (error = make(seg, &self)) < 0)
		return error;
	self_latest = self;
	*ret_self = self;
	return 0;
}

int self_anchor(struct seg *seg, uint64_t *ret_who)
{
	uint64_t who = load_acquire(&seg->anchor);
	int error = 0;

	if (likely(who)) {
		*ret_who = who;
		return 0;
	}
	pthread_mutex_lock(&seg->mutex);
	who = load_relaxed(&seg->anchor);
	if (!who)
		error = slot_claim_anchor(seg, seg->client, &who);
	if (error == 0)
		store_release(&seg->anchor, who);
	pthread_mutex_unlock(&seg->mutex);
	if (error < 0)
		return refuse(seg, error);
	*ret_who = who;
	return 0;
}

int self_park(struct self *me)
{
	enum probe_reason reason;
	int error;

	if (me->park)
		return 0;
	error = probe_engine(&me->engine);
	if (error < 0)
		return error;
	reason = probe_reason();
	error = me->engine->open(&me->park);
	if (error < 0 && me->engine != &park_futex) {
		me->engine = &park_futex; /* no descriptor left, or no memory for a ring */
		reason = PROBE_NO_RING;
		error = me->engine->open(&me->park);
	}
	me->node->park = error < 0 ? NULL : me->park;
	me->node->engine = me->engine;
	store_relaxed(&me->shared->engine, me->engine->engine);
	store_relaxed(&me->shared->engine_reason, reason);
	return error;
}

void self_forget_all(struct seg *seg)
{
	struct self_node *node;

	pthread_mutex_lock(&ends_mutex);
	pthread_mutex_lock(&seg->mutex);
	while ((node = seg->selves)) {
		struct self *self = unlink_node(seg, node);

		pthread_mutex_unlock(&seg->mutex);
		/* Its thread unmaps the page when it ends, or finds it by seg == NULL. */
		end_self(self);
		pthread_mutex_lock(&seg->mutex);
	}
	pthread_mutex_unlock(&seg->mutex);
	pthread_mutex_unlock(&ends_mutex);
	self_latest = NULL;
	prune();
}

bool self_is_alone(const struct seg *seg)
{
	return !seg->selves || (!seg->selves->next && seg->selves->self->seg == seg &&
				find_in_thread(seg) == seg->selves->self);
}
