#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_demo_run.py ROOT BUILD: ./run demo, whoever is killed or told to end, ends with everything
it started and leaves no file; and what it says of wrong words and of files it cannot read."""
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

from demo import (AT_ONCE, BUILD, ROOT, SOON, WORKERS, Failure, Skip, descendants, expect,
                  expect_nothing_left, kill_all, main, one_of, reap_orphans, started, stat_of,
                  until)

def is_ended(pid):
    reap_orphans()
    return stat_of(pid) is None


def expect_job_ends_at_once(job, workers):
    for pid in [job, *workers]:
        expect(until(lambda: is_ended(pid), AT_ONCE), f'{pid} runs on: {descendants()}')


# --- somebody is killed ---

def killed_run_takes_everything_along(place):
    demo = place.start('--no-kill', *place.much)
    job = demo.job()
    workers = one_of('wordcount', job)
    os.kill(demo.pid, signal.SIGKILL)
    expect(demo.end() == -signal.SIGKILL, 'not killed')
    expect_job_ends_at_once(job, workers)
    expect_nothing_left(place)


def killed_job_takes_its_workers_along_and_fails_the_run(place):
    demo = place.start('--no-kill', *place.much)
    job = demo.job()
    workers = one_of('wordcount', job)
    os.kill(job, signal.SIGKILL)
    expect_job_ends_at_once(job, workers)
    expect(demo.end() == 128 + signal.SIGKILL, 'the run did not fail')
    expect_nothing_left(place)


def killed_run_and_job_leave_no_directory(place):
    demo = place.start('--no-kill', *place.much)
    job = demo.job()
    workers = one_of('wordcount', job)
    kill_all([demo.pid, job])
    demo.end()
    expect_job_ends_at_once(job, workers)
    expect_nothing_left(place)


def killed_run_job_and_mpd_leave_no_directory(place):
    demo = place.start('--no-kill', *place.much)
    kill_all([demo.pid, demo.job(), *one_of('mpd')])
    demo.end()
    expect_nothing_left(place)


def run_killed_at_its_beginning_leaves_no_directory(place):
    for delay in (0, 5, 10, 20, 40, 80):
        demo = place.start('--no-kill', *place.much)
        expect(until(lambda: os.listdir(f'{place.root}/tmp'), SOON), 'no directory')
        time.sleep(delay / 1000)
        # Before its mpd has begun there is nobody to clean up: the next run does.
        has_mpd = one_of('mpd-supervise')
        os.kill(demo.pid, signal.SIGKILL)
        demo.end()
        expect(until(lambda: reap_orphans() or not descendants(), SOON), str(descendants()))
        expect(not has_mpd or not place.left(), f'left after {delay} ms: {place.left()}')
    expect(place.run(place.little)[0] == 0, 'failed')
    expect_nothing_left(place)


def what_stays_when_all_are_killed_is_swept_by_the_next(place):
    demo = place.start('--no-kill', *place.much)
    demo.job()
    os.kill(demo.pid, signal.SIGSTOP)
    kill_all(one_of('mpd-supervise') + one_of('mpd') + one_of('wordcount') + [demo.pid])
    demo.end()
    expect(until(lambda: reap_orphans() or not descendants(), SOON), str(descendants()))
    expect(len(place.left()) == 1, f'the test is void: {place.left()}')
    code, text = place.run(place.little)
    expect(code == 0, text)
    expect_nothing_left(place)


def running_demo_is_not_swept_by_another(place):
    one = place.start('--no-kill', *place.much)
    job = one.job()
    (directory,) = os.listdir(f'{place.root}/tmp')
    code, text = place.run(place.little)
    expect(code == 0, text)
    expect(os.listdir(f'{place.root}/tmp') == [directory], f'{place.left()}')
    expect(os.path.exists(f'{place.root}/tmp/{directory}/mpd.sock'), 'its socket is gone')
    expect(stat_of(job) is not None, 'its job is gone')
    os.kill(one.pid, signal.SIGTERM)
    one.end()
    expect_nothing_left(place)


def directory_of_somebody_else_is_not_swept(place):
    strange = f'{place.root}/tmp/libshm-demo-ABCDEF'
    os.symlink(place.little, strange)
    expect(place.run(place.little)[0] == 0, 'failed')
    expect(os.path.islink(strange) and os.listdir(place.little) == ['one'], 'swept')
    os.unlink(strange)
    expect_nothing_left(place)


def killed_mpd_and_supervisor_cost_no_time_at_the_end(place):
    demo = place.start('--no-kill', *place.much)
    demo.job()
    kill_all(one_of('mpd-supervise') + one_of('mpd'))
    os.kill(demo.pid, signal.SIGTERM)
    began = time.monotonic()
    expect(demo.end() == 143, 'exit code')
    expect(time.monotonic() - began < 3, 'it waited for nobody')
    expect_nothing_left(place)


# --- somebody is stopped ---

def stopped_worker_is_named(place):
    demo = place.start('--no-kill', *place.much[:6])
    worker = one_of('wordcount', demo.job())[0]
    os.kill(worker, signal.SIGSTOP)
    expect(until(lambda: f'(pid {worker}) is stopped' in place.said(), SOON), place.said())
    os.kill(worker, signal.SIGCONT)
    expect(demo.end() == 0, place.said())
    expect_nothing_left(place)


def stopped_mpd_is_named_and_does_not_stay(place):
    demo = place.start('--no-kill', *place.much[:6])
    demo.job()
    mpds = one_of('mpd-supervise') + one_of('mpd')
    for pid in mpds:
        os.kill(pid, signal.SIGSTOP)
    expect(demo.end(SOON * 2) == 0, place.said())
    for pid in mpds:
        expect(f'(pid {pid}) is stopped' in place.said(), place.said())
    expect_nothing_left(place)


# --- somebody is told to end ---

def told_to_end(place, number):
    demo = place.start('--no-kill', *place.much)
    demo.job()
    began = time.monotonic()
    os.kill(demo.pid, number)
    code = demo.end()
    expect(code == 128 + number, f'exit code {code}')
    expect(time.monotonic() - began < 6, 'it took its time')
    expect_nothing_left(place)


def sigterm_to_the_run_alone_ends_all(place):
    told_to_end(place, signal.SIGTERM)


def sigint_to_the_run_alone_ends_all(place):
    told_to_end(place, signal.SIGINT)


def sighup_to_the_run_alone_ends_all(place):
    told_to_end(place, signal.SIGHUP)


def second_interrupt_does_not_stop_the_cleaning(place):
    demo = place.start('--no-kill', *place.much)
    demo.job()
    for _ in range(5):
        os.kill(demo.pid, signal.SIGINT)
        time.sleep(0.05)
    code = demo.end()
    expect(code == 130, f'exit code {code}')
    expect_nothing_left(place)


# --- on a terminal ---

class Screen:
    """The demo on a terminal: mptop has the screen while the job runs."""

    def __init__(self, place, *arguments, prefix=()):
        self.text = b''
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.clear()
            os.environ.update(place.environment, TERM='xterm', LC_ALL='C.UTF-8')
            command = [*prefix, f'{ROOT}/run', 'demo', *arguments]
            os.execvpe(command[0], command, os.environ)
        started.add(self.pid)

    def line_settings(self):
        return termios.tcgetattr(self.fd)[:4]

    def read(self, seconds):
        """False at the end of the terminal."""
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                self.text += os.read(self.fd, 65536)
            except OSError:
                return False
        return True

    def wait_for(self, text, seconds=SOON):
        end = time.monotonic() + seconds
        while text not in self.text and time.monotonic() < end and self.read(0.1):
            pass
        expect(text in self.text, f'{text} is missing in {self.text[-2000:]}')

    def end(self, seconds=SOON):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while self.read(0.1) and select.select([self.fd], [], [], 0)[0]:
                    pass
                os.close(self.fd)
                started.remove(self.pid)
                return os.waitstatus_to_exitcode(status)
        raise Failure(f'it does not end: {descendants()} {self.text[-2000:]}')


def leaving_mptop_shows_how_far_the_job_is(place):
    screen = Screen(place, *place.much)
    screen.wait_for(b'Overview')
    os.write(screen.fd, b'q')
    screen.wait_for(b'/1920 files')
    screen.text = b''
    screen.wait_for(b'/1920 files')
    expect(one_of('wordcount', screen.pid), 'it was shown after the end only')
    os.kill(screen.pid, signal.SIGTERM)
    expect(screen.end() == 143, 'exit code')
    expect_nothing_left(place)


def mptop_and_the_words_are_shown_in_the_locale_of_the_user(place):
    with open(f'{place.little}/one', 'w', encoding='utf-8') as file:
        file.write('d\u00e9j\u00e0 ' * 100000)
    screen = Screen(place, place.little, *place.much[:6])
    screen.wait_for('d\u00e9j\u00e0'.encode(), SOON * 2)
    expect(screen.end() == 0, 'exit code')
    drawn = screen.text[:screen.text.rindex(b'\x1b[?1049l')]
    expect(max(drawn) >= 0x80, 'mptop drew ASCII only')
    expect_nothing_left(place)


def mptop_leaves_with_the_job_and_the_result_follows(place):
    screen = Screen(place, *place.much[:6])
    screen.wait_for(b'verified: equal to a single-process count', SOON * 2)
    expect(screen.end() == 0, 'exit code')
    expect(screen.text.rindex(b'\x1b[?1049l') < screen.text.index(b'counting words in'), 'order')
    expect_nothing_left(place)


def signal_on_a_terminal_ends_all(place):
    screen = Screen(place, *place.much)
    screen.wait_for(b'Overview')
    os.kill(screen.pid, signal.SIGTERM)
    expect(screen.end() == 143, 'exit code')
    expect(b'\x1b[?1049l' in screen.text, 'the screen was not given back')
    expect_nothing_left(place)


def ctrl_c_on_a_terminal_ends_all(place):
    screen = Screen(place, *place.much)
    screen.wait_for(b'Overview')
    os.write(screen.fd, b'\x03')
    expect(screen.end() == 130, 'exit code')
    expect_nothing_left(place)


def run_killed_on_a_terminal_takes_mptop_along(place):
    screen = Screen(place, *place.much)
    screen.wait_for(b'Overview')
    # mptop may be there before mpd, which cleans up; the workers are there after it.
    expect(until(lambda: len(one_of('wordcount')) > WORKERS, SOON), f'{descendants()}')
    os.kill(screen.pid, signal.SIGKILL)
    expect(screen.end() == -signal.SIGKILL, 'not killed')
    expect_nothing_left(place)


def killed_mptop_gives_the_terminal_back(place):
    screen = Screen(place, '--no-kill', *place.much)
    before = screen.line_settings()
    screen.wait_for(b'Overview')
    expect(screen.line_settings() != before, 'the test is void: mptop changes nothing')
    kill_all(one_of('mptop'))
    screen.wait_for(b'/1920 files')
    expect(screen.line_settings() == before, 'the terminal is raw')
    expect(b'\x1b[?1049l' in screen.text, 'the screen was not given back')
    os.kill(screen.pid, signal.SIGTERM)
    expect(screen.end() == 143, 'exit code')
    expect_nothing_left(place)


# In a mount of its own, where that is allowed.
FULL = ['unshare', *(['-m'] if os.geteuid() == 0 else ['-rm']), 'sh', '-c',
        'mount -t tmpfs -o size=64k none "$TMPDIR" || exit 99; [ $# != 0 ] || exit 0;'
        'head -c 1000000 /dev/zero 2>/dev/null >"$TMPDIR/full"; exec "$@"', 'sh']


def full_place_for_files_costs_the_screen_not_the_result(place):
    if subprocess.run(FULL, check=False, stderr=subprocess.DEVNULL,
                      env=place.environment).returncode:
        raise Skip('nothing may be mounted here')
    screen = Screen(place, place.little, prefix=FULL)
    screen.wait_for(b'verified: equal to a single-process count')
    expect(screen.end() == 0, 'exit code')
    expect(f'no room in {place.root}/tmp'.encode() in screen.text, str(screen.text))
    expect_nothing_left(place)


# --- files ---

def long_name_for_the_place_of_files_is_no_hindrance(place):
    place.environment['TMPDIR'] = f'{place.root}/tmp/{"x" * 80}'
    os.mkdir(place.environment['TMPDIR'])
    code, text = place.run(place.little)
    expect(code == 0, text)
    os.rmdir(place.environment['TMPDIR'])
    expect_nothing_left(place)



def nothing_is_made_for_the_endpoint_of_the_user(place):
    code, text = place.run(place.little)
    expect(code == 0, text)
    expect_nothing_left(place)


# --- what it says ---

def result_that_cannot_be_written_is_a_failure(place):
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([f'{ROOT}/run', 'demo', place.little], env=place.environment,
                              stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                              check=False, text=True, timeout=SOON)
    expect(done.returncode == 1, f'exit code {done.returncode}')
    expect('wordcount: standard output: No space left on device\n' in done.stderr, done.stderr)
    expect_nothing_left(place)


def empty_name_is_refused_in_a_sentence(place):
    code, text = place.run('')
    expect(code == 2 and "wordcount: DIR is the name of a directory or file, not ''\n" in text,
           f'{code} {text}')
    expect_nothing_left(place)


def wrong_options_are_told_without_the_place_of_the_build(place):
    for words in (['--bogus'], ['--workers'], ['--workers', '0'], ['--workers', '1x'],
                  ['--workers', '']):
        code, text = place.run('wordcount', *words)
        expect(code == 2 and text.startswith('wordcount: ') and BUILD not in text,
               f'{words}: {code} {text}')
    expect_nothing_left(place)


def second_build_waits_for_the_first(place):
    place.environment['BUILD_DIR'] = f'{place.root}/build'
    # Whoever came first sets up until the other has said that it waits.
    place.stand_in('meson', 'mkdir "$2/busy" || exit 1; tries=0; '
                   f'until grep -q waiting {place.root}/said.* || [ $tries = 2000 ]; do '
                   'sleep 0.01; tries=$((tries + 1)); done; '
                   'rmdir "$2/busy"; mkdir "$2/meson-info"; : >"$2/build.ninja"; '
                   'for what in targets tests; do echo "[]" >"$2/meson-info/intro-$what.json"; done')
    builds = []
    for i in range(2):
        with open(f'{place.root}/said.{i}', 'wb') as output:
            builds.append(subprocess.Popen([f'{ROOT}/run', 'build'], env=place.environment,
                                           stdout=output, stderr=subprocess.STDOUT))
    for build in builds:
        build.wait(SOON * 2)
    said = []
    for i in range(2):
        with open(f'{place.root}/said.{i}', encoding='utf-8') as output:
            said.append(output.read())
    expect([build.returncode for build in builds] == [0, 0], str(said))
    expect(''.join(said).count('waiting for another build') == 1, str(said))
    expect_nothing_left(place)


def help_says_what_to_type(place):
    code, text = place.run('--help')
    expect(code == 0 and text.startswith('usage: ./run demo wordcount ['), f'{code} {text}')
    expect_nothing_left(place)


def what_cannot_be_read_is_said_in_one_line_a_kind(place):
    # Root reads everything unless this capability is taken away.
    prefix = [] if os.geteuid() else ['setpriv', '--inh-caps=-dac_override,-dac_read_search',
                                      '--bounding-set=-dac_override,-dac_read_search']
    if prefix and subprocess.run([*prefix, 'true'], check=False, stderr=subprocess.DEVNULL,
                                 env=place.environment).returncode:
        raise Skip('setpriv is missing, or may not drop capabilities here')
    code, text = place.run(place.little)
    expect(code == 0 and 'not be read' not in text, text)
    for name in ('a', 'b'):
        os.mkdir(f'{place.little}/{name}.d', 0)
        with open(f'{place.little}/{name}.txt', 'w', encoding='ascii') as file:
            file.write('zebra')
        os.chmod(f'{place.little}/{name}.txt', 0)
        code, text = place.run(place.little, prefix=prefix)
        expect(code == 0, text)
        several = name == 'b'
        for kind, ending, end in (('directories' if several else 'directory', 'd', ''),
                                  ('files' if several else 'file', 'txt', ' to the end')):
            line = (f'{"2" if several else "1"} {kind} could not be read{end}: '
                    f'{"the first is " if several else ""}{place.little}/a.{ending} '
                    '(Permission denied)\n')
            expect(text.count(line) == 1, f'no {line} in {text}')
    expect_nothing_left(place)


TESTS = [
    killed_run_takes_everything_along,
    killed_job_takes_its_workers_along_and_fails_the_run,
    killed_run_and_job_leave_no_directory,
    killed_run_job_and_mpd_leave_no_directory,
    run_killed_at_its_beginning_leaves_no_directory,
    what_stays_when_all_are_killed_is_swept_by_the_next,
    running_demo_is_not_swept_by_another,
    directory_of_somebody_else_is_not_swept,
    killed_mpd_and_supervisor_cost_no_time_at_the_end,
    stopped_worker_is_named,
    stopped_mpd_is_named_and_does_not_stay,
    sigterm_to_the_run_alone_ends_all,
    sigint_to_the_run_alone_ends_all,
    sighup_to_the_run_alone_ends_all,
    second_interrupt_does_not_stop_the_cleaning,
    leaving_mptop_shows_how_far_the_job_is,
    mptop_and_the_words_are_shown_in_the_locale_of_the_user,
    mptop_leaves_with_the_job_and_the_result_follows,
    signal_on_a_terminal_ends_all,
    ctrl_c_on_a_terminal_ends_all,
    run_killed_on_a_terminal_takes_mptop_along,
    killed_mptop_gives_the_terminal_back,
    full_place_for_files_costs_the_screen_not_the_result,
    long_name_for_the_place_of_files_is_no_hindrance,
    nothing_is_made_for_the_endpoint_of_the_user,
    result_that_cannot_be_written_is_a_failure,
    empty_name_is_refused_in_a_sentence,
    second_build_waits_for_the_first,
    wrong_options_are_told_without_the_place_of_the_build,
    help_says_what_to_type,
    what_cannot_be_read_is_said_in_one_line_a_kind,
]


if __name__ == '__main__':
    sys.exit(main(TESTS, sys.argv[3:]))
