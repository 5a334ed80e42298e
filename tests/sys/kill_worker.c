/* SPDX-License-Identifier: MIT
 *
 * A worker that is there to be killed, and the books of what it did. Knows: queues, a lock, what a
 * worker may assert of them. Does not know: when it is killed.
 */
#include "kill_worker.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

const char *const phase_names[PHASE_COUNT] = {
#define PHASE(name, text) text,
	PHASES
#undef PHASE
};

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct worker {
	struct field *field;
	struct desk *desk;
	uint64_t random;
	bool is_started;
};

/* The first calls are still part of the start: they attach. */
static void say(struct worker *worker, enum phase phase)
{
	if (worker->is_started)
		atomic_store(&worker->desk->phase, phase);
}

static _Noreturn void wrong(const char *what, long number)
{
	fprintf(stderr, "worker %d: %s (%ld): %s\n", (int)getpid(), what, number, mp_explain());
	fflush(stderr);
	_exit(1);
}

/* Waiting in vain is no failure: the others may be dead just now. */
static bool is_done(const char *what, int result)
{
	if (result >= 0)
		return true;
	if (result != -ETIMEDOUT && result != -EAGAIN)
		wrong(what, result);
	return false;
}

static uint32_t checksum(const struct message *message)
{
	uint32_t sum = (uint32_t)message->id * 2654435761u;

	for (uint32_t i = 0; i < message->len; i += 61)
		sum = sum * 31 + message->bytes[i];
	return sum;
}

static void fill(struct message *message, uint64_t id, size_t len)
{
	message->id = id;
	message->len = (uint32_t)(len - sizeof(*message));
	for (uint32_t i = 0; i < message->len; i += 61)
		message->bytes[i] = (unsigned char)(id + i);
	message->check = checksum(message);
}

void worker_check_message(const struct message *message, size_t len)
{
	if (len < sizeof(*message) || message->len != len - sizeof(*message) ||
	    message->check != checksum(message))
		wrong("a message is not what was put", (long)message->id);
}

/* A message may be received again only if it says so. */
void worker_book_receipt(struct books *books, uint64_t id, unsigned flags)
{
	uint8_t old = atomic_fetch_or(&books->messages[id], BOOK_GOT);

	if ((old & BOOK_GOT) && !(flags & MP_REDELIVERED))
		wrong("a message came twice without saying so", (long)id);
	if (flags & MP_REDELIVERED)
		atomic_fetch_add(&books->redelivered, 1);
}

static size_t random_len(struct worker *worker)
{
	uint64_t kind = next_random(&worker->random) % 20;
	uint64_t extra = next_random(&worker->random);

	if (kind < 13)
		return sizeof(struct message) + extra % 33; /* in the cell */
	if (kind < 19)
		return sizeof(struct message) + extra % 4000;
	return sizeof(struct message) + extra % (MESSAGE_BYTES_MAX - sizeof(struct message) - 64);
}

static uint64_t new_id(struct books *books)
{
	uint64_t id = atomic_fetch_add(&books->last_id, 1) + 1;

	if (id >= MESSAGES_MAX)
		wrong("the books are full", 0);
	return id;
}

static void put(struct worker *worker, mp_queue *queue)
{
	static _Alignas(struct message) unsigned char data[MESSAGE_BYTES_MAX];
	struct books *books = worker->field->books;
	size_t len = random_len(worker);
	uint64_t id = new_id(books);

	fill((struct message *)data, id, len);
	say(worker, PHASE_PUT);
	if (is_done("put", mp_queue_put(queue, data, len, MP_MSEC(2))))
		atomic_fetch_or(&books->messages[id], BOOK_PUT);
	say(worker, PHASE_BETWEEN);
}

static void put_in_place(struct worker *worker, mp_queue *queue)
{
	struct books *books = worker->field->books;
	size_t len = random_len(worker);
	uint64_t id = new_id(books);
	struct mp_slot slot;

	say(worker, PHASE_RESERVE);
	if (!is_done("reserve", mp_queue_reserve(queue, len, MP_MSEC(2), &slot)))
		return;
	say(worker, PHASE_BETWEEN);
	fill(slot.data, id, len);
	say(worker, PHASE_COMMIT);
	if (is_done("commit", mp_queue_commit(queue, &slot)))
		atomic_fetch_or(&books->messages[id], BOOK_PUT);
	else if (mp_queue_abandon(queue, &slot) < 0)
		wrong("abandon", 0);
	say(worker, PHASE_BETWEEN);
}

/* Take from the first queue, put into the second, then acknowledge. */
static void forward(struct worker *worker)
{
	struct field *field = worker->field;
	struct mp_slot slot;
	int result;

	say(worker, PHASE_CLAIM);
	if (!is_done("claim", mp_queue_claim(field->first, MP_MSEC(2), &slot)))
		return;
	say(worker, PHASE_BETWEEN);
	worker_check_message(slot.data, slot.len);
	put(worker, field->second);
	worker_book_receipt(field->books, ((struct message *)slot.data)->id, slot.flags);
	say(worker, PHASE_ACK);
	result = mp_queue_ack(field->first, &slot);
	if (result < 0)
		wrong("ack", result);
	say(worker, PHASE_BETWEEN);
}

/* The hand is shared: what a get had copied when its process died is found there. */
static void get(struct worker *worker, mp_queue *queue)
{
	struct mp_message_info info;
	struct message *hand = (void *)worker->desk->hand;

	atomic_store(&worker->desk->hand[0], 0);
	say(worker, PHASE_GET);
	if (!is_done("get", mp_queue_get_info(queue, hand, MESSAGE_BYTES_MAX, MP_MSEC(2), &info)))
		return;
	worker_check_message(hand, info.len);
	worker_book_receipt(worker->field->books, hand->id, info.flags);
	say(worker, PHASE_BETWEEN);
}

static void enter(struct worker *worker, int result)
{
	struct books *books = worker->field->books;

	if (result == MP_OWNER_DIED) {
		atomic_fetch_add(&books->deaths_reported, 1);
		atomic_store(&books->inside, 0);
		books->b = books->a;
	}
	if (atomic_fetch_add(&books->inside, 1) != 0)
		wrong("two hold the lock", (long)books->inside);
	if (books->a != books->b)
		wrong("torn, and no death was reported", (long)(books->a - books->b));
}

static void count_under_lock(struct worker *worker)
{
	struct books *books = worker->field->books;
	int result;

	say(worker, PHASE_LOCK);
	result = mp_lock_acquire(worker->field->lock, MP_SEC(5));
	if (result < 0)
		wrong("acquire", result);
	say(worker, PHASE_HOLD);
	enter(worker, result);
	books->a++;
	books->b++;
	atomic_store(&books->inside, 0);
	say(worker, PHASE_UNLOCK);
	result = mp_lock_release(worker->field->lock);
	if (result < 0)
		wrong("release", result);
	say(worker, PHASE_BETWEEN);
}

/* Mostly what does not have to wait, so that operations are hit and not only sleeps. */
static void move_message(struct worker *worker)
{
	struct field *field = worker->field;
	uint64_t choice = next_random(&worker->random);
	bool is_waiting = choice % 8 == 0;

	if (is_waiting)
		choice = next_random(&worker->random);
	else if (mp_queue_size(field->second) > QUEUE_CAPACITY / 2)
		choice = 1;
	else
		choice = mp_queue_size(field->first) > QUEUE_CAPACITY / 2 ? 0 : 2 + choice / 8 % 2;
	switch (choice % 4) {
	case 0:
		forward(worker);
		break;
	case 1:
		get(worker, field->second);
		break;
	case 2:
		put(worker, field->first);
		break;
	default:
		put_in_place(worker, field->first);
	}
}

_Noreturn void worker_run(struct field *field, unsigned number, uint64_t random)
{
	struct worker worker = { .field = field,
				 .desk = &field->books->desks[number],
				 .random = random };

	count_under_lock(&worker);
	worker.is_started = true;
	while (!atomic_load(&field->books->stop)) {
		move_message(&worker);
		if (next_random(&worker.random) % 4 == 0)
			count_under_lock(&worker);
		atomic_fetch_add(&worker.desk->rounds, 1);
	}
	_exit(0);
}

