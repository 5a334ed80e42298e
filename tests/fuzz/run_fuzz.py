#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The fuzz targets and their mutants: run_fuzz.py DIRECTORY_OF_PROGRAMS DIRECTORY_FOR_INPUTS.

Each target goes on from its corpus and the findings that are kept; each mutant replays them. A
crash, a hang, a leak or a mutant that survives is a failure; inputs that failed are left in
DIRECTORY_FOR_INPUTS. MP_TEST_SCALE above 1 (nightly) gives each target 20 minutes.
Ends with one line in plain digits."""
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from mutants import MUTANTS

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ('attach', 'observe', 'protocol')
# Seconds for each target, and for an input: one takes a millisecond, a busy machine more.
CI, NIGHTLY = 20, 1200
PATIENCE, PATIENCE_OF_MUTANTS = 25, 5
INPUT_BYTES_MAX = 1024
MEMORY_MB = 2048
MUTANT_SECONDS = 120
RUNS = re.compile(r'^stat::number_of_executed_units:\s*(\d+)$', re.MULTILINE)
WHY = re.compile(r'^.*(?:runtime error: |does not hold: |ERROR: \w+: ).*$', re.MULTILINE)
# Leaks are looked for at the end; a fuzzer that looks after each input does nothing else.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS='detect_stack_use_after_return=1',
                   UBSAN_OPTIONS='halt_on_error=1:print_stacktrace=1')


def cpus():
    return len(os.sched_getaffinity(0))


def kept(target):
    """Folders of inputs in the tree."""
    folders = (f'{HERE}/corpus/{target}', f'{HERE}/findings/{target}')
    return [folder for folder in folders if os.path.isdir(folder)]


def inputs_in(folders):
    return [f'{folder}/{name}' for folder in folders for name in sorted(os.listdir(folder))]


def run(command, seconds):
    """Exit code, output. -1: it had to be killed."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, errors='replace', text=True,
                              timeout=seconds, env=ENVIRONMENT, check=False)
    except subprocess.TimeoutExpired as late:
        output = late.stdout or ''
        return -1, output if isinstance(output, str) else output.decode(errors='replace')
    return done.returncode, done.stdout


def reason(code, output):
    found = WHY.search(output)
    return found.group(0).strip() if found else f'exit code {code}'


def fuzz(programs, inputs, target, seconds):
    """(inputs played, findings) of one target."""
    kept_inputs = inputs_in(kept(target))
    with tempfile.TemporaryDirectory() as grown:
        code, output = run([f'{programs}/fuzz_{target}', f'-max_total_time={seconds}',
                            f'-timeout={PATIENCE}', f'-max_len={INPUT_BYTES_MAX}',
                            f'-rss_limit_mb={MEMORY_MB}', '-print_final_stats=1',
                            f'-artifact_prefix={inputs}/{target}-', grown, *kept(target)],
                           seconds + 120)
    found = RUNS.search(output)
    runs = int(found.group(1)) if found else 0
    if code == 0 and runs > len(kept_inputs) > 0:
        print(f'{target}: {runs} inputs, none fails', flush=True)
        return runs, 0
    print(f'{target}: {reason(code, output)}', flush=True)
    for line in output.splitlines()[-60:]:
        print('    ' + line)
    return runs, 1


def is_caught(programs, mutant):
    """By what is kept alone: what finds it must not depend on luck."""
    with tempfile.TemporaryDirectory() as scratch:
        code, output = run([f'{programs}/fuzz_{mutant.name}', f'-timeout={PATIENCE_OF_MUTANTS}',
                            f'-rss_limit_mb={MEMORY_MB}', f'-artifact_prefix={scratch}/',
                            *inputs_in(kept(mutant.target))], MUTANT_SECONDS)
    caught = code != 0
    print(f'mutant {mutant.name}:', reason(code, output) if caught else 'it survives', flush=True)
    return caught


def main():
    programs, inputs = sys.argv[1:3]
    seconds = NIGHTLY if float(os.environ.get('MP_TEST_SCALE') or 1) > 1 else CI
    os.makedirs(inputs, exist_ok=True)
    with ThreadPoolExecutor(cpus()) as pool:
        done = list(pool.map(lambda target: fuzz(programs, inputs, target, seconds), TARGETS))
        caught = sum(pool.map(lambda mutant: is_caught(programs, mutant), MUTANTS))
    findings = sum(bad for _, bad in done)
    print(f'{caught} of {len(MUTANTS)} mutants caught')
    if findings:
        print(f'what failed is in {inputs}; mended, it is kept in tests/fuzz/findings')
    print(f'fuzz: {len(TARGETS)} targets, {sum(runs for runs, _ in done)} inputs, '
          f'{findings} findings', flush=True)
    return 0 if findings == 0 and caught == len(MUTANTS) else 1


if __name__ == '__main__':
    sys.exit(main())
