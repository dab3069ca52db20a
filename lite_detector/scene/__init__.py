# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Tracks, distances and positions of objects; independent of ROS and torch."""
