/* SPDX-License-Identifier: MIT
 *
 * Lease records: claim, ack, return; claimers that die, recoverers that come late.
 *
 * Mirrors queue_slot.c (mp_queue_claim, move_to_lease, find_claimed, mp_queue_ack,
 * mp_queue_return), queue_lease.c (claim_in_chunk, lease_keep, lease_end, lease_return,
 * take_returned), queue_take.c (take_now, take_behind, queue_put_back; empty_or_drained, is_drained
 * as one more getter, who only looks, once the last message was put) and of queue_object.c
 * recover_lease, cell_still_has_it, recover_cell and recover_queue. Abstracts away: the walk to a
 * cell and the hints (queue_cell.pml): each cell is put once a lap by the model itself, in one
 * step, as soon as it is EMPTY; chunks of records; blocks, and with them ENDING, which is LEASED to
 * everybody but the one thread that acks; sleeping; closing, but that nothing is put after it; which
 * record a claimer tries first is open.
 *
 * Safety: each message is done exactly once; nobody has a message that another one has; whoever
 * gets a message that was claimed before is told so; what the record says is that message; who is
 * told that a closed queue is drained is told the truth; in the end each record is FREE. Liveness:
 * every message is done, under weak fairness.
 *
 * Mutants: 1 owner written after the claim of the record; 2 the seq is not bumped; 3 recovery does
 * not look whether the cell still has it; 4 recovery frees each CLAIMING record; 5 cells swept
 * before records; 6 LEASED before the cell is EMPTY; 7 recovery skips LEASED; 8 is_current is not
 * asked; 9 filled stored before from; 10 rescan does not grow on return; 11 recovery does not grow
 * rescan; 12 the seq in filled is not compared; 13 records looked at before cells.
 */
#ifndef CLAIMERS
#define CLAIMERS 2
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 1
#endif
#ifndef RECORDS
#define RECORDS 1
#endif
#ifndef RETURNS
#define RETURNS 1 /* how often somebody gives back what it claimed */
#endif
#ifndef MORTALS
#define MORTALS 1 /* claimers from 1 that may die: they are alike, so one is enough for one death */
#endif
#ifndef LOOKERS
#define LOOKERS 0
#endif
#ifndef RECOVERER_DIES
#define RECOVERER_DIES false
#endif
#define CLIENTS CLAIMERS
#include "common.pml"

/* The one cell. */
#define EMPTY 0
#define READY 2
#define READING 3
#define cell_word(lap, tries, client, state) ((lap) << 8 | (tries) << 6 | (client) << 3 | (state))
#define state_of(word) ((word) & 7)
#define client_of(word) (((word) >> 3) & 7)
#define tries_of(word) (((word) >> 6) & 3)
#define lap_of(word) ((word) >> 8)

/* Records. */
#define FREE 0
#define CLAIMING 1
#define LEASED 2
#define RETURNED 3
#define lease_word(seq, client, state) ((seq) << 5 | (client) << 2 | (state))
#define lease_state(word) ((word) & 3)
#define lease_client(word) (((word) >> 2) & 7)
#define lease_seq(word) ((word) >> 5)
#if MUTANT == 2
#define next_seq(word) 1
#else
#define next_seq(word) (lease_seq(word) + 1)
#endif

short cell;
byte payload;
short lease[RECORDS];
byte from[RECORDS], message[RECORDS], filled[RECORDS];
byte rescan, rescan_done;

byte put; /* messages so far: 1, 2 .. are their names */
byte finished, seen; /* sets of messages: done; shown to a user */
byte user[MESSAGES + 1]; /* who has it */
byte returns;
byte workers = CLAIMERS;
bool all_ended;

#define is_all_done (finished == (1 << (MESSAGES + 1)) - 2)

/* The user has it. */
#define note_shown(m, is_redelivered) \
	assert(m > 0 && !(finished >> m & 1)); \
	assert(user[m] == 0); \
	assert(!(seen >> m & 1) || is_redelivered); \
	user[m] = me; \
	seen = seen | 1 << m

proctype claimer(byte me)
{
	byte i, m, r;
	short word, mine;
	bool ok, is_redelivered;
	bool may_die = (me <= MORTALS);

again:	do
	:: atomic { is_all_done -> goto end }
	:: atomic { !is_all_done };
		/* take_now, take_behind */
		STEP(r = rescan);
		STEP(ok = (r != rescan_done); r = 0);
		if
		:: ok -> ok = 0;
			STEP(r = rescan);
			do
			:: i < RECORDS ->
				STEP(word = lease[i]);
				if
				:: lease_state(word) == RETURNED ->
					mine = lease_word(next_seq(word), me, LEASED);
					STEP(CAS(lease[i], word, mine, ok));
					if
					:: ok -> atomic { ok = 0; r = 0; word = 0; is_redelivered = true };
						STEP(m = message[i]);
						goto claimed
					:: else -> mine = 0
					fi
				:: else
				fi;
				atomic { i++; word = 0 }
			:: else -> i = 0; break
			od;
			STEP(word = cell);
			if
			:: state_of(word) == READY && tries_of(word) > 0 ->
				STEP(if
				     :: cell == word -> cell = cell_word(lap_of(word), tries_of(word), me, READING);
					word = cell; ok = 1
				     :: else -> word = 0
				     fi);
				if
				:: ok -> atomic { ok = 0; r = 0; is_redelivered = true };
					goto took
				:: else
				fi
			:: else -> word = 0
			fi;
			/* look_was_fruitless */
			STEP(m = rescan_done);
			do
			:: m < r -> STEP(CAS(rescan_done, m, r, ok); if :: ok -> m = r; ok = 0 :: else fi)
			:: else -> m = 0; r = 0; break
			od
		:: else
		fi;
		STEP(word = cell);
		if
		:: state_of(word) != READY || lap_of(word) >= MESSAGES -> word = 0; goto again
		:: else
		fi;
		STEP(if
		     :: cell == word -> is_redelivered = (tries_of(word) > 0);
			cell = cell_word(lap_of(word), tries_of(word), me, READING); word = cell; ok = 1
		     :: else -> word = 0
		     fi);
		if :: ok -> ok = 0 :: else -> goto again fi;
took:		skip;
		/* move_to_lease: claim_in_chunk */
		do
		:: STEP(if :: i = 0 :: RECORDS > 1 -> i = RECORDS - 1 fi; mine = lease[i]);
			if
			:: lease_state(mine) == FREE ->
#if MUTANT == 1
				STEP(if :: lease[i] == mine -> mine = lease_word(next_seq(mine), 0, CLAIMING);
						lease[i] = mine; ok = 1
					:: else fi);
				if :: ok -> mine = mine | me << 2; STEP(lease[i] = mine) :: else fi;
#else
				STEP(if :: lease[i] == mine -> mine = lease_word(next_seq(mine), me, CLAIMING);
						lease[i] = mine; ok = 1
					:: else fi);
#endif
				if :: ok -> ok = 0; break :: else fi
			:: else
			fi;
			mine = 0
		od;
#if MUTANT == 9
		STEP(filled[i] = lease_seq(mine));
#endif
		STEP(from[i] = lap_of(word));
		STEP(m = payload; message[i] = m);
#if MUTANT != 9
		STEP(filled[i] = lease_seq(mine));
#endif
#if MUTANT == 6
		STEP(mine = lease_word(lease_seq(mine), me, LEASED); lease[i] = mine);
		STEP(cell = cell_word(lap_of(word) + 1, 0, 0, EMPTY); word = 0);
#else
		/* ring_free_cell, lease_keep: only its owner writes a record that is CLAIMING. */
		STEP(cell = cell_word(lap_of(word) + 1, 0, 0, EMPTY); word = 0);
		STEP(mine = lease_word(lease_seq(mine), me, LEASED); lease[i] = mine);
#endif
claimed:	/* the user works on it */
		STEP(note_shown(m, is_redelivered); is_redelivered = 0);
		/* find_claimed */
		STEP(assert(lease[i] == mine && message[i] == m));
		if
		:: atomic { returns < RETURNS -> returns++ };
			STEP(assert(lease[i] == mine); user[m] = 0; lease[i] = lease_word(lease_seq(mine), 0, RETURNED));
			atomic { i = 0; m = 0; mine = 0 };
#if MUTANT != 10
			STEP(rescan++)
#endif
		:: STEP(assert(lease[i] == mine && !(finished >> m & 1));
			lease[i] = lease_word(lease_seq(mine), 0, FREE);
			finished = finished | 1 << m; user[m] = 0; i = 0; m = 0; mine = 0)
		fi
	od;
died:	atomic { DIE(me); if :: user[m] == me -> user[m] = 0 :: else fi; i = 0; m = 0; r = 0; word = 0; mine = 0; ok = 0; is_redelivered = 0 };
	REBORN(me);
	goto again;
end:	workers--
}

#define RECOVER_CELL \
	STEP(word = cell); \
	if \
	:: state_of(word) == READING && client_of(word) == c -> \
		ASK; \
		if \
		:: ok -> STEP(CAS(cell, word, cell_word(lap_of(word), tries_of(word) + 1, 0, READY), ok)) \
		:: else \
		fi \
	:: else \
	fi; \
	atomic { word = 0; ok = 0 }

#if MUTANT == 8
#define ASK ok = true
#else
#define ASK STEP(ok = is_current(c, generation))
#endif

proctype recoverer()
{
	byte c, generation, i, next;
	short word, at;
	bool ok;
	bool may_die = RECOVERER_DIES;

	do
	:: atomic { workers == 0 -> goto end }
	:: atomic { are_remains -> find_remains(c); generation = slot_generation(slot[c]) };
		STEP(if :: slot[c] == slot_word(generation, SLOT_LIVE) -> slot[c] = slot_word(generation, SLOT_DEAD)
			:: else fi);
#if MUTANT == 5
		RECOVER_CELL;
#endif
		do
		:: i < RECORDS ->
			/* recover_lease */
			STEP(word = lease[i]);
			if
#if MUTANT == 7
			:: lease_client(word) == c && lease_state(word) == CLAIMING ->
#else
			:: lease_client(word) == c && lease_state(word) != FREE ->
#endif
				next = RETURNED;
				if
				:: lease_state(word) == CLAIMING ->
#if MUTANT == 4
					next = FREE
#else
#if MUTANT != 12
					STEP(ok = (filled[i] != lease_seq(word)));
#endif
#if MUTANT != 3
					if
					:: !ok ->
						/* cell_still_has_it */
						STEP(at = from[i]);
						STEP(ok = (state_of(cell) == READING && client_of(cell) == c && lap_of(cell) == at);
						     at = 0)
					:: else
					fi;
#endif
					if :: ok -> next = FREE; ok = 0 :: else fi
#endif
				:: else
				fi;
				ASK;
				if :: ok -> STEP(CAS(lease[i], word, lease_word(lease_seq(word), 0, next), ok)) :: else fi
			:: else
			fi;
			atomic { i++; word = 0; next = 0; ok = 0 }
		:: else -> i = 0; break
		od;
#if MUTANT != 5
		RECOVER_CELL;
#endif
#if MUTANT != 11
		STEP(rescan++);
#endif
		STEP(if :: slot[c] == slot_word(generation, SLOT_DEAD) -> slot[c] = slot_word(generation, SLOT_FREE)
			:: else fi);
swept:		atomic { c = 0; generation = 0 }
	od;
died:	atomic { deaths++; c = 0; generation = 0; i = 0; next = 0; word = 0; at = 0; ok = 0; goto swept };
end:	skip
}

proctype putter()
{
	do
	:: d_step { put < MESSAGES && state_of(cell) == EMPTY ->
		put++; payload = put; cell = cell_word(lap_of(cell), 0, 0, READY) }
	:: put == MESSAGES -> break
	od
}

/* empty_or_drained: the queue is closed, and another says what it sees. */
#define LOOK_AT_CELL \
	CALM(word = cell); \
	if :: state_of(word) == EMPTY -> word = 0 :: else -> goto end fi
#define LOOK_AT_RECORDS \
	do \
	:: i < RECORDS -> \
		CALM(word = lease[i]); \
		if :: lease_state(word) == FREE -> atomic { word = 0; i++ } :: else -> goto end fi \
	:: else -> i = 0; break \
	od
#define LOOK_BEHIND \
	CALM(r = rescan); \
	CALM(ok = (r == rescan_done); r = 0); \
	if :: ok -> ok = 0 :: else -> goto end fi

proctype looker()
{
	byte i, r;
	short word;
	bool ok;

	atomic { put == MESSAGES };
	LOOK_BEHIND;
#if MUTANT == 13
	LOOK_AT_RECORDS;
	LOOK_AT_CELL;
#else
	LOOK_AT_CELL;
	LOOK_AT_RECORDS;
#endif
	LOOK_BEHIND;
	assert(is_all_done);
end:	skip
}

init {
	byte i = 1;

	atomic {
		do
		:: i <= CLAIMERS -> slot[i] = slot_word(1, SLOT_LIVE); run claimer(i); i++
		:: else -> i = 0; break
		od;
		do :: i < RECOVERERS -> run recoverer(); i++ :: else -> i = 0; break od;
		do :: i < LOOKERS -> run looker(); i++ :: else -> i = 0; break od;
		run putter()
	}
	workers == 0;
	i = 0;
	do :: i < RECORDS -> assert(lease_state(lease[i]) == FREE); i++ :: else -> break od;
	assert(cell == cell_word(MESSAGES, 0, 0, EMPTY));
	all_ended = true
}

#ifdef LIVENESS
ltl ends { <> all_ended }
#endif
