# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The ROS 2 side: the only room that knows rclpy and messages."""
