# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Messages are taken by a thread that starts and ends with its subscriptions."""

from collections.abc import Iterator
import threading
import time

from lite_detector.ros import message_thread
from lite_detector.ros.message_thread import MessageThread
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from std_msgs.msg import String

TIMEOUT_S = 20.0


@pytest.fixture
def node() -> Iterator[Node]:
    rclpy.init()
    node = rclpy.create_node('taker')
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def wait_until(condition) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end_s, 'timed out'
        time.sleep(0.01)


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == 'messages']


def subscribed(node: Node, messages: MessageThread, topic: str, got: list, qos: int = 10):
    """Return a subscription, and what publishes to it."""
    subscription = messages.subscribe(
        String, topic, lambda data: got.append(deserialize_message(data, String).data), qos)
    publisher = node.create_publisher(String, topic, qos)
    wait_until(publisher.get_subscription_count)
    return subscription, publisher


def test_messages_of_two_topics_arrive_in_order_while_nobody_spins(node):
    messages, first, second = MessageThread(node), [], []
    one, to_first = subscribed(node, messages, 'first', first)
    other, to_second = subscribed(node, messages, 'second', second)
    for index in range(5):
        to_first.publish(String(data=f'a{index}'))
        to_second.publish(String(data=f'b{index}'))
    wait_until(lambda: len(first) == len(second) == 5)
    assert (first, second) == ([f'a{index}' for index in range(5)],
                               [f'b{index}' for index in range(5)])
    assert running() == ['messages']
    messages.unsubscribe(one)
    to_first.publish(String(data='late'))
    to_second.publish(String(data='b5'))
    wait_until(lambda: len(second) == 6)
    messages.unsubscribe(other)
    assert len(first) == 5
    assert running() == []


def test_an_executor_of_the_node_leaves_the_messages_alone(node):
    messages, got, threads = MessageThread(node), [], set()
    subscription = messages.subscribe(
        String, 'topic', lambda data: (threads.add(threading.current_thread().name),
                                       got.append(data)), 10)
    publisher = node.create_publisher(String, 'topic', 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    wait_until(publisher.get_subscription_count)
    for count in range(1, 11):
        publisher.publish(String())
        executor.spin_once(timeout_sec=0.01)
        wait_until(lambda wanted=count: len(got) == wanted)
    assert threads == {'messages'}
    messages.unsubscribe(subscription)
    executor.shutdown()


def test_unsubscribe_waits_for_the_callback_in_work(node):
    messages, begun, ended = MessageThread(node), threading.Event(), threading.Event()

    def on_data(data):
        begun.set()
        time.sleep(0.2)
        ended.set()
    subscription = messages.subscribe(String, 'topic', on_data, 10)
    publisher = node.create_publisher(String, 'topic', 10)
    wait_until(publisher.get_subscription_count)
    publisher.publish(String())
    assert begun.wait(TIMEOUT_S)
    messages.unsubscribe(subscription)
    assert ended.is_set()


def test_subscribe_again_after_the_last_one_ended_works(node):
    messages, guards = MessageThread(node), len(list(node.guards))
    for index in range(20):
        got = []
        subscription, publisher = subscribed(node, messages, 'topic', got)
        publisher.publish(String(data=str(index)))
        wait_until(lambda taken=got: taken)
        messages.unsubscribe(subscription)
        node.destroy_publisher(publisher)
        assert got == [str(index)]
        assert running() == []
    assert len(list(node.guards)) == guards


def test_callback_that_raises_is_logged_and_the_next_message_taken(node, monkeypatch):
    monkeypatch.setattr(message_thread, 'RETRY_S', 0.0)
    messages, got = MessageThread(node), []

    def on_data(data):
        got.append(data)
        if len(got) == 1:
            raise ValueError('first')
    subscription = messages.subscribe(String, 'topic', on_data, 10)
    publisher = node.create_publisher(String, 'topic', 10)
    wait_until(publisher.get_subscription_count)
    for count in (1, 2):
        publisher.publish(String())
        wait_until(lambda wanted=count: len(got) == wanted)
    messages.unsubscribe(subscription)


def test_thread_ends_when_the_context_is_shut_down_first(monkeypatch):
    monkeypatch.setattr(message_thread, 'WAIT_S', 0.05)
    rclpy.init()
    node = rclpy.create_node('taker')
    messages = MessageThread(node)
    subscription = messages.subscribe(String, 'topic', lambda data: None, 10)
    rclpy.shutdown()
    wait_until(lambda: not running())
    messages.unsubscribe(subscription)
    node.destroy_node()
