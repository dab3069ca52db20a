# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Everything in this folder needs ROS."""

from pathlib import Path

from lite_detector.ros.domain import enter_own_domain
import pytest

enter_own_domain()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, so that ``-m 'not ros'`` leaves them out."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.ros)
