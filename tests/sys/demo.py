# SPDX-License-Identifier: MIT
"""What the tests of ./run demo share: directories of their own, processes, the runner.

This process is the reaper of orphans, so what a test leaves running is seen. Packages and ninja are
stand-ins: nothing is built here."""
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
WORKERS = 4
AT_ONCE = 3  # seconds; what follows a death at once, on a busy machine
MPD_LEAVES = 10
SOON = 20      # what must happen, but has no haste
ROOT, BUILD = sys.argv[1:3]  # of the test


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def expect(is_true, message):
    if not is_true:
        raise Failure(message)


def until(is_true, seconds):
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# --- processes ---

def stat_of(pid):
    """(name, state, parent), or None when there is none."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
            text = file.read()
    except OSError:
        return None
    rest = text[text.rindex(')') + 2:].split()
    return text[text.index('(') + 1:text.rindex(')')], rest[0], int(rest[1])


def children_of(parent):
    found = {}
    for name in os.listdir('/proc'):
        stat = stat_of(name) if name.isdigit() else None
        if stat and stat[2] == parent:
            found[int(name)] = stat[0]
    return found


def descendants():
    found, rest = {}, [os.getpid()]
    while rest:
        children = children_of(rest.pop())
        found.update(children)
        rest += children
    return found


started = set()  # whose exit codes are still wanted


def reap_orphans():
    for child in children_of(os.getpid()):
        if child not in started:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)


def one_of(name, parent=None):
    """The processes of that name, among the children of one or all that we started."""
    found = children_of(parent) if parent else descendants()
    return [pid for pid, its_name in found.items() if its_name == name]


def kill_all(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# --- the demo ---

class Place:
    """Directories of one test, and what ran in it."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix='libshm-demo-test-')
        for name in ('tmp', 'runtime', 'bin', 'input', 'little'):
            os.mkdir(f'{self.root}/{name}', 0o700)
        self.stand_in('dpkg-query', 'echo installed')
        self.stand_in('ninja', 'echo "ninja: no work to do."')
        self.environment = dict(os.environ, BUILD_DIR=BUILD, TMPDIR=f'{self.root}/tmp',
                                XDG_RUNTIME_DIR=f'{self.root}/runtime',
                                PATH=f'{self.root}/bin:{os.environ["PATH"]}')
        for name in ('MP_ENDPOINT', 'MP_MPD'):
            self.environment.pop(name, None)
        for number in range(32):
            with open(f'{self.root}/input/{number}', 'w', encoding='ascii') as file:
                file.writelines(f'zebra word{i} {i * number}\n' for i in range(20000))
        with open(f'{self.root}/little/one', 'w', encoding='ascii') as file:
            file.write('zebra\n')
        self.little = f'{self.root}/little'
        self.much = [f'{self.root}/input'] * 60

    def stand_in(self, name, body):
        path = f'{self.root}/bin/{name}'
        with open(path, 'w', encoding='ascii') as file:
            file.write(f'#!/bin/sh\n{body}\n')
        os.chmod(path, 0o755)

    def left(self):
        return [f'{name}/{entry}' for name in ('tmp', 'runtime')
                for entry in os.listdir(f'{self.root}/{name}')]

    def start(self, *arguments, prefix=()):
        # To a file: a closed pipe would end it. A session of its own has no terminal.
        with open(f'{self.root}/output', 'wb') as output:
            return Demo(subprocess.Popen([*prefix, f'{ROOT}/run', 'demo', *arguments],
                                         env=self.environment, start_new_session=True,
                                         stdin=subprocess.DEVNULL, stdout=output,
                                         stderr=subprocess.STDOUT))

    def run(self, *arguments, prefix=()):
        """Its exit code and all it says."""
        code = self.start(*arguments, prefix=prefix).end(SOON * 2)
        return code, self.said()

    def said(self):
        with open(f'{self.root}/output', encoding='utf-8') as output:
            return output.read()

    def close(self):
        for directory, names, _ in os.walk(self.root):
            for name in names:
                if not os.path.islink(f'{directory}/{name}'):
                    os.chmod(f'{directory}/{name}', 0o700)
        shutil.rmtree(self.root)


class Demo:
    def __init__(self, process):
        self.process = process
        self.pid = process.pid
        started.add(self.pid)

    def job(self):
        """wordcount, once all its workers run."""
        found = []

        def is_working():
            found[:] = one_of('wordcount', self.pid)
            return bool(found) and len(one_of('wordcount', found[0])) >= WORKERS
        expect(until(is_working, SOON), f'no job with {WORKERS} workers: {descendants()}')
        return found[0]

    def end(self, seconds=SOON):
        """Its exit code, minus the signal."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f'it does not end in {seconds} s: {descendants()}') from None
        started.remove(self.pid)
        return code


def expect_nothing_left(place):
    def is_nothing():
        reap_orphans()
        return not descendants() and not place.left()
    expect(until(is_nothing, MPD_LEAVES), f'left: {descendants()} {place.left()}')


# --- the runner ---

def run_test(test):
    """Why it failed and why it was skipped; None is neither."""
    place = Place()
    why = skipped = None
    try:
        test(place)
    except Skip as reason:
        skipped = str(reason)
    except (Failure, OSError, ValueError, subprocess.TimeoutExpired) as error:
        why = f'{type(error).__name__}: {error}'
    started.clear()
    while descendants():
        why = why or f'left running: {descendants()}'
        kill_all(descendants())
        reap_orphans()
    place.close()
    return why, skipped


def main(all_tests, names):
    """Run those named, or all; TAP."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL) # of nohup: a shell can trap none that it ignores
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    tests = [test for test in all_tests if not names or test.__name__ in names]
    failed = 0
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        why, skipped = run_test(test)
        failed += why is not None
        print(f'{"not " if why else ""}ok {number} - {test.__name__}'
              f'{f" # SKIP {skipped}" if skipped else ""}')
        if why:
            print('\n'.join(f'# {line}' for line in why.splitlines()))
        sys.stdout.flush()
    return 1 if failed else 0
