# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Objects over time and in space: tracks, distances and positions. No ROS, no torch."""
