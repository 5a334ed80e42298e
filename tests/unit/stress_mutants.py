#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Orders too weak, one access of the library's source each, that ThreadSanitizer must report.

stress_mutants.py --names            "NAME SOURCE" of each, for meson
stress_mutants.py NAME SOURCE OUT    SOURCE with that access changed; fails unless it is there once
stress_mutants.py --run DIR          run DIR's mutants of the stress: each must be reported

On x86 the weaker access is the same instruction: the program goes on as before, the order is only
what compilers and other machines were promised."""
import os
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

Mutant = namedtuple('Mutant', 'name source access becomes test')

# The one exchange that the library has no use for.
SWAP_RELAXED = '''
#include <stdatomic.h>
#define swap_relaxed(p, v) atomic_exchange_explicit((p), (v), memory_order_relaxed)
'''

TRIES = 3 # a busy machine may run the threads one after the other
REPORT = 'WARNING: ThreadSanitizer: data race'

MUTANTS = [
    Mutant('lock_released_without_order', 'lock.c',
           'likely(cas_release(&lock->shared->word, &word, 0))',
           'likely(cas_relaxed(&lock->shared->word, &word, 0))',
           'lock_hands_over_what_it_guards'),
    Mutant('lock_taken_without_order', 'lock.c',
           'if (likely(cas_acquire(&lock->shared->word, &free_word, who)))',
           'if (likely(cas_relaxed(&lock->shared->word, &free_word, who)))',
           'lock_hands_over_what_it_guards'),
    Mutant('lock_released_beside_sleepers_without_order', 'lock.c',
           'while (!cas_seqcst(&shared->word, &word, next));',
           'while (!cas_relaxed(&shared->word, &word, next));',
           'lock_hands_over_what_it_guards'),
    Mutant('lock_of_an_ended_thread_freed_without_order', 'lock_object.c',
           'if (!cas_seqcst(&shared->word, &word, next))',
           'if (!cas_relaxed(&shared->word, &word, next))',
           'thread_that_ends_with_a_lock_leaves'),
    Mutant('message_published_without_order', 'queue_ring.c',
           'swap_seqcst(&place->cell->word,',
           'swap_relaxed(&place->cell->word,',
           'queue_hands_over_small_messages'),
    Mutant('place_freed_without_order', 'queue_ring.c',
           'swap_seqcst(&taken->cell->word,',
           'swap_relaxed(&taken->cell->word,',
           'queue_hands_over_small_messages'),
    Mutant('granules_given_back_without_order', 'arena.c',
           'store_release(block->word, block_word_freed(word, 0, BLOCK_FREE));',
           'store_relaxed(block->word, block_word_freed(word, 0, BLOCK_FREE));',
           'queue_hands_over_messages_in_granules'),
    Mutant('granules_freed_without_order', 'arena.c',
           'if (!cas_release(block.word, &word, block_word_freed(word, 0, BLOCK_FREE)))',
           'if (!cas_relaxed(block.word, &word, block_word_freed(word, 0, BLOCK_FREE)))',
           'memory_that_was_given_back'),
    Mutant('lease_ended_without_order', 'queue_lease.c',
           'return cas_seqcst(&lease->word, &word, lease_word(lease_word_seq(word), 0, '
           'LEASE_FREE));',
           'return cas_relaxed(&lease->word, &word, lease_word(lease_word_seq(word), 0, '
           'LEASE_FREE));',
           'small_messages_are_read_in_their_lease'),
]


def weave(mutant, source, out):
    text = open(source, encoding='utf-8').read()
    if text.count(mutant.access) != 1:
        sys.exit(f'{source}: {mutant.name} is there {text.count(mutant.access)} times')
    with open(out, 'w', encoding='utf-8') as file:
        file.write(SWAP_RELAXED + f'#line 1 "{source}"\n')
        file.write(text.replace(mutant.access, mutant.becomes))


def run_once(directory, mutant):
    environment = dict(os.environ, TSAN_OPTIONS='halt_on_error=1')
    done = subprocess.run([f'{directory}/stress_{mutant.name}', '--filter', mutant.test],
                          env=environment, capture_output=True, text=True, check=False)
    return done.returncode != 0 and REPORT in done.stdout


def is_reported(directory, mutant):
    return any(run_once(directory, mutant) for _ in range(TRIES))


def run(directory):
    print(f'1..{len(MUTANTS)}')
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reported = list(pool.map(lambda mutant: is_reported(directory, mutant), MUTANTS))
    for number, (mutant, is_found) in enumerate(zip(MUTANTS, reported), 1):
        print('ok' if is_found else 'not ok', number, '-', mutant.name)
    return 0 if all(reported) else 1


def main(arguments):
    if arguments == ['--names']:
        for mutant in MUTANTS:
            print(mutant.name, mutant.source)
        return 0
    if arguments[0] == '--run':
        return run(*arguments[1:])
    name, source, out = arguments
    weave(next(mutant for mutant in MUTANTS if mutant.name == name), source, out)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
