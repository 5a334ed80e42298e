/* SPDX-License-Identifier: MIT
 *
 * What a worker process does: paths in, counts out. Knows: its queues and the order of the steps.
 * Does not know: other workers, who started it, whether it will be killed.
 *
 * It may be killed anywhere. The path it works on is leased (claim): without the ack the next
 * worker has it again. So the ack comes last, after the counts and after the totals; what is done
 * twice by that is recognised by the parent (collect.c) and by totals.c.
 */
#include "worker.h"

#include "totals.h"
#include "words.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Parts are at most this large, and above SMALL_BYTES they are written where they will be read. */
#define PART_BYTES 65536
#define SMALL_BYTES 1024

struct file_work {
	struct worker *worker;
	struct tally tally;
	uint64_t attempts; /* of this process so far: with its pid, each has a number of its own */
	uint64_t pid;      /* asked once: a message needs no system call */
	uint64_t bytes;
	uint64_t words;
	int32_t error;
	uint32_t file;
	uint32_t part;
};

static int explain(const char *what)
{
	fprintf(stderr, "wordcount: %s: %s\n", what, mp_explain());
	return 1;
}

/* A file that cannot be read has no words, and the words before an error count. */
static void count_file(struct file_work *work, const char *path)
{
	static unsigned char buf[READ_BYTES];
	struct scanner scanner = { .tally = &work->tally };
	struct source source;
	ssize_t got;

	tally_clear(&work->tally);
	work->bytes = 0;
	work->error = source_open(&source, path);
	if (work->error == 0) {
		while ((got = source_read(&source, buf)) > 0) {
			words_scan(&scanner, buf, (size_t)got);
			work->bytes += (uint64_t)got;
		}
		work->error = (int32_t)got;
		words_end(&scanner);
		source_close(&source);
	}
	work->words = scanner.words;
}

static size_t entry_bytes(const struct tally_word *word)
{
	return sizeof(struct counts_entry) + word->len;
}

/* How many bytes the part that begins with `word` takes; *ret_end is the first word after it. */
static size_t plan_part(const struct tally *tally, size_t word, size_t *ret_end)
{
	size_t bytes = sizeof(struct counts_message);

	while (word < tally->count && bytes + entry_bytes(&tally->words[word]) <= PART_BYTES)
		bytes += entry_bytes(&tally->words[word++]);
	*ret_end = word;
	return bytes;
}

static void write_part(struct file_work *work, size_t word, size_t end, void *data)
{
	const struct tally *tally = &work->tally;
	struct counts_message *message = data;
	char *at = message->entries;

	*message = (struct counts_message){
		.attempt = work->pid << 32 | work->attempts,
		.file = work->file,
		.part = work->part,
		.worker = work->worker->number,
		.is_last = end == tally->count,
		.bytes = work->bytes,
		.words = work->words,
		.error = work->error,
	};
	for (; word < end; word++) {
		struct counts_entry entry = { .count = tally->words[word].count,
					      .len = (uint8_t)tally->words[word].len };

		memcpy(at, &entry, sizeof(entry));
		memcpy(at + sizeof(entry), tally_text(tally, &tally->words[word]), entry.len);
		at += sizeof(entry) + entry.len;
	}
}

static int put_small(struct file_work *work, size_t word, size_t end, size_t bytes)
{
	_Alignas(struct counts_message) char data[SMALL_BYTES];

	write_part(work, word, end, data);
	return mp_queue_put(work->worker->job->counts, data, bytes, MP_FOREVER);
}

/* A worker that fails here ends, and what it had reserved is freed with it. */
static int put_in_place(struct file_work *work, size_t word, size_t end, size_t bytes)
{
	mp_queue *counts = work->worker->job->counts;
	struct mp_slot slot;
	int result = mp_queue_reserve(counts, bytes, MP_FOREVER, &slot);

	if (result < 0)
		return result;
	write_part(work, word, end, slot.data);
	return mp_queue_commit(counts, &slot);
}

static int send_counts(struct file_work *work)
{
	size_t word = 0, end;
	int result;

	work->attempts++;
	work->part = 0;
	do {
		size_t bytes = plan_part(&work->tally, word, &end);

		result = bytes <= SMALL_BYTES ? put_small(work, word, end, bytes)
					      : put_in_place(work, word, end, bytes);
		work->part++;
		word = end;
	} while (result >= 0 && word < work->tally.count);
	return result;
}

static int work_on(struct file_work *work, const struct path_message *message)
{
	struct board *board = work->worker->job->board;
	struct desk *desk = &board->desks[work->worker->number];

	work->file = message->file;
	atomic_store(&desk->file, (int32_t)message->file);
	count_file(work, message->path);
	while (atomic_load(&board->hold_at) == (int32_t)message->file)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	if (send_counts(work) < 0)
		return explain("counts");
	if (totals_add(work->worker->job, work->file, work->bytes, work->words) < 0)
		return explain("totals");
	atomic_store(&desk->file, NO_FILE);
	return 0;
}

/* The parent ends its workers; Ctrl-C reaches both, and a parent that was killed ends none: the
 * kernel does, unless it was killed before we asked for that. */
static void follow_parent(pid_t parent)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

int worker_run(void *arg)
{
	struct worker *worker = arg;
	struct file_work work = { .worker = worker, .pid = (uint64_t)getpid() };
	struct desk *desk = &worker->job->board->desks[worker->number];
	struct mp_slot slot;
	int result;

	follow_parent(worker->job->parent);
	while ((result = mp_queue_claim(worker->job->paths, MP_FOREVER, &slot)) >= 0) {
		if (slot.flags & MP_REDELIVERED)
			atomic_fetch_add(&desk->redelivered, 1);
		if (work_on(&work, slot.data) != 0)
			return 1;
		if (mp_queue_ack(worker->job->paths, &slot) < 0)
			return explain("paths");
	}
	tally_free(&work.tally);
	return result == -EPIPE ? 0 : explain("paths");
}
