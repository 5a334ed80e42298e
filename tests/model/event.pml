/* SPDX-License-Identifier: MIT
 *
 * An event: waiters that sleep, setters and clearers that die anywhere, recoverers that come late.
 *
 * Mirrors event.c (mp_event_set, mp_event_clear, wait_slow, is_over), wait.c (wait_until,
 * wait_wake_all, wait_ring), recover.c (leave_wait_sets, recover_audit). Abstracts away: spinning,
 * timeouts, several threads of a client, the look each 250 ms, mpd's attention and watching.
 *
 * Safety: when all that was begun is over and the dead are swept, nobody is in the kernel whose wait
 * is over: the event is set, or has become set since the wait began. Liveness: every wait ends once
 * the event stays set, under weak fairness.
 *
 * Mutants: 1 set rings nobody; 2 clear rings nobody; 3 clear does not compare what it changes; 4 a
 * wait does not look at the epoch; 5 no audit; 6 the audit does not look for missing bits; 7 the bit
 * set after the second look; 8 clear rings after its change; 9 the audit does not look at the word.
 */
#ifndef WAITERS
#define WAITERS 1
#endif
#ifndef SETTERS
#define SETTERS 1
#endif
#ifndef CLEARERS
#define CLEARERS 1
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef RECOVERER_DIES
#define RECOVERER_DIES false
#endif
#ifndef WAITER_DIES
#define WAITER_DIES false
#endif
#include "common.pml"
#include "bells.pml"

#define SET 1
#define EPOCH 2
#define without_set(value) ((value) & 254)

#ifdef BEGINS_SET
byte word = SET + EPOCH;
#else
byte word;
#endif
byte began[CLIENTS_MAX + 1];
byte workers = SETTERS + CLEARERS;
byte waits = WAITERS;
byte sweeping;
bool all_ended;

#if MUTANT == 4
#define is_over(me) (word & SET)
#else
#define is_over(me) ((word & SET) || word != began[me])
#endif
/* What was promised, whatever the code looks at. */
#define is_due(me) ((word & SET) || word != began[me])

/* wait_wake_all. */
#define RING_ALL \
	STEP(bits = set; set = 0); \
	do \
	:: bits != 0 -> \
		atomic { choose(bits, other); bits = bits & ~bit_of(other) }; \
		STEP(RING(other, ok)); \
		if :: ok -> ok = 0; STEP(FUTEX_WAKE(other)) :: else fi \
	:: else -> other = 0; break \
	od

proctype waiter(byte me)
{
	bool ok;
	bool may_die = WAITER_DIES;

	STEP(began[me] = word; ok = word & SET);
	if :: ok -> ok = 0; goto left :: else fi;
	do
	:: STEP(ok = is_over(me));
		if :: ok -> ok = 0; break :: else fi;
		STEP(READ_BELL(me));
		STEP(record[me] = true);
#if MUTANT != 7
		STEP(set = set | bit_of(me));
#endif
		STEP(ok = is_over(me));
		if :: ok -> ok = 0; goto withdraw :: else fi;
#if MUTANT == 7
		STEP(set = set | bit_of(me));
#endif
		STEP(MARK_ASLEEP(me, ok));
		if :: !ok -> goto withdraw :: else -> ok = 0 fi;
		STEP(FUTEX_WAIT(me));
sleep:		atomic {
			if
			:: !queued[me]
			:: deaths < DEATHS && may_die -> goto died
			fi
		};
		STEP(asleep[me] = false);
withdraw:	STEP(set = set & ~bit_of(me));
		STEP(record[me] = false)
	od;
left:	atomic { waits-- };
	goto end;
died:	atomic { DIE(me); queued[me] = false; ok = 0; waits-- };
end:	skip
}

proctype setter(byte me)
{
	byte seen, bits, other;
	bool ok;
	bool may_die = true;

	STEP(seen = word);
	do
	:: seen & SET -> break
	:: else ->
		STEP(CAS(word, seen, (seen | SET) + EPOCH, ok));
		if :: ok -> ok = 0; break :: else fi
	od;
	seen = 0;
#if MUTANT != 1
	STEP(ok = (set != 0));
	if :: ok -> ok = 0; RING_ALL :: else fi;
#endif
	goto end;
died:	atomic { DIE(me); seen = 0; bits = 0; other = 0; ok = 0 };
end:	workers--
}

proctype clearer(byte me)
{
	byte seen, bits, other;
	bool ok;
	bool may_die = true;

	STEP(seen = word);
	do
	:: !(seen & SET) -> break
	:: else ->
#if MUTANT != 2 && MUTANT != 8
		STEP(ok = (set != 0));
		if :: ok -> ok = 0; RING_ALL :: else fi;
#endif
#if MUTANT == 3
		STEP(word = without_set(word)); ok = true;
#else
		STEP(CAS(word, seen, without_set(seen), ok));
#endif
		if :: ok -> ok = 0; break :: else fi
	od;
	seen = 0;
#if MUTANT == 8
	STEP(ok = (set != 0));
	if :: ok -> ok = 0; RING_ALL :: else fi;
#endif
	goto end;
died:	atomic { DIE(me); seen = 0; bits = 0; other = 0; ok = 0 };
end:	workers--
}

#if MUTANT == 6
#define is_bit_missing(thread) false
#else
#define is_bit_missing(thread) !has_bit(set, thread)
#endif
#if MUTANT == 9
#define is_ready false
#else
#define is_ready ((word & SET) != 0)
#endif

#if MUTANT == 5
#define AUDIT skip
#else
#define AUDIT \
	other = 1; \
	do \
	:: other <= WAITERS -> \
		STEP(ok = (record[other] && slot_state(slot[other]) != SLOT_FREE)); \
		if \
		:: ok -> \
			STEP(ok = is_bit_missing(other)); \
			if :: !ok -> STEP(ok = is_ready) :: else fi; \
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
	byte c, generation, other;
	bool ok;
	bool may_die = RECOVERER_DIES;

	do
	:: atomic { all_ended -> goto end }
	:: atomic { are_remains ->
			find_remains(c); generation = slot_generation(slot[c]); sweeping++ };
		STEP(if :: slot[c] == slot_word(generation, SLOT_LIVE) -> slot[c] = slot_word(generation, SLOT_DEAD)
			:: else fi);
		/* leave_wait_sets */
		STEP(ok = is_current(c, generation));
		if :: ok -> STEP(ok = record[c]) :: else fi;
		if :: ok -> STEP(ok = is_current(c, generation)) :: else fi;
		if :: ok -> STEP(set = set & ~bit_of(c); ok = 0) :: else fi;
		AUDIT;
		STEP(if :: slot[c] == slot_word(generation, SLOT_DEAD) -> slot[c] = slot_word(generation, SLOT_FREE)
			:: else fi);
swept:		atomic { c = 0; generation = 0; sweeping-- }
	od;
died:	atomic { deaths++; other = 0; ok = 0; goto swept };
end:	skip
}

/* Everything that was begun is over. */
#define is_at_rest (workers == 0 && sweeping == 0 && !are_remains)
#define is_forgotten(me) (queued[me] && is_due(me))

init {
	byte i = 1;

	atomic {
		do
		:: i <= WAITERS + SETTERS + CLEARERS ->
			slot[i] = slot_word(1, SLOT_LIVE);
			if
			:: i <= WAITERS -> run waiter(i)
			:: i > WAITERS && i <= WAITERS + SETTERS -> run setter(i)
			:: else -> run clearer(i)
			fi;
			i++
		:: else -> i = 0; break
		od;
		do :: i < RECOVERERS -> run recoverer(); i++ :: else -> i = 0; break od
	}
	atomic {
		is_at_rest;
		assert(!is_forgotten(1) && (WAITERS < 2 || !is_forgotten(2)));
		/* A last set wakes who waits rightly. */
		word = (word | SET) + EPOCH;
		i = 1;
		do
		:: i <= WAITERS -> moved[i] = true; queued[i] = false; i++
		:: else -> i = 0; break
		od
	};
	atomic { waits == 0 && is_at_rest; all_ended = true }
}

#ifdef LIVENESS
ltl ends { <> all_ended }
#endif
