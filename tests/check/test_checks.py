#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_checks.py ROOT: every check passes a small clean tree and fails when one fault is put in."""
import os
import shutil
import subprocess
import sys
import tempfile

CHECKS = 'tests/check'
CLEAN = {
    'libshm/bits.h': '/* SPDX-License-Identifier: MIT\n * Knows: words. */\n',
    'libshm/atom.h': '/* SPDX-License-Identifier: MIT\n * Knows: memory_order_relaxed. */\n',
    'libshm/seg.h': '/* SPDX-License-Identifier: MIT\n * Knows: memory. */\n#include "bits.h"\n',
    'libshm/seg.c': '/* SPDX-License-Identifier: MIT\n * Knows: memory. */\n#include "seg.h"\n\n'
                    'int seg_one(void)\n{\n\treturn 1;\n}\n',
    'libshm/tbl/errors.h': '/* SPDX-License-Identifier: MIT\n * Errors. */\nERROR(EINVAL, "an argument")\n',
    'libshm/include/libshm/base.h':
        '/* SPDX-License-Identifier: MIT\n * Base. */\n#include <stdint.h>\n'
        '/* Do.\n *\n * Blocks:  never.\n * Threads: any.\n * Crash:   nothing.\n'
        ' * Errors:  -EINVAL\n */\nint mp_do(void);\n',
    'libshm/include/libshm.h': '/* SPDX-License-Identifier: MIT\n * All. */\n#include <libshm/base.h>\n',
    'libshm/libshm.map': 'X {\nglobal:\n\tmp_do;\nlocal:\n\t*;\n};\n',
    'mpd/main.c': '/* SPDX-License-Identifier: MIT\n * Knows: all. */\n#include "seg.h"\n',
    'mptop/main.c': '/* SPDX-License-Identifier: MIT\n * Knows: screens. */\n#include <libshm.h>\n',
    'run': '#!/bin/sh\necho "$1"\n',
    '.ci/run': '#!/bin/sh\necho "$1"\n',
    'tests/one.sh': '#!/bin/sh\necho "$1"\n',
    'man/mp_do.3': '.TH mp_do 3 2026-11-22 "x"\n.SH NAME\nmp_do \\- do\n.SH SYNOPSIS\nint mp_do(void);\n'
                   '.SH DESCRIPTION\nDo.\n'
                   '.SH RETURN VALUE\n0.\n.SH ERRORS\n.TP\n.B \\-EINVAL\nAn argument.\n'
                   '.SH BLOCKING\nNever.\n.SH THREADS\nAny.\n.SH AFTER A CRASH\nNothing.\n'
                   '.SH SEE ALSO\nNothing.\n',
    'mpd/say.c': '/* SPDX-License-Identifier: MIT\n * Knows: words. */\n'
                 '#define SAY(a) log_error("no %d of "\\\n\t\t"it; mend it", a)\n',
    'docs/operations.md': '| `no … of it` | mend it |\n| it was asked for | `--keep` |\n',
    'libshm/tbl/reasons.h': '/* SPDX-License-Identifier: MIT\n * Reasons. */\n'
                            'REASON(1, ASKED, "it was asked for")\n',
    'mpd/options.h': '/* SPDX-License-Identifier: MIT\n * Knows: options. */\n'
                     'OPTION(keep, "keep", NULL, NULL, BOTH, FLAG, "stay")\n',
    'libshm/tbl/quotas.h': '/* SPDX-License-Identifier: MIT\n * Quotas. */\n'
                           'QUOTA(BYTES, bytes, "bytes", "1", "bytes")\n',
    'tests/sys/test_quota.c': '/* SPDX-License-Identifier: MIT\n * Knows: quotas. */\nSAYS("over quota bytes: 1 of 1 are used");\n',
    'docs/man/mpd.1.scd': '\n*--keep*\n\tStay.\n*--bytes*\n\tBytes.\n',
    'docs/man/mpd.conf.5.scd': '\n*keep*, _yes_ or _no_\n\tStay.\n*bytes*, _N_\n\tBytes.\n',
    'docs/man/libshm.7.in': '.SH ENVIRONMENT\n.TP\n.B MP_MPD\nA path.\n.SH FILES\nMP_OTHER\n',
    'docs/man/mptop.1.scd': 'mptop(1)\n\n*-e*, *--endpoint* _PATH_\n\tA path.\n',
    'docs/man/meson.build': "# SPDX-License-Identifier: MIT\nforeach page : ['mptop.1']\n",
    'libshm/spawn.c': '/* SPDX-License-Identifier: MIT\n * Knows: mpd. */\n#include <stdlib.h>\n\n'
                      'char *spawn_path(void)\n{\n\treturn getenv("MP_MPD");\n}\n',
    'mptop/options.h': '/* SPDX-License-Identifier: MIT\n * Knows: options. */\n#define OPTIONS \\\n'
                       '\tOPTION(ENDPOINT, "endpoint", \'e\', "PATH", "a path")\n',
    'mptop/meson.build': "executable('mptop', 'main.c',\n  install: true)\n",
    'docs/program.md': '```c\nint main(void)\n{\n\treturn 0;\n}\n```\n',
    'program.c': '#include <unistd.h>\n\nint main(void)\n{\n\treturn write(1, "", 1) != 1;\n}\n',
    'tests/lib/fault_calls.c': '/* SPDX-License-Identifier: MIT\n * Knows: calls. */\n'
                               'WRAP(WRITE, int, write, (int fd), (fd), FAILS(-1))\n',
    'tests/meson.build': "# SPDX-License-Identifier: MIT\nforeach name : ['write']\n"
                         "  fault_link_args += '-Wl,--wrap=' + name\nendforeach\n",
    CHECKS + '/calls.txt': 'the runtime: __cxa_finalize __libc_start_main __gmon_start__\n'
                           '\t_ITM_deregisterTMCloneTable _ITM_registerTMCloneTable\n',
    'library.c': 'int mp_do(void);\nint mp_do(void)\n{\n\treturn 0;\n}\n',
}
LONG = 'int seg_long(int a);\nint seg_long(int a)\n{\n' + '\ta++;\n' * 80 + '\treturn a;\n}\n'
MAZE = ('int seg_maze(int a);\nint seg_maze(int a)\n{\n' +
        ''.join(f'\tif (a == {i})\n\t\treturn {i};\n' for i in range(13)) + '\treturn a;\n}\n')
FAT = '\n'.join(f'int seg_{i}(void)\n{{\n' + '\tseg_one();\n' * 14 + f'\treturn {i};\n}}\n'
                for i in range(3))
INSIDE = 'int seg_if(void)\n{\n#ifdef A\n\treturn 1;\n#else\n\treturn 2;\n#endif\n}\n'

# (check, what the fault is, file, text to replace or None to append, new text)
FAULTS = [
    ('layers.py', 'an arrow up', 'libshm/bits.h', None, '#include "seg.h"\n'),
    ('layers.py', 'a circle', 'libshm/atom.h', None, '#include "bits.h"\n#include "atom.h"\n'),
    ('layers.py', 'a file in no layer', 'libshm/stray.c', None, '/* */\n'),
    ('layers.py', 'a foreign name', 'mpd/main.c', None, '#include "nowhere.h"\n'),
    ('layers.py', 'the tool sees the layout', 'mptop/main.c', None, '#include "libshm/seg.h"\n'),
    ('contract.py', 'a missing line', 'libshm/include/libshm/base.h', ' * Crash:   nothing.\n', ''),
    ('contract.py', 'no comment', 'libshm/include/libshm/base.h', None, '\nint mp_mute(void);\n'),
    ('contract.py', 'an unknown error', 'libshm/include/libshm/base.h', '-EINVAL', '-EDOM'),
    ('calls.py', 'a call that nothing makes fail', 'program.c', '(1, "", 1)',
     '(rmdir(""), "", 1)'),
    ('calls.py', 'a number that nothing makes fail', 'mpd/main.c', None, 'long n = SYS_bpf;\n'),
    ('calls.py', 'a reason for what nobody calls', CHECKS + '/calls.txt', None, '\nold: gets\n'),
    ('calls.py', 'a call that the linker does not turn', 'tests/meson.build', "'write'", "'wrote'"),
    ('exports.py', 'a name not in the map', 'libshm/libshm.map', '\tmp_do;\n', ''),
    ('exports.py', 'a name not declared', 'libshm/include/libshm/base.h', 'int mp_do(void);', ''),
    ('exports.py', 'an internal symbol', 'library.c', None, 'int seg_x(void);\nint seg_x(void)\n{\n\treturn 0;\n}\n'),
    ('man.py', 'a missing section', 'man/mp_do.3', '.SH THREADS\nAny.\n', ''),
    ('man.py', 'an error not explained', 'man/mp_do.3', 'EINVAL', 'EPERM'),
    ('man.py', 'a page of nothing', 'man/mp_gone.3', None, '.SH NAME\n'),
    ('man.py', 'no page', 'libshm/include/libshm/base.h', None, 'int mp_mute(void);\n'),
    ('man.py', 'an option not told', 'docs/man/mpd.1.scd', '--keep', '--leave'),
    ('man.py', 'a key not told', 'docs/man/mpd.conf.5.scd', '*keep*', '*leave*'),
    ('man.py', 'a quota not told', 'docs/man/mpd.1.scd', '--bytes', '--many'),
    ('man.py', 'a key that is none', 'mpd/options.h', 'BOTH', 'LINE'),
    ('manual.py', 'a variable not told', 'libshm/spawn.c', 'MP_MPD', 'MP_OTHER'),
    ('manual.py', 'a variable in a table', 'mpd/main.c', None, 'static const char *a = "SOME_FD";\n'),
    ('manual.py', 'a program without a page', 'mptop/meson.build', "'mptop'", "'other'"),
    ('manual.py', 'a page that is not built', 'docs/man/meson.build', "'mptop.1'", ''),
    ('manual.py', 'an option that only the program has', 'docs/man/mptop.1.scd', '*--endpoint*', ''),
    ('manual.py', 'an option that only the page has', 'docs/man/mptop.1.scd', None, '*-x*, *--gone*\n'),
    ('logs.py', 'a line not told', 'docs/operations.md', 'of it', 'of us'),
    ('operations.py', 'an option that is none', 'docs/operations.md', '--keep', '--kept'),
    ('operations.py', 'a reason not told', 'docs/operations.md', 'asked for', 'wished'),
    ('quotas.py', 'a quota that no test reaches', 'libshm/tbl/quotas.h', None,
     'QUOTA(MORE, more, "bytes-more", "1", "more")\n'),
    ('snippets.py', 'a wrong program', 'docs/program.md', 'return 0', 'return zero'),
    ('metrics.py', 'a long function', 'libshm/seg.c', None, LONG),
    ('metrics.py', 'a maze', 'libshm/seg.c', None, MAZE),
    ('metrics.py', 'a fat median', 'libshm/seg.c', None, FAT),
    ('metrics.py', 'a condition inside', 'libshm/seg.c', None, INSIDE),
    ('metrics.py', 'a long file', 'libshm/seg.c', None, '\n' * 500),
    ('metrics.py', 'a long header', 'libshm/seg.h', None, '\n' * 300),
    ('style.py', 'no licence', 'libshm/seg.c', 'SPDX', 'XPDS'),
    ('style.py', 'nothing known', 'libshm/seg.c', 'Knows', 'Has'),
    ('style.py', 'a long line', 'libshm/seg.c', None, '/* ' + 'x' * 100 + ' */\n'),
    ('style.py', 'blanks at the end', 'libshm/seg.c', None, 'int a; \n'),
    ('style.py', 'a scratch comment', 'libshm/seg.c', None, 'int a; // b\n'),
    ('style.py', 'something to do', 'libshm/seg.c', None, '/* TO' 'DO */\n'),
    ('refs.sh', 'an offset added', 'mpd/main.c', None, 'void *a = seg->base + 8;\n'),
    ('refs.sh', 'an offset indexed', 'mpd/main.c', None, 'void *a = &seg->base[8];\n'),
    ('order.sh', 'an order named', 'libshm/seg.c', None, 'int a = memory_order_acquire;\n'),
    ('order.sh', 'a fence', 'libshm/seg.c', None, 'void f(void) { __sync_synchronize(); }\n'),
    ('headers.sh', 'a header that needs another', 'libshm/include/libshm/base.h',
     '#include <stdint.h>', 'uint32_t a(void);'),
    ('shell.sh', 'an unquoted word', 'run', '"$1"', '$1'),
    ('spelling.sh', 'a typo', 'libshm/seg.c', 'memory', 'memeory'),
]


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, 'w', encoding='utf-8') as file:
        file.write(text)


def make_tree(root, checks):
    for path, text in CLEAN.items():
        write(root, path, text)
    for name in ('README.md', 'docs/a.md'):
        write(root, name, 'text\n')
    os.makedirs(os.path.join(root, 'docs/examples'))
    for name in ('layers.txt', 'spelling.txt'):
        shutil.copy(os.path.join(checks, name), os.path.join(root, CHECKS))


def put_fault(root, path, old, new):
    full = os.path.join(root, path)
    text = open(full, encoding='utf-8').read() if os.path.exists(full) else ''
    assert old is None or old in text, f'{path} has no {old!r}'
    write(root, path, text + new if old is None else text.replace(old, new))


def run_check(root, checks, name):
    """(exit code, output) of a check on that tree."""
    arguments = [root]
    if name == 'exports.py':
        library = os.path.join(root, 'library.so')
        subprocess.run(['cc', '-shared', '-fPIC', '-o', library, os.path.join(root, 'library.c')],
                       check=True)
        arguments.append(library)
    if name == 'calls.py':
        program = os.path.join(root, 'program')
        subprocess.run(['cc', '-w', '-o', program, os.path.join(root, 'program.c')], check=True)
        arguments.append(program)
    if name == 'headers.sh':
        arguments += ['c', 'c11', 'cc']
    if name == 'man.py':
        arguments.append(os.path.join(root, 'man'))
    if name == 'snippets.py':
        arguments.append('cc')
    done = subprocess.run([os.path.join(checks, name)] + arguments, capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout + done.stderr


def verdict(checks, name, fault):
    """(ok, skipped, output): with a fault the check must say 1, without one 0."""
    with tempfile.TemporaryDirectory() as root:
        make_tree(root, checks)
        if fault:
            put_fault(root, *fault)
        code, output = run_check(root, checks, name)
        return code == (1 if fault else 0) or code == 77, code == 77, output


def main(root):
    checks = os.path.join(root, CHECKS)
    rows = [(name, 'nothing', None) for name in sorted({fault[0] for fault in FAULTS})]
    rows += [(name, what, (path, old, new)) for name, what, path, old, new in FAULTS]
    failed = 0
    print(f'1..{len(rows)}')
    for number, (name, what, fault) in enumerate(rows, 1):
        good, skipped, output = verdict(checks, name, fault)
        if not good:
            failed += 1
            print(''.join(f'# {line}\n' for line in output.splitlines()), end='')
        print(f'{"" if good else "not "}ok {number} - {name} finds {what}' +
              (' # SKIP its tool is not installed' if skipped else ''), flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
