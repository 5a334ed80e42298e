#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""operations.py ROOT: docs/operations.md names no option that no program has, and explains each reason
why io_uring is not used.

Knows: the tables of options and of reasons. Does not know: lines of the log (logs.py)."""
import os
import re
import sys

import source

TABLES = ('mpd/options.h', 'mpd/mpctl.h', 'mptop/options.h', 'libshm/tbl/quotas.h')
FOREIGN = {'now'}  # of systemctl


def options(root):
    names = set(FOREIGN)
    for path in TABLES:
        if os.path.exists(os.path.join(root, path)):
            names |= set(re.findall(r'(?:OPTION|QUOTA)\(\w+,[^"]*"([\w-]+)"', source.read(root, path)))
    return names


def reasons(root):
    return [text for text in re.findall(r'^REASON\(\d+, \w+, "(.*)"\)',
                                        source.read(root, 'libshm/tbl/reasons.h'), re.M) if text]


def main(root):
    told = source.read(root, 'docs/operations.md')
    named, known, why = re.findall(r'(?<![\w-])--([a-z][\w-]+)', told), options(root), reasons(root)
    wrong = [f'--{name}: no program has that option' for name in sorted(set(named) - known)]
    wrong += [f'not explained: {reason}' for reason in why if f'| {reason} |' not in told]
    print('\n'.join(wrong + [f'{len(named)} options named, {len(why)} reasons, {len(wrong)} wrong']))
    return 1 if wrong or not named or not why else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
