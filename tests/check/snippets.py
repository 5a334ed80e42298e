#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""snippets.py ROOT COMPILER...: each program in docs/*.md compiles, without a warning.

A program is a ```c block that contains main(); it is compiled alone against the public headers."""
import os
import re
import subprocess
import sys

import source

BLOCK = re.compile(r'^```c\n(.*?)^```$', re.DOTALL | re.MULTILINE)
FLAGS = ['-std=c11', '-pedantic', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c', '-']


def programs(root):
    """(file:line, text) of each program."""
    for name in sorted(os.listdir(os.path.join(root, 'docs'))):
        if not name.endswith('.md'):
            continue
        text = source.read(root, f'docs/{name}')
        for match in BLOCK.finditer(text):
            if re.search(r'\bmain\(', match.group(1)):
                yield f'docs/{name}:{source.line_of(text, match.start())}', match.group(1)


def main(root, *compiler):
    include = '-I' + os.path.join(root, 'libshm/include')
    count, failed = 0, 0
    for where, text in programs(root):
        done = subprocess.run([*compiler, include, *FLAGS], input=text, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        count += 1
        if done.returncode:
            failed += 1
            print(f'{where}:\n{done.stdout}', end='')
    print(f'{count} programs, {failed} wrong')
    return 1 if failed or not count else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
