# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Tests and measurements do not hear what else is on the network."""

import os

from lite_detector.ros.domain import DOMAINS, enter_own_domain
import pytest
import rclpy

PRINT_DOMAIN = """
import rclpy
rclpy.init()
print(rclpy.get_default_context().get_domain_id())
"""


def domain_of_this_process() -> int:
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        return context.get_domain_id()
    finally:
        context.shutdown()


def test_tests_and_what_they_start_share_a_domain_of_their_own(run_python):
    assert domain_of_this_process() == os.getpid() % DOMAINS + 1
    assert int(run_python('-c', PRINT_DOMAIN).stdout) == domain_of_this_process()


@pytest.mark.parametrize('before', [None, '', '0', '42', 'mine'])
def test_own_domain_is_taken_whatever_the_user_has_set(monkeypatch, before):
    monkeypatch.setenv('ROS_DOMAIN_ID', before or '')
    if before is None:
        monkeypatch.delenv('ROS_DOMAIN_ID')
    enter_own_domain()
    assert 1 <= domain_of_this_process() <= 100  # 0 is everybody's
