# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How a node process begins and ends: wrong arguments are one line, an interrupt is no fault."""

from collections.abc import Callable, Iterator
from pathlib import Path
import signal

from lite_detector.core.errors import ConfigError
from lite_detector.ros.runner import run_node
import pytest
from rclpy.node import Node


@pytest.fixture(autouse=True)
def own_interrupt() -> Iterator[None]:
    """Let SIGINT be what Python makes of it: a shell ignores it in what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def node_with(callback: Callable[[], None]) -> Node:
    node = Node('ends')
    node.create_timer(0.001, callback)
    return node


def fail() -> None:
    raise RuntimeError('Unable to convert call argument')


def fail_under_interrupt() -> None:
    """Do as C++ does that meets KeyboardInterrupt half way through a message."""
    try:
        # the handler alone, before that of rclpy has ended the context
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
    except KeyboardInterrupt:
        fail()


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
    (b'/**/detector:\n\tros__parameters:\n    model: tiny\n', 'line 1; wanted YAML'),
    (b'\x7fELF\xff\0\0', 'it is not a text file'),
    (b'\0\1\2', 'near line 0; wanted YAML'),
    (b'model: tiny\n', 'before ros__parameters at line 1'),
    (f'{HEAD}    model: [1, a]\n'.encode(), 'Sequence should be of same type'),
    (None, 'No such file or directory'),
], ids=['alias', 'tab', 'binary', 'zeros', 'no node', 'mixed', 'missing'])
def test_parameter_file_that_ros_cannot_read_is_one_line(tmp_path, content, words):
    path = tmp_path / 'my  file, at 1.yaml'
    if content is not None:
        path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(f'{path}: ROS cannot read this file of parameters: ')
    assert words in message
    assert message.endswith('without tabs and aliases') and '.c:' not in message


def test_folder_as_parameter_file_is_named(tmp_path):
    assert f'{tmp_path}: ROS cannot read this file of parameters: Is a dir' in refusal(tmp_path)


def test_wrong_value_of_a_parameter_that_ros_declares_is_one_line(tmp_path):
    path = tmp_path / 'params.yaml'
    path.write_text(f'{HEAD}    use_sim_time: perhaps\n')
    assert refusal(path).startswith("ROS parameters: Trying to set parameter 'use_sim_time' to "
                                    "'perhaps'")


def test_interrupt_that_becomes_another_error_ends_cleanly() -> None:
    before = signal.getsignal(signal.SIGINT)
    run_node(lambda: node_with(fail_under_interrupt), None)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_same_error_without_interrupt_is_raised() -> None:
    with pytest.raises(RuntimeError, match='Unable to convert'):
        run_node(lambda: node_with(fail), None)
