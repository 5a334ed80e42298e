#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""promised.py PAGES --names | ROOT: between a test and libshm, each public call that may fail.

With ROOT it prints C: for each such function a __wrap_ of it, that asks promised_check() whether the
header's Errors line has what the function returned. --names ROOT prints the functions' names, for
the linker's --wrap. Knows: what PAGES (docs/man/pages.py) reads out of a header. Does not know: what
is promised for all calls (promised.c)."""
import importlib.util
import re
import sys


def load(path):
    spec = importlib.util.spec_from_file_location('pages', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def functions(pages, root):
    return [function for header in pages.load_headers(root) for function in header.functions
            if function.code.startswith('int ')]


def arguments(code):
    """The names between the outer parentheses of a prototype, each at the end of its argument."""
    inside = code[code.index('(') + 1:code.rindex(')')]
    for _ in range(2):
        inside = re.sub(r'\(\*(\w+)\)\([^()]*\)', r'\1', inside)
    return [re.search(r'(\w+)(?:\[\w*\])?$', one.strip()).group(1) for one in inside.split(',')]


def wrapper(pages, function):
    errors = [code for code, _ in pages.ERROR.findall(function.lines['Errors'])]
    code = function.code.replace(f'int {function.name}(', 'int __wrap_{}('.format(function.name))
    real = code.replace('__wrap_', '__real_')
    call = ', '.join(arguments(function.code))
    listed = ''.join(f'{error}, ' for error in errors)
    return (f'{real};\n{code};\n{code}\n{{\n'
            f'\tstatic const int listed[] = {{ {listed}0 }};\n\n'
            f'\treturn promised_check("{function.name}", __real_{function.name}({call}), '
            f'listed);\n}}\n\n')


def main(path, *rest):
    pages = load(path)
    if rest[0] == '--names':
        print('\n'.join(function.name for function in functions(pages, rest[1])))
        return
    print('#include "promised.h"\n\n#include <libshm.h>\n\n#include <errno.h>\n')
    print(''.join(wrapper(pages, function) for function in functions(pages, rest[0])), end='')


if __name__ == '__main__':
    main(*sys.argv[1:])
