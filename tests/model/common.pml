/* SPDX-License-Identifier: MIT
 *
 * What the models share: steps that a process may die at, client slots, compare and swap.
 *
 * Mirrors slot.c (slot_mark_dead, slot_free_client, slot_claim_client) and sweep.c
 * (sweep_is_current). Abstracts away: how a death is proven (`gone` is the kernel's truth, nobody
 * is ever believed dead who is not), the namespaces, the laps of a generation.
 *
 * STEP is one access to shared memory. Everything a process computes between two accesses is part
 * of the latter one, for nobody else can see it. A process that may die does so before any STEP,
 * which is after the one before: so each prefix of its accesses is what some death leaves.
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

#define STEP(operation) \
	atomic { if :: operation :: deaths < DEATHS && may_die -> goto died fi }

/* The same for who cannot die here. */
#define CALM(operation) atomic { operation }

/* On failure the word that was found is in `expected`. */
#define CAS(word, expected, desired, ok) \
	if :: word == expected -> word = desired; ok = true \
	   :: else -> expected = word; ok = false fi

#define SLOT_FREE 0
#define SLOT_LIVE 1
#define SLOT_DEAD 2
#define slot_word(generation, state) ((generation) * 4 + (state))
#define slot_state(word) ((word) & 3)
#define slot_generation(word) ((word) >> 2)

#define CLIENTS_MAX 4
byte slot[CLIENTS_MAX + 1]; /* by client, from 1 */
bool gone[CLIENTS_MAX + 1]; /* that use of the slot has been killed */
byte deaths;

/* Proven dead and not swept yet. */
#define is_mortal_remains(c) (gone[c] && slot_state(slot[c]) != SLOT_FREE)

#define are_remains (is_mortal_remains(1) || is_mortal_remains(2) || is_mortal_remains(3) || \
	is_mortal_remains(4))
#define find_remains(c) \
	c = 1; do :: !is_mortal_remains(c) -> c++ :: else -> break od

/* The end of a process: its locals are the caller's to clear. */
#define DIE(me) gone[me] = true; deaths++

/* Another process takes the slot once it was swept: the next generation. */
#define REBORN(me) \
	atomic { slot_state(slot[me]) == SLOT_FREE -> \
		slot[me] = slot_word(slot_generation(slot[me]) + 1, SLOT_LIVE); gone[me] = false }

/* sweep_is_current: asked after a word was read and before it is changed. */
#define is_current(c, generation) (slot[c] == slot_word(generation, SLOT_DEAD))
