#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""style.py ROOT: what a reader would stumble over, in every C file, tests included.

First line is the licence, then a paragraph that says what the file knows (not in tests, tables and
public headers); lines of at most 100 columns with tabs of 8, nothing at their ends, no // comments;
nothing left to do."""
import re
import sys

import source

ROOMS = source.ROOMS + ('tests', 'docs/examples')
SILENT = ('libshm/include/', 'libshm/tbl/', 'tests/')
UNFINISHED = re.compile(r'\b(TODO|FIXME|XXX)\b')


def check_head(path, text):
    if not text.startswith('/* SPDX-License-Identifier: MIT\n'):
        yield f'{path}:1: must begin with the licence line'
        return
    head = text[:text.find('*/')]
    if path.startswith(SILENT):
        return
    if not re.search(r'\b[Kk]nows?\b|\* See \w+\.h\b', head):
        yield f'{path}:1: its first paragraph must say what it knows and does not know'


def check_lines(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if len(line.expandtabs(8)) > 100:
            yield f'{path}:{number}: {len(line.expandtabs(8))} columns'
        if line != line.rstrip():
            yield f'{path}:{number}: blanks at the end'
        if UNFINISHED.search(line):
            yield f'{path}:{number}: unfinished'
    for number, line in enumerate(source.code(text).splitlines(), 1):
        if '//' in line:
            yield f'{path}:{number}: comments are /* */'


def main(root):
    paths = source.files(root, ROOMS)
    wrong = []
    for path in paths:
        text = source.read(root, path)
        wrong += check_head(path, text)
        wrong += check_lines(path, text)
    print('\n'.join(wrong + [f'{len(paths)} files, {len(wrong)} wrong']))
    return 1 if wrong or not paths else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
