#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""man.py ROOT FOLDER: the man pages built in FOLDER are whole.

Each public function has a page mp_*.3 with all its sections, each page has a function; each -ECODE
of the function's comment is explained. Each option of mpd is told in mpd(1), each key of its
configuration file in mpd.conf(5). Where mandoc is installed it finds no fault in any of them
(what scdoc makes of *.1 and *.5 is its own affair)."""
import os
import re
import shutil
import subprocess
import sys

import contract
import source

SECTIONS = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'RETURN VALUE', 'ERRORS', 'BLOCKING', 'THREADS',
            'AFTER A CRASH', 'SEE ALSO']


QUOTA = re.compile(r'^QUOTA\(\w+, \w+, "([\w-]+)",', re.MULTILINE)
OPTION = re.compile(r'^OPTION\(\w+, "([\w-]+)", \S+, \S+, (LINE|BOTH),', re.MULTILINE)


def sections(text):
    """{title: body in roff}"""
    parts = re.split(r'^\.SH (.*)$', text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2])))


def load_functions(root):
    """{function: the -ECODEs that the comment above it lists}"""
    found = {}
    for path in source.public_headers(root):
        text = source.read(root, path)
        for match in source.PROTOTYPE.finditer(source.code(text)):
            errors = contract.comment_above(text, match.start()).rpartition('Errors:')[2]
            found[match.group(1)] = re.findall(r'-(E[A-Z0-9]+)\b', errors)
    return found


def check_page(text, name, codes):
    found = sections(text)
    wrong = [f'{name}.3: no section {title}' for title in SECTIONS if not found.get(title)]
    if not found.get('NAME', '').startswith(f'{name} \\- '):
        wrong.append(f'{name}.3: its NAME is not "{name} \\- what it does"')
    if f'{name}(' not in found.get('SYNOPSIS', ''):
        wrong.append(f'{name}.3: no prototype')
    explained = re.findall(r'^\.TP\n\.B \\-(E[A-Z0-9]+)\n\S', found.get('ERRORS', ''),
                           re.MULTILINE)
    return wrong + [f'{name}.3: -{code} is not explained' for code in codes
                    if code not in explained]


def check_options(root):
    """What mpd's table has and the pages do not tell."""
    line = source.read(root, 'docs/man/mpd.1.scd')
    file = source.read(root, 'docs/man/mpd.conf.5.scd')
    wrong = []
    for name, key in OPTION.findall(source.read(root, 'mpd/options.h')):
        if f'\n*--{name}*' not in line:
            wrong.append(f'mpd.1.scd: --{name} is not told')
        if (key == 'BOTH') != (f'\n*{name}*, _' in file):
            wrong.append(f'mpd.conf.5.scd: {name} is a key of the file there or in the table only')
    for name in QUOTA.findall(source.read(root, 'libshm/tbl/quotas.h')):
        if f'\n*--{name}*' not in line or f'\n*{name}*, _' not in file:
            wrong.append(f'{name}: a quota that mpd.1.scd or mpd.conf.5.scd does not tell')
    return wrong


def lint(folder, pages):
    if not shutil.which('mandoc'):
        print('mandoc is not installed: its part was left out')
        return []
    done = subprocess.run(['mandoc', '-Tlint', '-Wwarning'] + sorted(pages), cwd=folder,
                          check=False, capture_output=True, text=True)
    return done.stdout.splitlines()


def main(root, folder):
    functions = load_functions(root)
    pages = {name for name in os.listdir(folder) if re.search(r'\.[137]$', name)}
    wrong = [f'{page}: nothing in the headers is called so' for page in sorted(pages)
             if page.endswith('.3') and page[:-2] not in functions]
    for name, codes in sorted(functions.items()):
        if f'{name}.3' in pages:
            wrong += check_page(source.read(folder, f'{name}.3'), name, codes)
        else:
            wrong.append(f'{name}: has no page')
    wrong += check_options(root)
    wrong += lint(folder, [page for page in pages if not page.endswith('.1')])
    wrong.append(f'{len(functions)} functions, {len(pages)} pages, {len(wrong)} wrong')
    print('\n'.join(wrong))
    return 1 if len(wrong) > 1 or not functions else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
