#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""calls.py ROOT BINARY...: whatever those binaries call of the C library and liburing can be made to
fail (tests/lib/fault_calls.c, and the linker is told to in tests/meson.build), or calls.txt says why
it is left out."""
import os
import re
import subprocess
import sys

import source

FAULTS = 'tests/lib/fault_calls.c'
OTHER_NAMES = {'__register_atfork': 'pthread_atfork'}  # in the library's part that is linked in


def imported(binary):
    lines = subprocess.run(['nm', '-D', '--undefined-only', binary], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    names = {line.split()[-1].split('@')[0] for line in lines}
    return {OTHER_NAMES.get(name, name) for name in names if not name.startswith('mp_')}


def numbers(root):
    """SYS_... that are called by number."""
    found = set()
    for path in source.files(root):
        found |= set(re.findall(r'\bSYS_\w+', source.COMMENT.sub('', source.read(root, path))))
    return found


def failing(text):
    """Names of the table, and numbers that it makes fail too."""
    names = set(re.findall(r'^WRAP\(\w+, [^,]+?, (\w+),', text, re.M))
    names |= set(re.findall(r'^WRAP_ALLOCATION\(\w+, (\w+),', text, re.M))
    names |= set(re.findall(r'^[\w ]+\*?__wrap_(\w+)\(', text, re.M))
    return names, set(re.findall(r'case (SYS_\w+):', text))


def linked(root):
    text = source.read(root, 'tests/meson.build')
    match = re.search(r'foreach name : \[([^]]*)\]\s*fault_link_args', text)
    return set(re.findall(r"'(\w+)'", match.group(1)))


def left_out(root):
    """{name: is sometimes absent}; each paragraph is a reason, a colon and the names."""
    text = re.sub(r'^#.*\n', '', source.read(root, 'tests/check/calls.txt'), flags=re.M)
    names = [name for paragraph in text.split('\n\n') if paragraph.strip()
             for name in paragraph.split(':', 1)[1].split()]
    return {name.rstrip('?'): name.endswith('?') for name in names}


def main(root, *binaries):
    called = set().union(*map(imported, binaries)) | numbers(root)
    names, by_number = failing(source.read(root, FAULTS))
    reasons = left_out(root)
    wrong = [f'{name}: called, but neither in {FAULTS} nor in tests/check/calls.txt'
             for name in sorted(called - names - by_number - set(reasons))]
    wrong += [f'{name}: in tests/check/calls.txt, but nobody calls it'
              for name in sorted(set(reasons) - called) if not reasons[name]]
    wrong += [f'{name}: can fail, and is left out by tests/check/calls.txt too'
              for name in sorted(set(reasons) & (names | by_number))]
    wrong += [f'{name}: in only one of {FAULTS} and tests/meson.build'
              for name in sorted(names ^ linked(root))]
    print('\n'.join(wrong + [f'{len(called)} calls, {len(called & (names | by_number))} of them '
                             f'can fail, {len(wrong)} wrong']))
    return 1 if wrong or not names & called else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
