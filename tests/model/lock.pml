/* SPDX-License-Identifier: MIT
 *
 * A checked lock: waiters that sleep, owners that die, recoverers that come late, promises.
 *
 * Mirrors lock.c (mp_lock_acquire, try_acquire, wait_mark, wait_in_line, mp_lock_release,
 * release_slow), lock_heir.c, lock_object.c (recover_lock), wait.c (wait_until, wait_end,
 * wait_wake_one_slow, wait_wake_thread, wait_wake_all, wait_ring), recover.c (sweep_client,
 * leave_wait_sets, recover_audit and the second audit of recover_client). Abstracts away: a client
 * has one thread, whose two slots are one word; recursion, plain and poisoned locks, held lists,
 * spinning. A sleeper is woken by rings alone: no pidfd of the owner, no look each 250 ms, mpd's
 * attention is not asked; and no promise is void because it is late. The oldest is found in one
 * step.
 *
 * Safety: one owner at a time; recovery frees what a dead one held and nothing else; each death of
 * an owner is reported to exactly one taker, and nothing else is; nobody sleeps when all is at
 * rest; while nobody dies, at most K who came later have the lock before one who waits. Liveness:
 * every acquire ends, under weak fairness.
 *
 * Mutants: 1 the bit set after the word is marked; 2 a taker drops WAIT; 3 a release asks only those
 * who sleep; 4 no look after the word was changed; 5 no audit; 6 the audit does not look for missing
 * bits; 7 recovery asks neither for the generation nor is_current; 8 DIED stays in the word when it
 * is taken and released; 9 recovery does not set DIED; 10 who gives up neither hands on nor tries
 * once more; 11 no audit after a sweep that was another's; 12 recovery stores instead of comparing;
 * 13 the fast release does not look at WAIT; 14 recovery skips locks that have waiters; 15 credit is
 * not spent; 16 who gives up does not look what was promised to him; 17 who gives up looks before
 * his record ends; 18 a promise to the dead is never void; 19 the release does not ask whether the
 * heir still waits; 20 who begins to wait leaves a word that says WAIT.
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
#ifndef K
#define K 1 /* who came later, before one who waits: 0 is a fair lock */
#endif
#define CLIENTS THREADS
#include "common.pml"
#include "bells.pml"

#define WAIT 64
#define DIED 128
#define NEWS 4096
#if MUTANT == 20
#define waited_for(word) ((word) | WAIT)
#else
#define waited_for(word) ((word) & WAIT -> (word) ^ NEWS : (word) | WAIT)
#endif
#define who(thread, generation) ((generation) << 3 | (thread))
#define owner_of(word) ((word) & 63)
#define thread_of(word) ((word) & 7)
#define heir_of(word) ((word) >> 8 & 7)
#define credit_of(word) ((word) >> 11 & 1)
#define without_promise(word) ((word) & 255)
#define promised(word, heir, credit) ((word) | (heir) << 8 | (credit) << 11)

#if MUTANT == 2
#define kept(word) 0
#elif MUTANT == 8
#define kept(word) ((word) & (WAIT | DIED))
#else
#define kept(word) ((word) & WAIT)
#endif
#if MUTANT == 15
#define spent(word) credit_of(word)
#else
#define spent(word) (credit_of(word) > 0 -> credit_of(word) - 1 : 0)
#endif
#define taken(word, self) \
	(heir_of(word) == 0 || heir_of(word) == thread_of(self) -> (self) | kept(word) : \
		promised((self) | kept(word), heir_of(word), spent(word)))
#if MUTANT == 9
#define after_death(word) ((word) & WAIT)
#else
#define after_death(word) (((word) & WAIT) | DIED)
#endif

short lock;
byte ticket[CLIENTS_MAX + 1], next_ticket;
byte passed[CLIENTS_MAX + 1]; /* grants since it began to wait, as far as anybody counts */

byte holder; /* what really is: the thread inside */
bool unreported;
bool in_line[CLIENTS_MAX + 1];
byte before[CLIENTS_MAX + 1]; /* who was in the line when it took its ticket */
byte overtaken[CLIENTS_MAX + 1];
byte rounds[THREADS + 1];
byte workers = THREADS;
bool all_ended;

#define is_later(me, other) (!record[me] || has_bit(before[me], other))
#define note_passing(t) \
	if \
	:: t != me && passed[t] <= K -> passed[t]++ \
	:: else \
	fi; \
	if \
	:: t != me && in_line[t] && is_later(me, t) -> \
		overtaken[t]++; \
		assert(overtaken[t] <= K || deaths > 0) \
	:: else \
	fi

#define note_taken(word) \
	assert(holder == 0); \
	holder = me; \
	assert(unreported == ((word & DIED) != 0)); \
	unreported = false; \
	note_passing(1); \
	note_passing(2); \
	note_passing(3); \
	in_line[me] = false; \
	before[me] = 0; \
	overtaken[me] = 0

#define note_ticket before[me] = in_line[1] << 1 | in_line[2] << 2 | in_line[3] << 3
#define note_waiting \
	if \
	:: !in_line[me] -> in_line[me] = true; overtaken[me] = 0 \
	:: else \
	fi

#if MUTANT == 18
#define waits(thread) record[thread]
#else
#define waits(thread) (record[thread] && slot_state(slot[thread]) == SLOT_LIVE)
#endif

#define is_older(t) (waits(t) && (other == 0 || ticket[t] < ticket[other]))
#define is_older_asleep(t) (has_bit(set, t) && (other == 0 || ticket[t] < ticket[other]))
#define consider(test, t) if :: test(t) -> other = t :: else fi
#define oldest(test) other = 0; consider(test, 1); consider(test, 2); consider(test, 3)

/* promise(): what the free word is to say, in `next`. */
#if MUTANT == 3
#define CHOOSE(flags) STEP(oldest(is_older_asleep))
#else
#define CHOOSE(flags) STEP(if :: (flags) & WAIT -> oldest(is_older) :: else -> other = 0 fi)
#endif
#define PROMISE(flags) \
	CHOOSE(flags); \
	if \
	:: other == 0 -> next = (flags) & DIED \
	:: else -> STEP(next = promised(((flags) & DIED) | WAIT, other, \
			(passed[other] < K -> K - passed[other] : 0)); other = 0) \
	fi

/* lock_heir_call: `next` was left in the word. */
#if MUTANT == 19
#define STILL_WAITS(heir) ok = true
#else
#define STILL_WAITS(heir) STEP(ok = waits(heir))
#endif
#if MUTANT == 4
#define CALL skip
#else
#define CALL \
	do \
	:: heir_of(next) == 0 || owner_of(next) != 0 -> break \
	:: else -> \
		STEP(other = heir_of(next); ok = has_bit(set, other); set = set & ~bit_of(other)); \
		if \
		:: ok -> \
			STEP(RING(other, ok)); \
			if :: ok -> STEP(FUTEX_WAKE(other)) :: else fi; \
			break \
		:: else \
		fi; \
		other = 0; \
		STILL_WAITS(heir_of(next)); \
		if :: ok -> break :: else fi; \
		word = next; \
		PROMISE(without_promise(word)); \
		STEP(if :: lock == word -> lock = next :: else -> next = lock fi); \
		word = 0 \
	od; \
	other = 0; ok = 0; word = 0; next = 0
#endif

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
	short word, next;
	byte self, other;
	bool ok, is_slow, is_over, has_begun;
	bool may_die = (me <= MORTALS);

	self = who(me, 1);
begin:	do
	:: atomic { rounds[me] < ROUNDS -> rounds[me]++ };
		STEP(if :: lock == 0 -> note_taken(0); lock = self; ok = 1 :: else fi);
		if :: ok -> ok = 0; goto inside :: else fi;
		/* try_acquire */
try:		STEP(word = lock);
		do
		:: owner_of(word) != 0 -> word = 0; break
		:: else ->
			next = word;
			if
			:: heir_of(word) != 0 && heir_of(word) != me && credit_of(word) == 0 ->
				STEP(ok = waits(heir_of(word)));
				if
				:: ok -> ok = 0; word = 0; next = 0; break
				:: else -> next = without_promise(word)
				fi
			:: else
			fi;
			STEP(if
			     :: lock == word ->
				note_taken(word); lock = taken(next, self); word = 0; next = 0; ok = 1
			     :: else -> word = lock; next = 0
			     fi);
			if :: ok -> ok = 0; goto entered :: else fi
		od;
		if
		:: is_over -> is_over = 0; is_slow = 0; goto renounce
		:: !is_over && !is_slow -> is_slow = 1; STEP(passed[me] = 0); goto try
		:: !is_over && is_slow
		fi;
		/* wait_until */
		STEP(READ_BELL(me));
		if
		:: !record[me] -> STEP(ticket[me] = next_ticket; next_ticket++; note_ticket)
		:: else
		fi;
		STEP(record[me] = true);
#if MUTANT != 1
		STEP(set = set | bit_of(me));
#endif
		/* wait_mark */
		STEP(word = lock);
		do
		:: owner_of(word) == 0 && (heir_of(word) == 0 || heir_of(word) == me || credit_of(word) > 0) ->
			word = 0; goto withdraw
		:: else ->
			if
			:: owner_of(word) == 0 ->
				STEP(ok = waits(heir_of(word)));
				if :: ok -> ok = 0 :: else -> word = 0; goto withdraw fi
			:: else
			fi;
			if
			:: has_begun && (word & WAIT) -> word = 0; break
			:: else ->
				STEP(CAS(lock, word, waited_for(word), ok); if :: ok -> note_waiting :: else fi);
				if :: ok -> ok = 0; word = 0; has_begun = true; break :: else fi
			fi
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
		ok = 0;
#if MUTANT == 10
		if :: is_over -> is_over = 0; is_slow = 0; has_begun = false; STEP(record[me] = false); goto left :: else fi;
#endif
		goto try;
		/* It has given up: wait_end, lock_heir_renounce. */
renounce:	atomic { in_line[me] = false; before[me] = 0; overtaken[me] = 0; has_begun = false };
#if MUTANT != 17
		STEP(record[me] = false);
#endif
#if MUTANT == 16
		goto left;
#endif
		STEP(word = lock);
		do
		:: heir_of(word) == me && owner_of(word) == 0 ->
			PROMISE(without_promise(word));
			STEP(CAS(lock, word, next, ok));
			if :: ok -> ok = 0; CALL; break :: else -> next = 0 fi
		:: heir_of(word) == me && owner_of(word) != 0 ->
			STEP(CAS(lock, word, without_promise(word), ok));
			if :: ok -> ok = 0; break :: else fi
		:: else -> break
		od;
		word = 0;
#if MUTANT == 17
		STEP(record[me] = false);
#endif
		goto left;
entered:	is_over = 0;
		if
		:: is_slow -> is_slow = 0; has_begun = false; STEP(record[me] = false)
		:: else
		fi;
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
			/* lock_heir_next */
			if
			:: heir_of(word) != 0 -> STEP(ok = waits(heir_of(word)))
			:: else
			fi;
			if
			:: ok -> ok = 0; next = (word & ~(63 | NEWS)) | WAIT
			:: else -> PROMISE(word)
			fi;
			STEP(if :: lock == word -> lock = next; word = 0; holder = 0 :: else -> word = lock; next = 0 fi);
			if :: word == 0 -> break :: else fi
		od;
		CALL;
left:		word = 0; next = 0
	:: atomic { rounds[me] == ROUNDS -> goto end }
	od;
died:	atomic {
		DIE(me); queued[me] = false; word = 0; next = 0; other = 0; ok = 0; is_slow = 0; is_over = 0;
		has_begun = false; self = 0; in_line[me] = false; before[me] = 0; overtaken[me] = 0
	};
	/* fill_thread, before the slot says LIVE */
	atomic { slot_state(slot[me]) == SLOT_FREE -> record[me] = false; asleep[me] = false };
	REBORN(me);
	self = who(me, slot_generation(slot[me]));
	goto begin;
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
	short word;
	byte c, generation, other, bits;
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
