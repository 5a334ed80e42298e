#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_models.py [MODEL...]: search the models beside this file with Spin, all of them or those named.

A property passes when its whole state space was searched without an error. A mutant (-DMUTANT=n,
one fault in the protocol) passes when the search finds an error: a model that cannot see the fault
proves nothing. A search that is cut off, by depth, memory or time, fails; so does a label that no
search of its model reached. Exit 77 without spin. MP_TEST_SCALE > 1 adds the large bounds.

A failing search leaves its folder (MP_MODEL_DIR, else a temporary one) with the trail in it:
docs/models.md says how to read it."""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from table import PROPERTIES, MUTANTS

HERE = os.path.dirname(os.path.abspath(__file__))
SCALE = int(os.environ.get('MP_TEST_SCALE', '1') or '1')
DEPTH = 1000000
SECONDS = 300 if SCALE == 1 else 3600
MEMORY_MB = 2000 if SCALE == 1 else 8000
CUT_OFF = re.compile(r'max search depth too small|reached -DMEMLIM|out of memory|'
                     r'Search not completed|aborting')
DESCRIBED = re.compile(r'(?:^|; )(\d+) ([^;]+?)(?=; \d+ |\.$)')


class Search:
    """One run of Spin: its verdict in `wrong` ('' when there was no error), and what it cost."""

    def __init__(self, model, kind, flags, mutant=0):
        self.model, self.kind, self.flags, self.mutant = model, kind, flags, mutant
        self.states, self.seconds, self.wrong, self.cut_off = 0, 0.0, '', ''
        self.unreached = None
        self.folder = ''

    def run(self, folder):
        began = time.monotonic()
        self.folder = folder
        try:
            self.search()
        except subprocess.TimeoutExpired:
            self.cut_off = f'not finished after {SECONDS} s'
        except subprocess.CalledProcessError as error:
            self.cut_off = f'{error.cmd[0]} failed: {error.stdout.strip()[-200:]}'
        self.seconds = time.monotonic() - began

    def command(self, *words):
        return subprocess.run(words, cwd=self.folder, text=True, timeout=SECONDS, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    def search(self):
        is_live = self.kind == 'live'
        flags = self.flags + ([f'-DMUTANT={self.mutant}'] if self.mutant else [])
        self.command('spin', '-a', *flags, *(['-DLIVENESS'] if is_live else []),
                     os.path.join(HERE, self.model + '.pml'))
        # The compiler is a good part of the time, of what fails soon the greater one.
        self.command('gcc', '-O0' if self.mutant else '-O1', '-w', f'-DMEMLIM={MEMORY_MB}',
                     *(['-DNFAIR=3'] if is_live else ['-DSAFETY']),
                     *(['-DCOLLAPSE'] if SCALE > 1 else []), '-o', 'pan', 'pan.c')
        self.read(self.command('./pan', f'-m{DEPTH}', *(['-a', '-f'] if is_live else [])))

    def read(self, text):
        found = re.search(r'errors: (\d+)', text)
        cut = CUT_OFF.search(text)
        states = re.search(r'^\s*([\d.e+]+) states, stored', text, re.MULTILINE)
        error = re.search(r'^pan:\d+: (.*?) \(at depth', text, re.MULTILINE)
        self.states = int(float(states.group(1))) if states else 0
        self.unreached = {int(line) for line in
                          re.findall(r'^\t\S*?:(\d+), state \d+, "(?!-end-)', text, re.MULTILINE)}
        if found and int(found.group(1)) > 0:
            self.wrong = error.group(1) if error else 'an error'
        elif not found or cut:
            self.cut_off = cut.group(0) if cut else 'no result: ' + text.strip()[-200:]


def described_mutants(model):
    """number -> words, from the model's first paragraph."""
    with open(os.path.join(HERE, model + '.pml'), encoding='utf-8') as file:
        head = ' '.join(line.strip(' *\n') for line in file.read().split('*/')[0].splitlines())
    text = re.search(r'Mutants: (.*?\.)(?:\s|$)', head)
    return {int(n): words for n, words in DESCRIBED.findall(text.group(1))} if text else {}


def labels(model):
    """line -> label of each statement that stands behind one; a label alone on its line is exempt."""
    found = {}
    with open(os.path.join(HERE, model + '.pml'), encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            match = re.match(r'(\w+):\s+\S', line)
            if match:
                found[number] = match.group(1)
    return found


class Report:
    """One line for each verdict, and the sums."""

    def __init__(self):
        self.properties = self.states = self.failures = self.caught = self.mutants = 0

    def say(self, is_ok, name, search, words):
        self.failures += not is_ok
        self.states += search.states if search else 0
        cost = f': {search.states} states, {search.seconds:.1f} s' if search else ''
        print(f'{"ok" if is_ok else "not ok"} - {name}{cost}{words}', flush=True)

    def property(self, name, search):
        self.properties += 1
        wrong = search.cut_off or search.wrong
        trail = f' (trail in {search.folder})' if search.wrong else ''
        self.say(not wrong, f'{search.model}: {name}', search, f': {wrong}{trail}' if wrong else '')

    def mutant(self, words, search):
        self.mutants += 1
        is_caught = bool(search.wrong) and not search.cut_off
        self.caught += is_caught
        self.say(is_caught, f'{search.model}: mutant {search.mutant} fails, {words}', search,
                 '' if is_caught else f': it survived {search.cut_off}')

    def end(self, models):
        print(f'models: {models} models, {self.properties} properties, {self.states} states, '
              f'{self.failures} failures, {self.caught} of {self.mutants} mutants caught')
        return 1 if self.failures or self.caught < self.mutants or not self.properties else 0


def planned(names):
    """[(what to call it, its search)], the long ones first."""
    rows = []
    for model, name, kind, flags, scale in PROPERTIES:
        if model in names and scale <= SCALE:
            rows.append((name, Search(model, kind, flags.split())))
    for model, number, kind, flags in MUTANTS:
        if model in names:
            rows.append((described_mutants(model).get(number, '?'),
                         Search(model, kind, flags.split(), number)))
    return rows


def check_reached(report, model, searches):
    """A label that no search reached: what stands there is not proven."""
    whole = [search.unreached for search in searches
             if search.model == model and not search.mutant and search.unreached is not None]
    never = set.intersection(*whole) if whole else set()
    for line, label in labels(model).items():
        if line in never:
            report.say(False, f'{model}.pml:{line}: label {label} is never reached', None, '')


def check_described(report, model):
    """Each mutant that the model describes has a row, and the other way round."""
    rows = {number for name, number, _, _ in MUTANTS if name == model}
    for number in rows ^ set(described_mutants(model)):
        report.say(False, f'{model}: mutant {number} is not both described and run', None, '')


def workers():
    """As many as there are CPUs and room for."""
    cpus = len(os.sched_getaffinity(0))
    room_mb = os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // (1 << 20)
    return max(1, min(cpus, room_mb // MEMORY_MB))


def main(names):
    if not shutil.which('spin'):
        print('spin is not installed')
        return 77
    models = sorted({row[0] for row in PROPERTIES})
    names = names or models
    rows = planned(names)
    report = Report()
    place = os.environ.get('MP_MODEL_DIR') or tempfile.mkdtemp(prefix='models-')
    with concurrent.futures.ThreadPoolExecutor(workers()) as pool:
        running = []
        for number, (_, search) in enumerate(rows):
            folder = os.path.join(place, f'{search.model}-{number}')
            os.makedirs(folder, exist_ok=True)
            running.append(pool.submit(search.run, folder))
        for (name, search), future in zip(rows, running):
            future.result()
            (report.mutant if search.mutant else report.property)(name, search)
            if search.mutant or not search.wrong:
                shutil.rmtree(search.folder, ignore_errors=True)
    for model in names:
        check_reached(report, model, [search for _, search in rows])
        check_described(report, model)
    if not os.listdir(place):
        os.rmdir(place)
    return report.end(len(names))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
