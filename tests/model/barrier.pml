/* SPDX-License-Identifier: MIT
 *
 * A barrier: threads that meet, give up and die anywhere, an action, resets and aborts, recoverers
 * that come late.
 *
 * Mirrors barrier.c (mp_barrier_wait, mp_barrier_reset, mp_barrier_abort, break_generation),
 * barrier_object.c (recover_barrier, barrier_is_ready), wait.c (wait_until, wait_wake_all,
 * wait_ring), recover.c (leave_wait_sets, recover_audit). Abstracts away: spinning, whose name a
 * broken barrier bears, several threads of a client, the look each 250 ms, mpd's attention. The
 * history has one bit here, so that two generations later `breaks` has to tell. With SPINS who waits never sleeps.
 *
 * Safety: the indices of a generation that was passed differ, its action ran once and before anybody
 * was let through; all of a generation are told the same; what was passed or broken is never
 * forgotten by who came late; only what happened in a generation breaks it; a death in a generation
 * that was not over breaks it; when all that was begun is over and the dead are swept, nobody is in
 * the kernel whose generation is over. Liveness: every wait ends once it is broken for good.
 *
 * Mutants: 1 who passes rings nobody; 2 the record is written after the arrival; 3 the sweep does
 * not compare generations; 4 the sweep does not look for the dead one's action; 5 no audit; 6 who
 * gives up does not compare generations; 7 a reset leaves no mark in the history; 8 a reset counts
 * after it has moved on; 9 the bit set after the second look; 10 a wait looks at the state alone; 11
 * the sweep does not ask whether it is current; 12 the end of an action does not look; 13 the audit
 * does not compare generations; 14 late ones ask the history alone.
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef PARTIES
#define PARTIES 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef RESETTERS
#define RESETTERS 0
#endif
#ifndef ABORTERS
#define ABORTERS 0
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef RECOVERER_DIES
#define RECOVERER_DIES false
#endif
#ifndef IMPATIENT
#define IMPATIENT 0
#endif
#ifndef MORTALS
#define MORTALS 4
#endif
#include "common.pml"
#include "bells.pml"

/* The word. */
#define FILLING 0
#define ACTION 1
#define BROKEN 2
#define make(generation, arrived, state, who, history) \
	((generation) + 8 * (arrived) + 32 * (state) + 128 * (who) + 1024 * (history))
#define generation_of(w) ((w) & 7)
#define arrived_of(w) (((w) >> 3) & 3)
#define state_of(w) (((w) >> 5) & 3)
#define who_of(w) (((w) >> 7) & 7)
#define history_of(w) (((w) >> 10) & 1)
#define next_of(w, was_broken) make((generation_of(w) + 1) & 7, 0, FILLING, 0, was_broken)
#define broken_of(w) make(generation_of(w), 0, BROKEN, 0, history_of(w))

#define GENERATIONS 8

short word;
byte breaks;
byte meeting[CLIENTS_MAX + 1];   /* generation + 1 that it is in, 0 none */
byte condition[CLIENTS_MAX + 1]; /* of the wait record: the generation it sleeps for */

/* What has happened, whatever the words say. */
byte indices[GENERATIONS];  /* given out by a wait that returned 0 */
bool acted[GENERATIONS];    /* its action has begun, */
bool finished[GENERATIONS]; /* and returned */
bool passed[GENERATIONS];
bool broke[GENERATIONS];
bool lost[GENERATIONS];     /* one died in it before it was over */
byte workers = THREADS + RESETTERS + ABORTERS;
byte waits = THREADS;
byte sweeping;
bool all_ended;

#define is_over(w, generation) (generation_of(w) != (generation) || state_of(w) == BROKEN)
#if MUTANT == 10
#define looks_over(w, generation) (state_of(w) == BROKEN)
#else
#define looks_over(w, generation) is_over(w, generation)
#endif

/* wait_wake_all. */
#define RING_ALL \
	STEP(ok = (set != 0)); \
	if \
	:: ok -> \
		ok = 0; \
		STEP(bits = set; set = 0); \
		do \
		:: bits != 0 -> \
			atomic { choose(bits, other); bits = bits & ~bit_of(other) }; \
			STEP(RING(other, ok)); \
			if :: ok -> ok = 0; STEP(FUTEX_WAKE(other)) :: else fi \
		:: else -> other = 0; break \
		od \
	:: else \
	fi

/* The bookkeeping of a change of the word, in the same step. */
#define BREAKS(w) broke[generation_of(w)] = true; assert(!passed[generation_of(w)])
#define PASSES(w) passed[generation_of(w)] = true; assert(!broke[generation_of(w)])

#define is_dying(me) (deaths < DEATHS && may_die)

proctype party(byte me)
{
	short seen;
	byte bits, other, generation, round, before, index;
	bool ok, is_in;
	bool may_die = me <= MORTALS;

again:	STEP(seen = word);
look:	generation = generation_of(seen);
	is_in = false;
	if
	:: state_of(seen) == BROKEN -> goto left
	:: state_of(seen) == ACTION -> goto sleeps
	:: else
	fi;
	STEP(before = breaks);
#if MUTANT != 2
	STEP(meeting[me] = generation + 1);
#endif
	index = arrived_of(seen);
	if
	:: arrived_of(seen) + 1 < PARTIES ->
		atomic {
			if
			:: CAS(word, seen, make(generation, index + 1, FILLING, 0, history_of(seen)), ok);
				is_in = ok
			:: is_dying(me) -> goto died
			fi
		};
		if :: !ok -> goto look :: else -> ok = 0 fi
#ifdef ACTS
	:: else ->
		STEP(CAS(word, seen, make(generation, PARTIES, ACTION, me, history_of(seen)), ok);
			if :: ok -> is_in = true; assert(!acted[generation]); acted[generation] = true :: else fi);
		if :: !ok -> goto look :: else -> ok = 0 fi;
		STEP(meeting[me] = 0); /* it may wait at other barriers */
		seen = make(generation, PARTIES, ACTION, me, history_of(seen));
		if
		:: STEP(finished[generation] = true);
#if MUTANT == 12
			STEP(ok = true; passed[generation] = true; word = next_of(seen, 0));
#else
			STEP(CAS(word, seen, next_of(seen, 0), ok);
				if :: ok -> passed[generation] = true; assert(!broke[generation]) :: else fi);
#endif
			if :: ok -> ok = 0; is_in = false; RING_ALL; goto comes_out :: else -> goto comes_out fi
		:: IMPATIENT != 0 -> /* it fails */
			STEP(finished[generation] = false);
			goto breaks_it
		fi
#else
	:: else ->
		STEP(CAS(word, seen, next_of(seen, 0), ok);
			if :: ok -> acted[generation] = true; finished[generation] = true;
				passed[generation] = true; assert(!broke[generation]) :: else fi);
		if :: !ok -> goto look :: else -> ok = 0 fi;
#if MUTANT != 1
		RING_ALL;
#endif
		goto comes_out
#endif
	fi;
#if MUTANT == 2
	STEP(meeting[me] = generation + 1);
#endif

#ifdef SPINS
sleeps:	atomic { queued[me] = true; condition[me] = generation };
	atomic { looks_over(word, generation) -> queued[me] = false };
	if :: !is_in -> goto again :: else -> goto comes_out fi;
#else
sleeps:	do
	:: STEP(seen = word; ok = looks_over(seen, generation));
		if :: ok -> ok = 0; break :: else fi;
		STEP(READ_BELL(me));
		STEP(record[me] = true; condition[me] = generation);
#if MUTANT != 9
		STEP(set = set | bit_of(me));
#endif
		STEP(seen = word; ok = looks_over(seen, generation));
		if :: ok -> ok = 0; goto withdraw :: else fi;
#if MUTANT == 9
		STEP(set = set | bit_of(me));
#endif
		STEP(MARK_ASLEEP(me, ok));
		if :: !ok -> goto withdraw :: else -> ok = 0 fi;
		STEP(FUTEX_WAIT(me));
sleep:		atomic {
			if
			:: !queued[me]
			:: queued[me] && me <= IMPATIENT -> queued[me] = false; ok = true
			:: is_dying(me) -> goto died
			fi
		};
		STEP(asleep[me] = false);
		if
		:: ok ->
			ok = 0;
			STEP(set = set & ~bit_of(me));
			STEP(record[me] = false);
			goto gives_up
		:: else
		fi;
withdraw:	STEP(set = set & ~bit_of(me));
		STEP(record[me] = false)
	od;
	if :: !is_in -> goto again :: else -> goto comes_out fi;
#endif

gives_up:
	if :: !is_in -> goto left :: else fi;
breaks_it:
	STEP(seen = word);
	do
#if MUTANT == 6
	:: state_of(seen) == BROKEN -> goto comes_out
#else
	:: is_over(seen, generation) -> goto comes_out
#endif
	:: else ->
		STEP(CAS(word, seen, broken_of(seen), ok);
			if :: ok -> BREAKS(seen); assert(generation_of(seen) == generation) :: else fi);
		if :: ok -> ok = 0; break :: else fi
	od;
	RING_ALL;

comes_out:
	STEP(meeting[me] = 0);
	/* Only now, as one that was stopped does, it asks how its generation ended. */
	STEP(seen = word; bits = breaks);
	if
	:: generation_of(seen) == generation -> ok = false
	:: generation_of(seen) == ((generation + 1) & 7) -> ok = !history_of(seen)
#if MUTANT == 14
	:: else -> ok = !history_of(seen)
#else
	:: else -> ok = (bits == before)
#endif
	fi;
	atomic {
		assert(!(passed[generation] && broke[generation]));
		if
		:: ok ->
			assert(passed[generation]);
			assert(acted[generation] && finished[generation]);
			assert(!(indices[generation] & bit_of(index)));
			indices[generation] = indices[generation] | bit_of(index)
		:: !ok && ((generation_of(seen) - generation) & 7) <= 1 -> assert(broke[generation])
		:: else
		fi;
		bits = 0; ok = 0; round++
	};
	if :: round < ROUNDS -> goto again :: else fi;
left:	STEP(meeting[me] = 0);
	goto end;
died:	atomic {
		if
		:: is_in && !is_over(word, generation) -> lost[generation] = true
		:: else
		fi;
		DIE(me); queued[me] = false; ok = 0; seen = 0; bits = 0; other = 0
	};
end:	atomic { workers--; waits-- }
}

proctype resetter(byte me)
{
	short seen;
	byte bits, other;
	bool ok;
	bool may_die = true;

	STEP(seen = word);
	do
	:: state_of(seen) == FILLING && arrived_of(seen) == 0 -> break
	:: state_of(seen) == BROKEN ->
#if MUTANT != 8
		STEP(breaks++);
#endif
#if MUTANT == 7
		STEP(CAS(word, seen, next_of(seen, 0), ok));
#else
		STEP(CAS(word, seen, next_of(seen, 1), ok));
#endif
#if MUTANT == 8
		if :: ok -> STEP(breaks++) :: else fi;
#endif
		if :: ok -> break :: else fi
	:: else ->
		STEP(CAS(word, seen, broken_of(seen), ok);
			if :: ok -> BREAKS(seen); seen = broken_of(seen) :: else fi);
		ok = 0
	od;
	ok = 0;
	RING_ALL;
	goto end;
died:	atomic { DIE(me); seen = 0; bits = 0; other = 0; ok = 0 };
end:	workers--
}

proctype aborter(byte me)
{
	short seen;
	byte bits, other;
	bool ok;
	bool may_die = true;

	STEP(seen = word);
	do
	:: state_of(seen) == BROKEN -> break
	:: else ->
		STEP(CAS(word, seen, broken_of(seen), ok); if :: ok -> BREAKS(seen) :: else fi);
		if :: ok -> ok = 0; break :: else fi
	od;
	RING_ALL;
	goto end;
died:	atomic { DIE(me); seen = 0; bits = 0; other = 0; ok = 0 };
end:	workers--
}

#if MUTANT == 3
#define is_met(c) (meeting[c] != 0)
#else
#define is_met(c) (meeting[c] == generation_of(seen) + 1)
#endif
#if MUTANT == 4
#define is_acting(c) false
#else
#define is_acting(c) (state_of(seen) == ACTION && who_of(seen) == c)
#endif
#if MUTANT == 13
#define is_ready(c) (state_of(word) == BROKEN)
#else
#define is_ready(c) is_over(word, condition[c])
#endif

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
			STEP(ok = !has_bit(set, other)); \
			if :: !ok -> STEP(ok = is_ready(other)) :: else fi; \
			if \
			:: ok -> \
				STEP(RING(other, ok)); \
				if :: ok -> STEP(FUTEX_WAKE(other)) :: else fi; \
				ok = 0 \
			:: else \
			fi \
		:: else \
		fi; \
		other++ \
	:: else -> other = 0; break \
	od
#endif

proctype recoverer()
{
	short seen;
	byte c, slot_generation_seen, other, bits;
	bool ok;
	bool may_die = RECOVERER_DIES;

	do
	:: atomic { all_ended -> goto end }
	:: atomic { are_remains ->
			find_remains(c); slot_generation_seen = slot_generation(slot[c]); sweeping++ };
		STEP(if :: slot[c] == slot_word(slot_generation_seen, SLOT_LIVE) ->
				slot[c] = slot_word(slot_generation_seen, SLOT_DEAD)
			:: else fi);
		/* recover_barrier */
		STEP(seen = word);
		do
		:: state_of(seen) == BROKEN -> break
		:: else ->
			STEP(ok = (is_met(c) || is_acting(c)));
			if :: !ok -> break :: else fi;
#if MUTANT != 11
			STEP(ok = is_current(c, slot_generation_seen));
			if :: !ok -> break :: else fi;
#endif
			STEP(CAS(word, seen, broken_of(seen), ok);
				if
				:: ok -> BREAKS(seen);
					assert(gone[c] && (is_acting(c) || meeting[c] == generation_of(seen) + 1))
				:: else
				fi);
			if :: ok -> break :: else fi
		od;
		if :: ok -> ok = 0; RING_ALL :: else fi;
		/* leave_wait_sets */
		STEP(ok = is_current(c, slot_generation_seen));
		if :: ok -> STEP(ok = record[c]) :: else fi;
		if :: ok -> STEP(ok = is_current(c, slot_generation_seen)) :: else fi;
		if :: ok -> STEP(set = set & ~bit_of(c); ok = 0) :: else fi;
		AUDIT;
		STEP(if :: slot[c] == slot_word(slot_generation_seen, SLOT_DEAD) ->
				slot[c] = slot_word(slot_generation_seen, SLOT_FREE)
			:: else fi);
swept:		atomic { c = 0; slot_generation_seen = 0; seen = 0; bits = 0; sweeping-- }
	od;
died:	atomic { deaths++; other = 0; ok = 0; goto swept };
end:	skip
}

#ifdef REUSED
/* Another thread in the slot of one that died and was swept: it comes and waits. */
proctype successor(byte me)
{
	atomic {
		(slot_state(slot[me]) == SLOT_FREE && !all_ended) || all_ended ->
		if
		:: all_ended -> goto end
		:: else ->
			slot[me] = slot_word(slot_generation(slot[me]) + 1, SLOT_LIVE);
			gone[me] = false; meeting[me] = 0; record[me] = false;
			workers++; waits++;
			run party(me)
		fi
	};
end:	skip
}
#endif

/* Everything that was begun is over, but for who sleeps. */
#ifdef SPINS
#define sleeps(me) (queued[me] && !is_over(word, condition[me]))
#else
#define sleeps(me) (queued[me] && record[me] && !gone[me])
#endif
#define is_at_rest (workers == sleeps(1) + sleeps(2) + sleeps(3) && sweeping == 0 && !are_remains)
#define is_forgotten(me) (sleeps(me) && (is_over(word, condition[me]) || lost[condition[me]]))

init {
	byte i = 1;

	atomic {
		do
		:: i <= THREADS + RESETTERS + ABORTERS ->
			slot[i] = slot_word(1, SLOT_LIVE);
			if
			:: i <= THREADS -> run party(i)
			:: i > THREADS && i <= THREADS + RESETTERS -> run resetter(i)
			:: else -> run aborter(i)
			fi;
			i++
		:: else -> i = 0; break
		od;
#ifdef REUSED
		run successor(1);
#endif
		do :: i < RECOVERERS -> run recoverer(); i++ :: else -> i = 0; break od
	}
	atomic {
		is_at_rest;
		assert(!is_forgotten(1) && !is_forgotten(2) && !is_forgotten(3));
		/* A last abort wakes who waits rightly. */
		if
		:: state_of(word) != BROKEN -> BREAKS(word); word = broken_of(word)
		:: else
		fi;
		i = 1;
		do
#ifndef SPINS
		:: i <= THREADS -> moved[i] = true; queued[i] = false; i++
#else
		:: i <= THREADS -> i++
#endif
		:: else -> i = 0; break
		od
	};
	atomic { waits == 0 && is_at_rest; all_ended = true }
}

#ifdef LIVENESS
ltl ends { <> all_ended }
#endif
