#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The crash matrix and its mutants: run_crash.py CRASH DIRECTORY_OF_MUTANTS.

Runs the matrix, then each mutant on the operations it breaks; a mutant that survives is a failure.
MP_TEST_SCALE above 1 (nightly) runs every instruction and the whole pair matrix, again and again
until the kills asked for are reached. Ends with one line in plain digits."""
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from mutants import MUTANTS

FIGURES = re.compile(r'^crash: (\d+) operations, (\d+) instructions, (\d+) states, (\d+) kills, '
                     r'(\d+) pairs, (\d+) failures$', re.MULTILINE)
NAMES = ('operations', 'instructions', 'states', 'kills', 'pairs', 'failures')
LATE = re.compile(r'^left out: (\d+) kills came too late', re.MULTILINE)
LATE_MOST = 0.01 # of the kills
MUTANT_SECONDS = 120
COMPLAINTS_SHOWN = 40
WORKERS_PER_CPU = 2 # a scene waits now and then: for a sleeper, for an end

CI = dict(kills=3000, points=3, wanted=300_000, wanted_pairs=4_000)
NIGHTLY = dict(kills=0, points=64, wanted=10_000_000, wanted_pairs=250_000)


def cpus():
    return len(os.sched_getaffinity(0))


def show(text):
    lines = [line for line in text.splitlines() if line.startswith('crash: ')
             and not FIGURES.match(line)]
    for line in lines[:COMPLAINTS_SHOWN]:
        print(line, flush=True)
    if len(lines) > COMPLAINTS_SHOWN:
        print(f'... and {len(lines) - COMPLAINTS_SHOWN} lines more', flush=True)


def figures_in(text):
    found = FIGURES.search(text)
    return dict(zip(NAMES, map(int, found.groups()))) if found else dict.fromkeys(NAMES, 0)


def run_pass(program, *arguments):
    """One pass of the matrix, shown as it goes on: its figures."""
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as running:
        with ThreadPoolExecutor(1) as reader:
            complaints = reader.submit(running.stderr.read)
            output = ''
            for line in running.stdout:
                output += line
                if not FIGURES.match(line):
                    print(line, end='', flush=True)
            show(complaints.result())
    figures = figures_in(output)
    late = LATE.search(output)
    if late and int(late.group(1)) > figures['kills'] * LATE_MOST:
        print(f'crash: too many kills came too late: {late.group(1)}')
        figures['failures'] += 1
    return figures


def run_mutant(program, *arguments):
    """Its figures and what it complained of."""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True,
                              timeout=MUTANT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return dict.fromkeys(NAMES, 0), 'crash: it hangs'
    return figures_in(done.stdout), done.stderr


def run_matrix(program, plan):
    """Everything once; then more kills until there are enough."""
    began = time.monotonic()
    workers = str(cpus() * WORKERS_PER_CPU)
    totals = run_pass(program, '--kills', str(plan['kills']), '--points', str(plan['points']),
                      '--workers', workers)
    while totals['operations'] and not totals['failures']:
        print('{kills} kills, {pairs} pairs, {failures} failures'.format(**totals),
              f'after {time.monotonic() - began:.0f} s', flush=True)
        if totals['kills'] >= plan['wanted']:
            break
        more = run_pass(program, '--kills', str(CI['kills']), '--modes', 'kill',
                        '--workers', workers)
        totals['kills'] += more['kills']
        totals['failures'] += more['failures'] + (more['operations'] == 0)
    return totals


def is_caught(directory, mutant):
    figures, complaints = run_mutant(f'{directory}/crash_{mutant.name}', '--stop-at-first',
                                     '--workers', '1', '--kills', '600', '--points', '6',
                                     '--filter', mutant.filter, '--modes', mutant.modes)
    first = complaints.splitlines()[0] if complaints else 'it survives'
    # A scene that could not be played proves nothing.
    is_good = figures['failures'] > 0 and re.match(r'crash: [a-z ]+, ', first)
    print(f'mutant {mutant.name}:', first.removeprefix('crash: '), flush=True)
    return bool(is_good)


def main():
    program, directory = sys.argv[1:3]
    plan = NIGHTLY if float(os.environ.get('MP_TEST_SCALE') or 1) > 1 else CI
    totals = run_matrix(program, plan)
    if not totals['operations']:
        print('the crash matrix does not run to its end')
        return 1
    with ThreadPoolExecutor(cpus()) as pool:
        caught = sum(pool.map(lambda mutant: is_caught(directory, mutant), MUTANTS))
    print('crash: {operations} operations, {instructions} instructions, {states} states, '
          '{kills} kills, {pairs} pairs, {failures} failures,'.format(**totals),
          f'{caught} of {len(MUTANTS)} mutants caught', flush=True)
    is_good = totals['failures'] == 0 and caught == len(MUTANTS)
    is_enough = totals['kills'] >= plan['wanted'] and totals['pairs'] >= plan['wanted_pairs']
    return 0 if is_good and is_enough else 1


if __name__ == '__main__':
    sys.exit(main())
