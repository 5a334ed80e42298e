/* SPDX-License-Identifier: MIT
 *
 * The parent's side of the counts: takes each file exactly once. Knows: attempts, whole and
 * broken. Does not know: workers as processes.
 *
 * A killed worker leaves an attempt that never ends: the next attempt from its desk takes its
 * place. Or its attempt was whole and only the ack was missing: then the file comes a second time,
 * and the second is dropped.
 */
#include "collect.h"

#include "memory.h"

#include <stdio.h>

void collect_open(struct collector *collector, struct job *job)
{
	*collector = (struct collector){ .job = job };
	collector->is_done = memory_resize(NULL, job->list->count);
	memset(collector->is_done, 0, job->list->count);
}

void collect_close(struct collector *collector)
{
	tally_free(&collector->tally);
	free(collector->is_done);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		free(collector->attempts[i].entries);
}

static void append(struct attempt *attempt, const char *entries, size_t len)
{
	if (attempt->len + len > attempt->cap) {
		attempt->cap = (attempt->len + len) * 2;
		attempt->entries = memory_resize(attempt->entries, attempt->cap);
	}
	if (len > 0)
		memcpy(attempt->entries + attempt->len, entries, len);
	attempt->len += len;
}

static int add_words(struct tally *tally, const struct attempt *attempt)
{
	const char *at = attempt->entries;
	const char *end = at + attempt->len;
	struct counts_entry entry;

	while (at < end) {
		if ((size_t)(end - at) < sizeof(entry))
			return -EBADMSG;
		memcpy(&entry, at, sizeof(entry));
		at += sizeof(entry);
		if (end - at < entry.len)
			return -EBADMSG;
		tally_add(tally, at, entry.len, entry.count);
		at += entry.len;
	}
	return 0;
}

static void note_error(struct collector *collector, const struct counts_message *message)
{
	if (message->error == 0)
		return;
	if (collector->unread == 0 || message->file < collector->first_unread) {
		collector->first_unread = message->file;
		collector->first_error = message->error;
	}
	collector->unread++;
}

static int finish_file(struct collector *collector, const struct attempt *attempt,
		       const struct counts_message *message)
{
	if (collector->is_done[message->file]) {
		collector->repeated++;
		return 0;
	}
	collector->is_done[message->file] = 1;
	collector->files_done++;
	note_error(collector, message);
	collector->bytes += message->bytes;
	collector->words += message->words;
	return add_words(&collector->tally, attempt);
}

static int take(struct collector *collector, const struct counts_message *message, size_t len)
{
	struct attempt *attempt;

	if (len < sizeof(*message) || message->worker >= WORKERS_MAX ||
	    message->file >= collector->job->list->count)
		return -EBADMSG;
	attempt = &collector->attempts[message->worker];
	if (attempt->number != message->attempt) {
		attempt->number = message->attempt;
		attempt->next_part = 0;
		attempt->len = 0;
	}
	if (message->part != attempt->next_part++)
		return -EBADMSG;
	append(attempt, message->entries, len - sizeof(*message));
	return message->is_last ? finish_file(collector, attempt, message) : 0;
}

int collect_one(struct collector *collector, int64_t timeout)
{
	struct mp_slot slot;
	int taken;
	int result = mp_queue_claim(collector->job->counts, timeout, &slot);

	if (result < 0)
		return result;
	collector->messages++;
	taken = take(collector, slot.data, slot.len);
	if (taken < 0)
		fprintf(stderr, "wordcount: a message of %zu bytes makes no sense\n", slot.len);
	result = mp_queue_ack(collector->job->counts, &slot);
	return taken < 0 ? taken : result;
}
