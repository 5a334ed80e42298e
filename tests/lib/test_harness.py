#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_harness.py FAULTS: the runner gives each test of that executable the verdict its name asks for."""
import os
import re
import subprocess
import sys


def main(faults):
    done = subprocess.run([faults], capture_output=True, text=True, check=False,
                          env=dict(os.environ, MP_TEST_TIMEOUT='3'))
    lines = re.findall(r'^(not )?ok \d+ - (\w+)( # SKIP for this reason)?$', done.stdout, re.MULTILINE)
    names = subprocess.run([faults, '--list'], capture_output=True, text=True,
                           check=True).stdout.split()
    print(f'1..{len(names) + 1}')
    failed = 0
    for number, name in enumerate(names, 1):
        wanted = ('not ' if name.startswith('fails') else '', name,
                  ' # SKIP for this reason' if name == 'skips' else '')
        good = wanted in lines
        failed += not good
        print(f'{"" if good else "not "}ok {number} - the runner says that a test {name}')
    good = done.returncode == 1
    print(f'{"" if good else "not "}ok {len(names) + 1} - the runner exits with 1')
    if failed:
        print(''.join(f'# {line}\n' for line in done.stdout.splitlines()))
    return 1 if failed or not good else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
