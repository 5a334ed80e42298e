#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""exports.py ROOT LIBRARY...: each library, shared or static, exports what the headers declare and
libshm.map lists, nothing else."""
import os
import re
import subprocess
import sys

import source


def map_names(root):
    text = source.COMMENT.sub('', source.read(root, 'libshm/libshm.map'))
    return set(re.findall(r'\b(mp_\w+)\s*;', text))


def library_names(library):
    table = '-g' if library.endswith('.a') else '-D'
    lines = subprocess.run(['nm', table, '--defined-only', library], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    symbols = [line.split()[-2:] for line in lines if len(line.split()) == 3]
    # Absolute symbols are the names of versions.
    return {name.split('@')[0] for kind, name in symbols if kind != 'A'}


def main(root, *libraries):
    declared = set(source.public_functions(root))
    sides = {'the headers': declared, 'libshm.map': map_names(root)}
    sides.update({os.path.basename(library): library_names(library) for library in libraries})
    everything = set().union(*sides.values())
    wrong = [f'{name}: not in {side}'
             for name in sorted(everything) for side, names in sides.items() if name not in names]
    print('\n'.join(wrong + [f'{len(declared)} functions, {len(wrong)} wrong']))
    return 1 if wrong or not declared else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
