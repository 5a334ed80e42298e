# SPDX-License-Identifier: MIT
"""What the checks share: the C files of the tree, their text without comments, their includes."""
import os
import re

ROOMS = ('libshm', 'mpd', 'mptop')
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r'/\*.*?\*/', re.DOTALL)
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
PROTOTYPE = re.compile(r'^(?!typedef|static|#)(?:\w+[ \t\n*]+)+?(mp_\w+)\([^;{}]*\)[^;{}()]*;',
                       re.MULTILINE)


def files(root, rooms=ROOMS):
    """Every .c and .h below the rooms, as paths relative to the root."""
    found = []
    for room in rooms:
        for folder, _, names in os.walk(os.path.join(root, room)):
            found += [os.path.relpath(os.path.join(folder, name), root)
                      for name in names if name.endswith(('.c', '.h'))]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as file:
        return file.read()


def blank(match):
    """Same lines, no text: positions and line numbers stay."""
    return re.sub(r'[^\n]', ' ', match.group(0))


def code(text):
    """The text with comments and the inside of strings blanked."""
    return STRING.sub(lambda m: '"' + ' ' * (len(m.group(0)) - 2) + '"', COMMENT.sub(blank, text))


def line_of(text, position):
    return text.count('\n', 0, position) + 1


def public_headers(root):
    return [path for path in files(root, ('libshm/include',)) if path.endswith('.h')]


def public_functions(root):
    """name -> (header, line) of every function the public headers declare."""
    found = {}
    for path in public_headers(root):
        text = code(read(root, path))
        for match in PROTOTYPE.finditer(text):
            found[match.group(1)] = (path, line_of(text, match.start()))
    return found


def resolve(root, path, mark, name):
    """The file of the tree that an #include names, None if it is a foreign one."""
    places = ['libshm/include'] if mark == '<' else [
        os.path.dirname(path), '.', 'libshm', 'libshm/include']
    for place in places:
        target = os.path.normpath(os.path.join(place, name))
        if os.path.isfile(os.path.join(root, target)):
            return target
    return None


def includes(root, path):
    """(line, name, target or None) of each #include of a file."""
    text = COMMENT.sub(blank, read(root, path))
    return [(line_of(text, match.start(1)), match.group(2),
             resolve(root, path, match.group(1), match.group(2)), match.group(1))
            for match in INCLUDE.finditer(text)]
