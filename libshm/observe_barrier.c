/* SPDX-License-Identifier: MIT
 *
 * A barrier for tools: how many have come, who is missing, who acts or broke it. Knows: its bytes,
 * and the words of those who use it. Does not know: the directory, other kinds.
 *
 * Any of it may be nonsense: slots are checked against the copied tables before they are looked up.
 */
#include "barrierword.h"
#include "observe_internal.h"

#include <stdio.h>
#include <string.h>

static const char *barrier_state_name(uint32_t state)
{
	switch (state) {
	case BARRIER_ACTION: return "action";
	case BARRIER_TIMEOUT: return "broken: timeout";
	case BARRIER_ABORT: return "broken: abort";
	case BARRIER_RESET: return "broken: reset";
	case BARRIER_FAILED: return "broken: action";
	case BARRIER_DIED: return "broken: died";
	default: return "broken: left";
	}
}

/* Behind what the text says already; one that has no room for it stays as it is. */
static void add_process(char *text, size_t bytes, const char *before, const char *name,
			unsigned pid)
{
	char clean[NAME_BYTES], more[NAME_BYTES + 32];
	size_t length = strlen(text);
	int added;

	observe_text(clean, sizeof(clean), name, NAME_BYTES);
	added = snprintf(more, sizeof(more), "%s%s[%u]", before, clean, pid);
	if (length + (size_t)added < bytes)
		memcpy(text + length, more, (size_t)added + 1);
}

static void add_client(struct observe_copy *copy, uint32_t client, const char *before,
		       struct mp_observed_sync *row)
{
	add_process(row->detail, sizeof(row->detail), before, copy->clients[client].name,
		    client_word_pid(load_relaxed(&copy->clients[client].word)));
}

static bool has_open(struct observe_copy *copy, uint32_t client, uint64_t id)
{
	uint32_t index = who_slot(id); /* the same shape */
	uint64_t leaf = 0;
	uint64_t at = copy->at.touched + (uint64_t)client * (copy->at.max_objects / 8) +
		      index / 64 * sizeof(leaf);

	return index < copy->at.max_objects &&
	       observe_read(copy->fd, &leaf, sizeof(leaf), at) >= 0 && (leaf >> (index % 64) & 1);
}

static bool is_meeting(struct observe_copy *copy, uint32_t client, uint64_t offset,
		       uint32_t generation)
{
	for (uint32_t i = 0; i < copy->thread_count; i++) {
		struct shm_thread *thread = &copy->threads[i];
		uint64_t word = load_relaxed(&thread->word);

		if (thread_word_state(word) == SLOT_LIVE && thread_word_client(word) == client &&
		    load_relaxed(&thread->meeting) == offset &&
		    load_relaxed(&thread->meeting_generation) == generation)
			return true;
	}
	return false;
}

/* Who could come: has it open, and no thread of his waits. */
static void say_who_is_missing(struct observe_copy *copy, uint64_t offset, uint32_t generation,
			       struct mp_observed_sync *row)
{
	for (uint32_t client = SLOT_FIRST; client < copy->client_count; client++) {
		uint64_t word = load_relaxed(&copy->clients[client].word);

		if (client_word_state(word) == SLOT_LIVE && has_open(copy, client, row->id) &&
		    !is_meeting(copy, client, offset, generation))
			add_client(copy, client, row->detail[0] ? ", " : "missing: ", row);
	}
}

static void say_who_acts(struct observe_copy *copy, uint64_t word, struct mp_observed_sync *row)
{
	uint32_t thread = barrier_word_thread(word), client;

	if (thread >= copy->thread_count)
		return;
	client = thread_word_client(load_relaxed(&copy->threads[thread].word));
	if (client < copy->client_count)
		add_client(copy, client, "acts: ", row);
}

static void say_who_broke_it(struct shm_barrier *barrier, uint64_t word,
			     struct mp_observed_sync *row)
{
	uint64_t note = load_relaxed(&barrier->broke_by);

	if (barrier_note_is_of(note, barrier_word_generation(word)))
		add_process(row->detail, sizeof(row->detail), "by: ",
			    (const char *)barrier->broke_name, barrier_note_pid(note));
}

void observe_fill_barrier(struct observe_copy *copy, struct shm_object *bytes, uint64_t offset,
			  struct mp_observed_sync *row)
{
	struct shm_barrier *barrier = (struct shm_barrier *)(void *)bytes;
	uint64_t word = load_relaxed(&barrier->word);
	uint32_t generation = barrier_word_generation(word), state = barrier_word_state(word);
	uint32_t arrived = barrier_word_arrived(word);

	if (state == BARRIER_FILLING)
		snprintf(row->state, sizeof(row->state), "%u/%u", arrived,
			 load_relaxed(&barrier->parties) % 1024);
	else
		snprintf(row->state, sizeof(row->state), "%s", barrier_state_name(state));
	row->changes = generation;
	row->waits = load_relaxed(&barrier->waits);
	row->wait_ns = load_relaxed(&barrier->wait_ns);
	row->waiters = observe_count_waiting(copy, &barrier->waiters,
					     offset | generation % BARRIER_CONDITIONS);
	if (state == BARRIER_FILLING && arrived)
		say_who_is_missing(copy, offset, generation, row);
	else if (state == BARRIER_ACTION)
		say_who_acts(copy, word, row);
	else if (barrier_word_is_broken(word))
		say_who_broke_it(barrier, word, row);
}
