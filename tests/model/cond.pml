/* SPDX-License-Identifier: MIT
 *
 * A condition: waiters that sleep, time out or die anywhere, a notifier that dies anywhere,
 * recoverers that come late.
 *
 * Mirrors cond.c (wait_in, notify_some), cond_object.c (recover_cond, cond_wake_all), lock_object.c
 * (recover_lock), wait.c (wait_until, wait_ring). Abstracts away: how a lock is waited for (lock.pml),
 * levels of recursion, which waiter is the oldest, the set of members, and the audit: whatever it
 * rings besides, nobody may need it.
 *
 * Safety: when all that was begun is over and the dead are swept, no living waiter is in the kernel
 * while what he waits for is there: a token, added by the notifier under the lock, taken by one
 * waiter under the lock. Without a death, no more waits are over by a notification than there were
 * notifications. Liveness: everybody comes to rest, under weak fairness.
 *
 * Mutants: 1 notify rings nobody; 2 notify does not choose again when its choice was swept; 3 the
 * death of the holder wakes nobody; 4 the lock is freed before they are woken; 5 what a dead waiter
 * was told is not passed on; 6 his entry is freed before it is passed on; 7 a recoverer rings only
 * whom it has marked itself; 8 a wait whose time is over does not look whether it was notified; 9 the
 * entry is cleared before the lock is taken again; 10 the entry is written after the lock is
 * released; 11 the entry of the dead is freed with a blind store; 12 a notification is given twice.
 */
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef NOTIFIES
#define NOTIFIES 1
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef RECOVERER_DIES
#define RECOVERER_DIES false
#endif
#ifndef IMPATIENT /* so many of the waiters may give up */
#define IMPATIENT 0
#endif
#ifndef MORTALS /* so many of the waiters may die */
#define MORTALS WAITERS
#endif
#ifndef NOTIFIER_DIES
#define NOTIFIER_DIES true
#endif
#include "common.pml"
#include "bells.pml"

#define NOTIFIER (WAITERS + 1)

#define ENTRY_FREE 0
#define WAITING 1
#define NOTIFIED 2
#define entry_word(ticket, state) ((ticket) * 4 + (state))
#define entry_state(word) ((word) & 3)
#define entry_notified(word) ((word) - WAITING + NOTIFIED)

byte entry[CLIENTS_MAX + 1];
byte owner; /* of the lock */
byte ticket;
byte token; /* what the lock guards */
byte workers = 1;
byte sweeping;
byte notifications, released; /* ghosts */
bool done[CLIENTS_MAX + 1];
bool all_ended;

/* The whole of mp_lock_acquire: whoever waits for the lock gets it when it is free. */
#define LOCK(me) \
	atomic { if :: owner == 0 -> owner = me :: deaths < DEATHS && may_die -> goto died fi }
#define UNLOCK STEP(owner = 0)

#define is_waiting(me) (entry_state(entry[me]) == WAITING)

proctype waiter(byte me)
{
	byte mine;
	bool ok, is_late;
	bool may_die = (me <= MORTALS);

	LOCK(me);
	do
	:: STEP(ok = (token != 0));
		if :: ok -> ok = 0; STEP(token--); break :: else fi;
		mine = entry_word(ticket, WAITING);
		STEP(ticket++);
#if MUTANT != 10
		STEP(entry[me] = mine);
#endif
		UNLOCK;
#if MUTANT == 10
		STEP(entry[me] = mine);
#endif
		do
		:: STEP(ok = (entry[me] != mine));
			if :: ok -> ok = 0; break :: else fi;
			STEP(READ_BELL(me));
			STEP(set = set | bit_of(me));
			STEP(ok = (entry[me] != mine));
			if :: ok -> ok = 0; goto withdraw :: else fi;
			STEP(MARK_ASLEEP(me, ok));
			if :: !ok -> goto withdraw :: else -> ok = 0 fi;
			STEP(FUTEX_WAIT(me));
sleep:			atomic {
				if
				:: !queued[me]
				:: queued[me] && me <= IMPATIENT -> queued[me] = false; is_late = true
				:: deaths < DEATHS && may_die -> goto died
				fi
			};
			STEP(asleep[me] = false);
withdraw:		STEP(set = set & ~bit_of(me));
			if :: is_late -> break :: else fi
		od;
#if MUTANT == 9
		STEP(ok = (entry_state(entry[me]) == NOTIFIED); entry[me] = ENTRY_FREE);
		LOCK(me);
#else
		LOCK(me);
#if MUTANT == 8
		STEP(ok = (entry_state(entry[me]) == NOTIFIED) && !is_late);
#else
		STEP(ok = (entry_state(entry[me]) == NOTIFIED));
#endif
		STEP(entry[me] = ENTRY_FREE);
#endif
		mine = 0;
		if
		:: ok -> atomic { ok = 0; is_late = 0; released++;
				assert(deaths > 0 || released <= notifications) }
		:: !ok && is_late -> break
		:: else
		fi
	od;
	is_late = 0;
	UNLOCK;
	goto end;
died:	atomic { DIE(me); queued[me] = false; ok = 0; is_late = 0; mine = 0 };
end:	done[me] = true
}

/* The bit of who sleeps is a token that owes a ring; who has none looks again before he sleeps. */
#if MUTANT == 1
#define RING_IF_ASLEEP(other, ok) skip
#else
#define RING_IF_ASLEEP(other, ok) \
	STEP(ok = has_bit(set, other); set = set & ~bit_of(other)); \
	if \
	:: ok -> \
		STEP(RING(other, ok)); \
		if :: ok -> ok = 0; STEP(FUTEX_WAKE(other)) :: else fi \
	:: else \
	fi
#endif

proctype notifier(byte me)
{
	byte seen, other, count;
	bool ok;
	bool may_die = NOTIFIER_DIES;

	do
	:: count < NOTIFIES ->
		LOCK(me);
		STEP(token++);
again:		STEP(
			if
			:: is_waiting(1) -> other = 1; seen = entry[1]
			:: WAITERS > 1 && is_waiting(2) -> other = 2; seen = entry[2]
			:: !is_waiting(1) && (WAITERS < 2 || !is_waiting(2)) -> other = 0
			fi);
		if
		:: other != 0 ->
			STEP(CAS(entry[other], seen, entry_notified(seen), ok);
				if :: ok -> notifications++ :: else fi);
#if MUTANT == 2
			if :: !ok -> seen = 0; goto given :: else -> ok = 0 fi;
#else
			if :: !ok -> seen = 0; goto again :: else -> ok = 0 fi;
#endif
			RING_IF_ASLEEP(other, ok);
#if MUTANT == 12
			if :: seen != 0 -> seen = 0; STEP(
				if
				:: is_waiting(1) -> other = 1; entry[1] = entry_notified(entry[1])
				:: WAITERS > 1 && is_waiting(2) -> other = 2; entry[2] = entry_notified(entry[2])
				:: else
				fi);
				RING_IF_ASLEEP(other, ok)
			:: else fi;
#endif
		:: else
		fi;
given:		seen = 0; other = 0;
		UNLOCK;
		count++
	:: else -> break
	od;
	goto end;
died:	atomic { DIE(me); seen = 0; other = 0; ok = 0 };
end:	atomic { count = 0; workers-- }
}

#if MUTANT == 7
#define is_to_be_rung ok
#else
#define is_to_be_rung (entry_state(seen) == NOTIFIED)
#endif

/* cond_wake_all. */
#define WAKE_ALL \
	other = 1; \
	do \
	:: other <= WAITERS -> \
		STEP(seen = entry[other]); \
		ok = 0; \
		if \
		:: entry_state(seen) == WAITING -> \
			STEP(CAS(entry[other], seen, entry_notified(seen), ok)); \
			if :: ok -> seen = entry_notified(seen) :: else fi \
		:: else \
		fi; \
		if \
		:: is_to_be_rung -> \
			STEP(RING(other, ok)); \
			if :: ok -> STEP(FUTEX_WAKE(other)) :: else fi \
		:: else \
		fi; \
		ok = 0; seen = 0; other++ \
	:: else -> other = 0; break \
	od

#define IF_CURRENT(what) \
	STEP(ok = is_current(c, generation)); \
	if :: ok -> ok = 0; what :: else fi

proctype recoverer()
{
	byte c, generation, other, seen, his;
	bool ok;
	bool may_die = RECOVERER_DIES;

	do
	:: atomic { all_ended -> goto end }
	:: atomic { are_remains ->
			find_remains(c); generation = slot_generation(slot[c]); sweeping++ };
		STEP(if :: slot[c] == slot_word(generation, SLOT_LIVE) -> slot[c] = slot_word(generation, SLOT_DEAD)
			:: else fi);
		/* recover_lock: the waiters first */
		STEP(ok = (owner == c));
		if
		:: ok ->
			ok = 0;
#if MUTANT != 3 && MUTANT != 4
			IF_CURRENT(WAKE_ALL);
#endif
			IF_CURRENT(STEP(if :: owner == c -> owner = 0 :: else fi));
#if MUTANT == 4
			IF_CURRENT(WAKE_ALL);
#endif
		:: else
		fi;
		/* recover_cond */
		do
		:: STEP(his = entry[c]);
			STEP(ok = is_current(c, generation));
			if :: !ok -> break :: else -> ok = 0 fi;
			if
			:: entry_state(his) == ENTRY_FREE -> break
			:: entry_state(his) == NOTIFIED ->
#if MUTANT == 6
				STEP(entry[c] = ENTRY_FREE);
#endif
#if MUTANT != 5
				WAKE_ALL;
#endif
			:: else
			fi;
#if MUTANT == 11
			STEP(entry[c] = ENTRY_FREE)
#else
			STEP(if :: entry[c] == his -> entry[c] = ENTRY_FREE :: else fi)
#endif
		od;
		his = 0; ok = 0;
		/* leave_wait_sets */
		IF_CURRENT(STEP(set = set & ~bit_of(c)));
		STEP(if :: slot[c] == slot_word(generation, SLOT_DEAD) -> slot[c] = slot_word(generation, SLOT_FREE)
			:: else fi);
swept:		atomic { c = 0; generation = 0; sweeping-- }
	od;
died:	atomic { deaths++; other = 0; seen = 0; his = 0; ok = 0; goto swept };
end:	skip
}

#define rests(me) (done[me] || queued[me])
/* Everything that was begun is over. */
#define is_at_rest (workers == 0 && sweeping == 0 && !are_remains && rests(1) && \
	(WAITERS < 2 || rests(2)))
#define is_forgotten(me) (queued[me] && token != 0)

init {
	byte i = 1;

	atomic {
		ticket = 1;
		do
		:: i <= WAITERS ->
			slot[i] = slot_word(1, SLOT_LIVE);
			run waiter(i);
			i++
		:: else -> break
		od;
		slot[NOTIFIER] = slot_word(1, SLOT_LIVE);
		run notifier(NOTIFIER);
		i = 0;
		do :: i < RECOVERERS -> run recoverer(); i++ :: else -> i = 0; break od
	}
	atomic {
		is_at_rest;
		assert(!is_forgotten(1) && (WAITERS < 2 || !is_forgotten(2)));
		assert(owner == 0);
		/* Whoever waits rightly is let go; nobody dies of it. */
		deaths = DEATHS; token = WAITERS;
		i = 1;
		do
		:: i <= WAITERS ->
			if :: queued[i] -> entry[i] = entry_notified(entry[i]); notifications++ :: else fi;
			moved[i] = true; queued[i] = false; i++
		:: else -> i = 0; break
		od
	};
	atomic { done[1] && (WAITERS < 2 || done[2]) && is_at_rest; all_ended = true }
}

#ifdef LIVENESS
ltl ends { <> all_ended }
#endif
