# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The ROS domain of tests and measurements, which nobody else should hear."""

import os

DOMAINS = 100
"""More have ports that Linux may give to others."""


def enter_own_domain() -> None:
    """
    Let all that this process and its children begin in ROS have a domain of their own.

    Runs side by side on one machine, and robots in the room, are in other domains then, as
    far as the number of this process tells them apart.
    """
    os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % DOMAINS + 1)
