# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How a node process begins and ends: wrong arguments are one line, an interrupt is no fault."""

from collections.abc import Callable
import os
from pathlib import Path
import signal
from threading import Timer

from builtin_interfaces.msg import Time
from lite_detector.core.errors import ConfigError
from lite_detector.ros.conversions import bgr_to_image_msg
from lite_detector.ros.runner import run_node
from node_process import Client, ros_arguments, START_TIMEOUT_S
import numpy as np
import pytest
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header


def node_with(callback: Callable[[], None]) -> Node:
    node = Node('ends')
    node.create_timer(0.001, callback)
    return node


def fail() -> None:
    raise RuntimeError('Unable to convert call argument')


def refusal(path: Path) -> str:
    """Return the one line that a node with this file of parameters ends with."""
    with pytest.raises(ConfigError) as caught:
        run_node(lambda: Node('detector'), ['--ros-args', '--params-file', str(path)],
                 finished=lambda node: True)
    message = str(caught.value)
    assert '\n' not in message
    return message


HEAD = '/**/detector:\n  ros__parameters:\n'


@pytest.mark.parametrize(('content', 'words'), [
    (f'{HEAD}    model: &name tiny\n    runtime: *name\n'.encode(), 'aliasing at line 4'),
    (b'/**/detector:\n\tros__parameters:\n    model: tiny\n', 'line 1; expected YAML'),
    (b'\x7fELF\xff\0\0', 'not a text file'),
    (b'\0\1\2', 'near line 0; expected YAML'),
    (b'model: tiny\n', 'before ros__parameters at line 1'),
    (f'{HEAD}    model: [1, a]\n'.encode(), 'Sequence should be of same type'),
    (None, 'No such file or directory'),
], ids=['alias', 'tab', 'binary', 'zeros', 'no node', 'mixed', 'missing'])
def test_parameter_file_that_ros_cannot_read_is_one_line(tmp_path, content, words):
    path = tmp_path / 'my  file, at 1.yaml'
    if content is not None:
        path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(f'{path}: ROS cannot read this parameter file: ')
    assert words in message
    assert message.endswith('without tabs and aliases') and '.c:' not in message


def test_folder_as_parameter_file_is_named(tmp_path):
    assert f'{tmp_path}: ROS cannot read this parameter file: Is a dir' in refusal(tmp_path)


def test_wrong_value_of_a_parameter_that_ros_declares_is_one_line(tmp_path):
    path = tmp_path / 'params.yaml'
    path.write_text(f'{HEAD}    use_sim_time: perhaps\n')
    assert refusal(path).startswith("ROS parameters: Trying to set parameter 'use_sim_time' to "
                                    "'perhaps'")


SIGNALS = (signal.SIGINT, signal.SIGTERM)


def handlers() -> list:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize('number', SIGNALS)
def test_signal_in_a_callback_lets_it_finish_and_ends(number):
    before, steps = handlers(), []

    def callback() -> None:
        os.kill(os.getpid(), number)
        steps.append(sum(range(10000)))  # where KeyboardInterrupt would come

    run_node(lambda: node_with(callback), None)
    assert len(steps) == 1
    assert handlers() == before


def test_signal_while_nothing_happens_wakes_the_node():
    timer = Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    run_node(lambda: Node('waits'), None)
    timer.join()


def test_signal_while_the_node_is_made_ends_it_at_once():
    def make_node() -> Node:
        os.kill(os.getpid(), signal.SIGINT)
        return node_with(fail)

    before = handlers()
    run_node(make_node, None)
    assert handlers() == before


def test_error_of_a_callback_is_raised() -> None:
    with pytest.raises(RuntimeError, match='Unable to convert'):
        run_node(lambda: node_with(fail), None)


def test_interrupt_in_the_middle_of_a_slow_frame_ends_with_status_0():
    client = Client()
    try:
        node = client.start('detect_node', *ros_arguments(
            model='coco_320', precision='fp32', input_size=640, tiles='8x8'))  # seconds a frame
        camera = client.node.create_publisher(Image, 'image', 1)
        client.spin_until(camera.get_subscription_count, START_TIMEOUT_S)
        client.spin_for(0.5)
        camera.publish(bgr_to_image_msg(np.zeros((240, 320, 3), np.uint8), Header(
            stamp=Time(sec=1))))
        client.spin_for(0.5)
        node.interrupt()
        status, _, log = node.result()
        assert status == 0, log
        assert 'Traceback' not in log and 'terminate' not in log
    finally:
        client.close()
