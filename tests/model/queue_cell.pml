/* SPDX-License-Identifier: MIT
 *
 * The ring of a queue: putters, getters, recoverers, a death at any access.
 *
 * Mirrors queue_ring.c (walk_to_tail, ring_claim_empty, ring_publish, walk_to_head, jump,
 * reclaim_skip, ring_find_ready, ring_take, ring_take_redelivered, ring_free_cell), queue_take.c
 * (take_now, take_behind, look_was_fruitless), queue.c (mp_queue_put, mp_queue_get) and of
 * queue_object.c recover_cell and recover_queue. Abstracts away: sleeping (wait.pml), leases
 * (lease.pml), blocks, closing, forged words (WALK_MAX, impossible hints), a payload
 * of more than one word, laps that wrap. Who finds the queue full or empty tries again.
 *
 * Safety: each published message is received exactly once (a get counts from the store of EMPTY:
 * if it is killed after that, the message is gone as documented); a second copy is flagged;
 * messages that are not flagged come in the order of their places; in the end a whole lap can be
 * put and got. Liveness: every put and get ends, under weak fairness.
 *
 * Mutants: 1 published before the payload; 2 owner written after the claim; 3 recovery skips
 * READING; 4 tries not bumped on redelivery; 5 recovery does not grow rescan; 6 a dead put becomes
 * READY; 7 is_current is not asked; 8 is_current asked before the word is read; 9 rescan_done
 * follows rescan as it is after the look; 10 tail stored before the claim; 11 the lap is not
 * bumped when a cell is freed; 12 a dead put's cell becomes EMPTY of its own lap; 13 jump of a
 * putter lands a lap too far.
 */
#ifndef PUTTERS
#define PUTTERS 2
#endif
#ifndef GETTERS
#define GETTERS 1
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef PUTS
#define PUTS 2 /* of each putter */
#endif
#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef MORTAL
#define MORTAL 3 /* 1: putters, 2: getters, 4: recoverers */
#endif
#define CLIENTS (PUTTERS + GETTERS)
#include "common.pml"

#define EMPTY 0
#define WRITING 1
#define READY 2
#define READING 3
#define SKIP 4
#define cell_word(lap, tries, client, state) ((lap) << 8 | (tries) << 6 | (client) << 3 | (state))
#define state_of(word) ((word) & 7)
#define client_of(word) (((word) >> 3) & 7)
#define tries_of(word) (((word) >> 6) & 3)
#define lap_of(word) ((word) >> 8)
#define index_of(position) ((position) % CAPACITY)
#define lap_at(position) ((position) / CAPACITY)
#define cell_at(position) cell[index_of(position)]

short cell[CAPACITY];
byte payload[CAPACITY];
byte head, tail, rescan, rescan_done;

/* What really happened: no process looks at these but to know when to end. */
byte begun[PUTTERS + 1]; /* puts, by putter */
byte copied, received; /* sets of messages */
byte outstanding, next_fresh;
byte workers = CLIENTS, putters = PUTTERS, recoverers = RECOVERERS;
bool all_ended;

#define message(putter, n) ((putter - 1) * PUTS + (n))

/* Who takes a cell for the first time takes the cells in order. */
#define note_take(word, position) \
	if :: tries_of(word) == 0 -> assert(position >= next_fresh); next_fresh = position + 1 \
	   :: else fi
#define note_copy(m, word) \
	assert(m > 0); \
	assert(!(copied >> m & 1) || tries_of(word) > 0); \
	copied = copied | 1 << m
#define note_receive(m) \
	assert(!(received >> m & 1)); \
	received = received | 1 << m; \
	outstanding--

/* jump: the cell is a lap ahead. */
inline jump_put()
{
#if MUTANT == 13
	position = lap_of(word) * CAPACITY + index_of(position) + 1
#else
	position = (state_of(word) == EMPTY -> lap_of(word) - 1 : lap_of(word)) * CAPACITY +
		index_of(position) + 1
#endif
}

proctype putter(byte me)
{
	byte position;
	short word;
	bool ok;
	bool may_die = ((MORTAL & 1) != 0);

next:	do
	:: atomic { begun[me] < PUTS -> begun[me]++ };
again:	STEP(position = tail);
	do
	:: atomic {
		if
		:: word = cell_at(position);
			if
			:: lap_of(word) == lap_at(position) && state_of(word) == EMPTY -> goto claim
			:: lap_of(word) < lap_at(position) && state_of(word) != SKIP ->
				word = 0; position = 0; goto again
			:: lap_of(word) < lap_at(position) && state_of(word) == SKIP
			:: lap_of(word) == lap_at(position) && state_of(word) != EMPTY ->
				position++; word = 0
			:: lap_of(word) > lap_at(position) -> jump_put(); word = 0
			fi
		:: deaths < DEATHS && may_die -> goto died
		fi };
		if
		:: word != 0 -> STEP(CAS(cell_at(position), word,
				cell_word(lap_of(word) + 1, 0, 0, EMPTY), ok); word = 0; ok = 0)
		:: else
		fi
	od;
claim:
#if MUTANT == 10
	STEP(tail = position + 1);
#endif
#if MUTANT == 2
	STEP(CAS(cell_at(position), word, cell_word(lap_at(position), 0, 0, WRITING), ok); word = 0);
	if :: atomic { !ok -> position = 0; goto again } :: atomic { ok -> ok = 0 } fi;
	STEP(cell_at(position) = cell_word(lap_at(position), 0, me, WRITING));
#else
	STEP(CAS(cell_at(position), word, cell_word(lap_at(position), 0, me, WRITING), ok); word = 0);
	if :: atomic { !ok -> position = 0; goto again } :: atomic { ok -> ok = 0 } fi;
#endif
#if MUTANT != 10
	STEP(tail = position + 1);
#endif
#if MUTANT == 1
	STEP(cell_at(position) = cell_word(lap_at(position), 0, 0, READY); outstanding++);
	STEP(payload[index_of(position)] = message(me, begun[me]); position = 0)
#else
	STEP(payload[index_of(position)] = message(me, begun[me]));
	STEP(cell_at(position) = cell_word(lap_at(position), 0, 0, READY); outstanding++; position = 0)
#endif
	:: atomic { begun[me] == PUTS -> goto end }
	od;
died:	atomic { DIE(me); position = 0; word = 0; ok = 0 };
	REBORN(me);
	goto next;
end:	atomic { putters--; workers-- }
}

proctype getter(byte me)
{
	byte position, i, seen, m;
	short word;
	bool ok;
	bool may_die = ((MORTAL & 2) != 0);

again:	do
	:: atomic { putters == 0 && outstanding == 0 -> goto end }
	:: atomic { !(putters == 0 && outstanding == 0) };
		STEP(seen = rescan);
		STEP(ok = (seen != rescan_done); seen = 0);
		if
		:: !ok
		:: else -> ok = 0;
			/* take_behind */
			STEP(seen = rescan);
			do
			:: i < CAPACITY ->
				STEP(word = cell[i]);
				if
				:: state_of(word) == READY && tries_of(word) > 0 ->
					atomic {
						if
						:: deaths < DEATHS && may_die -> goto died
						:: cell[i] == word ->
							position = lap_of(word) * CAPACITY + i;
							cell[i] = cell_word(lap_of(word), tries_of(word), me, READING);
							word = cell[i]; i = 0; seen = 0;
							goto took_behind
						:: cell[i] != word -> i++; word = 0
						fi
					}
				:: else -> i++; word = 0
				fi
			:: else -> i = 0; break
			od;
			/* look_was_fruitless */
#if MUTANT == 9
			STEP(seen = rescan);
#endif
			STEP(i = rescan_done);
			do
			:: i < seen -> STEP(CAS(rescan_done, i, seen, ok); if :: ok -> i = seen; ok = 0 :: else fi)
			:: else -> i = 0; seen = 0; break
			od
		fi;
		/* ring_find_ready, ring_take */
		STEP(position = head);
		do
		:: atomic {
			if
			:: word = cell_at(position);
				if
				:: lap_of(word) < lap_at(position) -> goto nothing
				:: lap_of(word) > lap_at(position) ->
					position = (lap_of(word) - 1) * CAPACITY + index_of(position) + 1; word = 0
				:: lap_of(word) == lap_at(position) && state_of(word) == READY -> goto claim
				:: lap_of(word) == lap_at(position) &&
				   (state_of(word) == EMPTY || state_of(word) == WRITING) -> goto nothing
				:: lap_of(word) == lap_at(position) && state_of(word) == SKIP
				:: lap_of(word) == lap_at(position) && state_of(word) == READING ->
					position++; word = 0
				fi
			:: deaths < DEATHS && may_die -> goto died
			fi };
			if
			:: word != 0 -> STEP(CAS(cell_at(position), word,
					cell_word(lap_of(word) + 1, 0, 0, EMPTY), ok); word = 0; ok = 0)
			:: else
			fi
		od;
claim:		STEP(if
		     :: cell_at(position) == word ->
			note_take(word, position);
			cell_at(position) = cell_word(lap_of(word), tries_of(word), me, READING);
			word = cell_at(position); ok = 1
		     :: else -> ok = 0; position = 0; word = 0
		     fi);
		if
		:: ok -> ok = 0; STEP(head = position + 1)
		:: else -> goto again
		fi;
took_behind:	skip;
		/* get: copy, then ring_free_cell */
		STEP(m = payload[index_of(position)]; note_copy(m, word));
#if MUTANT == 11
		STEP(cell_at(position) = cell_word(lap_of(word), 0, 0, EMPTY); note_receive(m);
		     position = 0; word = 0; m = 0)
#else
		STEP(cell_at(position) = cell_word(lap_of(word) + 1, 0, 0, EMPTY); note_receive(m);
		     position = 0; word = 0; m = 0)
#endif
	od;
nothing:
	atomic { position = 0; word = 0 };
	goto again;
died:	atomic { DIE(me); position = 0; word = 0; ok = 0; i = 0; seen = 0; m = 0 };
	REBORN(me);
	goto again;
end:	workers--
}

/* sweep_client, as far as a queue is concerned. Whoever dies here is followed by another. */
proctype recoverer()
{
	byte c, i, generation;
	short word;
	bool ok;
	bool may_die = ((MORTAL & 4) != 0);

	do
	:: atomic { workers == 0 -> goto end }
	:: atomic { are_remains -> find_remains(c); generation = slot_generation(slot[c]) };
		/* slot_mark_dead */
		STEP(if :: slot[c] == slot_word(generation, SLOT_LIVE) -> slot[c] = slot_word(generation, SLOT_DEAD)
			:: else fi);
		do
		:: i < CAPACITY ->
#if MUTANT == 8
			STEP(ok = is_current(c, generation));
			STEP(word = cell[i]);
#else
			STEP(word = cell[i]);
			if
			:: client_of(word) == c &&
			   (state_of(word) == WRITING || state_of(word) == READING) ->
#if MUTANT == 7
				ok = true
#else
				STEP(ok = is_current(c, generation))
#endif
			:: else
			fi;
#endif
			if
#if MUTANT == 6
			:: ok && client_of(word) == c && state_of(word) == WRITING ->
				STEP(if :: cell[i] == word -> cell[i] = cell_word(lap_of(word), 0, 0, READY); outstanding++ :: else fi)
#elif MUTANT == 12
			:: ok && client_of(word) == c && state_of(word) == WRITING ->
				STEP(CAS(cell[i], word, cell_word(lap_of(word), 0, 0, EMPTY), ok))
#else
			:: ok && client_of(word) == c && state_of(word) == WRITING ->
				STEP(CAS(cell[i], word, cell_word(lap_of(word), 0, 0, SKIP), ok))
#endif
#if MUTANT == 4
			:: ok && client_of(word) == c && state_of(word) == READING ->
				STEP(CAS(cell[i], word, cell_word(lap_of(word), tries_of(word), 0, READY), ok))
#elif MUTANT != 3
			:: ok && client_of(word) == c && state_of(word) == READING ->
				STEP(CAS(cell[i], word, cell_word(lap_of(word), tries_of(word) + 1, 0, READY), ok))
#endif
			:: else
			fi;
			atomic { i++; word = 0; ok = 0 }
		:: else -> i = 0; break
		od;
#if MUTANT != 5
		STEP(rescan++);
#endif
		/* slot_free_client */
		STEP(if :: slot[c] == slot_word(generation, SLOT_DEAD) -> slot[c] = slot_word(generation, SLOT_FREE)
			:: else fi; c = 0; generation = 0);
nobody:	skip
	od;
died:	atomic { deaths++; c = 0; i = 0; generation = 0; word = 0; ok = 0; goto nobody };
end:	recoverers--
}

/* Everybody has ended: the ring is whole, and a whole lap goes through it. */
proctype verifier()
{
	byte position, i;

	d_step {
		workers == 0 && recoverers == 0;
		do
		:: i < CAPACITY ->
			assert(state_of(cell[i]) == EMPTY || state_of(cell[i]) == SKIP);
			if :: state_of(cell[i]) == SKIP -> cell[i] = cell_word(lap_of(cell[i]) + 1, 0, 0, EMPTY)
			   :: else fi;
			i++
		:: else -> break
		od;
		/* One lap is the first, the others follow: laps grow at one place only. */
		i = 0;
		do :: i + 1 < CAPACITY && lap_of(cell[i + 1]) == lap_of(cell[i]) -> i++ :: else -> break od;
		position = lap_of(cell[0]) * CAPACITY + (i + 1 < CAPACITY -> i + 1 : 0);
		if :: i + 1 < CAPACITY -> position = (lap_of(cell[0]) - 1) * CAPACITY + i + 1 :: else fi;
		assert(head <= position && tail <= position);
		i = 0;
		do
		:: i < CAPACITY ->
			assert(lap_of(cell_at(position + i)) == lap_at(position + i));
			i++
		:: else -> break
		od;
		all_ended = true
	}
}

init {
	byte i = 1;

	atomic {
		do
		:: i <= CLIENTS -> slot[i] = slot_word(1, SLOT_LIVE);
			if :: i <= PUTTERS -> run putter(i) :: else -> run getter(i) fi;
			i++
		:: else -> break
		od;
		i = 0;
		do :: i < RECOVERERS -> run recoverer(); i++ :: else -> i = 0; break od;
		run verifier()
	}
}

#ifdef LIVENESS
ltl ends { <> all_ended }
#endif
