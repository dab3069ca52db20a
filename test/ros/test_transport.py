# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Which topic and type the node subscribes to, and how it follows cameras that change them."""

import array
from contextlib import contextmanager

import cv2
from lite_detector.ros.conversions import bgr_to_compressed_msg, bgr_to_image_msg
from lite_detector.ros.image_input import choose_source, Source, sources_of, TYPE_NAMES
import pytest
from rcl_interfaces.msg import Log
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_graph import running_graph, SENSOR_QOS
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_srvs.srv import SetBool
from tiny_models import square_image, write_tiny_nanodet

SCENE = square_image(128, 192, top=64, left=128, color=(255, 0, 0), side=64)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
RAW, JPEG = Source('/cam', Image), Source('/cam', CompressedImage)
SUFFIXED = Source('/cam/compressed', CompressedImage)


@pytest.fixture
def model(tmp_path):
    return str(write_tiny_nanodet(tmp_path / 'model'))


@contextmanager
def driver():
    """Give a node of its own participant: one of Fast DDS has a single type for a topic."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('driver', context=context)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def message(graph, kind):
    convert = bgr_to_image_msg if kind is Image else bgr_to_compressed_msg
    return convert(SCENE, graph.header())


def detects(graph, publisher, kind, answers='detections'):
    """Send until an image is answered; the subscription may still be on its way."""
    sent = []

    def answered():
        sent.append(message(graph, kind))
        publisher.publish(sent[-1])
        graph.spin_for(0.05)
        stamps = [msg.header.stamp for msg in sent]
        return [answer for answer in graph.received[answers] if answer.header.stamp in stamps]
    first = graph.spin_until(answered)[0]
    assert [item.results[0].hypothesis.class_id for item in first.detections] == ['object0']
    assert first.detections[0].bbox.center.position.x == pytest.approx(160, abs=1)


def subscribed(graph, *topics):
    """Return what the detector is subscribed to, as the graph knows it."""
    return sorted((topic, info.topic_type) for topic in topics
                  for info in graph.client.get_subscriptions_info_by_topic(topic)
                  if info.node_name == 'detector')


@pytest.mark.parametrize('topic, transport, wanted', (
    ('/cam', 'auto', (RAW, JPEG, SUFFIXED)),
    ('/cam/compressed', 'auto', (SUFFIXED, Source('/cam/compressed', Image))),
    ('/cam', 'raw', (RAW,)),
    ('/cam/compressed', 'raw', (Source('/cam/compressed', Image), RAW)),
    ('/cam', 'compressed', (SUFFIXED, JPEG)),
    ('/cam/compressed', 'compressed', (SUFFIXED,)),
))
def test_sources_of_a_topic_are_in_order(topic, transport, wanted):
    assert sources_of(topic, transport) == wanted


@pytest.mark.parametrize('current, published, wanted', (
    (RAW, (), RAW),
    (RAW, (SUFFIXED,), SUFFIXED),
    (SUFFIXED, (SUFFIXED, RAW), RAW),
    (RAW, (SUFFIXED, JPEG), JPEG),
    (JPEG, (RAW, JPEG), JPEG),
    (RAW, (RAW, JPEG), RAW),
    (JPEG, (), JPEG),
))
def test_choose_source_prefers_the_topic_itself_and_stays_within_it(current, published, wanted):
    assert choose_source((RAW, JPEG, SUFFIXED), current, published) == wanted


@pytest.mark.parametrize('topic, image, transport', (
    ('/cam/jpeg', '/cam/jpeg', 'auto'),
    ('/axis/compressed', '/axis/compressed', 'auto'),
    ('/cam/image_raw/compressed', '/cam/image_raw', 'auto'),
    ('/cam/jpeg', '/cam/jpeg', 'compressed'),
    ('/cam/image_raw/compressed', '/cam/image_raw/compressed', 'compressed'),
))
def test_node_detects_in_compressed_images_on_a_topic_of_any_name(model, topic, image, transport):
    with driver() as camera, running_graph(
            model=model, transport=transport, remap={'image': image}) as graph:
        graph.listen('detections')
        # later than the node
        detects(graph, camera.create_publisher(CompressedImage, topic, SENSOR_QOS),
                CompressedImage)
        graph.spin_until(lambda: subscribed(graph, image, topic) == sorted(
            [(topic, TYPE_NAMES[CompressedImage])] * (1 + (image == topic))))
        values = graph.values(graph.diagnosis(f'camera {graph.detector._cameras[0].label}'))
        assert (values['topic'], values['transport']) == (topic, 'compressed')


def test_node_follows_a_publisher_that_changes_its_type_and_leaks_no_subscription(model):
    with running_graph(model=model) as graph:
        graph.listen('detections')
        for kind in (CompressedImage, Image, CompressedImage):
            with driver() as camera:
                detects(graph, camera.create_publisher(kind, 'image', SENSOR_QOS), kind)
                graph.spin_until(lambda of=kind: subscribed(
                    graph, '/image', '/image/compressed') == [('/image', TYPE_NAMES[of])])
        assert len(list(graph.detector.subscriptions)) == len(
            {subscription.topic_name for subscription in graph.detector.subscriptions})


def test_node_loses_and_doubles_no_frame_when_a_better_source_appears(model):
    with driver() as camera, running_graph(model=model) as graph:
        answers = graph.listen('detections')
        jpegs = camera.create_publisher(CompressedImage, 'image/compressed', RELIABLE)
        detects(graph, jpegs, CompressedImage)
        raws = camera.create_publisher(Image, 'image', RELIABLE)
        stamps = []

        def send_both():
            """Publish an image both ways, and wait for the answer, as a slow camera would."""
            header = graph.header()
            stamps.append(header.stamp.sec)
            raws.publish(bgr_to_image_msg(SCENE, header))
            jpegs.publish(bgr_to_compressed_msg(SCENE, header))
            graph.spin_until(lambda: answers[-1].header.stamp.sec == stamps[-1])
            return subscribed(graph, '/image', '/image/compressed')
        graph.spin_until(lambda: send_both() == [('/image', TYPE_NAMES[Image])])
        for _ in range(5):
            send_both()
        got = [answer.header.stamp.sec for answer in answers]
        assert got[got.index(stamps[0]):] == stamps


def test_node_serves_cameras_of_different_types_side_by_side(model):
    with driver() as camera, running_graph(model=model, cameras=['front', 'rear']) as graph:
        for name, kind, topic in (('front', Image, 'front/image'),
                                  ('rear', CompressedImage, 'rear/image')):
            graph.listen(f'{name}/detections')
            detects(graph, camera.create_publisher(kind, topic, SENSOR_QOS), kind,
                    f'{name}/detections')
        assert subscribed(graph, '/front/image', '/rear/image') == [
            ('/front/image', TYPE_NAMES[Image]), ('/rear/image', TYPE_NAMES[CompressedImage])]


def test_node_two_types_on_one_topic_stays_with_one_and_warns_once(model):
    with running_graph(model=model) as graph:
        logs = graph.listen('/rosout', Log)
        graph.listen('detections')
        with driver() as camera, driver() as other:
            jpegs = camera.create_publisher(CompressedImage, 'image', SENSOR_QOS)
            detects(graph, jpegs, CompressedImage)
            other.create_publisher(Image, 'image', SENSOR_QOS)
            graph.spin_until(lambda: [log for log in logs if 'of two types' in log.msg])
            detects(graph, jpegs, CompressedImage)
            graph.spin_for(1.2)
            assert len([log for log in logs if 'of two types' in log.msg]) == 1
            assert subscribed(graph, '/image') == [('/image', TYPE_NAMES[CompressedImage])]


def test_node_disabled_while_it_changes_over_keeps_no_subscription(model):
    with driver() as camera, running_graph(model=model) as graph:
        graph.listen('detections')
        jpegs = camera.create_publisher(CompressedImage, 'image/compressed', SENSOR_QOS)
        detects(graph, jpegs, CompressedImage)
        camera.create_publisher(Image, 'image', SENSOR_QOS)  # which never sends
        graph.spin_until(lambda: len(subscribed(graph, '/image', '/image/compressed')) == 2)
        client = graph.client.create_client(SetBool, 'enable')
        assert client.wait_for_service(20)
        future = client.call_async(SetBool.Request(data=False))
        graph.spin_until(future.done)
        graph.spin_until(lambda: subscribed(graph, '/image', '/image/compressed') == [])


def test_node_topic_of_another_kind_is_named_with_what_there_is(model, monkeypatch):
    monkeypatch.setattr('lite_detector.ros.camera.SILENCE_S', 0.5)
    with driver() as camera, running_graph(model=model, remap={'image': '/points'}) as graph:
        logs = graph.listen('/rosout', Log)
        camera.create_publisher(PointCloud2, '/points', 1)
        camera.create_publisher(CompressedImage, '/axis/jpeg', 1)
        said = graph.spin_until(lambda: [log.msg for log in logs if 'has type' in log.msg])[-1]
        assert ('/points has type sensor_msgs/msg/PointCloud2; expected sensor_msgs/msg/Image or '
                'sensor_msgs/msg/CompressedImage') in said
        graph.spin_until(lambda: [log for log in logs if 'images are on /axis/jpeg: remap with -r '
                                  'image:=/axis/jpeg' in log.msg])


@pytest.mark.parametrize('form, warnings', (
    ('yuv422_yuy2; jpeg compressed mono8', 1), ('mono8; jpeg compressed mono8', 0), ('jpeg', 0)))
def test_node_grey_jpeg_works_and_says_once_where_the_colour_went(model, form, warnings):
    with running_graph(model=model, transport='compressed') as graph:
        logs = graph.listen('/rosout', Log)
        graph.listen('detections')
        publisher = graph.publisher('image/compressed', CompressedImage)
        graph.spin_until(lambda: graph.client.count_publishers('detections'))
        graph.spin_for(0.1)
        _, grey = cv2.imencode('.jpg', SCENE.max(axis=2))
        for _ in range(3):
            msg = CompressedImage(header=graph.header(), format=form,
                                  data=array.array('B', grey.tobytes()))
            publisher.publish(msg)
            box = graph.answer(msg).detections[0].bbox
            assert (box.center.position.x, box.center.position.y) == pytest.approx((160, 96),
                                                                                   abs=1)
        graph.spin_for(0.2)
        said = [log.msg for log in logs if 'no colour in /image/compressed' in log.msg]
        assert len(said) == warnings
        assert all('converts yuv422_yuy2 to grey' in text for text in said)
