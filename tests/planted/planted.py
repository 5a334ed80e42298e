#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Faults put into the source, one each, and the test that must fail of it.

planted.py --names                "NAME SOURCE ROOM PROGRAM" of each, for meson
planted.py NAME SOURCE OUT        SOURCE with that fault; fails unless the place is there once
planted.py --check ROOT           every place is there once, and every test
planted.py --run DIRECTORY        run the tests with the faults that DIRECTORY's programs have

These tests passed when they were written; here they are seen failing. A fault of libshm is linked
into the test's program before the library, one of mpd into an mpd that the test starts. The names
of the programs are those of the build: DIRECTORY/planted_NAME, or DIRECTORY/planted_mpd_NAME."""
import os
import re
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

Fault = namedtuple('Fault', 'name source place becomes test')

# test: SUITE/PROGRAM/TEST
FAULTS = [
    # --- tests/unit/test_bad_input.c
    Fault('size_taken_as_it_comes', 'libshm/segment_opts.c',
          'error = check_size(name, opts);',
          'error = 0;',
          'unit/bad_input/size_that_cannot_be_is_refused_before_anything_is_started'),
    Fault('capacity_without_end', 'libshm/queue_object.c',
          'opts->capacity > QUEUE_CAPACITY_MAX',
          'false',
          'unit/bad_input/queue_that_cannot_be_is_refused_and_leaves_nothing'),
    Fault('queue_without_room_keeps_its_head', 'libshm/object.c',
          '\tif (error < 0) {\n\t\tarena_free(seg, NULL, me->client, reference);\n',
          '\tif (error < 0) {\n',
          'unit/bad_input/queue_that_cannot_be_is_refused_and_leaves_nothing'),
    Fault('length_beyond_the_wish_taken', 'libshm/queue.c',
          '(!queue->message_bytes || len <= queue->message_bytes) &&',
          '',
          'unit/bad_input/message_that_is_too_large_is_refused_and_the_others_stay'),
    Fault('message_lost_on_a_small_buffer', 'libshm/queue_take.c',
          'if (likely(cell_meta_len(ret_taken->meta) <= cap)) {',
          'if (true) {',
          'unit/bad_input/message_stays_where_the_buffer_is_too_small'),
    Fault('length_needed_untold', 'libshm/queue.c',
          'ret_info->len = cell_meta_len(taken.meta);',
          ';',
          'unit/bad_input/message_stays_where_the_buffer_is_too_small'),
    Fault('id_of_any_generation', 'libshm/object.c',
          'if (word != entry_word(ENTRY_LIVE, generation) &&\n',
          'generation = entry_word_generation(word);\n'
          '\tif (word != entry_word(ENTRY_LIVE, generation) &&\n',
          'unit/bad_input/id_of_what_was_there_before_is_stale'),
    Fault('id_of_what_is_unlinked', 'libshm/object.c',
          'if (word != entry_word(ENTRY_LIVE, generation) &&\n',
          'if (word != entry_word(ENTRY_REMOVED, generation) &&\n'
          '\t    word != entry_word(ENTRY_LIVE, generation) &&\n',
          'unit/bad_input/id_of_what_was_made_again_is_stale'),
    Fault('null_queue_believed', 'libshm/queue.c',
          '\tif (unlikely(!queue))\n\t\treturn opts_refuse_null(__func__, "queue");\n'
          '\tresult = self_get(queue->ring.seg, &me);\n',
          '\tresult = self_get(queue->ring.seg, &me);\n',
          'unit/bad_input/no_handle_is_closed_without_harm'),
    Fault('mpd_started_unasked', 'libshm/connection.c',
          'if (is_nobody_there(result) && may_spawn)',
          'if (is_nobody_there(result))',
          'unit/bad_input/without_mpd_and_with_no_spawn_nothing_is_started'),
    Fault('path_cut', 'libshm/wire.c',
          'snprintf(ret_path, PATH_BYTES, "%s", only) < (int)PATH_BYTES;',
          'snprintf(ret_path, PATH_BYTES, "%s", only) > 0;',
          'unit/bad_input/path_that_no_socket_can_have_is_refused'),
    Fault('anything_in_the_way_removed', 'libshm/connection.c',
          'result = connection_check_directory(path);',
          'result = (unlink(path), connection_check_directory(path));',
          'unit/bad_input/file_in_the_place_of_the_socket_stays'),
    Fault('directory_of_another_believed', 'libshm/wire.c',
          'if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & forbidden))',
          'if (!S_ISDIR(info.st_mode))',
          'unit/bad_input/directory_that_another_user_has_planted_is_not_used'),
    Fault('link_followed', 'libshm/wire.c',
          'if (lstat(path, &info) < 0)\n\t\treturn -errno;\n\tif (!S_ISDIR',
          'if (stat(path, &info) < 0)\n\t\treturn -errno;\n'
          '\tif (info.st_uid == 0)\n\t\treturn 0;\n\tif (!S_ISDIR',
          'unit/bad_input/directory_that_another_user_has_planted_is_not_used'),
    # --- the last three of tests/sys/test_bad_wire.c
    Fault('deaf_client_kept', 'mpd/ctl.c',
          'if (status < 0 && status != -EPIPE && status != -ECONNRESET)',
          'if (status < 0 && status != -EPIPE && status != -ECONNRESET && status != -EAGAIN)',
          'sys/bad_wire/client_that_does_not_read_is_dropped'),
    Fault('no_limit_a_turn', 'mpd/ctl.c',
          'for (unsigned i = 0; i < REQUESTS_A_TURN; i++)',
          'for (;;)',
          'sys/bad_wire/one_that_asks_without_end_does_not_keep_others_from_their_answers'),
    Fault('silence_waited_for', 'mpd/ctl.c',
          'latest_accept_ns = clock_now_ns();',
          'latest_accept_ns = clock_now_ns();\n'
          '\t(void)poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, -1);',
          'sys/bad_wire/connections_that_say_nothing_hold_nobody_up'),
    # --- tests/sys/test_quota.c
    Fault('opens_of_a_user_uncounted', 'mpd/quota.c',
          'error = check(QUOTA_USER_OPENS, traffic_of(conn->uid, 0).opens, 1, why);',
          'error = 0;',
          'sys/quota/opens_under_way_are_counted_for_the_user'),
    Fault('opens_counted_for_ever', 'mpd/hold.c',
          'conn->hold_count--;',
          ';',
          'sys/quota/opens_under_way_are_counted_for_the_user'),
    # --- tests/sys/test_worlds_many.c
    Fault('descriptor_of_a_segment_kept', 'libshm/seg.c',
          'own_fd_close(seg->fd, seg->file);',
          ';',
          'sys/worlds_many/ten_thousand_attaches_of_one_process_leave_nothing'),
    Fault('slot_kept_by_who_leaves', 'libshm/slot.c',
          'client_word(SLOT_FREE, generation, 0, 0));',
          'word);',
          'sys/worlds_many/ten_thousand_attaches_of_one_process_leave_nothing'),
    Fault('memory_of_an_ended_segment_kept', 'mpd/segment.c',
          'segment->seg = seg_unmap(segment->seg);\n\tclose_files(segment);',
          'segment->seg = seg_unmap(segment->seg);',
          'sys/worlds_many/segments_made_and_ended_leave_nothing'),
    Fault('pidfd_of_the_dead_kept', 'mpd/reaper.c',
          'if (process->pidfd >= 0)\n\t\tclose(process->pidfd);\n\tprocess->pidfd = -1;',
          'process->pidfd = -1;',
          'sys/worlds_many/processes_that_come_and_go_leave_nothing'),
    Fault('full_table_is_no_memory', 'libshm/slot.c',
          '*ret_generation = generation;\n\t\treturn 0;\n\t}\n\treturn -ENOSPC;',
          '*ret_generation = generation;\n\t\treturn 0;\n\t}\n\treturn -ENOMEM;',
          'sys/worlds_many/full_table_of_processes_names_the_limit_and_has_room_again'),
    Fault('thread_slot_kept_by_who_ends', 'libshm/self.c',
          'slot_free_thread(seg, self->thread, load_relaxed(&self->shared->word));',
          ';',
          'sys/worlds_many/full_table_of_threads_names_the_limit_and_has_room_again'),
    # --- tests/sys/test_worlds_pause.c
    Fault('silence_taken_for_death', 'libshm/lock.c',
          'return result == -EAGAIN ? explain_wait(lock, waited) : result;',
          'if (waited < 0 && result == -EAGAIN)\n'
          '\t\tlock->seg->hooks->client_died(lock->seg, blocker(lock),\n'
          '\t\t\tclient_word_generation(slot_client_word(lock->seg, blocker(lock))));\n'
          '\treturn result == -EAGAIN ? explain_wait(lock, waited) : result;',
          'sys/worlds_pause/for_long_is_not_taken_for_dead'),
    Fault('death_left_to_mpd', 'libshm/slot_process.c',
          '*ret_is_gone = errno == ESRCH || is_gone_without_pidfd(seg, client, word);',
          ';',
          'sys/worlds_pause/death_is_seen_by_peers_while_mpd_is_stopped'),
    Fault('segment_in_the_core', 'libshm/seg.c',
          '(void)madvise(base, seg->size, MADV_DONTDUMP);',
          ';',
          'sys/worlds_pause/core_of_a_client_leaves_the_segment_out'),
    # --- tests/unit/test_turns.c
    Fault('cells_all_at_once', 'libshm/queue_object.c',
          '\t\tif (!turn_take(walk->turn, 1))\n\t\t\treturn false;\n\t\trecover_cell(',
          '\t\trecover_cell(',
          'unit/turns/sweep_in_pieces_repairs_all_that_one_at_once_does'),
    Fault('sweep_goes_on_with_what_is_over', 'libshm/recover.c',
          '\t\tif (!sweep_is_current(sweep))\n\t\t\treturn true;\n\t\tif (!stages',
          '\t\tif (sweep->stage > 0 && !sweep_is_current(sweep))\n\t\t\treturn false;\n'
          '\t\tif (!stages',
          'unit/turns/peer_may_finish_a_sweep_between_two_of_its_pieces'),
    Fault('object_freed_at_once', 'libshm/queue_object.c',
          '\t\tif (!turn_take(walk->turn, 1))\n\t\t\treturn false;\n\t\tcell_block(',
          '\t\tcell_block(',
          'unit/turns/object_that_nobody_holds_is_freed_in_pieces'),
    Fault('freeing_without_an_intent', 'libshm/object_free.c',
          'intent_begin(intent_of_mpd(seg), INTENT_FREE_OBJECT,',
          'intent_begin(intent_of_mpd(seg), INTENT_NONE,',
          'unit/turns/successor_finishes_what_mpd_was_freeing_when_it_died'),
    Fault('walk_as_far_as_it_goes', 'libshm/queue_ring.c',
          '#define WALK_NEAR WALK_MAX(QUEUE_NEAR)',
          '#define WALK_NEAR WALK_MAX(ring->capacity)',
          'unit/turns/audit_rings_rather_than_walk_over_a_forged_queue'),
    Fault('all_sleepers_at_once', 'libshm/recover_audit.c',
          'return turn_take(walk->turn, count ? LOOKS_OF_WAITED * WAIT_RECORDS_MAX : 1);',
          'return count < UINT32_MAX;',
          'unit/turns/look_of_mpd_at_many_sleepers_takes_several_turns'),
    # --- tests/sys/test_hostile.c
    Fault('sweep_to_its_end', 'mpd/sweeper.c',
          '\tif (!recover_some(segment->seg, &job->recovery, &turn))\n\t\treturn false;\n',
          '\twhile (!recover_some(segment->seg, &job->recovery, &turn))\n'
          '\t\tturn.looks_left = SWEEPER_LOOKS;\n',
          'sys/hostile/requests_are_answered_between_the_pieces_of_a_long_sweep'),
    Fault('any_state_watched', 'mpd/reaper.c',
          'if (!client_word_is_taken(word))',
          'if (client_word_state(word) == SLOT_FREE)',
          'sys/hostile/slots_in_states_that_do_not_exist_keep_no_segment_alive'),
]

FAILED = re.compile(r'^not ok', re.MULTILINE)
PASSED = re.compile(r'^ok (?!.*# SKIP)', re.MULTILINE)
SECONDS = 20  # a test: a fault that hangs has failed it too


def program_of(fault):
    suite, program, _ = fault.test.split('/')
    return f'{suite}_{program}'


def is_of_mpd(fault):
    return fault.source.startswith('mpd/')


def weave(fault, source, out):
    text = open(source, encoding='utf-8').read()
    if text.count(fault.place) != 1:
        sys.exit(f'{source}: the place of {fault.name} is there {text.count(fault.place)} times')
    with open(out, 'w', encoding='utf-8') as file:
        file.write(f'#line 1 "{source}"\n' + text.replace(fault.place, fault.becomes))


def is_there(root, fault):
    suite, program, test = fault.test.split('/')
    source = open(f'{root}/{fault.source}', encoding='utf-8').read()
    tests = open(f'{root}/tests/{suite}/test_{program}.c', encoding='utf-8').read()
    return source.count(fault.place) == 1 and test in tests


def check(root):
    gone = [fault.name for fault in FAULTS if not is_there(root, fault)]
    print('\n'.join([f'{name}: its place, or its test, is not there once' for name in gone] +
                    [f'{len(FAULTS)} faults, {len(gone)} without a place']))
    return 1 if gone else 0


def run_test(program, test, **more):
    """(has anything failed, has anything passed)"""
    environment = dict(os.environ, MP_TEST_TIMEOUT=str(SECONDS), MP_TEST_SCALE='1', **more)
    done = subprocess.run([program, '--filter', test.split('/')[2]], env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return FAILED.search(done.stdout) is not None, PASSED.search(done.stdout) is not None


def verdict(directory, fault):
    right = f'{directory}/../{fault.test.split("/")[0]}/{program_of(fault)}'
    has_failed, has_passed = run_test(right, fault.test)
    if has_failed:
        return 'fails without the fault'
    if not has_passed:
        return 'skipped'
    if is_of_mpd(fault):
        mpd = f'{directory}/planted_mpd_{fault.name}'
        has_failed, has_passed = run_test(right, fault.test, MP_MPD=mpd)
    else:
        has_failed, has_passed = run_test(f'{directory}/planted_{fault.name}', fault.test)
    return 'caught' if has_failed and not has_passed else 'survives'


def run(directory):
    directory = os.path.abspath(directory)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        verdicts = list(pool.map(lambda fault: verdict(directory, fault), FAULTS))
    for fault, text in zip(FAULTS, verdicts):
        if text != 'caught':
            print(f'{fault.name} {text}: {fault.test}')
    caught, skipped = verdicts.count('caught'), verdicts.count('skipped')
    print(f'planted: {caught} of {len(FAULTS)} faults caught, {skipped} skipped')
    return 0 if caught + skipped == len(FAULTS) else 1


def main(arguments):
    if arguments == ['--names']:
        for fault in FAULTS:
            print(fault.name, fault.source, 'mpd' if is_of_mpd(fault) else 'libshm',
                  program_of(fault))
        return 0
    if arguments[0] == '--check':
        return check(*arguments[1:])
    if arguments[0] == '--run':
        return run(*arguments[1:])
    name, source, out = arguments
    weave(next(fault for fault in FAULTS if fault.name == name), source, out)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
