# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Health of the node: figures, reasons why nothing arrives, and QoS of the publishers."""

import subprocess

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from diagnostic_updater import Updater
from lite_detector.ros import camera as camera_module
from lite_detector.ros.conversions import bgr_to_image_msg
from lite_detector.ros.node import DetectorNode
from node_process import Client, ros_arguments, START_TIMEOUT_S
import pytest
import rclpy
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_graph import running_graph
from sensor_msgs.msg import CompressedImage, Image
from tiny_models import square_image, write_tiny_nanodet

SCENE = square_image(128, 192, top=64, left=128, color=(255, 0, 0), side=64)
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


@pytest.fixture
def model(tmp_path):
    return str(write_tiny_nanodet(tmp_path / 'model'))


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(camera_module, 'SILENCE_S', 0.5)


def warning_of(graph, words):
    return graph.spin_until(lambda: words in (status := graph.diagnosis(
        'camera /image', DiagnosticStatus.WARN)).message and status)


def test_diagnostics_name_state_model_and_latency(model):
    with running_graph(model=model) as graph:
        for _ in range(5):
            graph.ask(SCENE)
        figures = graph.spin_until(lambda: (values := graph.values(graph.diagnosis(
            'camera /image'))) and values['published'] == '5' and values)
        assert figures['topic'] == '/image'
        assert figures['received'] == '5'
        assert figures['dropped for a newer frame'] == '0'
        assert figures['dropped as unusable'] == '0'
        assert float(figures['rate (Hz)']) > 0
        assert float(figures['age of last frame (s)']) < 5
        # the stamps of the test lie in 1970
        assert figures['latency p50 (ms)'] == 'stamps are of another clock; check use_sim_time'
        assert 0 < float(figures['work p50 (ms)']) <= float(figures['work p95 (ms)']) < 60e3
        values = graph.values(graph.diagnosis('detector'))
        assert (values['state'], values['model']) == ('active', 'tiny_nanodet')


def test_diagnostics_without_publisher_say_so_and_name_other_image_topics(model, impatient):
    with running_graph(model=model) as graph:
        warning_of(graph, 'no publisher on /image')
        graph.client.create_publisher(Image, '/usb_cam/image_raw', 1)
        warning_of(graph, 'images are on /usb_cam/image_raw: remap with -r image:=')


def test_diagnostics_name_a_publisher_of_another_type(model, impatient):
    # one DDS participant cannot hold two types of a topic, so the publisher has its own
    other = rclpy.Context()
    with running_graph(model=model, transport='raw') as graph:
        rclpy.init(context=other)
        try:
            stranger = rclpy.create_node('stranger', context=other)
            stranger.create_publisher(CompressedImage, 'image', 1)
            warning_of(graph,
                       'has type sensor_msgs/msg/CompressedImage; expected sensor_msgs/msg/Image')
        finally:
            rclpy.shutdown(context=other)


def test_diagnostics_name_a_qos_mismatch(model, impatient):
    with running_graph(model=model, reliability='reliable') as graph:
        graph.client.create_publisher(
            Image, 'image', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
        warning_of(graph, 'QoS mismatch')


def test_diagnostics_name_a_silent_publisher_and_recover(model, impatient):
    with running_graph(model=model) as graph:
        graph.publisher('image')
        said = warning_of(graph, 'publisher client of /image sends nothing').message
        assert all(words in said for words in (
            'no shared memory between containers', '--ipc=host --net=host',
            'docs/guides/docker.md', 'too large for DDS',
            'export FASTRTPS_DEFAULT_PROFILES_FILE=')), said
        graph.ask(SCENE)
        warning_of(graph, 'publisher client of /image went silent')
        assert len(graph.ask(SCENE).detections) == 1


def test_auto_reliability_follows_the_publishers(model):
    def offered():
        return {info.qos_profile.reliability
                for info in graph.client.get_subscriptions_info_by_topic('/image')}

    with running_graph(model=model) as graph:
        graph.spin_until(lambda: offered() == {ReliabilityPolicy.BEST_EFFORT})
        publisher = graph.publisher('image', qos=RELIABLE)
        graph.spin_until(lambda: offered() == {ReliabilityPolicy.RELIABLE})
        graph.spin_until(publisher.get_subscription_count)
        assert len(graph.ask(SCENE).detections) == 1
        # one best effort publisher among reliable ones must still be heard
        graph.client.create_publisher(
            Image, 'image', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
        graph.spin_until(lambda: offered() == {ReliabilityPolicy.BEST_EFFORT})
        graph.spin_until(publisher.get_subscription_count)
        assert len(graph.ask(SCENE).detections) == 1


def test_diagnostics_come_also_while_simulated_time_stands_still(model, impatient):
    with running_graph(model=model, use_sim_time=True) as graph:
        assert len(graph.ask(SCENE).detections) == 1
        warning_of(graph, 'of /image went silent')
        assert graph.values(graph.diagnosis('detector'))['state'] == 'active'
        assert len(graph.ask(SCENE).detections) == 1


def test_diagnostics_warn_while_no_frame_can_be_used_and_recover(model):
    with running_graph(model=model) as graph:
        publisher = graph.publisher('image')
        msg = bgr_to_image_msg(SCENE, graph.header())
        msg.encoding = '32FC1'
        publisher.publish(msg)
        warning_of(graph, 'no usable frames, 1 dropped since the last report; reason: encoding')
        graph.ask(SCENE)
        graph.spin_until(lambda: graph.diagnosis('camera /image', DiagnosticStatus.OK))


def test_diagnostics_name_the_other_transport_and_the_cameras_own_topic(model, impatient):
    with running_graph(model=model, cameras=['front', 'rear'], transport='raw') as graph:
        for topic in ('/front/image_raw', '/rear/depth/image', '/rear/image_raw'):
            graph.client.create_publisher(Image, topic, 1)

        def says(words):
            graph.spin_until(lambda: words in graph.diagnosis(
                'camera rear', DiagnosticStatus.WARN).message)
        says('remap with -r rear/image:=/rear/image_raw')
        graph.client.create_publisher(CompressedImage, '/rear/image/compressed', 1)
        says('; /rear/image/compressed has a publisher: set transport to auto')


def test_parameter_that_is_not_there_is_a_warning(model, monkeypatch):
    said = []
    monkeypatch.setattr(RcutilsLogger, 'warning', lambda logger, text, **_: said.append(text))
    with running_graph(model=model, score_treshold=0.9):
        assert [text for text in said if 'parameter' in text] == [
            "unknown parameter 'score_treshold'; see docs/reference/node.md"]


def test_diagnostics_of_two_namespaces_have_different_names(model, monkeypatch):
    def humble(updater, msg):
        raise AssertionError('it would publish under the bare name of the node')
    monkeypatch.setattr(Updater, 'publish', humble)
    with running_graph(model=model) as graph:
        arrays = graph.listen('/diagnostics', DiagnosticArray)
        for name in ('front', 'rear'):
            other = DetectorNode(namespace=name)
            other._diagnostics._updater.force_update()
            other.destroy_node()
        wanted = {f'{name}detector: detector' for name in ('', 'front/', 'rear/')}
        graph.spin_until(lambda: wanted <= {status.name for array in arrays
                                            for status in array.status})


OWN_SHARED_MEMORY = ('unshare', '--mount', 'sh', '-c',
                     'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"', 'sh')


@pytest.mark.skipif(subprocess.run([*OWN_SHARED_MEMORY, 'true'], capture_output=True).returncode,
                    reason='needs the right to mount a /dev/shm')
def test_node_without_the_shared_memory_of_the_camera_names_containers(model):
    client = Client()
    try:
        client.node.create_publisher(Image, 'image', 1)
        node = client.start('detect_node', *ros_arguments(model=model, precision='fp32'),
                            prefix=OWN_SHARED_MEMORY)
        client.spin_until(lambda: client.node.count_subscribers('image'), START_TIMEOUT_S)
        client.spin_for(5)
        node.interrupt()
        _, _, log = node.result()
    finally:
        client.close()
    line, = [line for line in log.splitlines() if 'sends nothing' in line]
    assert 'a publisher of /image sends nothing for ' in line
    assert 'no shared memory between containers' in line and '--ipc=host' in line
    assert 'too large' not in line, 'not even small messages arrive'
