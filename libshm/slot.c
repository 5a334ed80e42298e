/* SPDX-License-Identifier: MIT
 *
 * Who is attached. Knows: client and thread slots, generations, proofs of death, guards.
 * Does not know: what the dead left, how to sleep, mpd's protocol.
 *
 * A slot is claimed by one CAS that stores state, generation and pid together: whoever meets a
 * half-made slot can ask whether its maker lives. It is freed by one CAS on exactly the swept word,
 * so a late sweeper cannot free a successor. The new owner, not the sweeper, resets what the old
 * one left (bell, records, held, touched): a late sweeper never writes into a slot in use.
 */
#include "slot.h"

#include "clock.h"
#include "explain.h"
#include "park.h"
#include "probe.h"
#include "shmref.h"
#include "spin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BELL_ASLEEP UINT32_C(1)
/* A guard is held for some microseconds; looks before the first nap, then the kernel is asked. */
#define GUARD_LOOKS 2000
#define GUARD_NAP_NS INT64_C(100000)
#define GUARD_NAPS_BEFORE_ASKING 10


static void raise_mark(atom32 *mark, uint32_t at_least)
{
	uint32_t now = load_relaxed(mark);

	while (now < at_least && !cas_seqcst(mark, &now, at_least))
		;
}

uint64_t slot_client_word(const struct seg *seg, uint32_t client)
{
	return client < seg->at.max_clients ? load_acquire(&seg->clients[client].word) : 0;
}

static void fill_client(struct seg *seg, uint32_t client, uint64_t roster_byte, const char *name,
			uint32_t parent)
{
	struct shm_client *slot = &seg->clients[client];
	atom64 *touched = seg_touched(seg, client);

	for (uint32_t i = 0; i < seg->at.max_objects / 64; i++)
		store_relaxed(&touched[i], 0);
	store_relaxed(&slot->pid_namespace, load_relaxed(&seg->pid_namespace));
	store_relaxed(&slot->started_ticks, slot_own_start_ticks());
	store_relaxed(&slot->roster_byte, roster_byte);
	store_relaxed(&slot->attached_ns, (uint64_t)clock_now_ns());
	store_relaxed(&slot->died_ns, 0);
	store_relaxed(&slot->uid, (uint32_t)getuid());
	store_relaxed(&slot->exit_hint, 0);
	store_relaxed(&slot->parent, parent);
	store_relaxed(&slot->redelivered, 0);
	store_relaxed(&slot->recovered, 0);
	memset(slot->name, 0, sizeof slot->name);
	snprintf(slot->name, sizeof slot->name, "%s", name);
}

static int commit_client(struct seg *seg, uint32_t client)
{
	uint64_t bitmap_bytes = seg->at.max_objects / 8;
	int error = seg_commit(seg, seg->at.clients + client * sizeof(struct shm_client),
			       sizeof(struct shm_client));

	if (error < 0)
		return error;
	return seg_commit(seg, seg->at.touched + client * bitmap_bytes, bitmap_bytes);
}

int slot_claim_client(struct seg *seg, uint64_t roster_byte, const char *name, uint32_t parent,
		      uint32_t *ret_client, uint32_t *ret_generation)
{
	uint64_t namespace = slot_pid_namespace();

	store_relaxed(&seg->pid_namespace, namespace);
	for (uint32_t client = SLOT_FIRST; client < seg->at.max_clients; client++) {
		uint64_t word, taken;
		uint32_t generation;
		int error = commit_client(seg, client);

		if (error < 0)
			return error;
		word = load_relaxed(&seg->clients[client].word);
		generation = generation_next(client_word_generation(word));
		taken = client_word(SLOT_SETUP, generation, (uint32_t)getpid(), namespace);
		if (client_word_state(word) != SLOT_FREE)
			continue;
		/* Before the claim: who dies right after it must be found by a sweep. */
		raise_mark(&seg->header->clients_high, client + 1);
		if (!cas_seqcst(&seg->clients[client].word, &word, taken))
			continue;
		fill_client(seg, client, roster_byte, name, parent);
		/* Publishes the fields above to whoever reads LIVE with acquire. */
		store_release(&seg->clients[client].word, client_word_with_state(taken, SLOT_LIVE));
		*ret_client = client;
		*ret_generation = generation;
		return 0;
	}
	return -ENOSPC;
}

void slot_free_client(struct seg *seg, uint32_t client, uint32_t generation)
{
	uint64_t word = slot_client_word(seg, client);

	if (client_word_generation(word) == generation && client_word_state(word) == SLOT_DEAD)
		cas_seqcst(&seg->clients[client].word, &word,
			   client_word(SLOT_FREE, generation, 0, 0));
}

static void fill_thread(struct seg *seg, uint32_t thread)
{
	struct shm_thread *slot = &seg->threads[thread];

	store_relaxed(&slot->record_count, 0);
	store_relaxed(&slot->held_count, 0);
	store_relaxed(&slot->cond_entry, 0);
	store_relaxed(&slot->intent.kind, INTENT_NONE);
	store_relaxed(&slot->meeting, 0);
	store_relaxed(&slot->engine, ENGINE_NONE);
	store_relaxed(&slot->engine_reason, PROBE_NONE);
	store_relaxed(&slot->tid, (uint32_t)syscall(SYS_gettid));
	for (unsigned i = 0; i < 2; i++)
		store_relaxed(&slot->sleeps[i], 0);
	store_relaxed(&slot->wakeups, 0);
	store_relaxed(&slot->spurious, 0);
	store_relaxed(&slot->rings, 0);
	store_relaxed(&slot->handed_on, 0);
	store_relaxed(&slot->spins_won, 0);
	store_relaxed(&slot->deaths_seen, 0);
	and_seqcst(&slot->bell, ~BELL_ASLEEP); /* a dead owner's; the count goes on */
	park_disown(&slot->bell);
}

static int commit_thread(struct seg *seg, uint32_t thread)
{
	int error = seg_commit(seg, seg->at.threads + thread * sizeof(struct shm_thread),
			       sizeof(struct shm_thread));

	if (error < 0)
		return error;
	return seg_commit(seg, seg->at.tickets + thread * sizeof(atom32), sizeof(atom32));
}

/* `flags`: 0 or THREAD_ANCHOR. */
static int claim_thread(struct seg *seg, uint32_t client, uint64_t flags, uint32_t *ret_thread,
			uint64_t *ret_who)
{
	for (uint32_t thread = SLOT_FIRST; thread < seg->at.max_threads; thread++) {
		uint32_t generation;
		uint64_t word;
		int error = commit_thread(seg, thread);

		if (error < 0)
			return error;
		word = load_relaxed(&seg->threads[thread].word);
		generation = generation_next(thread_word_generation(word));
		if (thread_word_state(word) != SLOT_FREE)
			continue;
		raise_mark(&seg->header->threads_high, thread + 1); /* before, as above */
		if (!cas_seqcst(&seg->threads[thread].word, &word,
				thread_word(SLOT_SETUP, generation, client) | flags))
			continue;
		fill_thread(seg, thread);
		store_release(&seg->threads[thread].word,
			      thread_word(SLOT_LIVE, generation, client) | flags);
		*ret_thread = thread;
		*ret_who = who_make(thread, generation);
		return 0;
	}
	return -ENOSPC;
}

int slot_claim_thread(struct seg *seg, uint32_t client, uint32_t *ret_thread, uint64_t *ret_who)
{
	int error = claim_thread(seg, client, 0, ret_thread, ret_who);

	if (error == 0)
		add_relaxed(&seg->header->threads_live, 1);
	return error;
}

int slot_claim_anchor(struct seg *seg, uint32_t client, uint64_t *ret_who)
{
	uint32_t thread;

	return claim_thread(seg, client, THREAD_ANCHOR, &thread, ret_who);
}

bool slot_are_threads_full(const struct seg *seg)
{
	uint32_t high = seg_threads_high(seg);

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++)
		if (thread_word_state(load_relaxed(&seg->threads[thread].word)) == SLOT_FREE)
			return false;
	return high == seg->at.max_threads;
}

void slot_free_thread(struct seg *seg, uint32_t thread, uint64_t word)
{
	if (thread_word_state(word) != SLOT_FREE &&
	    cas_seqcst(&seg->threads[thread].word, &word,
		       thread_word(SLOT_FREE, thread_word_generation(word), 0)) &&
	    thread_word_is_live(word))
		sub_relaxed(&seg->header->threads_live, 1);
}

uint32_t slot_client_of_who(const struct seg *seg, uint64_t who)
{
	uint64_t word;

	if (who_slot(who) == SLOT_NONE || who_slot(who) >= seg->at.max_threads)
		return SLOT_NONE;
	word = load_acquire(&seg->threads[who_slot(who)].word);
	if (thread_word_state(word) == SLOT_FREE ||
	    thread_word_generation(word) != who_generation(who))
		return SLOT_NONE;
	return thread_word_client(word);
}

bool slot_mark_dead(struct seg *seg, uint32_t client, uint32_t generation)
{
	uint64_t word = slot_client_word(seg, client);

	while (client_word_generation(word) == generation &&
	       (client_word_state(word) == SLOT_LIVE || client_word_state(word) == SLOT_SETUP)) {
		uint64_t none = 0;

		cas_relaxed(&seg->clients[client].died_ns, &none, (uint64_t)clock_now_ns());
		if (cas_seqcst(&seg->clients[client].word, &word,
			       client_word_with_state(word, SLOT_DEAD)))
			return true;
	}
	return false;
}

uint32_t slot_next_live(const struct seg *seg, uint32_t client)
{
	uint32_t high = seg_clients_high(seg);

	for (uint32_t step = 1; high > SLOT_FIRST && step < high; step++) {
		uint32_t next = client + step;

		if (next >= high)
			next = next - high + SLOT_FIRST;
		if (next == client)
			return SLOT_NONE;
		if (next < high && client_word_state(slot_client_word(seg, next)) != SLOT_FREE)
			return next;
	}
	return SLOT_NONE;
}

/* The owner may have died: ask the kernel, and have everything of his repaired. A guard whose owner
 * is no client (any more) belongs to nobody: a use of a slot that was swept owns none. */
static void question_owner(struct seg *seg, struct shm_guard *guard, uint64_t owner)
{
	uint32_t client = who_slot(owner), generation = who_generation(owner);
	uint64_t word = slot_client_word(seg, client);

	if (owner && (client == SLOT_NONE || client_word_state(word) == SLOT_FREE ||
		      client_word_generation(word) != generation))
		cas_seqcst(&guard->owner, &owner, 0);
	else if (seg->hooks && slot_is_dead(seg, client, generation))
		seg->hooks->client_died(seg, client, generation);
}

/* Time proves nothing about him, but it is a reason not to wait for ever. */
static int explain_patience(struct seg *seg, uint64_t owner)
{
	uint32_t client = who_slot(owner);
	const char *name = client < seg->at.max_clients ? seg->clients[client].name : "";

	return explain(-ETIMEDOUT,
		       "segment '%s' has been in the middle of a change for %u s, by client %u "
		       "%.*s[%u]; if that process is stopped, continue it (kill -CONT), else end "
		       "it",
		       seg->name, (unsigned)(seg->guard_patience_ns / 1000000000), client,
		       NAME_BYTES - 1, name, client_word_pid(slot_client_word(seg, client)));
}

int guard_acquire(struct seg *seg, struct shm_guard *guard, uint32_t client, uint32_t generation)
{
	uint64_t me = who_make(client, generation);
	int64_t patience_ends_ns = 0; /* the clock is read before the first nap */

	for (unsigned looks = 0, naps = 0;;) {
		uint64_t owner = load_relaxed(&guard->owner);

		if (owner == 0 && cas_acquire(&guard->owner, &owner, me))
			return 0;
		cpu_relax();
		if (++looks < GUARD_LOOKS)
			continue;
		if (!patience_ends_ns)
			patience_ends_ns = clock_now_ns() + seg->guard_patience_ns;
		clock_sleep_ns(GUARD_NAP_NS);
		if (clock_is_past(patience_ends_ns))
			return explain_patience(seg, owner);
		if (++naps % GUARD_NAPS_BEFORE_ASKING == 0)
			question_owner(seg, guard, owner);
	}
}

bool guard_try(struct shm_guard *guard, uint32_t client, uint32_t generation)
{
	uint64_t owner = 0;

	return cas_acquire(&guard->owner, &owner, who_make(client, generation));
}

void guard_release(struct shm_guard *guard, uint32_t client, uint32_t generation)
{
	guard_release_dead(guard, client, generation);
}

void guard_release_dead(struct shm_guard *guard, uint32_t client, uint32_t generation)
{
	uint64_t owner = who_make(client, generation);

	cas_release(&guard->owner, &owner, 0);
}
