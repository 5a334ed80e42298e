#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""manual.py ROOT: what a user can run or set has its place in the manual.

Each program that is installed has a page that is built; each environment variable that the code
names stands under ENVIRONMENT of the page of its room; the options of mptop and mpctl and the
commands of mpctl are those of their pages, in both directions."""
import os
import re
import sys

import source

# Where the variables of a file are told: the first pattern that matches counts.
PLACES = [(r'libshm/', ['libshm.7.in']),
          (r'mpd/mpctl', ['mpctl.1.scd']),
          (r'mpd/', ['mpd.1.scd', 'mpd.conf.5.scd']),
          (r'mptop/', ['mptop.1.scd'])]
# Read with getenv, or named: nothing else in quotes looks like LISTEN_FDS.
VARIABLE = re.compile(r'getenv\("(\w+)"\)|"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"')
PROGRAM = re.compile(r"executable\('(\w+)',.*?\binstall: (true|false)", re.DOTALL)
TABLES = {'mptop.1.scd': 'mptop/options.h', 'mpctl.1.scd': 'mpd/mpctl.h'}
OPTION = re.compile(r'^\tOPTION\(\w+, "([\w-]+)", \'(.)\'', re.MULTILINE)
COMMAND = re.compile(r'^\tCOMMAND\((\w+),', re.MULTILINE)


def page(root, name):
    path = os.path.join('docs/man', name)
    return source.read(root, path) if os.path.exists(os.path.join(root, path)) else ''


def environment(text):
    """What stands under ENVIRONMENT, in scdoc or roff."""
    match = re.search(r'^(?:# |\.SH )ENVIRONMENT\n(.*?)(?=^# |^\.SH |\Z)', text,
                      re.DOTALL | re.MULTILINE)
    return match.group(1) if match else ''


def check_variables(root):
    wrong, count = [], 0
    for path in source.files(root):
        pages = next((pages for start, pages in PLACES if re.match(start, path)), [])
        told = ''.join(environment(page(root, name)) for name in pages)
        for name in sorted({a or b for a, b in VARIABLE.findall(source.read(root, path))}):
            count += 1
            if not re.search(rf'\b{name}\b', told):
                wrong.append(f'{path}: {name} is not under ENVIRONMENT of {" or ".join(pages)}')
    return wrong, count


def check_programs(root):
    wrong, count = [], 0
    built = page(root, 'meson.build')
    for room in source.ROOMS:
        path = os.path.join(room, 'meson.build')
        if not os.path.exists(os.path.join(root, path)):
            continue
        for name, is_installed in PROGRAM.findall(source.read(root, path)):
            count += is_installed == 'true'
            if is_installed != 'true':
                continue
            if not page(root, f'{name}.1.scd').startswith(f'{name}(1)\n'):
                wrong.append(f'{path}: {name} is installed and has no page {name}.1.scd')
            if f"'{name}.1'" not in built:
                wrong.append(f'docs/man/meson.build: {name}.1 is not built')
    return wrong, count


def check_table(root, name, table):
    """The options and commands of one program against its page."""
    if not os.path.exists(os.path.join(root, table)):
        return []
    text, code = page(root, name), source.read(root, table)
    wrong = []
    for option, letter in OPTION.findall(code):
        if f'*-{letter}*, *--{option}*' not in text:
            wrong.append(f'{name}: -{letter}, --{option} is not told')
    known = {option for option, _ in OPTION.findall(code)}
    for line in re.findall(r'^\*-.*$', text, re.MULTILINE):
        wrong += [f'{name}: there is no --{option}' for option in re.findall(r'\*--([\w-]+)\*', line)
                  if option not in known]
    for command in COMMAND.findall(code):
        if not re.search(rf'^\*{command}\*', text, re.MULTILINE):
            wrong.append(f'{name}: the command {command} is not told')
    return wrong


def main(root):
    wrong, variables = check_variables(root)
    more, programs = check_programs(root)
    wrong += more
    for name, table in TABLES.items():
        wrong += check_table(root, name, table)
    print('\n'.join(wrong + [f'{variables} variables, {programs} programs, {len(wrong)} wrong']))
    return 1 if wrong or not variables or not programs else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
