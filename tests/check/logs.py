#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""logs.py ROOT: every line that mpd can log, from info to error, is explained in docs/operations.md.

The first words of a line are looked for there, each value as an ellipsis; what stands behind a
colon or a semicolon is advice."""
import os
import re
import sys

import source

CALL = re.compile(r'\blog_(?:error|warning|info)\(\s*((?:"(?:[^"\\]|\\.)*"[\s\\]*)+)')
PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"')
VALUE = re.compile(r'%[-+ #0]*[\d*]*(?:\.[\d*]+)?(?:hh|h|ll|l|z)?[a-z]')
ADVICE = re.compile(r'(?<=.{8})[:;] ')
ENOUGH = 36


def lines(text):
    for match in CALL.finditer(text):
        line = VALUE.sub('…', ''.join(PIECE.findall(match.group(1))))
        if re.search('[a-z]', line):
            yield line


def main(root):
    told = source.read(root, 'docs/operations.md')
    folder = os.path.join(root, 'mpd')
    wrong, count = [], 0
    for name in sorted(os.listdir(folder)):
        if not name.endswith('.c'):
            continue
        for line in lines(source.read(folder, name)):
            count += 1
            if '`' + ADVICE.split(line)[0][:ENOUGH].rstrip() not in told:
                wrong.append(f'mpd/{name}: not told in docs/operations.md: {line}')
    print('\n'.join(wrong + [f'{count} lines, {len(wrong)} not told']))
    return 1 if wrong or not count else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
