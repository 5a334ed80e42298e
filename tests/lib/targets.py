#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What ninja has to build: targets.py BUILD SUITE... for the tests of these suites,
targets.py BUILD --default for everything but what is made for tests that ask for it (mutants; ninja's
own "all" has these too), targets.py BUILD --installed for an installation."""
import json
import os
import sys


def of_suites(targets, tests, suites):
    outputs = {target['id']: target['filename'] for target in targets}
    wanted = [test for test in tests if suites & set(test['suite'])]
    return {name for test in wanted for id in test['depends'] for name in outputs[id]}


KEYS = {'--default': 'build_by_default', '--installed': 'installed'}
MADE = {'executable', 'static library', 'shared library', 'custom'}


def of_key(targets, key):
    wanted = [target for target in targets if target[key] and target['type'] in MADE]
    return {name for target in wanted for name in target['filename']}


def main():
    build, words = sys.argv[1], sys.argv[2:]
    read = {}
    for what in ('targets', 'tests'):
        with open(f'{build}/meson-info/intro-{what}.json', encoding='utf-8') as file:
            read[what] = json.load(file)
    suites = {f'libshm:{word}' for word in words if word not in KEYS}
    files = of_suites(read['targets'], read['tests'], suites)
    if suites: # says which wait engine the tests have
        files |= {name for target in read['targets'] if target['name'] == 'engine'
                  for name in target['filename']}
    for word in KEYS.keys() & set(words):
        files |= of_key(read['targets'], KEYS[word])
    for name in sorted(files):
        print(os.path.relpath(name, build))


if __name__ == '__main__':
    main()
