#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_demo_trace.py ROOT BUILD: the demo runs under strace; its workers call the kernel for their
files, to sleep and to wake sleepers, and for nothing else; they sleep in io_uring."""
import collections
import re
import subprocess
import sys

from demo import Skip, expect, expect_nothing_left, main

# What a worker does besides queues and locks: its files, their words in private memory.
FILE_CALLS = {'openat', 'read', 'lseek', 'close', 'brk', 'mmap', 'munmap', 'mremap', 'madvise',
              'clock_nanosleep', 'restart_syscall'}
# What a thread's first sleep needs, a ring of its own and who to watch; what runs once in libc.
ONCE_CALLS = {'io_uring_setup', 'io_uring_register', 'fcntl', 'pidfd_open', 'mprotect', 'futex',
              'newfstatat'}
ONCE_MOST = 20
CALL = re.compile(r'^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)')


class Trace:
    """What the processes of a demo have called; each call once, where it began."""

    def __init__(self, path):
        self.calls = collections.defaultdict(list)
        self.children = collections.defaultdict(list)
        with open(path, encoding='utf-8', errors='replace') as file:
            for line in file:
                self.take(line)
        self.job = self.one(lambda name, rest: name == 'execve' and '/wordcount"' in rest)
        self.workers = [pid for pid in self.children[self.job] if self.is_worker(pid)]

    def take(self, line):
        match = CALL.match(line)
        if not match:
            return
        pid, name, rest = int(match[1]), match[2], match[3]
        if 'resumed>' not in line[:60]:
            self.calls[pid].append((name, rest))
        if name.startswith(('clone', 'fork', 'vfork')) and (end := re.search(r'= (\d+)$', rest)):
            self.children[pid].append(int(end[1]))

    def one(self, is_it):
        return next(pid for pid, calls in self.calls.items()
                    if any(is_it(name, rest) for name, rest in calls))

    def is_worker(self, pid):
        calls = self.calls[pid]
        return (any(name == 'prctl' and 'PR_SET_PDEATHSIG' in rest for name, rest in calls) and
                not any(name == 'execve' for name, rest in calls))

    def work(self, pid):
        """From a worker's first file to its last."""
        calls = self.calls[pid]
        files = [i for i, (name, rest) in enumerate(calls) if name == 'openat' and '/in' in rest]
        return calls[files[0]:files[-1]] if files else []

    def count(self, pids, is_it):
        return sum(is_it(name, rest) for pid in pids for name, rest in self.calls[pid])


def is_uring_sleep(name, rest):
    return name == 'io_uring_enter' and re.match(r'\d+, \d+, [1-9]', rest) is not None


def is_other_sleep(name, rest):
    return name == 'futex_waitv' or (name == 'futex' and 'FUTEX_WAIT' in rest)


def is_wake(name, rest):
    return name == 'futex' and 'FUTEX_WAKE' in rest and 'PRIVATE' not in rest


def trace(place, *words, options=()):
    """Run it under strace: its exit code and what it says; the trace is in place.root/trace."""
    prefix = ['strace', '-f', *options, '-o', f'{place.root}/trace']
    try:
        works = subprocess.run([*prefix, 'true'], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        works = False
    if not works:
        raise Skip('strace is missing, or may not trace here')
    # A sanitizer's search for leaks traces too, and two cannot.
    return place.run(*words, prefix=['env', 'ASAN_OPTIONS=detect_leaks=0', *prefix])


def demo_under_strace_ends_and_is_right(place):
    code, text = trace(place, f'{place.root}/input')
    expect(code == 0 and '\nverified: equal to a single-process count\n' in text, text)
    expect('\nkilled worker-' in text, f'nobody was killed: {text}')
    expect_nothing_left(place)


def demo_goes_on_where_nobody_can_be_stopped(place):
    code, text = trace(place, place.little, options=['-e', 'inject=kill:error=EPERM'])
    expect(code == 0 and '\nverified: equal to a single-process count\n' in text, text)
    expect('\nkilled nobody: ' in text, text)
    expect_nothing_left(place)


def is_before_sleep(name, rest):
    """Who is going to sleep beside the owner of a lock asks whether it knows him, and whether he
    is there."""
    return name == 'poll' or (name == 'newfstatat' and '/proc/self/ns/pid' in rest)


def is_file_of_cgroup(name, rest):
    """What the memory cgroup has left is asked now and then, before pages are committed."""
    return name == 'openat' and ('/proc/self/cgroup' in rest or '/proc/self/mountinfo' in rest or
                                 '/sys/fs/cgroup' in rest)


def expect_few_others(pid, calls, sleeps):
    """Before a sleep it asks whether the ring is still its own. Pages of the segment are committed once by each. Before that it asks whether the descriptor
    is still its own and who it is, behind it how large the segment has become."""
    commits = [rest for name, rest in calls if name == 'fallocate']
    places = {rest.split(', ')[2] for rest in commits}
    expect(len(places) == len(commits), f'{pid} has committed pages twice: {sorted(commits)}')
    names = collections.Counter(name for name, _ in calls)
    names.pop('fallocate', 0)
    names['newfstatat'] -= 2 * (len(commits) + sleeps)
    names['newfstatat'] -= sum(is_file_of_cgroup(*call) for call in calls)
    names['getpid'] -= 2 * len(commits)
    once = sum(names[name] for name in ONCE_CALLS)
    expect(once <= ONCE_MOST, f'{pid}: {once} of what is needed once: {names}')
    strange = set(+names) - FILE_CALLS - ONCE_CALLS
    expect(not strange, f'{pid}: neither files nor sleeps nor wakes: {strange}')


def expect_worker_calls(seen, pid):
    work = seen.work(pid)
    sleeps = [call for call in work if is_uring_sleep(*call) or is_other_sleep(*call)]
    before = [call for call in work if is_before_sleep(*call)]
    rest = [call for call in work if not is_wake(*call) and call not in sleeps + before]
    names = dict(collections.Counter(name for name, _ in rest))
    print(f'# worker {pid}: {len(sleeps)} sleeps, {len(before)} calls before; others: {names}')
    expect(len(before) <= 4 * len(sleeps) + 4, f'{len(before)} before {len(sleeps)} sleeps')
    expect_few_others(pid, rest, len(sleeps))


def workers_call_the_kernel_for_files_and_to_sleep_and_wake_only(place):
    code, text = trace(place, '--no-kill', *[f'{place.root}/input'] * 8)
    expect(code == 0, text)
    seen = Trace(f'{place.root}/trace')
    clients = [seen.job, *seen.workers]
    expect(len(seen.workers) == 4, f'{len(seen.workers)} workers')
    uring, other, wakes = (seen.count(clients, what)
                           for what in (is_uring_sleep, is_other_sleep, is_wake))
    print(f'# sleeps of the clients: {uring} in io_uring_enter, {other} in futex; wakes: {wakes}')
    for pid in seen.workers:
        expect_worker_calls(seen, pid)
    expect(uring + other > 0, 'nobody slept')
    # Who is rung has announced his sleep, and a ring may come in before he has begun it.
    expect(wakes <= uring + other + 20, f'{wakes} wakes of {uring + other} sleepers')
    if '\nengine: uring\n' in text:
        expect(uring >= 9 * other, f'{uring} sleeps in io_uring, {other} elsewhere')
    expect_nothing_left(place)


TESTS = [
    demo_under_strace_ends_and_is_right,
    demo_goes_on_where_nobody_can_be_stopped,
    workers_call_the_kernel_for_files_and_to_sleep_and_wake_only,
]

if __name__ == '__main__':
    sys.exit(main(TESTS, sys.argv[3:]))
