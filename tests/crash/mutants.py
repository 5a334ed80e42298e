# SPDX-License-Identifier: MIT
"""Faults the crash matrix must find: one line of the library's source each.

mutants.py --names            "NAME SOURCE" of each, for meson
mutants.py NAME SOURCE OUT    SOURCE with that line under #ifdef MUTANT; fails unless it is there once

Each tells which operations to run (--filter) and how (--modes), so that finding it takes seconds."""
import sys
from collections import namedtuple

Mutant = namedtuple('Mutant', 'name source line becomes filter modes')

MUTANTS = [
    Mutant('owner_written_after_the_claim', 'queue_ring.c',
           'cell_word(lap, 0, client, CELL_WRITING)))',
           'cell_word(lap, 0, SLOT_NONE, CELL_WRITING)) && '
           '(store_relaxed(&look.cell->word, cell_word(lap, 0, client, CELL_WRITING)), true))',
           'put', 'snapshot'),
    Mutant('published_before_the_payload', 'queue_take.c',
           'memcpy(cell->payload.bytes, data, len);',
           '{ ring_publish(place); memcpy(cell->payload.bytes, data, len); }',
           'put', 'snapshot'),
    Mutant('waiters_bit_cleared_before_the_second_look', 'wait.c',
           'or_seqcst(leaf, bit); /* S3 */',
           'or_seqcst(leaf, bit), and_seqcst(leaf, ~bit);',
           'put', 'kill'),
    Mutant('recovery_skips_cells_being_read', 'queue_object.c',
           'if ((state != CELL_WRITING && state != CELL_READING) ||',
           'if (state != CELL_WRITING ||',
           'get', 'snapshot'),
    Mutant('half_done_ack_counts_as_done', 'queue_object.c',
           'enum lease_state next = LEASE_RETURNED;',
           'enum lease_state next = block_word_state(arena_word_of(ring->seg, block)) == BLOCK_HELD '
           '? LEASE_FREE : LEASE_RETURNED;',
           'ack of a block', 'snapshot'),
    Mutant('block_of_the_last_lap_believed', 'queue_object.c',
           'cell_meta_is_of_lap(meta, cell_word_lap(word)))',
           'true)',
           'put of a block', 'snapshot'),
    Mutant('place_freed_by_a_claim_unsaid', 'queue_slot.c',
           'wait_wake_one(queue->ring.seg, me, &queue->ring.shared->writable);',
           ';',
           'claim', 'live'),
    Mutant('place_freed_by_a_get_unsaid', 'queue_take.c',
           'wait_wake_one(queue->ring.seg, me, &queue->ring.shared->writable);',
           ';',
           'get', 'live'),
    Mutant('last_lease_of_a_closed_queue_unsaid', 'queue_take.c',
           'wait_wake_all(queue->ring.seg, me, &queue->ring.shared->readable);',
           ';',
           'ack', 'live'),
    Mutant('putters_not_told_of_the_close', 'queue.c',
           'wait_wake_all(queue->ring.seg, me, &shared->writable);',
           ';',
           'close input', 'live'),
    Mutant('lease_records_outlive_the_queue', 'queue_object.c',
           'each(arg, reference);',
           ';',
           'abandon', 'snapshot'),
    Mutant('lease_without_a_new_version', 'queue_lease.c',
           'uint64_t mine = lease_word(lease_word_seq(word) + 1, client, LEASE_CLAIMING);',
           'uint64_t mine = lease_word(lease_word_seq(word), client, LEASE_CLAIMING);',
           'claim', 'snapshot'),
    Mutant('lease_filled_unsaid', 'queue_slot.c',
           'store_release(&lease->filled, lease_word_seq(word));',
           ';',
           'claim', 'snapshot'),
    Mutant('block_freed_without_taking_it_back', 'queue_take.c',
           'ring_free_cell(taken);',
           'arena_link(queue->ring.seg, me->client, reference), ring_free_cell(taken);',
           'get of a block', 'snapshot'),
    Mutant('two_take_one_message', 'queue_ring.c',
           'return cas_acquire(&found->cell->word, &word, found->word);',
           'return store_relaxed(&found->cell->word, found->word), word != 0;',
           'get', 'pair'),
    Mutant('lock_owner_written_after_the_claim', 'lock.c',
           'if (likely(cas_acquire(&lock->shared->word, &free_word, who)))',
           'if (likely(cas_acquire(&lock->shared->word, &free_word, UINT64_C(1) << 12)) && '
           '(store_relaxed(&lock->shared->word, who), true))',
           'lock acquire', 'snapshot'),
    Mutant('death_of_a_holder_untold', 'lock_object.c',
           'if (!cas_seqcst(&shared->word, &word, lock_word_after_death(word, poison)))',
           'if (!cas_seqcst(&shared->word, &word, word & LOCK_WAIT))',
           'lock acquire', 'snapshot'),
    Mutant('new_object_keeps_its_blocks_held', 'object.c',
           'object_link_blocks(seg, entry);',
           ';',
           'queue open', 'snapshot'),
    Mutant('half_made_object_forgotten', 'object_free.c',
           'if (kind == INTENT_CREATE_OBJECT && load_acquire(&entry->word) == after)',
           'if (false)',
           'queue open', 'snapshot'),
    Mutant('thread_slots_of_the_dead_kept', 'recover.c',
           'for_each_thread(&sweep, free_thread);',
           ';',
           'put', 'snapshot'),
    Mutant('audit_finds_nobody', 'recover.c',
           'waited->type->is_ready(seg, waited->object, waited->condition, client);',
           'false;',
           'put', 'kill'),
    Mutant('sweep_leaves_blocks', 'recover.c',
           'arena_sweep(seg, client, is_current, &sweep);',
           ';',
           'reserve', 'snapshot'),
    Mutant('redelivery_unsaid', 'queue_ring.c',
           '.is_redelivered = true };',
           '.is_redelivered = false };',
           'get', 'snapshot'),
    Mutant('waiter_for_the_lock_unrung', 'lock.c',
           'wait_wake_one_slow(lock->seg, me, &shared->waiters);',
           ';',
           'lock release', 'live'),
    Mutant('recovery_waits_for_a_guard', 'object_free.c',
           'if (!intent || !guard_try(&header->directory_guard, seg->client, '
           'seg->client_generation))',
           'if (!intent || guard_acquire(seg, &header->directory_guard, seg->client, '
           'seg->client_generation) < 0)',
           'queue unlink', 'pair'),
    Mutant('slot_claimed_before_it_can_be_found', 'slot.c',
           'raise_mark(&seg->header->clients_high, client + 1);',
           ';',
           'attach', 'snapshot'),
    Mutant('recursion_of_the_dead_kept', 'lock.c',
           'store_relaxed(&lock->shared->depth, 0); /* the dead one\'s recursion */',
           ';',
           'recursive lock acquire', 'snapshot'),
    Mutant('recursion_of_the_dead_kept_by_repair', 'lock.c',
           'store_relaxed(&lock->shared->depth, 0);',
           ';',
           'recursive lock repair', 'snapshot'),
    Mutant('death_told_to_nobody', 'lock.c',
           'if (!(word & LOCK_DIED))',
           'if (true)',
           'lock acquire', 'pair'),
    Mutant('held_lock_closed_in_silence', 'lock_object.c',
           'give_up(lock);',
           ';',
           'lock close', 'snapshot'),
    Mutant('lock_recovered_in_two_steps', 'lock_object.c',
           'if (!cas_seqcst(&shared->word, &word, lock_word_after_death(word, poison)))',
           'if (!cas_seqcst(&shared->word, &word, word & LOCK_WAIT) || '
           '(or_seqcst(&shared->word, lock_word_after_death(word, poison)), false))',
           'recovery of lock release', 'snapshot'),
    Mutant('a_late_recoverer_is_always_in_time', 'sweep.c',
           'return client_word_generation(word) == sweep->generation &&',
           'return true ||',
           'recovery of lock release', 'pair'),
    Mutant('cached_blocks_of_the_dead_kept', 'arena_sweep.c',
           'if (!block_word_is_of(word, sweep->client))',
           'if (block_word_state(word) != BLOCK_HELD || '
           'block_word_client(word) != sweep->client)',
           'alloc', 'snapshot'),
    Mutant('wait_bits_of_the_dead_kept', 'recover.c',
           'for_each_thread(&sweep, leave_wait_sets);',
           ';',
           'lock acquire', 'snapshot'),
    Mutant('newcomer_holds_what_the_dead_did', 'slot.c',
           'store_relaxed(&touched[i], 0);',
           ';',
           'put', 'snapshot'),
    Mutant('intent_of_the_dead_left_to_a_newcomer', 'slot.c',
           'store_relaxed(&slot->intent.kind, INTENT_NONE);',
           ';',
           'queue open', 'snapshot'),
    Mutant('threads_not_counted_anew', 'recover.c',
           'recount_asleep(seg);',
           ';',
           'lock acquire', 'snapshot'),
    Mutant('audit_keeps_its_hold', 'recover.c',
           'object_let_go(seg, waited.index);',
           ';',
           'lock release', 'snapshot'),
    Mutant('unlinked_object_left_to_nobody', 'object.c',
           'object_free_unheld(seg);',
           ';',
           'queue unlink', 'live'),
    Mutant('last_holder_frees_nothing', 'object_hold.c',
           'object_free_if_unheld(seg, index);',
           ';',
           'queue close', 'live'),
    Mutant('wish_to_free_unheard', 'object_free.c',
           'is_wanted = swap_seqcst(&seg->header->free_wanted, 0);',
           'is_wanted = false;',
           'queue close', 'pair'),
    Mutant('child_starts_with_nothing', 'object_hold.c',
           'ret_pins->bits[i / 64] |= UINT64_C(1) << (i % 64);',
           ';',
           'queue close while a child starts', 'live'),
    Mutant('generation_of_an_entry_kept', 'object.c',
           'generation = generation_next(entry_word_generation(load_relaxed(&entry->word)));',
           'generation = 1;',
           'queue open', 'snapshot'),
    Mutant('stranger_releases', 'lock.c',
           'if (owner == 0 || (lock->kind != MP_LOCK_PLAIN && owner != me->who))',
           'if (owner == 0)',
           'lock release by a stranger', 'live'),
    Mutant('made_twice_exclusively', 'object.c',
           'if (request->flags & MP_EXCLUSIVE)',
           'if (false)',
           'exclusive queue open', 'pair'),
    Mutant('id_outlives_its_object', 'object.c',
           'if (word != entry_word(ENTRY_LIVE, generation) &&',
           'if (false &&',
           'queue from id', 'live'),
]


def weave(mutant, source, out):
    lines = open(source, encoding='utf-8').read().split('\n')
    at = [i for i, line in enumerate(lines) if line.strip() == mutant.line]
    if len(at) != 1:
        sys.exit(f'{source}: the line of {mutant.name} stands there {len(at)} times: {mutant.line}')
    i = at[0]
    lines[i:i + 1] = ['#ifdef MUTANT', mutant.becomes, '#else', lines[i], '#endif']
    with open(out, 'w', encoding='utf-8') as file:
        file.write(f'#line 1 "{source}"\n' + '\n'.join(lines))


def main(arguments):
    if arguments == ['--names']:
        for mutant in MUTANTS:
            print(mutant.name, mutant.source)
        return
    name, source, out = arguments
    weave(next(mutant for mutant in MUTANTS if mutant.name == name), source, out)


if __name__ == '__main__':
    main(sys.argv[1:])
