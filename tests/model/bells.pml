/* SPDX-License-Identifier: MIT
 *
 * What lock.pml and wait.pml share: doorbells, one set of waiters, the audit's records.
 *
 * Mirrors the words of wait.c. A doorbell's ring count is only ever compared with what its owner
 * read at S1, so "moved since S1" is the whole of it and no count can wrap. `queued` is the
 * kernel's: a thread sleeps on its bell until FUTEX_WAKE, not until the word changes, so that a
 * ringer may die between the two. Tickets are left out: the ringer may choose anybody.
 */
bool moved[CLIENTS_MAX + 1], asleep[CLIENTS_MAX + 1], queued[CLIENTS_MAX + 1];
bool record[CLIENTS_MAX + 1];
byte set; /* of waiters: bit = thread */

#define bit_of(thread) (1 << (thread))
#define has_bit(bits, thread) (((bits) >> (thread)) & 1)

/* Any one of them: to be used inside a STEP. */
#define choose(bits, thread) \
	thread = 1; \
	do \
	:: !has_bit(bits, thread) -> thread++ \
	:: has_bit(bits, thread) && ((bits) >> (thread + 1)) != 0 -> thread++ \
	:: has_bit(bits, thread) -> break \
	od

/* W4, and whether the kernel is to be asked; W5. */
#define RING(thread, was_asleep) was_asleep = asleep[thread]; moved[thread] = true
#define FUTEX_WAKE(thread) queued[thread] = false
/* S1, S5, S6. */
#define READ_BELL(thread) moved[thread] = false; asleep[thread] = false
#define MARK_ASLEEP(thread, ok) ok = !moved[thread]; asleep[thread] = ok
#define FUTEX_WAIT(thread) queued[thread] = !moved[thread]
