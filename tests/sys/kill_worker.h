/* SPDX-License-Identifier: MIT
 *
 * A worker that is there to be killed, and the books of what it did. Knows: queues, a lock, what a
 * worker may assert of them. Does not know: when it is killed.
 *
 * The books are kept in a plain mapping, not in the segment: for each message one byte, for each
 * worker the operation it is in.
 */
#ifndef TESTS_SYS_KILL_WORKER_H
#define TESTS_SYS_KILL_WORKER_H

#include <libshm.h>

#include <stdatomic.h>

#define WORKERS 4
#define QUEUE_CAPACITY 64
#define MESSAGES_MAX (UINT64_C(1) << 30) /* a fast machine's nightly run; touched as far as used */
#define MESSAGE_BYTES_MAX 65536

#define PHASES                                                                                     \
	PHASE(START, "start and attach")                                                           \
	PHASE(BETWEEN, "between calls")                                                            \
	PHASE(PUT, "put")                                                                          \
	PHASE(RESERVE, "reserve")                                                                  \
	PHASE(COMMIT, "commit")                                                                    \
	PHASE(GET, "get")                                                                          \
	PHASE(CLAIM, "claim")                                                                      \
	PHASE(ACK, "ack")                                                                          \
	PHASE(LOCK, "lock")                                                                        \
	PHASE(HOLD, "while it holds the lock")                                                     \
	PHASE(UNLOCK, "unlock")

enum phase {
#define PHASE(name, text) PHASE_##name,
	PHASES
#undef PHASE
	PHASE_COUNT
};

extern const char *const phase_names[PHASE_COUNT];

/* A message's byte in the books. */
enum { BOOK_PUT = 1, BOOK_GOT = 2, BOOK_IN_DEAD_HAND = 4 };

struct message {
	uint64_t id; /* 1, 2, ... over both queues */
	uint32_t len;
	uint32_t check;
	unsigned char bytes[];
};

/* One worker's line: only it writes while it lives, the killer reads. */
struct desk {
	_Atomic uint32_t phase;
	_Atomic uint64_t rounds;
	_Atomic uint64_t hand[MESSAGE_BYTES_MAX / 8]; /* where get copies its message to */
};

/* a and b are equal whenever nobody holds the lock, unless a holder died. */
struct books {
	_Atomic uint64_t last_id;
	_Atomic uint32_t stop;
	_Atomic uint32_t inside;
	_Atomic uint64_t deaths_reported;
	_Atomic uint64_t redelivered;
	volatile uint64_t a, b;
	struct desk desks[WORKERS];
	_Atomic uint8_t messages[MESSAGES_MAX];
};

/* What a worker inherits. */
struct field {
	mp_segment *segment;
	mp_queue *first, *second;
	mp_lock *lock;
	struct books *books;
};

/* The process ends with 1 and a line on stderr when the message is not what was put, or comes again
 * without saying so. */
void worker_check_message(const struct message *message, size_t len);
void worker_book_receipt(struct books *books, uint64_t id, unsigned flags);

uint64_t next_random(uint64_t *state);

/* Works until it is told to stop or killed. */
_Noreturn void worker_run(struct field *field, unsigned number, uint64_t random);

#endif
