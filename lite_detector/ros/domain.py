# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Separate ROS domain for tests and measurements."""

import os

DOMAINS = 100
"""Number of usable domains; higher ones use ports that Linux assigns to other programs."""


def enter_own_domain() -> None:
    """
    Set a separate ROS domain for this process and its children.

    Parallel runs on one machine, and robots on the network, are then in other domains. The domain
    follows from the process id, so two processes may share one in rare cases.
    """
    os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % DOMAINS + 1)
