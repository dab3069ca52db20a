# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How many threads the node uses where num_threads is auto; no ROS here."""

import os
import threading

from lite_detector.core.errors import ModelError
from lite_detector.ros import thread_choice
from lite_detector.ros.thread_choice import choose, LEAST_ROUNDS, time_each, Timed, with_threads
import pytest

AUTO = {'precision': 'auto', 'runtime': 'ncnn', 'num_threads': 'auto'}


@pytest.mark.parametrize(('ms', 'wanted'), [
    ((9,), 1),
    ((9, 22), 1),            # a busy or hyper-threaded machine
    ((10, 8.1), 1),          # faster, but not worth a core
    ((10, 8), 2),            # 1.25 times as fast
    ((10, 5.5, 5), 2),
    ((10, 5.5, 3), 4),
    ((10, 9, 3), 1),         # two are worth nothing: four are a chance result
    ((0.2, 0.1, 0.1), 2),
])
def test_more_threads_are_chosen_only_where_they_are_worth_their_cores(ms, wanted):
    assert choose([Timed(2 ** index, each) for index, each in enumerate(ms)]) == wanted


def test_a_number_is_taken_as_it_is(tiny_nanodet):
    options = {**AUTO, 'num_threads': 3}
    assert with_threads(tiny_nanodet, options) == (options, '')


def test_one_core_is_one_thread_without_a_measurement(tiny_nanodet, monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0})
    options, chosen = with_threads(tiny_nanodet, AUTO)
    assert options == {**AUTO, 'num_threads': 1}
    assert chosen == 'num_threads auto: chose 1, because there is 1 core'


@pytest.mark.parametrize(('cores', 'counts'), [(2, {1, 2}), (3, {1, 2}), (6, {1, 2, 4})])
def test_as_many_threads_are_tried_as_there_are_cores(tiny_nanodet, monkeypatch, cores, counts):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(cores)))
    monkeypatch.setattr(thread_choice, 'SECONDS', 0.0)
    options, chosen = with_threads(tiny_nanodet, AUTO)
    assert options['num_threads'] in (1, 2, 4)
    assert chosen.startswith(f'num_threads auto: chose {options["num_threads"]} of 1: ')
    assert {count for count in (1, 2, 4, 8) if f' {count}: ' in chosen} == counts


def test_the_worker_is_held_still_while_threads_are_timed(tiny_nanodet, monkeypatch):
    lock, held = threading.Lock(), []
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 1})
    monkeypatch.setattr(thread_choice, 'time_each', lambda steps: held.append(lock.locked()) or [
        Timed(1, 9.0), Timed(2, 4.0)])
    assert with_threads(tiny_nanodet, AUTO, lock)[0]['num_threads'] == 2
    assert held == [True]
    assert not lock.locked()


def test_every_count_is_timed_the_same_number_of_times(monkeypatch):
    monkeypatch.setattr(thread_choice, 'SECONDS', 0.0)
    calls = {1: 0, 2: 0}

    def counted(count: int) -> None:
        calls[count] += 1
    timed = time_each({count: lambda count=count: counted(count) for count in calls})
    assert [each.threads for each in timed] == [1, 2]
    assert calls == {1: 1 + LEAST_ROUNDS, 2: 1 + LEAST_ROUNDS}


def test_a_model_that_does_not_load_is_the_same_error_as_elsewhere(tiny_nanodet):
    (tiny_nanodet / 'model.bin').write_bytes(b'')
    with pytest.raises(ModelError, match='ncnn cannot load it'):
        with_threads(tiny_nanodet, AUTO)
