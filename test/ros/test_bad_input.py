# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Whatever arrives, the node lives: the frame is dropped by name, and the next one is detected."""

import array
from collections.abc import Callable
import os
from pathlib import Path
import shutil
import time

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from lite_detector.ros.conversions import bgr_to_image_msg
from lite_detector.ros.node import DetectorNode
import numpy as np
import pytest
from rcl_interfaces.msg import Log
from ros_graph import running_graph, TIMEOUT_S
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from tiny_models import change_card, square_image, write_tiny_nanodet

SCENE = square_image(128, 192, top=64, left=128, color=(255, 0, 0), side=64)
WARN_LEVEL = 30  # Log.WARN, which is bytes in some distributions and int in others


@pytest.fixture
def model(tmp_path):
    return write_tiny_nanodet(tmp_path / 'model')


def spoiled(**fields) -> Callable[[Header], Image]:
    def make(header: Header) -> Image:
        msg = bgr_to_image_msg(SCENE, header)
        for name, value in fields.items():
            setattr(msg, name, value)
        return msg
    return make


def one_pixel(header: Header) -> Image:
    return bgr_to_image_msg(np.zeros((1, 1, 3), np.uint8), header)


def without_stamp(header: Header) -> Image:
    return bgr_to_image_msg(SCENE, Header(frame_id=header.frame_id))


def before_1970(header: Header) -> Image:
    return bgr_to_image_msg(SCENE, Header(frame_id=header.frame_id, stamp=Time(sec=-5)))


BAD_IMAGES = {
    'empty data': (spoiled(data=array.array('B')), 'data has 0 bytes'),
    'truncated data': (spoiled(data=array.array('B', bytes(1000))), 'data has 1000 bytes'),
    'step smaller than a row': (spoiled(step=10), 'step is 10 bytes'),
    'step of zero and truncated data': (spoiled(step=0, data=array.array('B', bytes(1000))),
                                        'step is 0 bytes'),
    'zero height': (spoiled(height=0), 'image is 192x0'),
    'zero width': (spoiled(width=0), 'image is 0x128'),
    'huge size': (spoiled(height=2 ** 32 - 1, width=2 ** 32 - 1), 'image is 4294967295x'),
    'huge step': (spoiled(step=2 ** 32 - 1), 'data has'),
    'unknown encoding': (spoiled(encoding='rgb565'), "encoding 'rgb565' is not one of"),
    'empty encoding': (spoiled(encoding=''), "encoding '' is not one of"),
    'one pixel': (one_pixel, 'image is 1x1 pixels'),
    'zero stamp': (without_stamp, 'header.stamp: 0; expected'),
    'negative stamp': (before_1970, 'header.stamp: -5 s; expected'),
    'endless encoding': (spoiled(encoding='x' * 10000), f"encoding '{'x' * 60}' is not one of"),
}


def dropped_with(graph, words: str, publisher, make: Callable[[Header], Image]) -> None:
    """Send until the log and the diagnostics name camera and reason."""
    def warned():
        # best effort may lose a message
        publisher.publish(make(graph.header()))
        graph.spin_for(0.1)
        return [log for log in graph.received['/rosout'] if words in log.msg]
    warning = graph.spin_until(warned)[0]
    assert warning.level == WARN_LEVEL
    assert 'camera /image' in warning.msg and '\n' not in warning.msg
    status = graph.spin_until(lambda: words in graph.values(graph.diagnosis(
        'camera /image'))['last unusable frame'] and graph.diagnosis('camera /image'))
    assert int(graph.values(status)['dropped as unusable']) >= 1


@pytest.mark.parametrize('name', BAD_IMAGES)
def test_node_bad_image_is_dropped_and_the_next_detected(model, name):
    make, words = BAD_IMAGES[name]
    with running_graph(model=str(model)) as graph:
        graph.listen('/rosout', Log)
        assert len(graph.ask(SCENE).detections) == 1
        dropped_with(graph, words, graph.publisher('image'), make)
        assert len(graph.ask(SCENE).detections) == 1


@pytest.mark.parametrize('data', (b'', b'\xff\xd8\xff\xe0 not a picture', bytes(5000)),
                         ids=('empty', 'garbage', 'zeros'))
def test_node_undecodable_jpeg_is_dropped_and_the_next_detected(model, data):
    with running_graph(model=str(model), transport='compressed') as graph:
        graph.listen('/rosout', Log)
        graph.listen('detections')
        publisher = graph.publisher('image/compressed', CompressedImage)
        graph.spin_until(lambda: graph.client.count_publishers('detections'))
        graph.spin_for(0.1)
        publisher.publish(CompressedImage(header=graph.header(), format='jpeg',
                                          data=array.array('B', data)))
        graph.spin_until(lambda: [log for log in graph.received['/rosout']
                                  if 'do not decode' in log.msg])
        answer = graph.answer(graph.send_compressed(SCENE, 'image/compressed'))
        assert len(answer.detections) == 1


def test_node_warnings_of_one_camera_are_throttled_and_do_not_mute_another(model):
    with running_graph(model=str(model), cameras=['front', 'rear']) as graph:
        logs = graph.listen('/rosout', Log)
        graph.spin_until(lambda: graph.client.count_publishers('front/detections'))
        bad = np.zeros((1, 1, 3), np.uint8)
        for _ in range(20):
            graph.send(bad, 'front/image')
            graph.spin_for(0.01)
        graph.send(bad, 'rear/image')
        graph.spin_until(lambda: [log for log in logs if 'camera rear' in log.msg
                                  and '1x1' in log.msg])
        assert len([log for log in logs if 'camera front: frame dropped' in log.msg]) == 1


def test_node_storm_of_messages_detects_the_newest(model):
    with running_graph(model=str(model)) as graph:
        graph.ask(SCENE)
        answers = graph.received['detections']
        last = None
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            last = graph.send(SCENE)
            time.sleep(0.002)
        assert len(graph.answer(last).detections) == 1
        stamps = [answer.header.stamp.sec for answer in answers]
        assert stamps == sorted(set(stamps)), 'a frame was detected twice or out of order'
        assert len(graph.ask(SCENE).detections) == 1
        status = graph.spin_until(lambda: (figures := graph.values(graph.diagnosis(
            'camera /image'))) and int(figures['received']) > 1 and figures)
        assert int(status['dropped as unusable']) == 0
        # every message is accounted for: published, replaced by a newer one, or in flight
        lost = int(status['received']) - int(status['published']) - int(
            status['dropped for a newer frame'])
        assert 0 <= lost <= 1


def unknown_key(folder: Path) -> None:
    change_card(folder, 'preprocess.colour', 'bgr')


def missing_card(folder: Path) -> None:
    (folder / 'card.yaml').unlink()


def missing_file(folder: Path) -> None:
    (folder / 'model.bin').unlink()


def wrong_sha256(folder: Path) -> None:
    change_card(folder, 'runtimes.ncnn.sha256', {'bin': '0' * 64})


def path_outside(folder: Path) -> None:
    shutil.copy(folder / 'model.bin', folder.parent / 'stray.bin')
    change_card(folder, 'runtimes.ncnn.bin', '../stray.bin')


def wrong_class_count(folder: Path) -> None:
    change_card(folder, 'class_names', ['a', 'b', 'c'])


def truncated_bin(folder: Path) -> None:
    os.truncate(folder / 'model.bin', 500)


def broken_param(folder: Path) -> None:
    (folder / 'model.param').write_text('not a network\n')


BAD_MODELS = {
    unknown_key: ('card.yaml', '$.preprocess', 'colour'),
    missing_card: ('card.yaml',),
    missing_file: ('model.bin',),
    wrong_sha256: ('model.bin', 'sha256'),
    path_outside: ('stray.bin', 'outside'),
    wrong_class_count: ('shape', 'class_names'),
    truncated_bin: ('model.bin', 'truncated'),
    broken_param: ('model.param', 'not an ncnn'),
}


def refuses_then_works(bad_model: str, good_model: Path, words: tuple[str, ...]) -> None:
    with running_graph(model=bad_model) as graph:
        status = graph.diagnosis('detector', DiagnosticStatus.ERROR)
        assert status.message.startswith('unconfigured: ') and '\n' not in status.message
        assert all(word in status.message for word in words), status.message
        assert graph.values(status)['state'] == 'unconfigured'
        assert graph.change(model=str(good_model)) == ''
        assert len(graph.ask(SCENE).detections) == 1


@pytest.mark.parametrize('spoil', BAD_MODELS, ids=lambda spoil: spoil.__name__)
def test_node_bad_model_folder_keeps_it_unconfigured_until_corrected(tmp_path, model, spoil):
    bad = write_tiny_nanodet(tmp_path / 'bad')
    spoil(bad)
    refuses_then_works(str(bad), model, BAD_MODELS[spoil])


def test_node_param_of_another_network_keeps_it_unconfigured(tmp_path, model, shared_data):
    bad = write_tiny_nanodet(tmp_path / 'bad')
    for suffix in ('param', 'bin'):
        shutil.copyfile(shared_data / 'weights' / f'squeezenet_v1.1.{suffix}',
                        bad / f'model.{suffix}')
    refuses_then_works(str(bad), model, ('model.param', 'another network'))


def test_node_unknown_model_name_keeps_it_unconfigured(model):
    refuses_then_works('no_such_model', model, ("'no_such_model'", 'not found'))


def test_node_outlives_a_model_that_fails_in_a_way_nobody_thought_of(model, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError('an odd\nfault')

    other = write_tiny_nanodet(tmp_path / 'other')
    with monkeypatch.context() as patch:
        patch.setattr(DetectorNode, '_load', fail)
        with running_graph(model=str(model)) as graph:
            status = graph.diagnosis('detector', DiagnosticStatus.ERROR)
            assert status.message == 'unconfigured: RuntimeError: an odd fault'
            patch.undo()
            assert graph.change(model=str(model)) == ''
            assert len(graph.ask(SCENE).detections) == 1
            patch.setattr(DetectorNode, '_load', fail)
            assert graph.change(model=str(other)) == 'RuntimeError: an odd fault'
            assert len(graph.ask(SCENE).detections) == 1


@pytest.mark.parametrize('values', ({'score_threshold': 1.5}, {'max_detections': 'many'},
                                    {'input_size': 100}, {'precision': 'int3'},
                                    {'cameras': ['front yard']}, {'cameras': ['front', 'front']},
                                    {'autostart': 'yes'}))
def test_node_wrong_value_at_start_keeps_it_unconfigured_until_corrected(model, values):
    defaults = {'score_threshold': 0.35, 'max_detections': 100, 'input_size': 0,
                'precision': 'auto', 'cameras': [''], 'autostart': True}
    name = next(iter(values))
    with running_graph(model=str(model), **values) as graph:
        status = graph.diagnosis('detector', DiagnosticStatus.ERROR)
        assert name in status.message and str(values[name]) in status.message
        assert graph.change(**{name: defaults[name]}) == ''
        graph.spin_until(lambda: graph.values(graph.diagnosis('detector'))['state'] == 'active',
                         TIMEOUT_S)
        assert len(graph.ask(SCENE).detections) == 1
