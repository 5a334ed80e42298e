#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check.py BENCH.SH BENCH: the benchmark still runs, and prints what programs were promised.

Runs it once, quickly. No number fails, only one that is missing."""
import json
import subprocess
import sys

KEYS = {'name', 'value', 'unit', 'ratio'}
STATS = ('min', 'p50', 'p99', 'p99.9')
PLACEMENTS = ('near', 'far', 'disturbed')
SIZES = ('8', '48', '64', '1K', '64K', '1M')
STREAMED = ('8', '64', '1K', '64K', '1M')
LIMIT_S = 60

PROBES = ['rmw', 'line'] + [f'raw_{size}' for size in SIZES]
MESSAGES = ([f'{who}_round_trip_{size}' for who in ('vyukov', 'queue') for size in SIZES] +
            [f'queue_zero_copy_round_trip_{size}' for size in ('64K', '1M')] +
            [f'{what}_{size}' for size in STREAMED for what in (
                'copy_in_and_out', 'vyukov_one_way', 'queue_one_way', 'queue_zero_copy_one_way')] +
            ['vyukov_put_get_alone', 'queue_put_get_alone', 'vyukov_crowd_8', 'queue_crowd_8'])
LOCKS = ([f'lock_{kind}' for kind in (
    'naive', 'naive_inlined', 'pthread', 'pthread_robust', 'plain', 'checked', 'tracked',
    'untracked')] + ['sem_posix', 'sem', 'sem_owned', 'event_set_and_clear'] + [
        f'contended_{kind}' for kind in ('naive', 'pthread', 'pthread_robust', 'plain', 'checked',
                                         'sem_posix', 'sem', 'sem_owned')] + [
        f'barrier_{kind}' for kind in ('pthread_2', '2', 'pthread_4', '4')] + [
            f'rwlock_{who}{what}' for who in ('pthread_', '') for what in (
                'read', 'write', 'two_readers')])
SLEEPS = ([f'{who}_round_trip_asleep' for who in (
    'futex', 'pipe', 'queue', 'event', 'pthread_cond', 'cond')] +
          [f'{who}_{what}' for who in ('futex', 'queue', 'event') for what in ('wake', 'waker_pays')] +
          ['naive_hand_over', 'lock_hand_over'])
SETUP = ['attach_bare', 'attach', 'idle_process', 'idle_mpd', 'idle_supervisor', 'idle_segment']
ROWS = PROBES + MESSAGES + LOCKS + SLEEPS + SETUP
WITHOUT_REFERENCE = ('rmw', 'line', 'idle_process', 'attach_bare')


def run(command):
    done = subprocess.run(command + ['--quick', '--json'], stdout=subprocess.PIPE, text=True,
                          timeout=LIMIT_S, check=False)
    return done.returncode, done.stdout.splitlines()


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def parse(lines):
    """Objects by name, and what is wrong with the lines."""
    objects, wrong = {}, []
    for line in lines:
        try:
            item = json.loads(line)
        except ValueError:
            wrong.append(f'not JSON: {line}')
            continue
        if not isinstance(item, dict) or set(item) != KEYS:
            wrong.append(f'keys: {line}')
        elif item['name'] in objects:
            wrong.append(f'twice: {line}')
        elif not all(item[key] is None or is_number(item[key]) for key in ('value', 'ratio')):
            wrong.append(f'neither a number nor null: {line}')
        else:
            objects[item['name']] = item
    return objects, wrong


def placements_of(objects, row):
    return [where for where in PLACEMENTS if f'{row}.{where}.p50' in objects]


def missing_figures(objects):
    for row in ROWS:
        if not placements_of(objects, row):
            yield f'{row}: no row'
        for where in placements_of(objects, row):
            for stat in STATS:
                item = objects.get(f'{row}.{where}.{stat}')
                if not item or item['value'] is None or item['value'] < 0:
                    yield f'{row}.{where}.{stat}: no value'


def wrong_ratios(objects):
    """There, where the batch could be believed; absent, where it could not."""
    for row in ROWS:
        for where in placements_of(objects, row):
            ratio = objects[f'{row}.{where}.p50']['ratio']
            is_due = where != 'disturbed' and row not in WITHOUT_REFERENCE
            if is_due != (ratio is not None):
                yield f'{row}.{where}.p50: ratio {ratio}'


def unknown_rows(objects):
    known = set(ROWS) | {'batches'}
    return sorted({name.split('.')[0] for name in objects} - known)


def main(command):
    code, lines = run(command)
    if code == 77:
        print('1..0 # SKIP two CPUs are needed')
        return
    objects, wrong = parse(lines)
    tests = [('the benchmark ends well', [] if code == 0 else [f'exit code {code}']),
             ('each line is an object with the four keys', wrong),
             ('each row has its four figures', list(missing_figures(objects))),
             ('each row that was not disturbed has a ratio', list(wrong_ratios(objects))),
             ('each row printed is expected here', unknown_rows(objects))]
    print(f'1..{len(tests)}')
    for number, (name, findings) in enumerate(tests, 1):
        print('\n'.join(f'# {finding}' for finding in findings), end='\n' if findings else '')
        print(f'{"not ok" if findings else "ok"} {number} - {name}')


if __name__ == '__main__':
    main(sys.argv[1:])
