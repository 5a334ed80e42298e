# SPDX-License-Identifier: MIT
"""What run_models.py searches: (model, what is searched, kind, flags, from which scale on), and
(model, mutant, kind, flags). The kind is 'safety' or 'live'. The long ones come first."""

PROPERTIES = [
    ('queue_cell', 'two putters, two getters, a putter dies', 'safety',
     '-DPUTTERS=2 -DGETTERS=2 -DPUTS=1 -DMORTAL=1', 1),
    ('queue_cell', 'two recoverers, one of them late: all ends', 'live',
     '-DPUTTERS=1 -DGETTERS=1 -DRECOVERERS=2 -DPUTS=2', 1),
    ('queue_cell', 'two putters: all ends', 'live', '-DPUTTERS=2 -DGETTERS=1 -DPUTS=1', 1),
    ('queue_cell', 'two recoverers, three laps', 'safety',
     '-DPUTTERS=1 -DGETTERS=1 -DRECOVERERS=2 -DPUTS=3', 1),
    ('queue_cell', 'two getters, two messages', 'safety', '-DPUTTERS=1 -DGETTERS=2 -DPUTS=2', 1),
    ('queue_cell', 'two getters: all ends', 'live', '-DPUTTERS=1 -DGETTERS=2 -DPUTS=1', 1),
    ('queue_cell', 'two deaths, also of the recoverer: all ends', 'live',
     '-DPUTTERS=1 -DGETTERS=1 -DPUTS=2 -DDEATHS=2 -DMORTAL=7', 1),
    ('queue_cell', 'two putters, two getters, anyone dies', 'safety',
     '-DPUTTERS=2 -DGETTERS=2 -DPUTS=1', 2),
    ('queue_cell', 'two putters, two messages each', 'safety', '-DPUTTERS=2 -DGETTERS=1 -DPUTS=2', 2),
    ('queue_cell', 'two getters, two recoverers', 'safety',
     '-DPUTTERS=1 -DGETTERS=2 -DRECOVERERS=2 -DPUTS=2', 2),
]

ONE_EACH = '-DPUTTERS=1 -DGETTERS=1 -DPUTS=2'
LATE = '-DPUTTERS=1 -DGETTERS=1 -DRECOVERERS=2 -DPUTS=3 -DMORTAL=1'

MUTANTS = [
    ('queue_cell', 1, 'safety', ONE_EACH),
    ('queue_cell', 2, 'safety', ONE_EACH),
    ('queue_cell', 3, 'live', ONE_EACH),
    ('queue_cell', 4, 'live', ONE_EACH),
    ('queue_cell', 5, 'live', ONE_EACH),
    ('queue_cell', 6, 'safety', ONE_EACH),
    ('queue_cell', 7, 'live', LATE),
    ('queue_cell', 8, 'live', LATE),
    ('queue_cell', 9, 'live', '-DPUTTERS=1 -DGETTERS=2 -DPUTS=1'),
    ('queue_cell', 10, 'safety', ONE_EACH),
    ('queue_cell', 11, 'safety', ONE_EACH),
    ('queue_cell', 12, 'safety', ONE_EACH),
    ('queue_cell', 13, 'live', ONE_EACH),
]
