#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""quotas.py ROOT: a test reaches every quota: tests/sys/test_quota.c wants its sentence.

A refusal says "quota NAME: USED of ALLOWED"; the test has "quota NAME" in a string."""
import re
import sys

import source

ROW = re.compile(r'^QUOTA\(\w+,\s*\w+,\s*"([^"]+)"', re.MULTILINE)


def main(root):
    names = ROW.findall(source.read(root, 'libshm/tbl/quotas.h'))
    test = source.read(root, 'tests/sys/test_quota.c')
    wrong = [f'libshm/tbl/quotas.h: nothing in tests/sys/test_quota.c wants "quota {name}"'
             for name in names if not re.search(rf'"[^"\n]*quota {name}\b(?!-)[^"\n]*"', test)]
    print('\n'.join(wrong + [f'{len(names)} quotas, {len(wrong)} not reached']))
    return 1 if wrong or not names else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
