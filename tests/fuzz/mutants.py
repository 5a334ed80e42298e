# SPDX-License-Identifier: MIT
"""Faults that the fuzz targets must find: one line of the source each, as in tests/crash.

mutants.py --names            "NAME SOURCE TARGET" of each, for meson
mutants.py NAME SOURCE OUT    SOURCE with that line under #ifdef MUTANT; fails unless it is there once"""
import importlib.util
import os
import sys
from collections import namedtuple

Mutant = namedtuple('Mutant', 'name source line becomes target')

MUTANTS = [
    Mutant('ring_longer_than_its_block', 'libshm/queue_ring.c',
           'capacity * sizeof(struct shm_cell) <= bytes;',
           'true;',
           'attach'),
    Mutant('thread_beyond_the_table', 'libshm/slot.c',
           'if (who_slot(who) == SLOT_NONE || who_slot(who) >= seg->at.max_threads)',
           'if (who_slot(who) == SLOT_NONE)',
           'attach'),
    Mutant('message_longer_than_its_block', 'libshm/queue_take.c',
           'return data && *ret_len <= bytes ? data : NULL;',
           'return data;',
           'attach'),
    Mutant('guard_waited_for_without_end', 'libshm/slot.c',
           'if (clock_is_past(patience_ends_ns))',
           'if (false)',
           'attach'),
    Mutant('file_shorter_than_the_header_says', 'libshm/seg.c',
           'if (copy->size_bytes != file_size)',
           'if (false)',
           'attach'),
    Mutant('escape_reaches_the_terminal', 'libshm/text.c',
           'return text[0] >= 0x20 && text[0] != 0x7f;',
           'return 1;',
           'observe'),
    Mutant('quote_ends_the_string', 'mptop/json.c',
           "if (*at == '\"' || *at == '\\\\')",
           "if (*at == '\\\\')",
           'observe'),
    Mutant('more_held_than_there_is_room_for', 'libshm/observe.c',
           'row->held_count = count < HELD_MAX ? count : HELD_MAX;',
           'row->held_count = count;',
           'observe'),
    Mutant('granules_beyond_the_arena', 'libshm/observe.c',
           'if (length > copy->at.granule_count - at)',
           'if (false)',
           'observe'),
    Mutant('end_of_a_file_waited_for', 'libshm/observe_copy.c',
           'return -EBADMSG;',
           'continue;',
           'observe'),
    Mutant('unasked_descriptors_stay', 'mpd/ctl.c',
           'wire_close_fds(&fds);',
           ';',
           'protocol'),
    Mutant('hold_outlives_its_connection', 'mpd/hold.c',
           'segment->holds--;',
           ';',
           'protocol'),
    Mutant('list_longer_than_its_packet', 'libshm/observe_find.c',
           'if (list.count != (call.answer_bytes - sizeof(list)) / sizeof(*rows))',
           'if (false)',
           'protocol'),
    Mutant('roster_without_a_descriptor', 'libshm/connection.c',
           '(result >= 0 && (fds.count != 1 || welcome.signature != layout_signature()))) {',
           '(result >= 0 && welcome.signature != layout_signature())) {',
           'protocol'),
]


def weave(mutant, source, out):
    """As tests/crash/mutants.py does."""
    folder = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location('crash_mutants',
                                                  f'{folder}/../crash/mutants.py')
    crash_mutants = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(crash_mutants)
    crash_mutants.weave(mutant, source, out)


def main(arguments):
    if arguments == ['--names']:
        for mutant in MUTANTS:
            print(mutant.name, mutant.source, mutant.target)
        return
    name, source, out = arguments
    weave(next(mutant for mutant in MUTANTS if mutant.name == name), source, out)


if __name__ == '__main__':
    main(sys.argv[1:])
