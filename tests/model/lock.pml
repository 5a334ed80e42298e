/* SPDX-License-Identifier: MIT
 *
 * A checked lock: waiters that sleep, owners that die, recoverers that come late.
 *
 * Mirrors lock.c (mp_lock_acquire, try_acquire, wait_mark, wait_for_lock, mp_lock_release,
 * release_slow, ring_next), lock_object.c (recover_lock), wait.c (wait_until, wait_wake_one_slow,
 * wait_wake_all, wait_ring), recover.c (sweep_client, leave_wait_sets, recover_audit and the
 * second audit of recover_client). Abstracts away: a client has one thread, whose two slots are
 * one word; recursion, plain and poisoned locks, held lists, spinning. A sleeper is woken by rings
 * alone: no pidfd of the owner, no look each 250 ms, mpd's attention is not asked.
 *
 * Safety: one owner at a time; recovery frees what a dead one held and nothing else; each death of
 * an owner is reported to exactly one taker, and nothing else is; nobody sleeps when all is at
 * rest. Liveness: every acquire ends, under weak fairness.
 *
 * Mutants: 1 the bit set after the word is marked; 2 a taker drops WAIT; 3 nobody puts WAIT back
 * (who waited, ring_next); 4 no second look at the set after WAIT was dropped; 5 no audit; 6 the
 * audit does not look for missing bits; 7 recovery asks neither for the generation nor is_current;
 * 8 DIED stays in the word when it is taken and released; 9 recovery does not set DIED; 10 who
 * gives up neither hands on nor tries once more; 11 no audit after a sweep that was another's; 12
 * recovery stores instead of comparing; 13 the fast release does not look at WAIT; 14 recovery
 * skips locks that have waiters.
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef MORTALS
#define MORTALS 1 /* threads from 1 that may die: they are alike, so one is enough for one death */
#endif
#ifndef RECOVERER_DIES
#define RECOVERER_DIES false
#endif
#ifndef IMPATIENT
#define IMPATIENT 0 /* threads from 1 that may give up */
#endif
#define CLIENTS THREADS
#include "common.pml"
#include "bells.pml"

#define WAIT 64
#define DIED 128
#define who(thread, generation) ((generation) << 3 | (thread))
#define owner_of(word) ((word) & 63)
#define thread_of(word) ((word) & 7)
#if MUTANT == 2
#define taken(word, me) (me)
#elif MUTANT == 8
#define taken(word, me) ((me) | ((word) & (WAIT | DIED)))
#define released(word, ok) ((ok -> WAIT : 0) | ((word) & DIED))
#else
#define taken(word, me) ((me) | ((word) & WAIT))
#endif
#if MUTANT != 8
#define released(word, ok) (ok -> WAIT : 0)
#endif
#if MUTANT == 9
#define after_death(word) ((word) & WAIT)
#else
#define after_death(word) (((word) & WAIT) | DIED)
#endif

byte lock;

byte holder; /* what really is: the thread inside */
bool unreported;
byte rounds[THREADS + 1];
byte workers = THREADS;
bool all_ended;

#define note_taken(word) \
	assert(holder == 0); \
	holder = me; \
	assert(unreported == ((word & DIED) != 0)); \
	unreported = false

/* wait_wake_one_slow. */
#define WAKE_ONE \
	do \
	:: STEP(if :: set != 0 -> choose(set, other) :: else -> other = 0 fi); \
		if \
		:: other == 0 -> break \
		:: else -> \
			STEP(ok = has_bit(set, other); set = set & ~bit_of(other)); \
			if \
			:: ok -> \
				STEP(RING(other, ok)); \
				if :: ok -> STEP(FUTEX_WAKE(other)) :: else fi; \
				other = 0; ok = 0; \
				break \
			:: else \
			fi \
		fi \
	od

proctype thread(byte me)
{
	byte word, self, other;
	bool ok, is_slow, is_over;
	bool may_die = (me <= MORTALS);

	self = who(me, 1);
next:	do
	:: atomic { rounds[me] < ROUNDS -> rounds[me]++ };
		STEP(if :: lock == 0 -> note_taken(0); lock = self; ok = 1 :: else fi);
		if :: ok -> ok = 0; goto inside :: else fi;
		/* try_acquire */
try:		STEP(word = lock);
		do
		:: owner_of(word) != 0 -> word = 0; break
		:: owner_of(word) == 0 ->
			STEP(if
			     :: lock == word -> note_taken(word); lock = taken(word, self); word = 0; ok = 1
			     :: else -> word = lock
			     fi);
			if :: ok -> ok = 0; goto entered :: else fi
		od;
		if
		:: is_over -> is_over = 0; is_slow = 0; goto left
		:: !is_over && !is_slow -> is_slow = 1; goto try
		:: !is_over && is_slow
		fi;
		/* wait_until */
		STEP(READ_BELL(me));
		STEP(record[me] = true);
#if MUTANT != 1
		STEP(set = set | bit_of(me));
#endif
		STEP(word = lock);
		do
		:: owner_of(word) == 0 -> word = 0; goto withdraw
		:: owner_of(word) != 0 && (word & WAIT) -> word = 0; break
		:: owner_of(word) != 0 && !(word & WAIT) ->
			STEP(CAS(lock, word, (word | WAIT), ok));
			if :: ok -> ok = 0; word = 0; break :: else fi
		od;
#if MUTANT == 1
		STEP(set = set | bit_of(me));
#endif
		STEP(MARK_ASLEEP(me, ok));
		if :: !ok -> goto withdraw :: else -> ok = 0 fi;
		STEP(FUTEX_WAIT(me));
sleep:		atomic {
			if
			:: !queued[me]
			:: queued[me] && me <= IMPATIENT -> queued[me] = false; is_over = true
			:: deaths < DEATHS && may_die -> goto died
			fi
		};
		STEP(asleep[me] = false);
withdraw:	STEP(ok = !has_bit(set, me); set = set & ~bit_of(me));
#if MUTANT != 10
		if
		:: is_over && ok ->
			STEP(ok = (owner_of(lock) == 0));
			if :: ok -> ok = 0; WAKE_ONE :: else fi
		:: else
		fi;
#endif
		STEP(record[me] = false; ok = 0);
#if MUTANT == 10
		if :: is_over -> is_over = 0; is_slow = 0; goto left :: else fi;
#endif
		goto try;
entered:	is_over = 0;
#if MUTANT != 3
		if
		:: is_slow -> is_slow = 0;
			STEP(ok = (set != 0));
			if :: ok -> STEP(lock = lock | WAIT; ok = 0) :: else fi
		:: else
		fi;
#endif
inside:		skip;
		/* mp_lock_release */
#if MUTANT == 13
		STEP(lock = 0; holder = 0; ok = 1);
#else
		STEP(if :: lock == self -> lock = 0; holder = 0; ok = 1 :: else fi);
#endif
		if :: ok -> ok = 0; goto left :: else fi;
		STEP(word = lock);
		do
		:: assert(owner_of(word) == self);
			STEP(ok = (set != 0));
			STEP(if :: lock == word -> lock = released(word, ok); word = 0; holder = 0 :: else -> word = lock fi);
			if :: word == 0 -> break :: else -> ok = 0 fi
		od;
		/* ring_next */
#if MUTANT == 4
		if :: !ok -> goto left :: else fi;
#endif
		if
		:: ok -> STEP(ok = (set != 0))
		:: else ->
			STEP(ok = (set != 0));
			#if MUTANT != 3
			if :: ok -> STEP(lock = lock | WAIT) :: else fi
#endif
		fi;
		if :: ok -> ok = 0; WAKE_ONE :: else fi;
left:		skip
	:: atomic { rounds[me] == ROUNDS -> goto end }
	od;
died:	atomic { DIE(me); queued[me] = false; word = 0; other = 0; ok = 0; is_slow = 0; is_over = 0; self = 0 };
	REBORN(me);
	/* fill_thread */
	STEP(record[me] = false);
	STEP(asleep[me] = false);
	self = who(me, slot_generation(slot[me]));
	goto next;
end:	workers--
}

/* wait_ring by a recoverer. */
#define RING_OTHER \
	STEP(RING(other, ok)); \
	if :: ok -> STEP(FUTEX_WAKE(other)) :: else fi; \
	ok = 0

#if MUTANT == 5
#define AUDIT skip
#else
#define AUDIT \
	other = 1; \
	do \
	:: other <= THREADS -> \
		STEP(ok = (record[other] && slot_state(slot[other]) != SLOT_FREE)); \
		if \
		:: ok -> \
			STEP(ok = is_bit_missing(other)); \
			if :: !ok -> STEP(ok = (owner_of(lock) == 0)) :: else fi; \
			if :: ok -> RING_OTHER :: else fi \
		:: else \
		fi; \
		other++ \
	:: else -> other = 0; break \
	od
#endif
#if MUTANT == 6
#define is_bit_missing(thread) false
#else
#define is_bit_missing(thread) !has_bit(set, thread)
#endif

proctype recoverer()
{
	byte c, generation, word, other, bits;
	bool ok;
	bool may_die = RECOVERER_DIES;

	do
	:: atomic { workers == 0 -> goto end }
	:: atomic { are_remains -> find_remains(c); generation = slot_generation(slot[c]) };
		STEP(if :: slot[c] == slot_word(generation, SLOT_LIVE) -> slot[c] = slot_word(generation, SLOT_DEAD)
			:: else fi);
		/* recover_lock */
		STEP(word = lock);
		do
#if MUTANT == 7
		:: thread_of(word) == c ->
			ok = true;
#elif MUTANT == 14
		:: owner_of(word) == who(c, generation) && !(word & WAIT) ->
			STEP(ok = is_current(c, generation));
#else
		:: owner_of(word) == who(c, generation) ->
			STEP(ok = is_current(c, generation));
#endif
			if :: !ok -> break :: else -> ok = 0 fi;
			STEP(if
#if MUTANT == 12
			     :: true ->
#else
			     :: lock == word ->
#endif
				assert(gone[c] && holder == c);
				holder = 0; unreported = true; lock = after_death(word); ok = 1
			     :: else -> word = lock
			     fi);
			if
			:: ok -> ok = 0;
				/* wait_wake_all */
				STEP(bits = set; set = 0);
				do
				:: bits != 0 -> choose(bits, other); bits = bits & ~bit_of(other); RING_OTHER
				:: else -> other = 0; break
				od;
				break
			:: else
			fi
		:: else -> break
		od;
		word = 0;
		/* leave_wait_sets */
		STEP(ok = is_current(c, generation));
		if :: ok -> STEP(ok = record[c]) :: else fi;
		if :: ok -> STEP(ok = is_current(c, generation)) :: else fi;
		if :: ok -> STEP(set = set & ~bit_of(c); ok = 0) :: else fi;
		STEP(ok = is_current(c, generation));
		if
		:: ok -> ok = 0; AUDIT;
			STEP(if :: slot[c] == slot_word(generation, SLOT_DEAD) ->
					slot[c] = slot_word(generation, SLOT_FREE)
				:: else fi)
		:: else
#if MUTANT == 11
			-> goto swept
#endif
		fi;
		/* recover_client, after the sweep */
		AUDIT;
swept:		atomic { c = 0; generation = 0 }
	od;
died:	atomic { deaths++; c = 0; generation = 0; word = 0; other = 0; bits = 0; ok = 0; goto swept };
end:	skip
}

init {
	byte i = 1;

	atomic {
		do
		:: i <= THREADS -> slot[i] = slot_word(1, SLOT_LIVE); run thread(i); i++
		:: else -> i = 0; break
		od;
		do :: i < RECOVERERS -> run recoverer(); i++ :: else -> i = 0; break od
	}
	workers == 0;
	assert(holder == 0 && owner_of(lock) == 0 && set == 0);
	all_ended = true
}

#ifdef LIVENESS
ltl ends { <> all_ended }
#endif
