# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A real ROS graph in one process: the detector in a thread of its own, a camera beside it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
import gc
import threading
import time
from typing import Any, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lite_detector.ros.conversions import bgr_to_compressed_msg, bgr_to_image_msg
from lite_detector.ros.lifecycle import ManagedNode
from lite_detector.ros.node import DetectorNode
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

TIMEOUT_S = 20.0
G = TypeVar('G', bound='NodeGraph')
SENSOR_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class SpinningClient:
    """The executor of a client, served until something holds."""

    _executor: SingleThreadedExecutor

    def spin_until(self, condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
        """Serve the client until something holds, and return it; fail after the time-out."""
        end = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < end, 'timed out'
            self._executor.spin_once(timeout_sec=0.02)
        return value

    def spin_for(self, seconds: float) -> None:
        """Serve the client for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.02)


class NodeGraph(SpinningClient):
    """
    A node that starts by itself and runs in a thread of its own, and a test client.

    :param node: the node.
    """

    def __init__(self, node: ManagedNode) -> None:
        self._node = node
        self.client = rclpy.create_node('client')
        self._executor, self._node_executor = SingleThreadedExecutor(), SingleThreadedExecutor()
        self._executor.add_node(self.client)
        self._node_executor.add_node(node)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._publishers: dict[str, Any] = {}
        self.received: dict[str, list[Any]] = defaultdict(list)
        node.autostart()
        self._thread.start()

    def _spin(self) -> None:
        while not self._closing.is_set():
            self._node_executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        """End everything."""
        self._closing.set()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        self._node_executor.shutdown()
        self._executor.shutdown()
        self._node.destroy_node()
        self.client.destroy_node()
        # A node that lingers until some later collection would take the /rosout publisher of
        # its successor of the same name with it.
        self.__dict__.clear()
        gc.collect()


class Graph(NodeGraph):
    """
    A running detector and a test client.

    :param values: parameter values of the detector.
    :param remap: names of topics, and what they stand for.
    """

    def __init__(self, values: dict[str, Any], remap: Mapping[str, str] = {}) -> None:
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        rules = [word for name, topic in remap.items() for word in ('-r', f'{name}:={topic}')]
        self.detector = DetectorNode(parameter_overrides=overrides,
                                     cli_args=['--ros-args', *rules])
        self.stamp_s = 1000
        super().__init__(self.detector)

    def listen(self, topic: str, kind: type = Detection2DArray, qos: Any = 10) -> list[Any]:
        """Subscribe and return the list that messages go to."""
        messages = self.received[topic]
        self.client.create_subscription(kind, topic, messages.append, qos)
        return messages

    def publisher(self, topic: str, kind: type = Image, qos: QoSProfile = SENSOR_QOS) -> Any:
        """Return a publisher that the detector listens to."""
        if topic not in self._publishers:
            publisher = self.client.create_publisher(kind, topic, qos)
            self._publishers[topic] = publisher
            self.spin_until(publisher.get_subscription_count)
        return self._publishers[topic]

    def header(self, frame_id: str = 'lens') -> Header:
        """Return a header with a stamp that was not used before."""
        self.stamp_s += 1
        header = Header(frame_id=frame_id)
        header.stamp.sec = self.stamp_s
        return header

    def send(self, image_bgr: np.ndarray, topic: str = 'image', frame_id: str = 'lens') -> Image:
        """Publish a raw image and return the message."""
        msg = bgr_to_image_msg(image_bgr, self.header(frame_id))
        self.publisher(topic).publish(msg)
        return msg

    def send_compressed(self, image_bgr: np.ndarray, topic: str) -> CompressedImage:
        """Publish a JPEG and return the message."""
        msg = bgr_to_compressed_msg(image_bgr, self.header())
        self.publisher(topic, CompressedImage).publish(msg)
        return msg

    def answer(self, msg: Any, topic: str = 'detections') -> Detection2DArray:
        """Return the detections of a message, known by its stamp."""
        if topic not in self.received:
            raise AssertionError(f'listen to {topic} before sending')
        found = self.spin_until(lambda: [answer for answer in self.received[topic]
                                         if answer.header.stamp == msg.header.stamp])
        return found[0]

    def ask(self, image_bgr: np.ndarray) -> Detection2DArray:
        """Send an image and return what was found in it."""
        if 'detections' not in self.received:
            self.listen('detections')
            self.publisher('image')
            self.spin_until(lambda: self.client.count_publishers('detections'))
            self.spin_for(0.1)
        return self.answer(self.send(image_bgr))

    def change(self, **values: Any) -> str:
        """Set parameters together; return the reason of a refusal, empty if accepted."""
        results = self.detector.set_parameters_atomically(
            [Parameter(name, value=value) for name, value in values.items()])
        return results.reason

    def diagnosis(self, name: str, level: bytes = DiagnosticStatus.OK) -> DiagnosticStatus:
        """Wait for a status of this level, and return it."""
        if '/diagnostics' not in self.received:
            self.listen('/diagnostics', DiagnosticArray)

        def newest() -> list[DiagnosticStatus]:
            return [status for array in self.received['/diagnostics'][-1:]
                    for status in array.status
                    if status.name == f'detector: {name}' and status.level == level]
        return self.spin_until(newest)[0]

    def values(self, status: DiagnosticStatus) -> dict[str, str]:
        """Return the key-value pairs of a status."""
        return {pair.key: pair.value for pair in status.values}


@contextmanager
def running(make_graph: Callable[[], G]) -> Iterator[G]:
    """Run a graph in a ROS of its own."""
    rclpy.init()
    try:
        graph = make_graph()
        try:
            yield graph
        finally:
            graph.close()
    finally:
        rclpy.try_shutdown()


def running_graph(remap: Mapping[str, str] = {}, **values: Any) -> AbstractContextManager[Graph]:
    """Run a detector with these parameters."""
    return running(lambda: Graph(values, remap))
