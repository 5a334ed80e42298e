/* SPDX-License-Identifier: MIT
 *
 * A semaphore: takers that sleep, givers, holders that die, recoverers that come late. Anonymous
 * permits are a number; with -DOWNED each is a cell that names its holder.
 *
 * Mirrors sem.c (take, take_any, wait_mark, wait_for_permit, release_word, release_cells,
 * ring_waiters), sem_cells.c (sem_cells_take, sem_cells_give, sem_recover), sem_object.c
 * (sem_is_ready), wait.c (wait_until, wait_wake_one_slow, wait_wake_all, wait_ring), recover.c
 * (leave_wait_sets, recover_audit). Abstracts away: spinning, guesses, a release of several owned
 * permits, several threads of a client, mpd's attention; nobody watches a holder or looks again.
 *
 * Safety: permits are neither lost nor made, whoever dies; recovery frees what a dead one held and
 * nothing else; when all that was begun is over and the dead are swept, nobody sleeps beside a free
 * permit. Liveness: with permits for all, every acquire ends, under weak fairness.
 *
 * Mutants: 1 the bit set after the second look; 2 a cell is taken first and named then; 3 no second look at the set
 * after WAIT was dropped; 4 no audit; 5 the audit does not look for missing bits; 6 the audit does
 * not look at permits; 7 the audit does not look for WAIT; 8 a release of two rings one, a taker
 * none; 9 who gives up neither hands on nor tries once more; 10 a release does not look at WAIT; 11
 * recovery stores instead of comparing; 12 recovery asks neither for the generation nor is_current.
 */
#ifndef TAKERS
#define TAKERS 2 /* the threads from 1 */
#endif
#ifndef GIVERS
#define GIVERS 1 /* the threads after them; with OWNED takers give back */
#endif
#ifndef BARGERS
#define BARGERS 0 /* the threads between them: they try once and do not wait */
#endif
#ifndef GIVES
#define GIVES 1
#endif
#ifndef INITIAL
#define INITIAL 0 /* permits; with OWNED the number of cells, 1 or 2 */
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef MORTALS
#define MORTALS 8 /* bits of the threads that may die */
#endif
#ifndef RECOVERER_DIES
#define RECOVERER_DIES false
#endif
#ifndef IMPATIENT
#define IMPATIENT 0 /* threads from 1 that may give up */
#endif
#define THREADS (TAKERS + BARGERS + GIVERS)
#include "common.pml"
#include "bells.pml"

#define WAIT 64
#define value_of(word) ((word) & 63)
#define who(thread, generation) ((generation) << 3 | (thread))
#define thread_of(word) ((word) & 7)
#define TAKING 255

#ifdef BEGINS_WITH_WAIT /* of one who has left */
#define EARLIER WAIT
#else
#define EARLIER 0
#endif
#ifdef OWNED
byte word = EARLIER;
byte cell[2];
#define is_free (cell[0] == 0 || (INITIAL > 1 && cell[1] == 0))
#else
byte word = INITIAL + EARLIER;
#define is_free (value_of(word) > 0)
#endif

byte given, taken; /* what really is */
byte holder[2];
bool ended[CLIENTS_MAX + 1];
byte sweeping;
bool all_ended;

/* wait_ring, with `other`. */
#define RING_OTHER \
	STEP(RING(other, ok)); \
	if :: ok -> STEP(FUTEX_WAKE(other)) :: else fi; \
	ok = 0

/* wait_wake_one_slow, up to n times. */
#define WAKE(n) \
	left = n; \
	do \
	:: left == 0 -> break \
	:: else -> \
		STEP(if :: set != 0 -> choose(set, other) :: else -> other = 0 fi); \
		if \
		:: other == 0 -> left = 0; break \
		:: else -> \
			STEP(ok = has_bit(set, other); set = set & ~bit_of(other)); \
			if :: ok -> RING_OTHER; left-- :: else fi; \
			other = 0 \
		fi \
	od

#define WAKE_ALL \
	STEP(bits = set; set = 0); \
	do \
	:: bits != 0 -> choose(bits, other); bits = bits & ~bit_of(other); RING_OTHER \
	:: else -> other = 0; break \
	od

#if MUTANT == 3
#define SECOND_LOOK skip
#else
#define SECOND_LOOK STEP(ok = (set != 0)); if :: ok -> ok = 0; WAKE_ALL :: else fi
#endif

/* ring_waiters. */
#define RING_WAITERS(n) \
	STEP(ok = (set != 0)); \
	if \
	:: ok -> ok = 0; WAKE(n) \
	:: else -> STEP(word = word & ~WAIT); SECOND_LOOK \
	fi

#ifdef OWNED
#if MUTANT == 2
#define NAME_CELL(i) \
	STEP(if :: cell[i] == 0 -> cell[i] = TAKING; ok = 1 :: else fi); \
	if :: ok -> STEP(cell[i] = self; holder[i] = me) :: else fi
#else
#define NAME_CELL(i) \
	STEP(if :: cell[i] == 0 -> assert(holder[i] == 0); holder[i] = me; cell[i] = self; ok = 1 \
	     :: else fi)
#endif
#define TAKE \
	NAME_CELL(0); \
	if \
	:: !ok && INITIAL > 1 -> NAME_CELL(1); if :: ok -> mine = 1 :: else fi \
	:: else \
	fi
#define GIVE \
	STEP(if :: cell[mine] == self -> cell[mine] = 0; holder[mine] = 0 fi); \
	mine = 0; \
	STEP(ok = ((word & WAIT) != 0))
#define LOOK \
	STEP(ok = (cell[0] == 0)); \
	if :: !ok && INITIAL > 1 -> STEP(ok = (cell[1] == 0)) :: else fi
#define MARK \
	STEP(ok = ((word & WAIT) != 0)); \
	if :: !ok -> STEP(word = word | WAIT) :: else fi; \
	LOOK
#else
#if MUTANT == 8
#define PASS_ON skip
#define TO_RING 1
#else
#define PASS_ON \
	if :: (seen & WAIT) && value_of(seen) > 1 -> seen = 0; RING_WAITERS(1) :: else fi
#define TO_RING GIVES
#endif
#define TAKE \
	STEP(seen = word); \
	do \
	:: value_of(seen) == 0 -> break \
	:: else -> \
		STEP(if :: word == seen -> word = seen - 1; taken++; ok = 1 \
		     :: else -> seen = word fi); \
		if :: ok -> break :: else fi \
	od; \
	if :: ok -> ok = 0; PASS_ON; ok = 1 :: else fi; \
	seen = 0
#define GIVE \
	STEP(seen = word); \
	do \
	:: STEP(if :: word == seen -> word = seen + GIVES; given = given + GIVES; ok = 1 \
		:: else -> seen = word fi); \
		if :: ok -> break :: else fi \
	od; \
	ok = ((seen & WAIT) != 0); seen = 0
#define LOOK STEP(ok = is_free)
#define MARK \
	STEP(seen = word); \
	do \
	:: value_of(seen) > 0 -> ok = 1; break \
	:: value_of(seen) == 0 && (seen & WAIT) -> break \
	:: else -> STEP(CAS(word, seen, (seen | WAIT), ok)); if :: ok -> ok = 0; break :: else fi \
	od; \
	seen = 0
#endif
#ifndef TO_RING
#define TO_RING 1
#endif

#define is_taker(me) ((me) <= TAKERS)
#ifdef OWNED
#define is_giver(me) true
#else
#define is_giver(me) ((me) > TAKERS + BARGERS)
#endif

proctype thread(byte me)
{
	byte seen, self, other, bits, left, mine, round;
	bool ok, is_over;
	bool may_die = (MORTALS >> me) & 1;

	self = who(me, 1);
next:	do
	:: round == ROUNDS -> goto end
	:: else -> round++;
		if :: is_taker(me) || !is_giver(me) :: else -> goto inside fi;
try:		TAKE;
		if :: ok -> ok = 0; goto inside :: else fi;
		if :: is_over || !is_taker(me) -> goto left_ :: else fi;
		/* wait_until */
		STEP(READ_BELL(me));
		STEP(record[me] = true);
#if MUTANT != 1
		STEP(set = set | bit_of(me));
#endif
		MARK;
		if :: ok -> ok = 0; goto withdraw :: else fi;
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
#if MUTANT != 9
		if
		:: is_over && ok ->
			LOOK;
			if :: ok -> ok = 0; WAKE(1) :: else fi
		:: else
		fi;
#endif
		STEP(record[me] = false; ok = 0);
#if MUTANT == 9
		if :: is_over -> goto left_ :: else fi;
#endif
		goto try;
inside:		is_over = 0;
		if
		:: is_giver(me) ->
			GIVE;
#if MUTANT == 10
			ok = 0;
#endif
			if :: ok -> ok = 0; RING_WAITERS(TO_RING) :: else fi
		:: else
		fi;
left_:		is_over = 0
	od;
died:	atomic {
		DIE(me); queued[me] = false;
		seen = 0; other = 0; bits = 0; left = 0; ok = 0; is_over = 0; self = 0; mine = 0;
		if :: round == ROUNDS -> goto end :: else fi
	};
	REBORN(me);
	/* fill_thread */
	STEP(record[me] = false);
	STEP(asleep[me] = false);
	self = who(me, slot_generation(slot[me]));
	goto next;
end:	ended[me] = true
}

#if MUTANT == 5
#define is_bit_missing(thread) false
#else
#define is_bit_missing(thread) !has_bit(set, thread)
#endif
#if MUTANT == 6
#define IS_READY STEP(ok = !(word & WAIT))
#elif MUTANT == 7
#define IS_READY LOOK
#else
#define IS_READY STEP(ok = !(word & WAIT)); if :: !ok -> LOOK :: else fi
#endif

#if MUTANT == 4
#define AUDIT skip
#else
#define AUDIT \
	other = 1; \
	do \
	:: other <= TAKERS -> \
		STEP(ok = (record[other] && slot_state(slot[other]) != SLOT_FREE)); \
		if \
		:: ok -> \
			STEP(ok = is_bit_missing(other)); \
			if :: !ok -> IS_READY :: else fi; \
			if :: ok -> RING_OTHER :: else fi \
		:: else \
		fi; \
		other++ \
	:: else -> other = 0; break \
	od
#endif

#if MUTANT == 11
#define is_same_cell true
#else
#define is_same_cell (cell[i] == seen)
#endif
#if MUTANT == 12
#define is_his (thread_of(seen) == c && seen != TAKING)
#define IS_CURRENT ok = 1
#else
#define is_his (seen == who(c, generation))
#define IS_CURRENT STEP(ok = is_current(c, generation))
#endif

proctype recoverer()
{
	byte c, generation, other, bits, seen, i;
	bool ok;
	bool may_die = RECOVERER_DIES;

	do
	:: atomic { all_ended -> goto end }
	:: atomic { are_remains ->
			find_remains(c); generation = slot_generation(slot[c]); sweeping++ };
		STEP(if :: slot[c] == slot_word(generation, SLOT_LIVE) -> slot[c] = slot_word(generation, SLOT_DEAD)
			:: else fi);
#ifdef OWNED
		/* sem_recover */
		i = 0;
		do
		:: i < INITIAL ->
			STEP(seen = cell[i]);
			if
			:: is_his ->
				IS_CURRENT;
				if
				:: ok -> ok = 0;
					STEP(if :: is_same_cell ->
							assert(gone[c] && holder[i] == c);
							cell[i] = 0; holder[i] = 0; ok = 1
						:: else fi);
					if :: ok -> ok = 0; WAKE_ALL :: else fi
				:: else
				fi
			:: else
			fi;
			i++
		:: else -> i = 0; break
		od;
		seen = 0;
#endif
		/* leave_wait_sets */
		STEP(ok = is_current(c, generation));
		if :: ok -> STEP(ok = record[c]) :: else fi;
		if :: ok -> STEP(ok = is_current(c, generation)) :: else fi;
		if :: ok -> STEP(set = set & ~bit_of(c); ok = 0) :: else fi;
		STEP(ok = is_current(c, generation));
		if
		:: ok -> ok = 0; AUDIT;
			STEP(if :: slot[c] == slot_word(generation, SLOT_DEAD) -> slot[c] = slot_word(generation, SLOT_FREE)
				:: else fi)
		:: else
		fi;
		/* recover_client, after the sweep */
		AUDIT;
swept:		atomic { c = 0; generation = 0; sweeping-- }
	od;
died:	atomic { deaths++; other = 0; bits = 0; seen = 0; i = 0; ok = 0; goto swept };
end:	skip
}

/* Nobody goes on but one who is rung. */
#define is_quiet(me) (me > THREADS || ended[me] || (is_taker(me) && queued[me]))
#define is_at_rest (is_quiet(1) && is_quiet(2) && is_quiet(3) && is_quiet(4) && sweeping == 0 && \
	!are_remains)
#define are_ended (ended[1] && (THREADS < 2 || ended[2]) && (THREADS < 3 || ended[3]) && \
	(THREADS < 4 || ended[4]))

init {
	byte i = 1;

	atomic {
		do
		:: i <= THREADS -> slot[i] = slot_word(1, SLOT_LIVE); run thread(i); i++
		:: else -> i = 0; break
		od;
		do :: i < RECOVERERS -> run recoverer(); i++ :: else -> i = 0; break od
	}
	atomic {
		is_at_rest;
#ifdef OWNED
		assert(is_free && holder[0] == 0 && holder[1] == 0);
#else
		assert(value_of(word) + taken == INITIAL + given);
#endif
		i = 1;
		do
		:: i <= TAKERS -> assert(!queued[i] || !is_free); i++
		:: else -> i = 1; break
		od;
#ifndef OWNED
		/* Enough for who waits rightly. */
		word = word + TAKERS * ROUNDS;
		given = given + TAKERS * ROUNDS;
		do
		:: i <= TAKERS -> moved[i] = true; queued[i] = false; i++
		:: else -> break
		od
#endif
	};
	atomic { are_ended && sweeping == 0 && !are_remains; all_ended = true }
}

#ifdef LIVENESS
ltl ends { <> all_ended }
#endif
