/* SPDX-License-Identifier: MIT
 *
 * A read-write lock: readers and writers that sleep and die, recoverers that come late.
 *
 * Mirrors rwlock.c, rwlock_read.c, rwlock_write.c, rwlock_object.c (recover_rwlock), wait.c
 * (wait_until, wait_wake_all, wait_wake_one_slow), recover.c (leave_wait_sets, recover_audit).
 * Abstracts away: a client has one thread; recursion, poison and repair; the two steps of a ring
 * (lock.pml has them); spinning, the look each 250 ms, mpd's attention.
 *
 * Safety: a writer is in alone; each death of a writer inside is told to exactly one who comes in,
 * the first, and nothing else is; one whose READ_WAIT is set is overtaken by one writer at most, and
 * by one more for each death; what the dead held is given back; nobody sleeps when all is at rest.
 * Liveness, under weak fairness: a writer gets in beside a reader that comes
 * again for ever, a reader beside such writers.
 *
 * Mutants: 1 a reader does not look again once its word counts; 2 nobody is admitted; 3 recovery
 * does not look at `entered`; 4 `entered` is set before the readers have left; 5 one who was told
 * and dies is not looked at; 6 a reader that leaves does not ring; 7 readers are admitted before
 * `entered` is 0; 8 a reader that looks does not count; 9 a writer that gives up does not ring; 10 a
 * writer drops DIED when it takes the word.
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef RECOVERER_DIES
#define RECOVERER_DIES false
#endif
#ifndef MORTAL
#define MORTAL 255 /* bit = client that may die */
#endif
#ifndef IMPATIENT
#define IMPATIENT 0 /* bit = client that may give up */
#endif
#ifndef ENDLESS
#define ENDLESS 0 /* bit = client that comes again for ever */
#endif
#include "common.pml"
#include "bells.pml"

#define TO_READ 0
#define TO_WRITE 1
#define DRAINED 2
byte waiting[3]; /* the three sets */
byte waits_for[CLIENTS_MAX + 1]; /* which, + 1 */

#define who(thread, generation) ((generation) << 3 | (thread))
#define owner_of(word) ((word) & 31)
#define WAIT 32
#define READ_WAIT 4096
#define DIED 64
#define told_of(word) (((word) >> 7) & 31)
#define without_told(word) ((word) & (READ_WAIT | 127))
#define with_told(word, who) ((without_told(word) & ~DIED) | (who) << 7)
short lock;
byte entered;

#define WAITS 2
#define TOLD 4
#define reader_word(who, rest) (((who) >> 3) << 3 | (rest))
#define reader_who(word, thread) (((word) >> 3) << 3 | (thread))
#define counts(word) ((word) & 1)
#define is_shut(word) (owner_of(word) != 0 || ((word) & DIED))
byte reader[CLIENTS_MAX + 1];

/* What really is. */
byte holder;      /* the writer inside */
byte inside;      /* bits of the readers inside */
byte teller;      /* the reader that was told, and has not left */
bool unreported;
byte overtaken[CLIENTS_MAX + 1]; /* + 1, from when its READ_WAIT was set */
byte rounds[CLIENTS_MAX + 1];
byte workers;
bool all_ended;

#define IS(mask, me) (((mask) >> (me)) & 1)
#define note_in(me) assert(holder == 0); inside = inside | bit_of(me); overtaken[me] = 0
#define note_first(me) note_in(me); assert(!unreported)
#define note_told(me) note_in(me); assert(unreported); unreported = false; teller = me
#define note_writes(me, is_told) \
	assert(holder == 0 && inside == 0); holder = me; \
	assert(unreported == (is_told)); unreported = false; \
	i = 1; \
	do \
	:: i <= READERS -> \
		if \
		:: (reader[i] & WAITS) && !gone[i] && overtaken[i] -> \
			overtaken[i]++; assert(overtaken[i] <= 2 + deaths) \
		:: else \
		fi; \
		i++ \
	:: else -> i = 0; break \
	od

#define RING_ONE(thread) STEP(moved[thread] = true; queued[thread] = false)
#define RING_ALL(k) \
	STEP(bits = waiting[k]; waiting[k] = 0); \
	do \
	:: bits != 0 -> \
		atomic { choose(bits, other); bits = bits & ~bit_of(other) }; \
		RING_ONE(other) \
	:: else -> other = 0; break \
	od
#define WAKE_ONE(k) \
	STEP(if :: waiting[k] != 0 -> choose(waiting[k], other); waiting[k] = waiting[k] & ~bit_of(other) \
		:: else -> other = 0 fi); \
	if :: other != 0 -> RING_ONE(other); other = 0 :: else fi
#define RING_DRAINER \
	STEP(ok = (owner_of(lock) != 0)); \
	if :: ok -> STEP(ok = (waiting[DRAINED] != 0)) :: else fi; \
	if :: ok -> ok = 0; RING_ALL(DRAINED) :: else fi

/* wait_until: S1 to S3, then the look, then S5, S6; S8. */
#define ANNOUNCE(k) \
	STEP(READ_BELL(me); waits_for[me] = k + 1); \
	STEP(waiting[k] = waiting[k] | bit_of(me))
#define MARK_WORD(flag, ready) \
	STEP(word = lock); \
	do \
	:: owner_of(word) == 0 -> word = 0; goto ready \
	:: owner_of(word) != 0 && (word & flag) -> word = 0; break \
	:: owner_of(word) != 0 && !(word & flag) -> \
		STEP(CAS(lock, word, (word | flag), ok)); \
		if :: ok -> ok = 0; word = 0; break :: else fi \
	od
#define PARK \
	STEP(FUTEX_WAIT(me)); \
	atomic { \
		if \
		:: !queued[me] \
		:: queued[me] && IS(IMPATIENT, me) -> queued[me] = false; is_over = true \
		:: deaths < DEATHS && may_die -> goto died \
		fi \
	}
/* S8, S11. */
#define WITHDRAW(k) \
	STEP(ok = !has_bit(waiting[k], me); waiting[k] = waiting[k] & ~bit_of(me))
#define CLOSE_RECORD STEP(waits_for[me] = 0; ok = 0)

#define may_go_on (IS(ENDLESS, me) || rounds[me] < ROUNDS)
#define GO_ON if :: IS(ENDLESS, me) :: else -> rounds[me]++ fi

proctype reads(byte me)
{
	byte self, other, bits, found, i;
	short word;
	bool ok, is_over;
	bool may_die = IS(MORTAL, me);

	self = who(me, 1);
next:	do
	:: atomic { may_go_on -> GO_ON };
		STEP(ok = is_shut(lock));
		if :: ok -> ok = 0; STEP(reader[me] = reader_word(self, WAITS)); goto try :: else fi;
		STEP(assert(reader[me] == 0); reader[me] = reader_word(self, 1));
#if MUTANT == 1
		STEP(note_first(me); ok = 1);
#else
		STEP(if :: is_shut(lock) :: else -> note_first(me); ok = 1 fi);
#endif
		if :: ok -> ok = 0; goto in :: else fi;
		STEP(reader[me] = reader_word(self, WAITS));
		RING_DRAINER;
try:		STEP(ok = (owner_of(lock) == 0));
		if :: !ok -> goto shut :: else fi;
#if MUTANT == 8
		found = reader_word(self, WAITS);
		STEP(ok = (reader[me] == found));
#else
		found = reader_word(self, WAITS);
		STEP(CAS(reader[me], found, reader_word(self, WAITS | 1), ok));
#endif
		found = 0;
		if :: !ok -> goto in :: else -> ok = 0 fi;
		STEP(word = lock; if :: !is_shut(word) -> note_first(me) :: else fi);
		do
		:: !is_shut(word) -> STEP(reader[me] = reader_word(self, 1)); word = 0; goto in
		:: owner_of(word) != 0 -> word = 0; break
		:: owner_of(word) == 0 && (word & DIED) ->
			STEP(if
			     :: lock == word -> note_told(me); lock = with_told(word, self); ok = 1
			     :: else -> word = lock; if :: !is_shut(word) -> note_first(me) :: else fi
			     fi);
			if
			:: ok -> ok = 0; word = 0;
				STEP(reader[me] = reader_word(self, TOLD | 1));
				goto in
			:: else
			fi
		od;
		found = reader_word(self, WAITS | 1);
		STEP(CAS(reader[me], found, reader_word(self, WAITS), ok));
		found = 0;
		if :: !ok -> goto in :: else -> ok = 0 fi;
		RING_DRAINER;
shut:		ok = 0;
		if
		:: is_over ->
			found = reader_word(self, WAITS);
			STEP(CAS(reader[me], found, 0, ok); if :: ok -> overtaken[me] = 0 :: else fi);
			found = 0; is_over = 0;
			if :: ok -> ok = 0; goto left :: else -> goto in fi
		:: else
		fi;
		/* before it spins */
		STEP(lock = lock | READ_WAIT;
			if :: (reader[me] & WAITS) && !overtaken[me] -> overtaken[me] = 1 :: else fi);
		ANNOUNCE(TO_READ);
		STEP(ok = !(reader[me] & WAITS));
		if :: ok -> ok = 0; goto ready :: else fi;
		MARK_WORD(READ_WAIT, ready);
		PARK;
ready:
		WITHDRAW(TO_READ);
		CLOSE_RECORD;
		STEP(ok = !(reader[me] & WAITS));
		if :: !ok -> goto try :: else -> ok = 0 fi;
in:		is_over = 0;
		assert(IS(inside, me));
		/* mp_rwlock_release */
		STEP(if
		     :: reader[me] == reader_word(self, 1) -> reader[me] = 0; inside = inside & ~bit_of(me); ok = 1
		     :: else
		     fi);
		if
		:: ok -> ok = 0
		:: else ->
			STEP(inside = inside & ~bit_of(me); teller = 0; assert(told_of(lock) == self); lock = without_told(lock));
			STEP(reader[me] = 0)
		fi;
#if MUTANT != 6
		RING_DRAINER;
#endif
left:		skip
	:: atomic { !may_go_on -> goto end }
	od;
died:	atomic { DIE(me); queued[me] = false; inside = inside & ~bit_of(me); word = 0; other = 0; bits = 0;
		found = 0; i = 0; ok = 0; is_over = 0; self = 0; overtaken[me] = 0 };
	REBORN(me);
	STEP(waits_for[me] = 0);
	self = who(me, slot_generation(slot[me]));
	goto next;
end:	if :: !IS(ENDLESS, me) -> workers-- :: else fi
}

/* rwlock_any_reader */
#define ANY_READER \
	i = 1; \
	do \
	:: i <= READERS -> \
		STEP(ok = counts(reader[i])); \
		if :: ok -> i = 0; break :: else fi; \
		i++ \
	:: else -> i = 0; break \
	od

#define ADMIT \
	i = 1; \
	do \
	:: i <= READERS -> \
		STEP(found = reader[i]); \
		do \
		:: found & WAITS -> \
			STEP(if \
			     :: reader[i] == found -> \
				reader[i] = (found & ~7) | 1; found = 0; \
				if :: !gone[i] -> note_in(i) :: else fi \
			     :: else -> found = reader[i] \
			     fi) \
		:: else -> found = 0; break \
		od; \
		i++ \
	:: else -> i = 0; break \
	od

proctype writes(byte me)
{
	byte self, other, bits, found, i;
	short word;
	bool ok, is_over, has_waited;
	bool may_die = IS(MORTAL, me);

	self = who(me, 1);
next:	do
	:: atomic { may_go_on -> GO_ON };
take:		STEP(word = lock);
		do
		:: owner_of(word) != 0 -> word = 0; break
		:: owner_of(word) == 0 ->
			STEP(if
#if MUTANT == 10
			     :: lock == word -> lock = (word & ~DIED) | self; word = 0; ok = 1
#else
			     :: lock == word -> lock = word | self; word = 0; ok = 1
#endif
			     :: else -> word = lock
			     fi);
			if :: ok -> ok = 0; goto taken :: else fi
		od;
		if :: is_over -> is_over = 0; has_waited = 0; goto left :: else fi;
		has_waited = 1;
		ANNOUNCE(TO_WRITE);
		MARK_WORD(WAIT, free);
		PARK;
free:
		WITHDRAW(TO_WRITE);
		if
		:: ok && is_over ->
			STEP(ok = (owner_of(lock) == 0));
			if
			:: ok ->
				ok = 0;
				WAKE_ONE(TO_WRITE)
			:: else
			fi
		:: else
		fi;
		CLOSE_RECORD;
		goto take;
taken:		STEP(entered = 0);
		if
		:: has_waited -> has_waited = 0;
			STEP(ok = (waiting[TO_WRITE] != 0));
			if :: ok -> ok = 0; STEP(lock = lock | WAIT) :: else fi
		:: else
		fi;
#if MUTANT == 4
		STEP(entered = self);
#endif
drain:		ANY_READER;
		if :: !ok -> goto drained :: else -> ok = 0 fi;
		if :: is_over -> goto abort :: else fi;
		ANNOUNCE(DRAINED);
		ANY_READER;
		if :: ok -> ok = 0; PARK :: else fi;
		WITHDRAW(DRAINED);
		CLOSE_RECORD;
		goto drain;
drained:	is_over = 0;
		STEP(word = lock);
		STEP(entered = self; note_writes(me, ((word & DIED) != 0)));
		do
		:: word & (DIED | 31 << 7) ->
			STEP(CAS(lock, word, (word & (READ_WAIT | WAIT | 31)), ok));
			if :: ok -> ok = 0; break :: else fi
		:: else -> break
		od;
		word = 0;
		/* mp_rwlock_release */
#if MUTANT != 7
		STEP(entered = 0; holder = 0);
#endif
		STEP(if :: lock == self -> lock = 0; ok = 1;
#if MUTANT == 7
				entered = 0; holder = 0
#endif
			:: else fi);
		if :: ok -> ok = 0; goto left :: else fi;
abort:		/* rwlock_let_go: admit_readers */
		STEP(word = lock);
		do
#if MUTANT == 2
		:: false ->
#else
		:: (word & READ_WAIT) && !(word & (DIED | 31 << 7)) ->
#endif
			STEP(CAS(lock, word, (word & ~READ_WAIT), ok));
			if :: ok -> ok = 0; ADMIT; break :: else fi
		:: else -> break
		od;
#if MUTANT == 7
		STEP(entered = 0; holder = 0);
#endif
		STEP(word = lock);
		do
		:: assert(owner_of(word) == self);
			STEP(ok = (waiting[TO_WRITE] != 0));
			STEP(if
			     :: lock == word -> lock = (word & (READ_WAIT | DIED | 31 << 7)) | (ok -> WAIT : 0); word = 0
			     :: else -> word = lock
			     fi);
			if :: word == 0 -> break :: else -> ok = 0 fi
		od;
#if MUTANT == 9
		if :: is_over -> is_over = 0; ok = 0; goto left :: else fi;
#endif
		is_over = 0;
		/* ring_next */
		STEP(found = (waiting[TO_READ] != 0));
		if :: found -> found = 0; RING_ALL(TO_READ) :: else fi;
		STEP(found = (waiting[TO_WRITE] != 0));
		if
		:: found -> found = 0;
			if :: !ok -> STEP(lock = lock | WAIT) :: else fi;
			ok = 0;
			WAKE_ONE(TO_WRITE)
		:: else -> ok = 0
		fi;
left:		skip
	:: atomic { !may_go_on -> goto end }
	od;
died:	atomic { DIE(me); queued[me] = false; word = 0; other = 0; bits = 0; found = 0; i = 0; ok = 0;
		is_over = 0; has_waited = 0; self = 0 };
	REBORN(me);
	STEP(waits_for[me] = 0);
	self = who(me, slot_generation(slot[me]));
	goto next;
end:	if :: !IS(ENDLESS, me) -> workers-- :: else fi
}

#define is_admitted(me) (reader[me] != 0 && !(reader[me] & WAITS))
#define is_ready_to_read(me) (owner_of(lock) == 0 || is_admitted(me))
#define nobody_reads (!counts(reader[1]) && !counts(reader[2]) && !counts(reader[3]) && !counts(reader[4]))
#define is_missed(me, k) \
	(!has_bit(waiting[k], me) || (k == TO_READ && is_ready_to_read(me)) || \
	(k == TO_WRITE && owner_of(lock) == 0) || (k == DRAINED && nobody_reads))

#define AUDIT \
	other = 1; \
	do \
	:: other <= READERS + WRITERS -> \
		STEP(ok = (waits_for[other] != 0 && slot_state(slot[other]) != SLOT_FREE && \
			is_missed(other, (waits_for[other] - 1)))); \
		if :: ok -> ok = 0; RING_ONE(other) :: else fi; \
		other++ \
	:: else -> other = 0; break \
	od

#define TAKE_BACK_TOLD \
	STEP(word = lock); \
	do \
	:: told_of(word) == who(c, generation) -> \
		STEP(ok = is_current(c, generation)); \
		if :: !ok -> break :: else -> ok = 0 fi; \
		STEP(if \
		     :: lock == word -> \
			assert(gone[c] && teller == c); teller = 0; unreported = true; \
			lock = without_told(word) | DIED; ok = 1 \
		     :: else -> word = lock \
		     fi); \
		if :: ok -> ok = 0; break :: else fi \
	:: else -> break \
	od; \
	word = 0
#define TAKE_BACK_SHARE \
	STEP(found = reader[c]); \
	do \
	:: found != 0 && reader_who(found, c) == who(c, generation) -> \
		STEP(ok = is_current(c, generation)); \
		if :: !ok -> break :: else -> ok = 0 fi; \
		STEP(if \
		     :: reader[c] == found -> assert(gone[c]); reader[c] = 0; is_changed = 1; found = 0 \
		     :: else -> found = reader[c] \
		     fi) \
	:: else -> break \
	od; \
	found = 0

proctype recoverer()
{
	byte c, generation, other, bits, found, i;
	short word;
	bool ok, was_inside, is_changed;
	bool may_die = RECOVERER_DIES;

	do
	:: atomic { workers == 0 -> goto end }
	:: atomic { are_remains -> find_remains(c); generation = slot_generation(slot[c]) };
		STEP(if :: slot[c] == slot_word(generation, SLOT_LIVE) -> slot[c] = slot_word(generation, SLOT_DEAD)
			:: else fi);
		/* recover_rwlock */
#if MUTANT == 5
		TAKE_BACK_SHARE;
#else
		TAKE_BACK_TOLD;
		TAKE_BACK_SHARE;
#endif
		STEP(word = lock);
		do
		:: owner_of(word) == who(c, generation) ->
			STEP(ok = is_current(c, generation));
			if :: !ok -> break :: else -> ok = 0 fi;
			STEP(was_inside = (entered == who(c, generation)));
#if MUTANT == 3
			was_inside = true;
#endif
			STEP(if
			     :: lock == word ->
				assert(gone[c] && was_inside == (holder == c));
				if :: was_inside -> holder = 0; unreported = true :: else fi;
				lock = (was_inside -> ((word & (READ_WAIT | WAIT)) | DIED) : (word & ~31)); ok = 1
			     :: else -> word = lock
			     fi);
			was_inside = 0;
			if :: ok -> ok = 0; is_changed = 1; break :: else fi
		:: else -> break
		od;
		word = 0;
		if
		:: is_changed ->
			RING_ALL(DRAINED);
			RING_ALL(TO_READ);
			RING_ALL(TO_WRITE)
		:: else
		fi;
		is_changed = 0;
		/* leave_wait_sets */
		STEP(ok = is_current(c, generation));
		if :: ok -> STEP(found = waits_for[c]) :: else fi;
		if :: ok && found -> STEP(ok = is_current(c, generation)) :: else fi;
		if :: ok && found -> STEP(waiting[found - 1] = waiting[found - 1] & ~bit_of(c)) :: else fi;
		found = 0;
		STEP(ok = is_current(c, generation));
		if
		:: ok -> ok = 0; AUDIT;
			STEP(if :: slot[c] == slot_word(generation, SLOT_DEAD) ->
					assert(holder != c && teller != c);
					slot[c] = slot_word(generation, SLOT_FREE)
				:: else fi)
		:: else
		fi;
		/* recover_client, after the sweep */
		AUDIT;
swept:		atomic { c = 0; generation = 0 }
	od;
died:	atomic { deaths++; c = 0; generation = 0; word = 0; other = 0; bits = 0; found = 0; i = 0; ok = 0;
		was_inside = 0; is_changed = 0; goto swept };
end:	skip
}

init {
	byte i = 1;

	atomic {
		do
		:: i <= READERS + WRITERS ->
			slot[i] = slot_word(1, SLOT_LIVE);
			if :: !IS(ENDLESS, i) -> workers++ :: else fi;
			if :: i <= READERS -> run reads(i) :: else -> run writes(i) fi;
			i++
		:: else -> i = 0; break
		od;
		do :: i < RECOVERERS -> run recoverer(); i++ :: else -> i = 0; break od
	}
	workers == 0;
	assert(ENDLESS != 0 || (holder == 0 && inside == 0 && owner_of(lock) == 0 && told_of(lock) == 0 &&
		nobody_reads && waiting[0] == 0 && waiting[1] == 0 && waiting[2] == 0));
	all_ended = true
}

#ifdef LIVENESS
ltl ends { <> all_ended }
#endif
