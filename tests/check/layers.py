#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""layers.py ROOT: #include arrows point down (layers.txt), and never in a circle.

Every .c and .h of the rooms must be in a layer; a quoted include must be a file of the tree."""
import fnmatch
import os
import re
import sys

import source


def load(path):
    """[(name, allowed names or None, globs)] in order, lowest first."""
    layers = []
    for line in open(path, encoding='utf-8'):
        match = re.match(r'(\w+)(?:\s*\[([^\]]*)\])?\s*:\s*(.*)', line)
        if match and not line.startswith('#'):
            only = match.group(2)
            layers.append((match.group(1), None if only is None else only.split(),
                           match.group(3).split()))
    return layers


def rank(layers, path):
    for index, (_, _, globs) in enumerate(layers):
        if any(fnmatch.fnmatch(path, glob) for glob in globs):
            return index
    return None


def may_include(layers, from_rank, to_rank):
    name, only, _ = layers[to_rank][0], layers[from_rank][1], None
    if from_rank == to_rank:
        return True
    return name in only if only is not None else to_rank < from_rank


def check_file(root, layers, path, graph):
    own = rank(layers, path)
    if own is None:
        return [f'{path}: in no layer of layers.txt']
    wrong = []
    for line, name, target, mark in source.includes(root, path):
        if target is None:
            if mark == '"':
                wrong.append(f'{path}:{line}: "{name}" is no file of the tree')
            continue
        graph[path].append(target)
        other = rank(layers, target)
        if other is not None and not may_include(layers, own, other):
            wrong.append(f'{path}:{line}: {layers[own][0]} must not know '
                         f'{layers[other][0]} ({target})')
    return wrong


def cycle(graph):
    """One circle of includes as a list of files, [] if there is none."""
    done, trail = set(), []

    def visit(path):
        if path in trail:
            return trail[trail.index(path):] + [path]
        if path in done:
            return []
        trail.append(path)
        for target in graph.get(path, []):
            found = visit(target)
            if found:
                return found
        trail.pop()
        done.add(path)
        return []

    for path in graph:
        found = visit(path)
        if found:
            return found
    return []


def main(root):
    layers = load(os.path.join(root, 'tests/check/layers.txt'))
    paths = source.files(root)
    graph = {path: [] for path in paths}
    wrong = [line for path in paths for line in check_file(root, layers, path, graph)]
    circle = cycle(graph)
    if circle:
        wrong.append('includes go in a circle: ' + ' -> '.join(circle))
    print('\n'.join(wrong + [f'{len(paths)} files, {len(layers)} layers, {len(wrong)} wrong']))
    return 1 if wrong or not paths else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
