/* SPDX-License-Identifier: MIT
 *
 * Announce, look again, sleep, ring, hand on: getters of a queue that die, give up or are stopped.
 *
 * Mirrors wait.c (wait_until, sleep_announced, be_watched, wait_wake_one_slow, wait_ring,
 * ask_for_attention), queue_take.c (take_waiting with its hand-on), recover.c (sweep_client,
 * leave_wait_sets, recover_audit, the second audit of recover_client, recover_audit_stalled) and
 * mpd's doctor.c.
 * Abstracts away: the ring is one lap, and a look at it is one step (queue_cell.pml has the walk);
 * tickets (the choice is open), spinning, pidfds in the sleep, the look each 250 ms; the count of
 * rings is "a bell was rung since"; mpd's 100 ms of quiet are over whenever you like, so its QUIET
 * looks must do. Its look now and then comes when there is something to see, its tickets (whether to
 * rest) are left out. Who is stopped never goes on (who does is only slow), and may take the wake of
 * the kernel with it or not, so both engines are covered.
 *
 * Safety: nobody takes what another has; at rest nobody sleeps beside a message that is ready,
 * dead, stopped and impatient ones excepted. Liveness: all ends, under weak fairness.
 *
 * Mutants: 1 the bit set after the second look; 2 the second look dropped; 3 ring before publish;
 * 4 no hand-on by who took one; 5 who gives up neither hands on nor tries once more; 6 a ringer
 * that lost the bit goes away, nor is there a last try; 7 no audit; 8 the audit does not look for
 * missing bits; 9 the bell read after the second look; 10 sleeps again without announcing; 11
 * nobody asks for attention; 12 no audit after a sweep that was another's; 13 mpd counts no looks
 * before it withdraws, time alone decides; 14 the sweep leaves a dead one's bit and does not audit a
 * second time; 15 mpd watches nobody: it looks only when it was asked; 16 mpd clears `watched` after
 * it looked for sleepers; 17 who falls asleep asks for `watched` before ASLEEP; 18 mpd reads its
 * bell after that look.
 */
#ifndef PUTTERS
#define PUTTERS 1
#endif
#ifndef GETTERS
#define GETTERS 2
#endif
#ifndef GETS
#define GETS 1 /* 0: each getter goes on */
#endif
/* REUSED: another getter takes the slot of a dead one. */
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef MORTALS
#define MORTALS 1 /* getters from 1 that may die, putters from the last */
#endif
#ifndef PUTTER_DIES
#define PUTTER_DIES false
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef PUTTER_STOPS
#define PUTTER_STOPS false
#endif
#if MUTANT == 15
#define WATCHES 0
#elif !defined(WATCHES)
#define WATCHES 1 /* 0: mpd looks only when it was asked: attention has to do alone */
#endif
#ifndef IMPATIENT
#define IMPATIENT 0 /* getters from the last that may give up */
#endif
#if MUTANT == 13
#define QUIET 1
#else
#define QUIET 3
#endif
#define CLIENTS (GETTERS + PUTTERS)
#include "common.pml"
#include "bells.pml"

#undef STEP
#if STOPS > 0
#define STEP(operation) atomic { if \
	:: operation \
	:: deaths < DEATHS && may_die -> goto died \
	:: stops < STOPS && may_stop -> goto stopped fi }
#else
#define STEP(operation) atomic { if :: operation :: deaths < DEATHS && may_die -> goto died fi }
#endif

/* Places: one lap. */
#define EMPTY 0
#define WRITING 1
#define READY 2
#define READING 3
#define GONE 4
#define place_word(client, state) ((client) << 3 | (state))
#define state_of(word) ((word) & 7)
#define client_of(word) ((word) >> 3)
byte place[PUTTERS];

/* The first place that is neither gone nor being read; ready or not. */
#define is_passed(i) (state_of(place[i]) == GONE || state_of(place[i]) == READING)
#if PUTTERS == 1
#define first_place 0
#else
#define first_place (is_passed(0) -> 1 : 0)
#endif
#define is_ready_now (state_of(place[first_place]) == READY)

bool attention, any_rung;
bool watched = WATCHES, mpd_rung = WATCHES; /* it has just come, else it rests */
byte epoch[CLIENTS_MAX + 1], progress;

byte left = PUTTERS; /* messages that were not received yet, nor died with their putter */
byte stops, working = CLIENTS;
bool all_ended;

/* S5b. */
#if STOPS > 0 && WATCHES
#define BE_WATCHED \
	STEP(ok = !watched); \
	if :: ok -> STEP(mpd_rung = true; ok = 0) :: else fi
#else
#define BE_WATCHED skip
#endif

/* W1 to W6. */
#define ASK_FOR_ATTENTION \
	STEP(if :: !attention -> attention = true; ok = true :: else -> ok = false fi); \
	if :: ok -> STEP(mpd_rung = true; ok = 0) :: else fi

#define WAKE_ONE \
	do \
	:: STEP(if :: set != 0 -> choose(set, other) :: else -> other = 0 fi); \
		if \
		:: other == 0 -> break \
		:: else -> \
			STEP(ok = has_bit(set, other); set = set & ~bit_of(other)); \
			if \
			:: ok -> \
				STEP(RING(other, ok); any_rung = true); \
				if \
				:: ok -> STEP(ok = !queued[other]; FUTEX_WAKE(other)) \
				:: else \
				fi; \
				other = 0; \
				if :: !ok -> break :: else -> ok = 0 fi \
			:: else -> LOST_BIT \
			fi \
		fi \
	od; \
	W6

#if MUTANT == 6
#define LOST_BIT other = 0; break
#else
#define LOST_BIT other = 0
#endif
#if STOPS > 0 && MUTANT != 11
#define W6 \
	STEP(ok = (set != 0)); \
	if :: ok -> ok = 0; ASK_FOR_ATTENTION :: else fi
#else
#define W6 skip
#endif

proctype putter(byte me)
{
	byte i, other;
	bool ok, has_begun;
	bool may_die = PUTTER_DIES;
	bool may_stop; /* once it has published: before that it holds up everybody, as documented */

	STEP(do :: state_of(place[i]) != EMPTY -> i++ :: else -> break od; place[i] = place_word(me, WRITING);
		has_begun = true);
#if MUTANT == 3
	WAKE_ONE;
#endif
	STEP(place[i] = READY; i = 0; may_stop = PUTTER_STOPS);
#if MUTANT != 3
	WAKE_ONE;
#endif
	atomic { working--; has_begun = 0; may_stop = 0; goto over };
died:	atomic {
		DIE(me);
		if :: !has_begun -> left-- :: else fi;
		i = 0; other = 0; ok = 0; has_begun = 0; working--
	};
	goto over;
stopped: atomic { stops++; i = 0; other = 0; ok = 0; has_begun = 0; may_stop = 0; working-- };
over:	skip
}

proctype getter(byte me)
{
	byte i, other;
	bool ok, is_over, has_waited;
	bool may_die = (me <= MORTALS);
	bool may_stop = (me == 1);

again:	do
	:: atomic { left == 0 -> has_waited = 0; goto end }
	:: atomic { left > 0 };
		STEP(i = first_place; ok = (place[i] == READY));
		if
		:: ok -> STEP(if
			     :: place[i] == READY -> place[i] = place_word(me, READING); progress++
			     :: else -> ok = 0; i = 0
			     fi);
			if :: ok -> ok = 0; goto took :: else -> goto again fi
		:: else -> i = 0
		fi;
		if :: is_over -> is_over = 0; has_waited = 0; goto end :: else fi;
		/* wait_until; a first turn begins a new wait */
		if
		:: !has_waited -> STEP(epoch[me]++; has_waited = true)
		:: else
		fi;
#if MUTANT != 9
		STEP(READ_BELL(me));
#endif
		STEP(record[me] = true);
#if MUTANT == 10
		if :: epoch[me] > 0 && has_waited && !i -> i = 1 :: else fi;
#endif
#if MUTANT != 1
		STEP(set = set | bit_of(me));
#endif
#if MUTANT != 2
		STEP(ok = is_ready_now);
		if :: ok -> ok = 0; goto withdraw :: else fi;
#endif
#if MUTANT == 1
		STEP(set = set | bit_of(me));
#endif
#if MUTANT == 9
		STEP(READ_BELL(me));
#endif
#if MUTANT == 17
		BE_WATCHED;
#endif
		STEP(MARK_ASLEEP(me, ok));
		if :: !ok -> goto withdraw :: else -> ok = 0 fi;
#if MUTANT != 17
		BE_WATCHED;
#endif
sleep:		STEP(FUTEX_WAIT(me));
		atomic {
			if
			:: !queued[me]
			:: queued[me] && me > GETTERS - IMPATIENT -> queued[me] = false; is_over = true
			:: queued[me] && left == 0 -> queued[me] = false
			:: deaths < DEATHS && may_die -> goto died
			:: stops < STOPS && may_stop -> goto stopped
			fi
		};
#if MUTANT == 10
		STEP(ok = is_ready_now);
		if :: !ok && !is_over && left > 0 -> STEP(moved[me] = false); goto sleep :: else -> ok = 0 fi;
#endif
		STEP(asleep[me] = false);
withdraw:	STEP(ok = !has_bit(set, me); set = set & ~bit_of(me));
#if MUTANT != 5
		if
		:: is_over && ok ->
			STEP(ok = is_ready_now);
			if :: ok -> ok = 0; WAKE_ONE :: else fi
		:: else
		fi;
#endif
		STEP(record[me] = false; ok = 0; i = 0);
#if MUTANT == 5 || MUTANT == 6
		if :: is_over -> is_over = 0; has_waited = 0; goto end :: else fi
#endif
	od;
took:
#if MUTANT != 4
	if
	:: has_waited -> STEP(ok = is_ready_now); if :: ok -> ok = 0; WAKE_ONE :: else fi
	:: else
	fi;
#endif
	STEP(place[i] = GONE; left--; i = 0; has_waited = 0);
	if
	:: atomic { is_over || GETS == 1 -> is_over = 0; goto end }
	:: atomic { !is_over && GETS != 1 -> goto again }
	fi;
died:	atomic { DIE(me); queued[me] = false; i = 0; other = 0; ok = 0; is_over = 0; has_waited = 0 };
#ifndef REUSED
	goto end;
#endif
	REBORN(me);
	STEP(record[me] = false);
	STEP(asleep[me] = false);
	goto again;
	/* The kernel's wake may go to him, or find that he is out of the queue. What he reads is his. */
stopped: atomic {
		stops++;
		if :: queued[me] -> queued[me] = false :: true fi;
		if :: place[i] == place_word(me, READING) -> left-- :: else fi;
		i = 0; other = 0; ok = 0; is_over = 0; has_waited = 0
	};
end:	working--
}

#define RING_OTHER \
	STEP(RING(other, ok); any_rung = true); \
	if :: ok -> STEP(FUTEX_WAKE(other)) :: else fi; \
	ok = 0

/* missed: in ok. */
#define MISSED(other) \
	STEP(ok = (record[other] && slot_state(slot[other]) != SLOT_FREE)); \
	if \
	:: ok -> \
		STEP(ok = is_bit_missing(other)); \
		if :: !ok -> STEP(ok = is_ready_now) :: else fi \
	:: else \
	fi
#if MUTANT == 8
#define is_bit_missing(thread) false
#else
#define is_bit_missing(thread) !has_bit(set, thread)
#endif

#if MUTANT == 7
#define AUDIT skip
#else
#define AUDIT \
	other = 1; \
	do \
	:: other <= GETTERS -> \
		MISSED(other); \
		if :: ok -> RING_OTHER :: else fi; \
		other++ \
	:: else -> other = 0; break \
	od
#endif

#if DEATHS > 0
proctype recoverer()
{
	byte c, generation, other, i, word;
	bool ok;
	bool may_die = false;
	bool may_stop = false;

	do
	:: atomic { working == 0 && !are_remains -> goto end }
	:: atomic { are_remains -> find_remains(c); generation = slot_generation(slot[c]) };
		STEP(if :: slot[c] == slot_word(generation, SLOT_LIVE) -> slot[c] = slot_word(generation, SLOT_DEAD)
			:: else fi);
		do
		:: i < PUTTERS ->
			STEP(word = place[i]);
			if
			:: client_of(word) == c && state_of(word) != EMPTY ->
				STEP(ok = is_current(c, generation));
				if
				:: ok && state_of(word) == WRITING ->
					STEP(if :: place[i] == word -> place[i] = GONE; left-- :: else fi)
				:: ok && state_of(word) == READING ->
					STEP(if :: place[i] == word -> place[i] = READY :: else fi)
				:: else
				fi
			:: else
			fi;
			atomic { i++; ok = 0; word = 0 }
		:: else -> i = 0; break
		od;
		STEP(ok = is_current(c, generation));
#if MUTANT != 14
		if :: ok -> STEP(ok = record[c]) :: else fi;
		if :: ok -> STEP(ok = is_current(c, generation)) :: else fi;
		if :: ok -> STEP(set = set & ~bit_of(c)) :: else fi;
#endif
		STEP(ok = is_current(c, generation));
		if
		:: ok -> ok = 0; AUDIT;
			STEP(if :: slot[c] == slot_word(generation, SLOT_DEAD) ->
					slot[c] = slot_word(generation, SLOT_FREE)
				:: else fi)
		:: else
#if MUTANT == 12
			-> goto swept
#endif
		fi;
#if MUTANT != 14
		AUDIT;
#endif
swept:		atomic { c = 0; generation = 0 }
	od;
died:	skip;
end:	skip
}
#endif

#if STOPS > 0
/* doctor.c. A state that was seen and has been rung for is RUNG more. */
byte memory[CLIENTS_MAX + 1];
bool is_attended;
#define RUNG 128
#define state_now(thread) (1 + (progress << 4 | epoch[thread] << 1))

#define is_asleep(thread) (asleep[thread] && slot_state(slot[thread]) != SLOT_FREE)
#define IS_ANYBODY_ASLEEP \
	other = 1; \
	do \
	:: other <= GETTERS -> STEP(ok = is_asleep(other)); \
		if :: ok -> break :: else -> other++ fi \
	:: else -> break \
	od; \
	other = 0

/* What makes a look worth while; one that would find nothing is left out, so that mpd can rest and
 * whoever waits for it in vain is seen. */
#define is_news(thread) (record[thread] && slot_state(slot[thread]) != SLOT_FREE && \
	(!has_bit(set, thread) || is_ready_now) && memory[thread] != (state_now(thread) | RUNG))
#define is_worth_while (attention || is_news(1) || is_news(2) || is_news(3) || \
	!(is_asleep(1) || is_asleep(2) || is_asleep(3)))
#define FORGET \
	other = 1; do :: other <= GETTERS -> memory[other] = 0; other++ :: else -> other = 0; break od

proctype mpd()
{
	byte other, state, quiet;
	bool ok;
	bool may_die = false;
	bool may_stop = false;

end_rest: do
	:: atomic { mpd_rung -> mpd_rung = false };
		/* wake_up */
		STEP(watched = true; any_rung = false; FORGET);
		do
		:: /* look_at: the bell is read, or has fired before. attend_if_asked */
#if MUTANT != 18
			STEP(mpd_rung = false);
#endif
			STEP(if :: attention && !is_attended -> is_attended = true; quiet = 0 :: else fi);
			/* recover_audit_stalled */
			other = 1;
			do
			:: other <= GETTERS ->
				MISSED(other);
				state = (ok -> state_now(other) : 0);
				ok = 0;
				if
				:: state != 0 && memory[other] == state -> RING_OTHER; state = state | RUNG
				:: state != 0 && memory[other] == (state | RUNG) -> state = state | RUNG
				:: else
				fi;
				atomic { memory[other] = state; state = 0; other++ }
			:: else -> other = 0; break
			od;
			/* has_moved */
			STEP(ok = any_rung; any_rung = false;
				quiet = (ok || !is_attended -> 0 : (quiet < QUIET -> quiet + 1 : QUIET)); ok = 0);
			if
			:: is_attended && quiet >= QUIET -> quiet = 0;
				/* give_up_attention */
				STEP(attention = false);
				STEP(ok = any_rung; any_rung = false);
				if
				:: ok -> STEP(attention = true; ok = 0)
				:: else -> is_attended = false
				fi
#if !WATCHES
			:: is_attended /* the time is not over */
#else
			:: is_attended && quiet < QUIET
#endif
			:: !is_attended
			fi;
			if
			:: !is_attended ->
#if WATCHES
				/* may_rest */
				IS_ANYBODY_ASLEEP;
				if
				:: !ok ->
					STEP(watched = false);
#if MUTANT != 16
					IS_ANYBODY_ASLEEP;
#endif
#if MUTANT == 18
					STEP(mpd_rung = false);
#endif
					if :: ok -> STEP(watched = true) :: else -> break fi
				:: else
				fi;
				ok = 0;
				/* The bell may ring meanwhile, which wakes up. */
end_watch:			if
				:: atomic { is_worth_while }
				:: atomic { mpd_rung -> mpd_rung = false }; STEP(any_rung = false; FORGET)
				fi
#else
				break
#endif
			:: else
			fi
		od
	od;
died:	skip;
stopped: skip
}
#endif

init {
	byte i = 1;

	atomic {
		do
		:: i <= CLIENTS -> slot[i] = slot_word(1, SLOT_LIVE);
			if :: i <= GETTERS -> run getter(i) :: else -> run putter(i) fi;
			i++
		:: else -> i = 0; break
		od;
#if DEATHS > 0
		do :: i < RECOVERERS -> run recoverer(); i++ :: else -> i = 0; break od;
#endif
#if STOPS > 0
		run mpd()
#endif
	}
	working == 0;
	all_ended = true
}

#ifdef LIVENESS
ltl ends { <> all_ended }
#endif
