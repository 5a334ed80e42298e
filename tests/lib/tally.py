#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sum up meson's test results: tally.py RESULTS.json...

Counts test cases (lines of TAP), not executables; an executable that says nothing counts as one,
and one that failed without a failing case counts as one failure more. Ends with the line
"N passed, N failed, N skipped"; exit 1 if anything failed."""
import json
import re
import sys

CASE = re.compile(r'^(not )?ok\b\s*\d*\s*-?\s*([^#]*)(?:#\s*(SKIP)\b\s*(.*))?', re.IGNORECASE)


def cases(record):
    """(verdict, name, reason) of each test case of one executable."""
    found = []
    for line in record.get('stdout', '').splitlines():
        match = CASE.match(line)
        if match:
            bad, name, skip, reason = match.groups()
            verdict = 'failed' if bad else 'skipped' if skip else 'passed'
            found.append((verdict, name.strip(), reason or ''))
    result = record['result']
    if result in ('OK', 'EXPECTEDFAIL'):
        return found or [('passed', '', '')]
    if result == 'SKIP':
        return found or [('skipped', '', reason_of(record))]
    if not any(verdict == 'failed' for verdict, _, _ in found):
        found.append(('failed', result.lower(), ''))
    return found


def reason_of(record):
    lines = [line for line in record.get('stdout', '').splitlines() if line.strip()]
    return lines[-1].strip() if lines else ''


def main():
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    for path in sys.argv[1:]:
        for line in open(path, encoding='utf-8', errors='replace'):
            record = json.loads(line)
            test = record['name'].split(' / ')[-1]
            engine = record.get('env', {}).get('MP_WAIT_ENGINE', '')
            where = f'{test} ({engine})' if engine else test
            for verdict, name, reason in cases(record):
                counts[verdict] += 1
                if verdict != 'passed':
                    print(f'{verdict}: {where}: {name} {reason}'.rstrip(': '))
            if record['result'] not in ('OK', 'SKIP', 'EXPECTEDFAIL'):
                show(record)
    print('{passed} passed, {failed} failed, {skipped} skipped'.format(**counts))
    return 1 if counts['failed'] else 0


def show(record):
    """The end of what a failed executable printed."""
    text = record.get('stdout', '') + record.get('stderr', '')
    lines = [line for line in text.splitlines() if not line.startswith('ok ')]
    for line in lines[-40:]:
        print('    ' + line)


if __name__ == '__main__':
    sys.exit(main())
