#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""contract.py ROOT: each public function says Blocks, Threads, Crash and Errors, in that order.

The comment stands right above the prototype; each -ECODE in it is in libshm/tbl/errors.h."""
import re
import sys

import source

LINES = ('Blocks', 'Threads', 'Crash', 'Errors')


def known_errors(root):
    return set(re.findall(r'^ERROR\((\w+),', source.read(root, 'libshm/tbl/errors.h'), re.MULTILINE))


def comment_above(text, position):
    above = text[:position].rstrip()
    if not above.endswith('*/'):
        return ''
    return above[above.rindex('/*'):]


def check(name, comment, errors):
    found = re.findall(r'^ \* (\w+):[ \t]+\S', comment, re.MULTILINE)
    wrong = []
    if tuple(word for word in found if word in LINES) != LINES:
        wrong.append(f'{name}: its comment must have the lines ' + ', '.join(LINES))
    wrong += [f'{name}: {code} is not in tbl/errors.h'
              for code in re.findall(r'-(E[A-Z]+)\b', comment) if code not in errors]
    return wrong


def main(root):
    errors = known_errors(root)
    wrong, count = [], 0
    for path in source.public_headers(root):
        text = source.read(root, path)
        for match in source.PROTOTYPE.finditer(source.code(text)):
            count += 1
            wrong += [f'{path}: {line}'
                      for line in check(match.group(1), comment_above(text, match.start()), errors)]
    print('\n'.join(wrong + [f'{count} functions, {len(wrong)} wrong']))
    return 1 if wrong or not count else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
