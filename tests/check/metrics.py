#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""metrics.py ROOT: functions and files stay small.

Functions: median <= 12 lines, none over 80, complexity <= 12 (pmccabe's modified count), no
preprocessor condition inside. Files: .c <= 500 lines, .h <= 300. Exit 77 without the tools."""
import json
import os
import shutil
import statistics
import subprocess
import sys

import source

MEDIAN, LONGEST, COMPLEXITY, C_LINES, H_LINES = 12, 80, 12, 500, 300
ROOMS = source.ROOMS + ('docs/examples',)


def functions(root, paths):
    """(path, name, first line, last line) of each function."""
    tags = subprocess.run(
        ['ctags', '--languages=C', '--langmap=C:.c.h', '--c-kinds=f', '--fields=+ne',
         '--output-format=json', '-f', '-', '-L', '-'],
        input='\n'.join(paths), cwd=root, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in tags.splitlines()]
    return [(row['path'], row['name'], row['line'], row['end']) for row in rows if 'end' in row]


def complexities(root, paths):
    """(complexity, "file(line): name") of each function."""
    lines = subprocess.run(['pmccabe'] + paths, cwd=root, capture_output=True, text=True,
                           errors='replace', check=False).stdout.splitlines()
    rows = [line.split('\t') for line in lines]
    return [(int(row[0]), row[5]) for row in rows if len(row) >= 6 and row[0].isdigit()]


def check_functions(root, found):
    wrong = []
    for path, name, first, last in found:
        if last - first + 1 > LONGEST:
            wrong.append(f'{path}:{first}: {name} has {last - first + 1} lines, {LONGEST} allowed')
        body = source.read(root, path).splitlines()[first - 1:last]
        wrong += [f'{path}:{first + offset}: {name}: condition of the preprocessor in a function'
                  for offset, line in enumerate(body) if line.startswith(('#if', '#else', '#elif'))]
    return wrong


def check_files(root, paths):
    wrong = []
    for path in paths:
        lines = len(source.read(root, path).splitlines())
        limit = C_LINES if path.endswith('.c') else H_LINES
        if lines > limit:
            wrong.append(f'{path}: {lines} lines, {limit} allowed')
    return wrong


def main(root):
    for tool in ('ctags', 'pmccabe'):
        if not shutil.which(tool):
            print(f'{tool} is not installed')
            return 77
    paths = [path for path in source.files(root, ROOMS) if os.path.getsize(os.path.join(root, path))]
    found = functions(root, paths)
    lengths = [last - first + 1 for _, _, first, last in found]
    complexity = complexities(root, paths)
    wrong = check_files(root, paths) + check_functions(root, found)
    wrong += [f'{where}: complexity {value}, {COMPLEXITY} allowed'
              for value, where in complexity if value > COMPLEXITY]
    median = statistics.median(lengths)
    if median > MEDIAN:
        wrong.append(f'the median function has {median} lines, {MEDIAN} allowed')
    print('\n'.join(wrong))
    print(f'{len(paths)} files, {len(lengths)} functions: median {median}, longest {max(lengths)}, '
          f'most complex {max(value for value, _ in complexity)}; {len(wrong)} wrong')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
