/* SPDX-License-Identifier: MIT
 *
 * Breaking a barrier, and saying who did. Knows: the word's reason, the note of the breaker's name.
 * Does not know: who may break it when (barrier.c), what a death is (barrier_object.c).
 *
 * The word names reason and thread in the CAS that breaks, so that there is one breaker and no
 * moment without him. His process's name and pid are noted beside it afterwards, by himself, by
 * whoever resets it or explains it, or by the sweep: while the thread's slot is his, all write the
 * same. A note lags behind the word at worst; it is for people only.
 */
#include "barrier_internal.h"

#include "explain.h"
#include "slot.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The client whose thread the word names, if its slot has not gone to another. */
static uint32_t breaker(const struct seg *seg, uint64_t word)
{
	uint32_t thread = barrier_word_thread(word);
	uint64_t slot = thread < seg->at.max_threads ? load_acquire(&seg->threads[thread].word) : 0;
	uint64_t who = who_make(thread, thread_word_generation(slot));
	uint32_t client = thread_word_client(slot);

	return thread_word_state(slot) != SLOT_FREE && barrier_word_is_by(word, who) &&
			       client < seg->at.max_clients
		       ? client
		       : SLOT_NONE;
}

void barrier_note_breaker(struct seg *seg, struct shm_barrier *shared, uint64_t word)
{
	uint32_t client = breaker(seg, word);
	uint64_t name[NAME_BYTES / 8] = { 0 };

	if (barrier_note_is_of(load_acquire(&shared->broke_by), barrier_word_generation(word)) ||
	    client == SLOT_NONE || load_relaxed(&shared->word) != word)
		return;
	memcpy(name, seg->clients[client].name, NAME_BYTES - 1);
	for (unsigned i = 0; i < ARRAY_LEN(name); i++)
		store_relaxed(&shared->broke_name[i], name[i]);
	/* edge barrier_note: release -> who explains it */
	store_release(&shared->broke_by,
		      barrier_note(word, client_word_pid(slot_client_word(seg, client))));
}

void barrier_ring_all(struct seg *seg, struct self *me, struct shm_barrier *shared)
{
	if (wait_has_sleepers(&shared->waiters))
		wait_wake_all(seg, me, &shared->waiters);
}

bool barrier_break_for(struct seg *seg, struct shm_barrier *shared, uint64_t *word,
		       enum barrier_state why, uint64_t who)
{
	uint64_t broken = barrier_word_with(*word, why, who);

	/* edge barrier_pass: release; seq_cst: before the look for sleepers */
	if (!cas_seqcst(&shared->word, word, broken))
		return false;
	barrier_note_breaker(seg, shared, broken);
	return true;
}

bool barrier_break(struct seg *seg, struct self *me, struct shm_barrier *shared,
		   uint32_t generation, enum barrier_state why)
{
	uint64_t word = load_seqcst(&shared->word);

	while (!barrier_word_is_over(word, generation)) {
		if (!barrier_break_for(seg, shared, &word, why, me->who))
			continue;
		barrier_ring_all(seg, me, shared);
		return true;
	}
	return false;
}

static const char *what_happened(uint32_t why)
{
	switch (why) {
	case BARRIER_TIMEOUT: return "waited no longer for the others";
	case BARRIER_ABORT: return "called mp_barrier_abort";
	case BARRIER_RESET: return "called mp_barrier_reset";
	case BARRIER_FAILED: return "failed in its action";
	case BARRIER_DIED: return "died in its wait";
	default: return "left its wait for a signal, an error, or the end of its thread";
	}
}

/* "worker[12]", or somebody whose slot was another's before anybody could look. */
static void say_who(struct shm_barrier *shared, uint64_t note, char *ret_text, size_t bytes)
{
	uint64_t name[NAME_BYTES / 8];

	for (unsigned i = 0; i < ARRAY_LEN(name); i++)
		name[i] = load_relaxed(&shared->broke_name[i]);
	snprintf(ret_text, bytes, "%.*s[%u]", NAME_BYTES - 1, (const char *)name,
		 barrier_note_pid(note));
}

int barrier_explain_broken(const mp_barrier *barrier, uint32_t generation)
{
	struct shm_barrier *shared = barrier->shared;
	uint64_t word = load_acquire(&shared->word), note;
	bool is_now = barrier_word_generation(word) == generation && barrier_word_is_broken(word);
	uint32_t why = is_now ? barrier_word_state(word) : 0;
	char who[NAME_BYTES + 16] = "a process that is gone";

	if (is_now)
		barrier_note_breaker(barrier->handle.seg, shared, word);
	note = load_acquire(&shared->broke_by); /* edge barrier_note: acquire */
	if (barrier_note_is_of(note, generation)) {
		why = barrier_note_state(note);
		say_who(shared, note, who, sizeof who);
	}
	if (why == 0)
		return explain(-ENOTCONN, "barrier '%s' was broken while this thread waited, and "
					  "is in use again", object_name(&barrier->handle));
	return explain(-ENOTCONN, "barrier '%s' %s broken: %s %s%s", object_name(&barrier->handle),
		       is_now ? "is" : "was", who, what_happened(why),
		       is_now ? "; mp_barrier_reset makes it whole" : "; it is in use again");
}
