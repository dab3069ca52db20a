# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How a node process ends: an interrupt is no fault, wherever it strikes; a fault stays one."""

from collections.abc import Callable, Iterator
import signal

from lite_detector.ros.runner import run_node
import pytest
from rclpy.node import Node
from ros_graph import DOMAIN_ID


@pytest.fixture(autouse=True)
def own_interrupt() -> Iterator[None]:
    """Let SIGINT be what Python makes of it: a shell ignores it in what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def own_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN_ID))


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


def test_interrupt_that_becomes_another_error_ends_cleanly() -> None:
    before = signal.getsignal(signal.SIGINT)
    run_node(lambda: node_with(fail_under_interrupt), None)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_same_error_without_interrupt_is_raised() -> None:
    with pytest.raises(RuntimeError, match='Unable to convert'):
        run_node(lambda: node_with(fail), None)
