#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""untracked.py IN OUT: a source of libshm without its always-on tracking, for one row of the bench.

Takes out every statement that only counts or notes for the tools. What the tracking costs is then
the difference between the two libraries. Fails if it finds nothing to take out: then the names
below no longer are those of the tracking, and the row would compare a library with itself."""
import re
import sys

TRACKING = ('count_own', 'push_held', 'pop_held')
STATEMENT = re.compile(r'^(\t+)(?:' + '|'.join(TRACKING) + r')\([^;{]*\);', re.MULTILINE)


def main(source, target):
    with open(source, encoding='utf-8') as file:
        text = file.read()
    text, count = STATEMENT.subn(r'\1(void)0;', text)
    if count == 0:
        sys.exit(f'{source}: nothing to take out')
    with open(target, 'w', encoding='utf-8') as file:
        file.write(f'#line 1 "{source}"\n' + text)


if __name__ == '__main__':
    main(*sys.argv[1:])
