# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The node on a real graph: what comes out, and what may be changed while it runs."""

import re
import threading
import time

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from lite_detector.backends.ncnn_backend import NcnnNetwork
from lite_detector.ros import overlay, precision
from lite_detector.ros.conversions import bgr_to_image_msg
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message
from ros_graph import running_graph
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from tiny_models import (
    square_image,
    write_tiny_damo_yolo,
    write_tiny_nanodet,
    write_tiny_yolof,
    write_tiny_yolov5,
)
from vision_msgs.msg import LabelInfo, VisionInfo

BLUE, GREEN = (255, 0, 0), (0, 255, 0)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# 128 x 192 camera pixels are 64 x 96 network pixels: a square of 64 is one cell of 32
SCENE = square_image(128, 192, top=64, left=128, color=BLUE, side=64)


@pytest.fixture
def model(tmp_path):
    return write_tiny_nanodet(tmp_path / 'first')


@pytest.fixture
def graph(model):
    with running_graph(model=str(model)) as running:
        yield running


def test_node_detection_carries_every_field_in_source_pixels(graph):
    graph.listen('detections')
    graph.publisher('image')
    graph.spin_until(lambda: graph.client.count_publishers('detections'))
    graph.spin_for(0.1)
    sent = graph.send(SCENE, frame_id='front_lens')
    answer = graph.answer(sent)
    assert answer.header == sent.header
    assert answer.header.frame_id == 'front_lens'
    assert len(answer.detections) == 1
    detection = answer.detections[0]
    assert detection.header == sent.header
    assert detection.id == ''
    assert detection.bbox.center.position.x == pytest.approx(160, abs=0.1)
    assert detection.bbox.center.position.y == pytest.approx(96, abs=0.1)
    assert detection.bbox.center.theta == 0
    assert detection.bbox.size_x == pytest.approx(64, abs=0.1)
    assert detection.bbox.size_y == pytest.approx(64, abs=0.1)
    assert len(detection.results) == 1
    assert detection.results[0].hypothesis.class_id == 'object0'
    assert detection.results[0].hypothesis.score == pytest.approx(1, abs=1e-3)


def test_node_image_without_objects_publishes_empty_array(graph):
    answer = graph.ask(np.zeros((128, 192, 3), np.uint8))
    assert answer.detections == []
    assert answer.header.frame_id == 'lens'


def test_node_drops_a_message_that_is_damaged_and_goes_on(graph):
    graph.ask(SCENE)
    sound = serialize_message(bgr_to_image_msg(SCENE, Header(stamp=Time(sec=5))))
    stats = graph.detector._cameras[0].stats
    # cut within the pixels and within the header
    for count, damaged in enumerate((sound[:-1000], sound[:30]), 1):
        graph.publisher('image').publish(damaged)
        graph.spin_until(lambda count=count: stats.dropped_bad == count)
        assert stats.last_drop == 'malformed message; expected a serialized sensor_msgs/msg/Image'
        assert len(graph.ask(SCENE).detections) == 1


def test_node_adds_nothing_to_what_the_executor_waits_for_but_its_images(graph):
    ours = [*graph.detector.publishers, *graph.detector.subscriptions]
    topics = {entity.topic_name for entity in ours if not entity.event_handlers}
    assert topics >= {'/image', '/detections', '/annotated', '/annotated/compressed',
                      '/vision_info', '/label_info'}


def test_node_compressed_transport_detects(model):
    with running_graph(model=str(model), transport='compressed') as graph:
        graph.listen('detections')
        graph.publisher('image/compressed', CompressedImage)
        graph.spin_until(lambda: graph.client.count_publishers('detections'))
        graph.spin_for(0.1)
        answer = graph.answer(graph.send_compressed(SCENE, 'image/compressed'))
        assert [item.results[0].hypothesis.class_id for item in answer.detections] == ['object0']


def test_node_with_num_threads_auto_detects(model):
    with running_graph(model=str(model), num_threads='auto') as graph:
        assert len(graph.ask(SCENE).detections) == 1
        assert 'num_threads: the node is' in graph.change(num_threads=2)
        assert "'many'; expected 1 .. 64, or auto" in graph.change(num_threads='many')
        assert '65; expected 1 .. 64, or auto' in graph.change(num_threads=65)


def test_node_onnx_runtime_finds_the_same(model):
    with running_graph(model=str(model), runtime='onnx') as graph:
        box, = graph.ask(SCENE).detections
        assert box.bbox.center.position.x == pytest.approx(160, abs=0.1)
        assert box.results[0].hypothesis.class_id == 'object0'


def test_node_without_the_device_says_why_and_works_on_the_cpu(model, monkeypatch):
    monkeypatch.setenv('VK_DRIVER_FILES', '/nowhere/nvidia_icd.json')  # as in a bare container
    with running_graph(model=str(model), device='gpu') as graph:
        status = graph.diagnosis('detector', DiagnosticStatus.ERROR)
        assert re.match('unconfigured: device gpu: (no Vulkan driver|libvulkan)', status.message)
        assert graph.change(device='auto') == ''
        values = graph.spin_until(lambda: (figures := graph.values(
            graph.diagnosis('detector'))) and 'device' in figures and figures)
        assert values['device'] == 'cpu'
        assert values['device choice'].startswith('device auto: chose cpu; device gpu: ')
        assert len(graph.ask(SCENE).detections) == 1


def test_node_two_cameras_answer_on_their_own_topics(model):
    with running_graph(model=str(model), cameras=['front', 'rear']) as graph:
        scenes = {'front': SCENE, 'rear': square_image(256, 384, 0, 0, GREEN, side=128)}
        for name in scenes:
            graph.listen(f'{name}/detections')
            graph.publisher(f'{name}/image')
            graph.spin_until(lambda of=name: graph.client.count_publishers(f'{of}/detections'))
        graph.spin_for(0.1)
        for _ in range(3):
            sent = {name: graph.send(scene, f'{name}/image', frame_id=name)
                    for name, scene in scenes.items()}
            answers = {name: graph.answer(msg, f'{name}/detections')
                       for name, msg in sent.items()}
            assert answers['front'].header.frame_id == 'front'
            assert answers['front'].detections[0].results[0].hypothesis.class_id == 'object0'
            assert answers['rear'].detections[0].results[0].hypothesis.class_id == 'object1'
            assert answers['rear'].detections[0].bbox.size_x == pytest.approx(128, abs=0.1)


@pytest.mark.parametrize('cameras', ([], ['']))
def test_node_empty_camera_list_is_one_camera(model, cameras):
    with running_graph(model=str(model), cameras=cameras) as graph:
        assert len(graph.ask(SCENE).detections) == 1


def test_node_thresholds_and_classes_change_at_run_time(graph):
    assert len(graph.ask(SCENE).detections) == 1
    assert graph.change(classes=['object1']) == ''
    assert graph.ask(SCENE).detections == []
    assert graph.change(classes=[]) == ''
    assert graph.change(class_id_format='index') == ''
    assert graph.ask(SCENE).detections[0].results[0].hypothesis.class_id == '0'
    assert graph.change(class_thresholds=['object0:1.0']) == ''
    assert graph.ask(SCENE).detections == []
    assert graph.change(class_thresholds=['object0:0.5'], score_threshold=1.0) == ''
    assert len(graph.ask(SCENE).detections) == 1
    assert graph.change(class_thresholds=['']) == ''
    assert graph.ask(SCENE).detections == []


@pytest.mark.parametrize('values, words', (
    # rclpy itself answers numbers out of range: ... out of range Min: 0.0, Max: 1.0, value: 1.5
    ({'score_threshold': 1.5}, ('score_threshold', '1.5', '0.0', '1.0')),
    ({'score_threshold': 'high'}, ('score_threshold', "'high'", '0 .. 1')),
    ({'max_detections': 0}, ('max_detections', 'value: 0', '1000')),
    ({'max_rate_hz': -1.0}, ('max_rate_hz', '-1.0', '1000')),
    ({'class_id_format': 'number'}, ('class_id_format', "'number'", 'name, index')),
    ({'classes': ['zebra']}, ('classes', "'zebra'")),
    ({'class_thresholds': ['zebra:0.5']}, ('class_thresholds', 'no class', "'zebra'")),
    ({'class_thresholds': ['object0']}, ('class_thresholds', "'object0'", 'NAME:SCORE')),
    ({'class_thresholds': [0.5]}, ('class_thresholds', '0.5', 'NAME:SCORE')),
    ({'class_agnostic_nms': 'yes'}, ('class_agnostic_nms', "'yes'", 'true or false')),
    ({'num_threads': 2}, ('num_threads', 'active')),
    ({'cameras': ['left']}, ('cameras', 'active')),
    ({'model': ''}, ('model', "''")),
    ({'region': [0.0, 0.0, float('inf'), 1.0]}, ('region', 'inf')),
    ({'score_threshold': 0.5, 'nms_iou_threshold': 2.0}, ('nms_iou_threshold', '2.0')),
))
def test_node_wrong_value_is_refused_with_reason_and_changes_nothing(graph, values, words):
    before = {name: graph.detector.get_parameter(name).value for name in values}
    reason = graph.change(**values)
    assert all(word in reason for word in words), reason
    assert {name: graph.detector.get_parameter(name).value for name in values} == before
    assert len(graph.ask(SCENE).detections) == 1


def test_node_model_swap_keeps_detecting_and_names_new_classes(graph, tmp_path):
    assert len(graph.ask(SCENE).detections) == 1
    labels = graph.listen('label_info', LabelInfo, LATCHED)
    graph.spin_until(lambda: len(labels) == 1)
    other = write_tiny_yolov5(tmp_path / 'second', num_classes=3)
    assert graph.change(model=str(other)) == ''
    answer = graph.ask(SCENE)
    assert len(answer.detections) == 1
    assert answer.detections[0].bbox.size_x == pytest.approx(64, abs=0.1)
    graph.spin_until(lambda: len(labels) == 2)
    assert [len(label.class_map) for label in labels] == [2, 3]


@pytest.mark.parametrize('write', [write_tiny_damo_yolo, write_tiny_yolof, write_tiny_yolov5])
def test_node_serves_every_family(graph, write, tmp_path):
    assert graph.change(model=str(write(tmp_path / 'other'))) == ''
    answer = graph.ask(SCENE)
    detection, = answer.detections
    assert detection.bbox.center.position.x == pytest.approx(160, abs=0.1)
    assert detection.bbox.center.position.y == pytest.approx(96, abs=0.1)
    assert detection.bbox.size_x == pytest.approx(64, abs=0.1)


def test_node_detects_nothing_while_a_model_swap_times_precisions(graph, tmp_path, monkeypatch):
    graph.ask(SCENE)
    passes, infer = [], NcnnNetwork.infer
    probes, probe = [], precision.probe
    other = write_tiny_nanodet(tmp_path / 'other', num_classes=3)  # no choice is known for it
    monkeypatch.setattr(precision, 'SECONDS', 60.0)  # all rounds, however busy this machine is

    def noted_probe(*arguments):
        probes.extend(probe(*arguments))
        return list(probes)
    monkeypatch.setattr(precision, 'probe', noted_probe)

    def noted(network, blob):
        begin_s = time.monotonic()
        if threading.current_thread().name != 'detect':
            time.sleep(0.03)  # long enough for the next image
        outputs = infer(network, blob)
        passes.append((threading.current_thread().name, begin_s, time.monotonic()))
        return outputs
    monkeypatch.setattr(NcnnNetwork, 'infer', noted)
    swap = threading.Thread(target=graph.change, name='swap',
                            kwargs={'model': str(other)})
    swap.start()
    while swap.is_alive():
        graph.send(SCENE)
        graph.spin_for(0.01)
    swap.join()
    assert len(graph.ask(SCENE).detections) == 1
    rounds = len(probes) * precision.ROUNDS
    assert len(probes) >= 2  # fp32 and bf16; auto where its outputs differ from those of fp32
    timed = [each for each in passes if each[0] == 'swap'][-rounds:]
    begin_s, end_s = timed[0][1], timed[-1][2]
    assert end_s - begin_s > 0.03 * rounds
    assert not [each for each in passes
                if each[0] == 'detect' and each[1] < end_s and each[2] > begin_s]


def test_node_failed_model_swap_keeps_the_old_model(graph, tmp_path):
    broken = write_tiny_yolov5(tmp_path / 'broken')
    (broken / 'model.bin').write_bytes((broken / 'model.bin').read_bytes()[:100])
    reason = graph.change(model=str(broken))
    assert 'model.bin' in reason and '\n' not in reason
    assert len(graph.ask(SCENE).detections) == 1


def test_node_label_and_vision_info_reach_a_late_subscriber(graph, model):
    labels = graph.listen('label_info', LabelInfo, LATCHED)
    visions = graph.listen('vision_info', VisionInfo, LATCHED)
    graph.spin_until(lambda: labels and visions)
    assert [(item.class_id, item.class_name) for item in labels[0].class_map] == [
        (0, 'object0'), (1, 'object1')]
    assert labels[0].threshold == pytest.approx(0.35)
    assert visions[0].method.startswith('tiny_nanodet')
    assert visions[0].database_location == str(model)
    assert graph.change(score_threshold=0.5) == ''
    graph.spin_until(lambda: len(labels) == 2)
    assert labels[1].threshold == pytest.approx(0.5)


def test_node_enable_service_stops_and_starts(graph):
    assert len(graph.ask(SCENE).detections) == 1
    client = graph.client.create_client(SetBool, 'enable')
    assert client.wait_for_service(20)

    def enable(value):
        future = client.call_async(SetBool.Request(data=value))
        return graph.spin_until(lambda: future.done() and future.result())

    assert enable(False).success
    publisher = graph.publisher('image')
    graph.spin_until(lambda: publisher.get_subscription_count() == 0)
    assert graph.values(graph.diagnosis('detector'))['enabled'] == 'False'
    assert enable(True).success
    graph.spin_until(publisher.get_subscription_count)
    assert len(graph.ask(SCENE).detections) == 1

    # a frame that waits for the worker is forgotten, and accounted for
    stats = graph.detector._cameras[0].stats
    with graph.detector._working:  # the first waits for this, the second for the worker
        for count in (stats.received + 1, stats.received + 2):
            graph.send(SCENE)
            graph.spin_until(lambda count=count: stats.received == count)
            graph.spin_for(0.1)
        assert enable(False).success
    graph.spin_until(lambda: stats.received == stats.published + 1)
    graph.spin_for(0.2)
    assert (stats.received, stats.dropped_newer) == (stats.published + 1, 1)


@pytest.mark.parametrize('topic, kind', (('annotated', Image),
                                         ('annotated/compressed', CompressedImage)))
def test_node_annotated_is_drawn_only_while_somebody_listens(graph, monkeypatch, topic, kind):
    drawn = []
    draw = overlay.draw_detections
    monkeypatch.setattr(overlay, 'draw_detections',
                        lambda *args: drawn.append(1) or draw(*args))
    graph.ask(SCENE)
    assert drawn == []
    pictures = graph.listen(topic, kind)
    graph.spin_until(lambda: graph.client.count_publishers(topic))
    graph.spin_for(0.3)
    answer = graph.ask(SCENE)
    graph.spin_until(lambda: pictures)
    assert drawn == [1]
    assert pictures[0].header == answer.header
    if kind is Image:
        assert (pictures[0].height, pictures[0].width, pictures[0].encoding) == (128, 192, 'bgr8')
        assert bytes(pictures[0].data) != SCENE.tobytes()


def test_node_max_rate_limits_published_frames(graph):
    graph.ask(SCENE)
    assert graph.change(max_rate_hz=5.0) == ''
    answers = graph.received['detections']
    before = len(answers)
    for _ in range(100):
        graph.send(SCENE)
        graph.spin_for(0.01)
    # a second and a bit at 5 Hz; the machine may stretch it, never shrink it
    assert 3 <= len(answers) - before <= 20


def call_state(graph, service_type, name, request):
    client = graph.client.create_client(service_type, f'/detector/{name}')
    assert client.wait_for_service(20)
    future = client.call_async(request)
    return graph.spin_until(lambda: future.done() and future.result())


def change_state(graph, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return call_state(graph, ChangeState, 'change_state', request).success


def state_of(graph):
    return call_state(graph, GetState, 'get_state', GetState.Request()).current_state.label


def test_node_refuses_an_impossible_transition_and_goes_on(graph):
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE, 200):
        assert not change_state(graph, transition)
    assert state_of(graph) == 'active'
    assert len(graph.ask(SCENE).detections) == 1


def test_node_without_autostart_obeys_a_lifecycle_manager(model):
    with running_graph(model=str(model), autostart=False) as graph:
        assert state_of(graph) == 'unconfigured'
        assert change_state(graph, Transition.TRANSITION_CONFIGURE)
        assert state_of(graph) == 'inactive'
        assert change_state(graph, Transition.TRANSITION_ACTIVATE)
        assert len(graph.ask(SCENE).detections) == 1
        assert change_state(graph, Transition.TRANSITION_DEACTIVATE)
        publisher = graph.publisher('image')
        graph.spin_until(lambda: publisher.get_subscription_count() == 0)
        assert graph.change(score_threshold=0.6) == ''
        assert change_state(graph, Transition.TRANSITION_CLEANUP)
        assert graph.change(num_threads=2) == ''
        assert state_of(graph) == 'unconfigured'
        assert change_state(graph, Transition.TRANSITION_CONFIGURE)
        assert change_state(graph, Transition.TRANSITION_ACTIVATE)
        graph.spin_until(graph.publisher('image').get_subscription_count)
        assert len(graph.ask(SCENE).detections) == 1
        assert change_state(graph, Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert state_of(graph) == 'finalized'
