# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``replay``: the same twice, and what is said when it is not."""

import json
from pathlib import Path

from lite_detector.cli import main
from lite_detector.evaluation import replay
from lite_detector.evaluation.replay import (
    compare_replays,
    Replay,
    ReplayedFrame,
    StoredDetection,
    Tolerance,
)
import msgspec
import pytest
from recordings import compressed_image, IMAGES, raw_image, write_bag
from tiny_models import change_card, square_image

BOX, NEXT = (10.0, 10.0, 30.0, 50.0), (50.0, 10.0, 70.0, 50.0)


def found(score: float, box: tuple[float, ...] = BOX, name: str = 'cup') -> StoredDetection:
    return StoredDetection(name, score, box)


def seen(*frames: tuple[StoredDetection, ...] | str) -> Replay:
    """Return a replay of frames; a string is the problem of one."""
    return Replay(
        format=1, recording='bag', topic='/image', model='tiny', input_size='96x64',
        runtime='ncnn', precision='fp32', score_threshold=0.35, nms_iou_threshold=0.6,
        max_detections=100, median_ms=10.0, p95_ms=12.0, frames=tuple(
            ReplayedFrame(index, (), frame) if isinstance(frame, str)
            else ReplayedFrame(index, frame) for index, frame in enumerate(frames)))


def differences(before: Replay, now: Replay) -> list[tuple[int, str]]:
    return [(each.frame, each.kind) for each in compare_replays(before, now, Tolerance())]


def test_replays_of_nothing_are_the_same():
    assert differences(seen(), seen()) == []
    assert differences(seen((), 'broken'), seen((), 'broken in another way')) == []


def test_difference_of_scores_beyond_the_tolerance_counts():
    before = seen((found(0.80),), (found(0.80),), (found(0.80),))
    now = seen((found(0.785),), (found(0.815),), (found(0.77),))
    assert differences(before, now) == [(2, 'score')]


def test_box_that_came_or_went_counts_if_it_is_surely_above_the_threshold():
    before = seen((found(0.37),), (found(0.38),), (), ())
    now = seen((), (), (found(0.36),), (found(0.4),))
    assert differences(before, now) == [(1, 'lost'), (3, 'new')]


def test_box_that_moved_or_changed_its_class_is_lost_and_new():
    # 20 x 40 pixels moved by 1: IoU 19/21 = 0.905; by 2: 18/22 = 0.82
    before = seen((found(0.8),), (found(0.8),), (found(0.8),))
    now = seen((found(0.8, (11, 10, 31, 50)),), (found(0.8, (12, 10, 32, 50)),),
               (found(0.8, name='dog'),))
    assert differences(before, now) == [(1, 'lost'), (1, 'new'), (2, 'lost'), (2, 'new')]


def test_boxes_are_partners_whatever_their_order():
    before = seen((found(0.9), found(0.6, NEXT), found(0.5, name='dog')))
    now = seen((found(0.9), found(0.51, name='dog'), found(0.59, NEXT)))
    assert differences(before, now) == []
    assert differences(before, seen((found(0.9),))) == [(0, 'lost'), (0, 'lost')]


def test_frame_that_cannot_be_read_any_more_is_a_difference():
    first, second = compare_replays(seen((), 'broken'), seen('step is 5', ()), Tolerance())
    assert (first.kind, first.text) == ('unreadable', 'cannot be read: step is 5')
    assert (second.frame, second.text) == (1, 'can be read now')


@pytest.fixture
def bag(tmp_path) -> Path:
    """Return four frames: a square here, a square there, nothing, and one that is broken."""
    pytest.importorskip('rosbags')
    broken = raw_image(square_image(64, 96, 0, 0), 3)
    broken.fields['encoding'] = 'pigeon'
    return write_bag(tmp_path / 'bag', [
        raw_image(square_image(64, 96, 32, 64), 0), raw_image(square_image(64, 96, 0, 0), 1),
        raw_image(square_image(64, 96, 0, 0, (0, 0, 0)), 2), broken])


@pytest.fixture
def run(bag, tiny_nanodet):
    """Return a function that runs ``replay`` and returns its exit status."""
    def run_replay(*options: object, source: Path = bag) -> int:
        arguments = ('replay', source, '--model', tiny_nanodet, '--precision', 'fp32', *options)
        try:
            return main(list(map(str, arguments)))
        except SystemExit as error:
            return error.code
    return run_replay


def test_replay_of_the_same_model_is_the_same(run, tmp_path, capsys):
    baseline, figures = tmp_path / 'baseline.json', tmp_path / 'figures.json'
    assert run('--write-baseline', baseline) == 0
    stored = json.loads(baseline.read_text())
    assert [(len(frame['found']), bool(frame['problem'])) for frame in stored['frames']] == [
        (1, False), (1, False), (0, False), (0, True)]
    assert stored['frames'][0]['found'] == [
        {'class_name': 'object0', 'score': 1.0, 'box_xyxy': [64.0, 32.0, 96.0, 64.0]}]
    assert 'pigeon' in stored['frames'][3]['problem']
    assert run('--baseline', baseline, '--json', figures) == 0
    out = capsys.readouterr().out
    assert f'4 frames of bag {IMAGES}, 1 of them unreadable' in out
    assert '2 object0' in out and 'no difference in 4 frames' in out
    written = json.loads(figures.read_text())
    assert written['differences'] == [] and written['frames'] == 4 and not written['slower']
    again = tmp_path / 'again.json'
    assert run('--write-baseline', again) == 0
    assert json.loads(again.read_text())['frames'] == stored['frames'], 'all digits are equal'


def test_replay_of_another_model_differs_with_a_report(run, tmp_path, tiny_nanodet, capsys):
    baseline, figures = tmp_path / 'baseline.json', tmp_path / 'figures.json'
    run('--write-baseline', baseline)
    change_card(tiny_nanodet, 'class_names', ['cat', 'object1'])
    capsys.readouterr()
    assert run('--baseline', baseline, '--json', figures) == 1
    out, err = capsys.readouterr()
    assert 'DIFFERENT: 2 of 4 frames: 2 lost, 2 new' in out
    assert '  frame 0: lost object0 1.00 at 64 32 96 64' in out
    assert '  frame 1: new cat 1.00 at 0 0 32 32' in out
    assert err == ''
    kinds = [each['kind'] for each in json.loads(figures.read_text())['differences']]
    assert kinds == ['lost', 'new', 'lost', 'new']


def test_replay_compares_time_only_when_asked(run, tmp_path, monkeypatch, capsys):
    baseline = tmp_path / 'baseline.json'
    run('--write-baseline', baseline)
    before = msgspec.json.decode(baseline.read_bytes(), type=Replay)
    faster = msgspec.structs.replace(before, median_ms=before.median_ms / 1000)
    baseline.write_bytes(msgspec.json.encode(faster))
    assert run('--baseline', baseline) == 0
    capsys.readouterr()
    assert run('--baseline', baseline, '--max-slowdown', 2) == 1
    out = capsys.readouterr().out
    assert 'SLOWER: ' in out and 'expected at most 2' in out and 'no difference in 4' in out
    assert run('--baseline', baseline, '--max-slowdown', 1e6) == 0


@pytest.mark.parametrize(('options', 'words'), [
    (['--score-threshold', 0.5], 'score_threshold is 0.35; expected 0.5'),
    (['--max-detections', 5], 'max_detections is 100; expected 5'),
    (['--min-iou', 0], 'options: $.min_iou'),
    (['--score-tolerance', 2], 'options: $.score'),
    (['--max-slowdown', 0], '--max-slowdown: 0; expected'),
    (['--json', '/absent/a.json'], '/absent/a.json: cannot write'),
    (['--write-baseline', 'b.json'], '--write-baseline'),
    (['--topic', '/rear'], '--topic /rear'),
])
def test_replay_with_an_impossible_option_ends_with_one_line(run, tmp_path, capsys, options,
                                                             words):
    baseline = tmp_path / 'baseline.json'
    run('--write-baseline', baseline)
    capsys.readouterr()
    assert run('--baseline', baseline, *options) == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ') and words in line


def test_replay_of_another_recording_is_an_error(run, tmp_path, capsys):
    baseline = tmp_path / 'baseline.json'
    run('--write-baseline', baseline)
    scene = square_image(64, 96, 32, 64)
    for name, times in (('short', (0,)), ('late', (5, 6, 7, 8))):
        other = write_bag(tmp_path / name, [compressed_image(scene, time) for time in times])
        assert run('--baseline', baseline, source=other) == 2
        assert 'other recording or topic' in capsys.readouterr().err


@pytest.mark.parametrize('content', ['', '[]', '{"format": 2}'])
def test_replay_with_a_baseline_that_is_none_is_an_error(run, tmp_path, capsys, content):
    baseline = tmp_path / 'baseline.json'
    baseline.write_text(content)
    assert run('--baseline', baseline) == 2
    assert 'baseline.json: not a baseline of replay' in capsys.readouterr().err


def test_replay_without_a_frame_that_can_be_read_is_an_error(run, tmp_path, capsys):
    broken = raw_image(square_image(64, 96, 0, 0), 0)
    broken.fields['encoding'] = 'pigeon'
    assert run(source=write_bag(tmp_path / 'broken', [broken])) == 2
    assert ": encoding 'pigeon'" in capsys.readouterr().err


def test_replay_detects_in_every_frame_in_turn(run, bag, monkeypatch):
    calls = []
    frames = replay.replay_frames
    monkeypatch.setattr('lite_detector.commands.replay.replay_frames',
                        lambda source, detector: frames(
                            (calls.append(frame.time_ns) or frame for frame in source), detector))
    assert run() == 0
    assert len(calls) == 4 and calls == sorted(calls)
