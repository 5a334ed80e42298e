#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Faults of mpd that its deaths must bring to light: one line of its source each.

mpd_mutants.py --names            "NAME SOURCE" of each, for meson
mpd_mutants.py NAME SOURCE OUT    SOURCE with that line changed; fails unless it is there once
mpd_mutants.py --run TEST DIR     run TEST (sys_mpd_death) with each of DIR's mutants: all must fail"""
import os
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

Mutant = namedtuple('Mutant', 'name source line becomes scenario')

MUTANTS = [
    Mutant('ended_and_kept_in_the_store', 'segment.c',
           'registry_commit(record, REGISTRY_FREE);\n\tstore_forget(name);',
           'registry_commit(record, REGISTRY_FREE);',
           'unlink what nobody uses'),
    Mutant('clients_not_looked_for_after_a_start', 'segment.c',
           'keepers->watch_clients(segment);\n\tkeepers->repair',
           'keepers->repair',
           'attached'),
    Mutant('wish_to_keep_not_written_down', 'segment.c',
           'store_relaxed(&segment->record->is_kept, 1);',
           ';',
           'open to keep'),
]


def weave(mutant, source, out):
    text = open(source, encoding='utf-8').read()
    if text.count(mutant.line) != 1:
        sys.exit(f'{source}: {mutant.name} is there {text.count(mutant.line)} times')
    with open(out, 'w', encoding='utf-8') as file:
        file.write(text.replace(mutant.line, mutant.becomes))


def is_caught(test, directory, mutant):
    environment = dict(os.environ, MP_MPD=f'{directory}/mpd_{mutant.name}',
                       MPD_SCENARIO=mutant.scenario)
    done = subprocess.run([test, '--filter', 'mpd_may_die_at_each_system_call_of_each'],
                          env=environment, capture_output=True, text=True, check=False)
    it_was = [line for line in done.stdout.splitlines() if 'it was' in line]
    print(f'# mutant {mutant.name}:', it_was[0].strip('# ') if it_was else 'it survives')
    return done.returncode != 0 and bool(it_was)


def run(test, directory):
    print(f'1..{len(MUTANTS)}')
    with ThreadPoolExecutor(len(MUTANTS)) as pool:
        caught = list(pool.map(lambda mutant: is_caught(test, directory, mutant), MUTANTS))
    for number, (mutant, is_found) in enumerate(zip(MUTANTS, caught), 1):
        print('ok' if is_found else 'not ok', number, '-', mutant.name)
    return 0 if all(caught) else 1


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
