#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What ninja has to build: targets.py BUILD SUITE... for the tests of these suites,
targets.py BUILD --installed for an installation."""
import json
import os
import sys


def of_suites(targets, tests, suites):
    outputs = {target['id']: target['filename'] for target in targets}
    wanted = [test for test in tests if suites & set(test['suite'])]
    return {name for test in wanted for id in test['depends'] for name in outputs[id]}


def main():
    build, words = sys.argv[1], sys.argv[2:]
    read = {}
    for what in ('targets', 'tests'):
        with open(f'{build}/meson-info/intro-{what}.json', encoding='utf-8') as file:
            read[what] = json.load(file)
    if words == ['--installed']:
        files = {name for target in read['targets'] if target['installed']
                 for name in target['filename']}
    else:
        files = of_suites(read['targets'], read['tests'], {f'libshm:{word}' for word in words})
    for name in sorted(files):
        print(os.path.relpath(name, build))


if __name__ == '__main__':
    main()
