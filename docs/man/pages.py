#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pages.py ROOT OUTPUT...: the man pages of libshm, written from the comments of its headers.

OUTPUTs are paths ending in mp_FUNCTION.3, libshm-HEADER.7 or libshm.7; there must be one for each
function and each header. Knows: how a comment above a prototype is laid out, roff. Does not know:
what any function does; where a page is wrong, its header is."""
import os
import re
import sys
import textwrap
import time

COMMENT = r'/\*(?:(?!\*/).)*\*/'
PROTOTYPE = re.compile(rf'(?P<comment>{COMMENT})\n'
                       r'(?P<code>(?:\w+[ \t\n*]+)+?(?P<name>mp_\w+)\([^;{}]*\));', re.DOTALL)
TYPE = re.compile(rf'^(?:{COMMENT}\n)?(?:struct|enum) (mp_\w+) \{{.*?^\}};$',
                  re.DOTALL | re.MULTILINE)
CONSTANTS = r'(?:^/\* .*\*/\n)?(?:^#define MP_(?!MUST_USE)\w+(?:\(\w+\))? .*\n)+'
ERROR = re.compile(r'-(E[A-Z0-9]+)(?: \(([^()]*)\))?')
LABELS = ('Blocks', 'Threads', 'Crash', 'Errors')


# --- headers ---

def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as file:
        return file.read()


def plain(comment):
    """The text of a comment without its frame."""
    text = re.sub(r'^/\*[ \t]?|\s*\*/$', '', comment)
    return re.sub(r'^ \*[ \t]?', '', text, flags=re.MULTILINE).strip()


class Function:
    def __init__(self, header, match):
        labels = rf'^({"|".join(LABELS)}):[ \t]+'
        parts = re.split(labels, plain(match['comment']), flags=re.MULTILINE)
        self.header = header
        self.name = match['name']
        self.code = re.sub(r'\s+', ' ', match['code'].replace('MP_MUST_USE ', ''))
        self.text = parts[0].strip()
        self.lines = dict(zip(parts[1::2], (' '.join(text.split()) for text in parts[2::2])))
        if tuple(self.lines) != LABELS:
            sys.exit(f'{header.name}.h: {self.name}: its comment must have {", ".join(LABELS)}')

    def summary(self):
        """The first sentence without what stands in parentheses, as apropos(1) wants it."""
        text, count = ' '.join(self.text.split()).replace('`', ''), 1
        while count:
            text, count = re.subn(r'\s*\([^()]*\)', '', text)
        first = re.split(r'[.;:](?:\s|$)', text)[0]
        return first[0].lower() + first[1:]

    def synopsis(self):
        """The prototype, folded between its arguments."""
        whole = self.code.replace(' ', '\0').replace(',\0', ', ') + ';'
        indent = '\0' * (self.code.index('(') + 1)
        return textwrap.fill(whole, 79, subsequent_indent=indent, break_long_words=False,
                             break_on_hyphens=False).replace('\0', ' ')


class Header:
    def __init__(self, root, name):
        text = read(root, f'libshm/include/libshm/{name}.h')
        head = plain(re.search(COMMENT, text, re.DOTALL).group(0))
        self.name = name
        self.head = head.partition('\n\n')[2]  # behind the licence
        self.types = {match.group(1): match.group(0) for match in TYPE.finditer(text)}
        self.constants = re.findall(CONSTANTS, text, re.MULTILINE)
        self.functions = [Function(self, match) for match in PROTOTYPE.finditer(text)]


def load_headers(root):
    everything = read(root, 'libshm/include/libshm.h')
    return [Header(root, name) for name in re.findall(r'^#include <libshm/(\w+)\.h>', everything,
                                                      re.MULTILINE)]


def load_errors(root):
    """{errno: what happened}"""
    return dict(re.findall(r'^ERROR\((\w+), "(.*)"\)', read(root, 'libshm/tbl/errors.h'),
                           re.MULTILINE))


# --- roff ---

def escape(text):
    """Text that roff prints as it stands."""
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return re.sub(r"^(?=[.'])", r'\\&', text, flags=re.MULTILINE)


def prose(text):
    """Paragraphs, with `arguments` in italics, names and constants in bold."""
    text = re.sub(r'`(\w+)`', r'\\fI\1\\fP', escape(text))
    text = re.sub(r'(?<!\w)(mp_\w+|MP_[A-Z_]+|\\-E[A-Z0-9]+)\b', r'\\fB\\%\1\\fP', text)
    return re.sub(r'\n\s*\n', '\n.PP\n', text)


def sentence(text):
    first = text[0] if text.startswith('mp') else text[0].upper()  # names keep their case
    return prose(first + text[1:].rstrip('.') + '.')


def verbatim(text):
    return f'.EX\n{escape(text.expandtabs(8))}\n.EE\n'


def items(rows):
    """A list of (name, text), both in roff."""
    return ''.join(f'.TP\n.B {name}\n{text}\n' for name, text in rows)


def see_also(pages):
    names = sorted((number, name) for name, number in (page.rsplit('.', 1) for page in pages))
    return '\n'.join(f'.BR \\%{escape(name)} ({number}){"," if name != names[-1][1] else ""}'
                     for number, name in names)


def head(name, version):
    stem, number = name.rsplit('.', 1)
    seconds = int(os.environ.get('SOURCE_DATE_EPOCH', time.time()))
    date = time.strftime('%Y-%m-%d', time.gmtime(seconds))
    return ('.\\" Made from the public headers by docs/man/pages.py; change those.\n'
            f'.TH {escape(stem)} {number} {date} "libshm {version}"\n.ad l\n')


def page(name, version, sections):
    """The whole page from [(title, body in roff)]; what has no body is left out."""
    return head(name, version) + ''.join(f'.SH {title}\n{body.rstrip()}\n'
                                         for title, body in sections if body)


# --- the page of one function ---

def named_types(text, headers):
    """The types that the text names and those that these name, as they are defined."""
    known = {name: body for header in headers for name, body in header.types.items()}
    found, ahead = {}, [text]
    while ahead:
        for name in re.findall(r'\b(?:struct|enum) (mp_\w+)', ahead.pop(0)):
            if name in known and name not in found:
                found[name] = known[name]
                ahead.append(known[name])
    return list(found.values())


def return_value(function):
    if function.code.partition(f'{function.name}(')[0].strip() != 'int':
        return 'As described; there is no error to return.'
    if not ERROR.search(function.lines['Errors']):
        return 'At least 0, as described.'
    return ('At least 0 on success. A negative value is one of the errors below: then nothing\n'
            'happened, nothing was stored through a\n.I ret_\nargument, and\n'
            '.BR mp_explain (3)\nhas a sentence that says why.')


def errors_of(function, errors):
    """A line such as "-EINVAL -EBUSY (still running)", with words around the codes or without."""
    line = function.lines['Errors']
    rows = []
    for code, reason in ERROR.findall(line):
        rows.append((f'\\-{code}',
                     sentence(errors[code]) + (f'\n{sentence(reason)}' if reason else '')))
    words = line if line.startswith('none') else ERROR.sub('', line).strip(' ;.')
    return (sentence(words) + '\n' if words else '') + items(rows)


def after_a_crash(function):
    line = function.lines['Crash']
    return sentence('nothing to say: the call changes nothing that is shared' if line == '-'
                    else line)


def function_page(function, headers, errors, version):
    header = function.header
    others = [f'{other.name}.3' for other in header.functions if other is not function]
    return page(f'{function.name}.3', version, [
        ('NAME', f'{function.name} \\- {escape(function.summary())}'),
        ('SYNOPSIS', verbatim(f'#include <libshm.h>\n\n{function.synopsis()}')),
        ('DESCRIPTION', prose(function.text)),
        ('TYPES', '.PP\n'.join(map(verbatim, named_types(function.code, headers)))),
        ('RETURN VALUE', return_value(function)),
        ('ERRORS', errors_of(function, errors)),
        ('BLOCKING', sentence(function.lines['Blocks'])),
        ('THREADS', sentence(function.lines['Threads'])),
        ('AFTER A CRASH', after_a_crash(function)),
        ('SEE ALSO', see_also(others + [f'libshm-{header.name}.7', 'libshm.7'])),
    ])


# --- overviews ---

def summaries(functions):
    return items((f'{function.name}\\fR(3)', sentence(function.summary()))
                 for function in functions)


def header_page(header, headers, version):
    first = header.head.partition('.')[0].partition(':')[0]
    types = header.constants + list(header.types.values())
    return page(f'libshm-{header.name}.7', version, [
        ('NAME', f'libshm\\-{header.name} \\- {escape(" ".join(first.split()).lower())}'),
        ('SYNOPSIS', verbatim(f'#include <libshm/{header.name}.h>')),
        ('DESCRIPTION', prose(header.head)),
        ('FUNCTIONS', summaries(header.functions)),
        ('TYPES', '.PP\n'.join(verbatim(text.rstrip()) for text in types)),
        ('SEE ALSO', see_also([f'libshm-{other.name}.7' for other in headers if other is not header]
                              + ['libshm.7'])),
    ])


def overview(root, headers, errors, version):
    """libshm.7.in, its @WORDS@ replaced by what the headers and the table of errors say."""
    lists = {
        'FUNCTIONS': ''.join(f'.SS libshm/{header.name}.h\n{summaries(header.functions)}'
                             for header in headers),
        'ERRORS': items((f'\\-{code}', sentence(text)) for code, text in errors.items()),
        'SEE_ALSO': see_also([f'libshm-{header.name}.7' for header in headers] +
                             ['mpctl.1', 'mpd.1', 'mptop.1']) + '\n',
    }
    text = read(root, 'docs/man/libshm.7.in')
    return head('libshm.7', version) + re.sub(r'^@(\w+)@\n', lambda word: lists[word.group(1)],
                                              text, flags=re.MULTILINE)


def all_pages(root):
    """{page: its text}"""
    headers, errors = load_headers(root), load_errors(root)
    version = re.search(r"version: '([\w.]+)'", read(root, 'meson.build')).group(1)
    pages = {'libshm.7': overview(root, headers, errors, version)}
    for header in headers:
        pages[f'libshm-{header.name}.7'] = header_page(header, headers, version)
        for function in header.functions:
            pages[f'{function.name}.3'] = function_page(function, headers, errors, version)
    return pages


def main(root, *outputs):
    pages = all_pages(root)
    wanted = {os.path.basename(output) for output in outputs}
    for name in sorted(wanted ^ set(pages)):
        sys.exit(f'{name}: ' + ('nothing in the headers is called so' if name in wanted else
                                'docs/man/meson.build does not list it'))
    for output in outputs:
        with open(output, 'w', encoding='utf-8') as file:
            file.write(pages[os.path.basename(output)])


if __name__ == '__main__':
    main(*sys.argv[1:])
